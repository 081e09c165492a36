"""Makes fer/data/assets/examples/<emotion>.png: average faces that show an emotion and nobody.

    python -m tests.benchmarks.example_faces [--data DIR] [--network NAME] [--out DIR]

Of one emotion's Training faces (the 30 % that NAME recognises most confidently, or all of them without a network), the
60 that look most like their common mean are averaged, copies left out, since one picture that came several times would
shine through. The mean is stretched to full contrast and enlarged, so that visitors and detectors see a face.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

import fer
from fer.data import crop, duplicates, fer2013, labels
from fer.faces import detector as faces_detector
from fer.inference import predictor
from fer.models import checkpoint

MIXED, CONFIDENT, SIZE = 60, 0.3, 240
ALIKE = 0.95  # faces that correlate more than this, mirrored or not, count as copies of one picture
EXAMPLES = Path(fer.__file__).parent / "data" / "assets" / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    parser.add_argument("--network", help="average the faces that this network recognises most confidently")
    parser.add_argument("--out", type=Path, default=EXAMPLES, metavar="DIR")
    options = parser.parse_args()
    training = fer2013.load_fer2013(options.data)["Training"]
    network = checkpoint.load_model(options.network) if options.network else None
    for place, emotion in enumerate(labels.EMOTIONS):
        pixels = training.pixels[training.labels == place]  # (N, 48, 48)
        if network is not None:
            pixels = confident(network, pixels, emotion)
        face = enlarged(averaged(pixels.numpy()))
        cv2.imwrite(str(options.out / f"{emotion}.png"), face, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        print(f"{emotion:8}", *(f"{key} {value}" for key, value in _seen(face, network).items()), sep="  ")


def confident(network: checkpoint.FERModel, pixels: torch.Tensor, emotion: str) -> torch.Tensor:
    rows = torch.cat([predictor.predict_probabilities(network, block) for block in pixels.split(256)])  # (N, K)
    return pixels[rows[:, network.labels.index(emotion)].argsort(descending=True)[: round(CONFIDENT * len(pixels))]]


def averaged(pixels: np.ndarray) -> np.ndarray:
    """The mean, float (48, 48), of the 60 most typical of uint8 (N, 48, 48), copies left out."""
    rows = duplicates.standardize(torch.from_numpy(pixels)).numpy()  # (N, 2304)
    mirrored = duplicates.standardize(torch.from_numpy(pixels).flip(-1)).numpy()
    chosen: list[int] = []
    for place in np.argsort(-rows @ rows.mean(0)):
        copies = np.maximum(rows[chosen] @ rows[place], mirrored[chosen] @ rows[place])
        if not (copies > ALIKE).any():
            chosen.append(place)
        if len(chosen) == MIXED:
            break
    return rows[chosen].mean(0).reshape(crop.SIDE, crop.SIDE)


def enlarged(face: np.ndarray) -> np.ndarray:
    """Full contrast, uint8 (240, 240); the darkest and brightest 1 % are clipped."""
    low, high = np.percentile(face, [1, 99])
    face = np.clip((face - low) / (high - low), 0, 1).astype(np.float32) * 255
    face = cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(face), 0, 255).astype(np.uint8)


def _seen(face: np.ndarray, network: checkpoint.FERModel | None) -> dict:
    """What the detectors and the network make of the picture, to be read by whoever makes the examples anew."""
    picture = cv2.cvtColor(face, cv2.COLOR_GRAY2RGB)
    seen = {}
    for name in ("yunet", "haar"):
        try:
            detector = faces_detector.load_detector(name)
        except ValueError:
            continue  # no model of YuNet at hand
        seen[name] = [box.to_list() for box in detector(picture)]
        if network is not None:
            reading = predictor.predict_image(picture, network, detector)
            seen[f"read by {name}"] = [f"{found.emotion} {found.confidence:.2f}" for found in reading.faces]
    return seen


if __name__ == "__main__":
    main()
