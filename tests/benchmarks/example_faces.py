"""Makes fer/data/assets/examples/<emotion>.png: average faces that show an expression and no real person.

    python -m tests.benchmarks.example_faces [--data DIR] [--network NAME ...] [--out DIR]

An average is of the Training faces of one expression that look most like their common mean: 30 or 60 of all of them, or
of the 10 or 30 % that a network recognises most confidently. Copies are left out, since one picture that came several
times would shine through. The mean is stretched to full contrast and enlarged, so that visitors and detectors see a
face. Of all these averages, the one is kept that the first network recognises best, with whichever detector.
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

COUNTS, SHARES, SIZE = (30, 60), (0.1, 0.3), 240
ALIKE = 0.95  # faces that correlate more than this, mirrored or not, count as copies of one picture
EXAMPLES = Path(fer.__file__).parent / "data" / "assets" / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    parser.add_argument(
        "--network", nargs="+", default=["compact", "vgg19-selu"],
        help="whose most confident faces are averaged; the first chooses among the averages",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=EXAMPLES, metavar="DIR")
    options = parser.parse_args()
    training = fer2013.load_fer2013(options.data)["Training"]
    networks = [checkpoint.load_model(name) for name in options.network]
    for place, emotion in enumerate(labels.EMOTIONS):
        pixels = training.pixels[training.labels == place]  # (N, 48, 48)
        faces = [enlarged(averaged(few.numpy(), n)) for few in subsets(networks, pixels, emotion) for n in COUNTS]
        share, best = max(((recognised(face, networks[0], emotion), place) for place, face in enumerate(faces)))
        cv2.imwrite(str(options.out / f"{emotion}.png"), faces[best], [cv2.IMWRITE_PNG_COMPRESSION, 9])
        print(f"{emotion:8}  average {best} of {len(faces)}, {emotion} {share:.2f}", flush=True)


def subsets(networks: list[checkpoint.FERModel], pixels: torch.Tensor, emotion: str) -> list[torch.Tensor]:
    """All faces, uint8 (N, 48, 48), and those that each network recognises most confidently."""
    found = [pixels]
    for network in networks:
        rows = torch.cat([predictor.predict_probabilities(network, block) for block in pixels.split(256)])  # (N, K)
        order = rows[:, network.labels.index(emotion)].argsort(descending=True)
        found += [pixels[order[: max(2 * max(COUNTS), round(share * len(pixels)))]] for share in SHARES]
    return found


def averaged(pixels: np.ndarray, count: int) -> np.ndarray:
    """The mean, float (48, 48), of the ``count`` most typical of uint8 (N, 48, 48), copies left out."""
    rows = duplicates.standardize(torch.from_numpy(pixels)).numpy()  # (N, 2304)
    mirrored = duplicates.standardize(torch.from_numpy(pixels).flip(-1)).numpy()
    chosen: list[int] = []
    for place in np.argsort(-rows @ rows.mean(0)):
        copies = np.maximum(rows[chosen] @ rows[place], mirrored[chosen] @ rows[place])
        if not (copies > ALIKE).any():
            chosen.append(place)
        if len(chosen) == count:
            break
    return rows[chosen].mean(0).reshape(crop.SIDE, crop.SIDE)


def enlarged(face: np.ndarray) -> np.ndarray:
    """Full contrast, uint8 (240, 240); the darkest and brightest 1 % are clipped."""
    low, high = np.percentile(face, [1, 99])
    face = np.clip((face - low) / (high - low), 0, 1).astype(np.float32) * 255
    face = cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(face), 0, 255).astype(np.uint8)


def recognised(face: np.ndarray, network: checkpoint.FERModel, emotion: str) -> float:
    """The probability of the expression, with the detector that makes it lowest; 0 where one finds no face."""
    picture, shares = cv2.cvtColor(face, cv2.COLOR_GRAY2RGB), []
    for name in ("yunet", "haar"):
        try:
            detector = faces_detector.load_detector(name)
        except ValueError:
            continue  # no model of YuNet at hand
        found = predictor.predict_image(picture, network, detector).faces
        shares.append(found[0].probabilities[emotion] if len(found) == 1 else 0.0)
    return min(shares)


if __name__ == "__main__":
    main()
