"""Photograph -> readings: where the faces are, the crops that the network sees, and its calibrated probabilities.

    reading = read(open_picture("holiday.jpg"), checkpoint.load("compact"), load_detector())
    for face in reading.faces:                             # largest first; none at all is ()
        print(face.box.to_list(), face.emotion, f"{face.confidence:.0%}", "unsure" if face.unsure else "")

`python -m fer predict PATH...` goes through photographs and folders with `album`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer import data
from fer.faces import Box, Detector, crop, frame, whole


@dataclass(frozen=True)
class FaceReading:
    """One face: the detector's box, the square cut around it, its uint8 (48, 48) crop, and probabilities that sum to 1.

    `unsure` is set where the top probability is below the network's own threshold. A face that is followed over time
    has a number, from 1; its probabilities are smoothed, and its emotion is the `settled` one (see `tracking.py`).
    """

    box: Box
    square: Box
    crop: np.ndarray
    probabilities: dict[str, float]
    unsure: bool
    number: int | None = None
    settled: str | None = None

    @property
    def emotion(self) -> str:
        return self.settled or max(self.probabilities, key=self.probabilities.get)

    @property
    def confidence(self) -> float:
        return self.probabilities[self.emotion]


@dataclass(frozen=True)
class Reading:
    """All faces of one picture, largest first, the detector's name, and the picture's (width, height)."""

    faces: tuple[FaceReading, ...]
    detector: str
    size: tuple[int, int]


def read(picture: np.ndarray, network: nn.Module, detector: Detector, whole_picture: bool = False) -> Reading:
    """Reads the faces of RGB uint8 (H, W, 3) in one batch; `whole_picture` takes its centred square as the one face."""
    if whole_picture:
        square = whole(picture)
        return _read_squares(picture, [square], [square], network, detector.name)
    return read_boxes(picture, detector(picture), network, detector.name)


def read_boxes(picture: np.ndarray, boxes: Sequence[Box], network: nn.Module, detector_name: str) -> Reading:
    """The same for faces that this detector has found already."""
    return _read_squares(picture, boxes, [frame(box, detector_name) for box in boxes], network, detector_name)


def _read_squares(
    picture: np.ndarray, boxes: Sequence[Box], squares: Sequence[Box], network: nn.Module, detector_name: str
) -> Reading:
    crops = [crop(picture, square) for square in squares]
    height, width = picture.shape[:2]
    if not crops:
        return Reading((), detector_name, (width, height))
    rows = probabilities(network, torch.from_numpy(np.stack(crops)))  # (N, K)
    found = (
        FaceReading(box, square, face, dict(zip(network.labels, row, strict=True)), max(row) < network.unsure)
        for box, square, face, row in zip(boxes, squares, crops, rows.tolist(), strict=True)
    )
    return Reading(tuple(found), detector_name, (width, height))


def probabilities(network: nn.Module, pixels: Tensor) -> Tensor:
    """Calibrated probabilities, float64 (N, K) on the CPU, of uint8 faces (N, 48, 48)."""
    device = next((parameter.device for parameter in network.parameters()), None)
    return calibrated(network, data.to_unit(pixels.to(device)))


@torch.inference_mode()
def calibrated(network: nn.Module, faces: Tensor) -> Tensor:
    """The same of faces (N, 1, 48, 48) in 0..1 on the network's device."""
    return (network(faces).double() / network.temperature).softmax(1).cpu()
