"""Where each detector's box lies in FER-2013's 48x48 frame, and what it gains to cut photographs as FER-2013 was cut.

    python -m tests.benchmarks.framing [--data DIR] [--faces 2000] [--network NAME ...]

Training faces, enlarged to 192 pixels inside a replicated border of 64, give the constants `faces.FRAMING`.
PublicTest faces without duplicates, enlarged in the same way, are then cut with those constants and with the raw box
squashed to a square; each crop is compared with the original 48x48 face, and by the accuracy of each network named.
YuNet needs $FER_YUNET or the Hub; without it only Haar is measured.
"""

import argparse

import cv2
import numpy as np
import torch

from fer.data import crop, dataset, fer2013
from fer.data import labels as data_labels
from fer.faces import detector as faces_detector
from fer.faces import framing
from fer.faces.framing import Box
from fer.models import checkpoint

FACE, BORDER = 192, 64
UNIT = FACE / crop.SIDE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    parser.add_argument("--faces", type=int, default=2000, help="how many faces of each split to look at")
    parser.add_argument("--network", nargs="*", default=[], help="networks whose accuracy to compare as well")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    splits = fer2013.load_fer2013(options.data)
    training = dataset.random_subset(splits["Training"], options.faces)
    public = dataset.random_subset(splits["PublicTest"][~splits["PublicTest"].is_duplicate], options.faces)
    for name in ("yunet", "haar"):
        try:
            detector = faces_detector.load_detector(name)
        except ValueError as reason:
            print(f"{name}: {reason}")
            continue
        print_framing(detector, training)
        print_gain(detector, public, [checkpoint.load_model(network) for network in options.network])


def enlarged(face: np.ndarray) -> np.ndarray:
    """uint8 (48, 48) -> RGB uint8 (320, 320), the face in the middle."""
    big = cv2.resize(face, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(cv2.copyMakeBorder(big, *[BORDER] * 4, cv2.BORDER_REPLICATE), cv2.COLOR_GRAY2RGB)


def found(detector: faces_detector.Detector, split: dataset.FaceDataset) -> dict[int, Box]:
    """The largest box of each face in which there is one, by the face's place in the split."""
    boxes = {place: detector(enlarged(face)) for place, face in enumerate(split.pixels.numpy())}
    return {place: some[0] for place, some in boxes.items() if some}


def print_framing(detector: faces_detector.Detector, split: dataset.FaceDataset) -> None:
    boxes = list(found(detector, split).values())
    x, y, width, height = (
        (np.array([getattr(box, key) for box in boxes]) - shift) / FACE
        for key, shift in (("x", BORDER), ("y", BORDER), ("width", 0), ("height", 0))
    )
    print(f"\n{detector.name}: a box in {len(boxes) / len(split):.1%} of {len(split)} Training faces; in frames,")
    print("median (interquartile range):")
    print(
        "  box   ", *(f"{key} {_spread(v)}" for key, v in zip(("x", "y", "w", "h"), (x, y, width, height), strict=True))
    )
    centres = {"box's centre": (x + width / 2, y + height / 2)}
    if boxes[0].landmarks:
        points = (np.array([box.landmarks for box in boxes]) - BORDER) / FACE  # (N, 5, 2)
        centres |= {"eyes' middle": points[:, :2].mean(1).T, "mouth's middle": points[:, 3:].mean(1).T}
        centres |= {"eyes and mouth": points[:, [0, 1, 3, 4]].mean(1).T}
        lengths = {
            "eyes apart": points[:, 0] - points[:, 1],
            "eyes to mouth": points[:, :2].mean(1) - points[:, 3:].mean(1),
        }
        for key, length in lengths.items():
            print(f"  {key}, scaled to the frame: {_relative(np.linalg.norm(length, axis=1)):.3f}")
    print(f"  the width, scaled to the frame: {_relative(width):.3f}, the height: {_relative(height):.3f}")
    for key, (across, down) in centres.items():
        print(f"  {key:14} x {_spread(across)}, y {_spread(down)}")
    right, down = (0.5 - np.median(values) for values in list(centres.values())[-1])
    print(
        f"  -> Framing({1 / np.median(width):.3f}, {right:.3f}, {down:.3f}); in use: {framing.FRAMING[detector.name]}"
    )


def _spread(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3f} ({high - low:.3f})"


def _relative(lengths: np.ndarray) -> float:
    """The interquartile range of a frame's side guessed from these lengths."""
    return float(np.subtract(*np.percentile(np.median(lengths) / lengths, [75, 25])))


def print_gain(
    detector: faces_detector.Detector, split: dataset.FaceDataset, networks: list[checkpoint.FERModel]
) -> None:
    boxes = found(detector, split)
    kept = split[torch.tensor(list(boxes))]
    pictures = [enlarged(face) for face in kept.pixels.numpy()]
    crops = {
        "framed as FER-2013": [
            (p, framing.frame(b, detector.name)) for p, b in zip(pictures, boxes.values(), strict=True)
        ],
        "raw box, squashed": list(zip(pictures, boxes.values(), strict=True)),
        "the original face": [(picture, Box(BORDER, BORDER, FACE, FACE)) for picture in pictures],
    }
    print(f"  the crops of the {len(kept)} of {len(split)} PublicTest faces found, against the originals:")
    for key, cuts in crops.items():
        cut = torch.from_numpy(np.stack([framing.crop(*pair) for pair in cuts]))  # (N, 48, 48)
        likeness = f"correlation {_correlation(cut, kept.pixels):.3f}, difference {_difference(cut, kept.pixels):.1f}"
        print(
            f"  {key:18} {likeness}",
            *(f"{network.name} {_accuracy(network, cut, kept.labels)}" for network in networks),
            sep=", ",
        )


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = (v.flatten(1).float() - v.flatten(1).float().mean(1, keepdim=True) for v in (a, b))
    return torch.cosine_similarity(a, b).mean().item()


def _difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a.float() - b.float()).abs().mean().item()


@torch.inference_mode()
def _accuracy(network: checkpoint.FERModel, pixels: torch.Tensor, labels: torch.Tensor) -> str:
    names = [
        network.labels.index(name) for name in data_labels.EMOTIONS
    ]  # (7,), where the network keeps FER-2013's classes
    logits = torch.cat([network(dataset.to_unit(block))[:, names] for block in pixels.split(256)])
    right = (logits.argmax(1) == labels).float().mean().item()
    return f"{right:.4f} +- {1.96 * (right * (1 - right) / len(labels)) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
