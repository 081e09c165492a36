"""Photograph -> readings: where the faces are, the crops that the network sees, and its calibrated probabilities.

    reading = predict_image(open_image("holiday.jpg"), load_model("compact"), load_detector())
    for face in reading.faces:                             # largest first; none at all is ()
        print(face.box.to_list(), face.emotion, f"{face.confidence:.0%}", "?" if face.low_confidence else "")

`python -m fer predict PATH...` goes through photographs and folders with `batch`.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fer.data import dataset
from fer.data.image_io import ImageError, open_image
from fer.faces.detector import Detector, load_detector
from fer.faces.framing import Box, centre_square, crop, frame
from fer.models import checkpoint


@dataclass(frozen=True)
class FacePrediction:
    """One face: the detector's box, the square cut around it, its uint8 (48, 48) crop, and probabilities that sum to 1.

    `low_confidence` is set where the top probability is below the network's own threshold. A face that is followed over
    time has a number, from 1; its probabilities are smoothed, and its emotion is the `settled` one (see `tracker.py`).
    `set_threshold` is the probability from which on a label is in the prediction set; 0 if the network has none.
    """

    box: Box
    square: Box
    crop: np.ndarray
    probabilities: dict[str, float]
    low_confidence: bool
    number: int | None = None
    settled: str | None = None
    set_threshold: float = 0.0

    @property
    def prediction_set(self) -> list[str]:
        """The labels of which one is right for nine faces in ten, most probable first; none if it was not fitted."""
        return prediction_set(self.probabilities, self.set_threshold)

    @property
    def emotion(self) -> str:
        return self.settled or max(self.probabilities, key=self.probabilities.get)

    @property
    def confidence(self) -> float:
        return self.probabilities[self.emotion]


@dataclass(frozen=True)
class ImagePrediction:
    """All faces of one picture, largest first, the detector's name, and the picture's (width, height)."""

    faces: tuple[FacePrediction, ...]
    detector: str
    size: tuple[int, int]


def prediction_set(probabilities: dict[str, float], threshold: float) -> list[str]:
    """The labels that reach ``threshold``, most probable first, and the most probable always; none for 0."""
    labels = sorted(probabilities, key=probabilities.get, reverse=True)
    return [label for label in labels if label == labels[0] or probabilities[label] >= threshold] if threshold else []


def predict_image(
    picture: np.ndarray, network: nn.Module, detector: Detector, whole_picture: bool = False
) -> ImagePrediction:
    """Reads the faces of RGB uint8 (H, W, 3) in one batch; `whole_picture` takes its centred square as the one face."""
    if whole_picture:
        square = centre_square(picture)
        return _predict_squares(picture, [square], [square], network, detector.name)
    return predict_boxes(picture, detector(picture), network, detector.name)


def predict_boxes(picture: np.ndarray, boxes: Sequence[Box], network: nn.Module, detector_name: str) -> ImagePrediction:
    """The same for faces that this detector has found already."""
    return _predict_squares(picture, boxes, [frame(box, detector_name) for box in boxes], network, detector_name)


def _predict_squares(
    picture: np.ndarray, boxes: Sequence[Box], squares: Sequence[Box], network: nn.Module, detector_name: str
) -> ImagePrediction:
    crops = [crop(picture, square) for square in squares]
    height, width = picture.shape[:2]
    if not crops:
        return ImagePrediction((), detector_name, (width, height))
    rows = predict_probabilities(network, torch.from_numpy(np.stack(crops)))  # (N, K)
    found = (
        FacePrediction(
            box,
            square,
            face,
            dict(zip(network.labels, row, strict=True)),
            max(row) < network.confidence_threshold,
            set_threshold=getattr(network, "prediction_set", 0.0),
        )
        for box, square, face, row in zip(boxes, squares, crops, rows.tolist(), strict=True)
    )
    return ImagePrediction(tuple(found), detector_name, (width, height))


def predict_probabilities(network: nn.Module, pixels: Tensor) -> Tensor:
    """Calibrated probabilities, float64 (N, K) on the CPU, of uint8 faces (N, 48, 48)."""
    device = next((parameter.device for parameter in network.parameters()), None)
    return calibrated_probabilities(network, dataset.to_unit(pixels.to(device)))


@torch.inference_mode()
def calibrated_probabilities(network: nn.Module, faces: Tensor) -> Tensor:
    """The same of faces (N, 1, 48, 48) in 0..1 on the network's device."""
    return (network(faces).double() / network.temperature).softmax(1).cpu()


Picture = str | Path | bytes | BinaryIO | Image.Image | np.ndarray | Tensor
_ACCEPTED_TYPES = "expected a path, a file's bytes, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
_ACCEPTED_VALUES = "expected uint8 in 0..255, uint16 in 0..65535, bool, or floats in 0..1"


class Predictor:
    """Predicts the emotions of the faces of pictures. It can be pickled, copied, and used after a fork.

    network: what `checkpoint.load` takes (a name in weights/, a folder, OWNER/NAME of the Hub, an ensemble, an .onnx
    file of `python -m fer export`), or a model. detector: by default YuNet where its model is at hand, else OpenCV's
    own.

    Raises:
        CheckpointError: a model that cannot be had.
        TypeError: what is neither a name, a path nor a model.
    """

    def __init__(self, network: str | Path | nn.Module = "compact", detector: Detector | None = None) -> None:
        self.network = network if isinstance(network, nn.Module) else checkpoint.load_model(network)
        self.detector = detector or load_detector()

    def __call__(self, picture: Picture, whole: bool = False) -> ImagePrediction:
        """The faces of a picture, largest first.

        picture: a path, a file's bytes or binary stream, a PIL image, or an array or tensor as `to_rgb` takes it.
        whole: takes the picture's centred square as the one face.

        Raises:
            PictureError: a ValueError: what is no picture, or too small or too large; or an array of another shape or
                range.
            TypeError: what is none of these, or an array of another type.
        """
        return predict_image(to_rgb(picture), self.network, self.detector, whole)


def to_rgb(picture: Picture) -> np.ndarray:
    """Any picture as RGB uint8 (H, W, 3); transparency is laid on white. Raises as a `Predictor` does.

    Arrays are (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, in uint8, uint16 (0..65535), bool or floats in 0..1.
    Tensors may also be (C, H, W), where only one of the two can be meant.
    """
    if isinstance(picture, Tensor):
        picture = _channels_last(picture)
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_to_uint8(_squeezed(picture)))
    elif isinstance(picture, os.PathLike):
        picture = Path(picture)
    elif not isinstance(picture, str | bytes | bytearray | memoryview | Image.Image) and not _is_binary(picture):
        raise TypeError(f"the picture is {checkpoint.shown(picture)}: {_ACCEPTED_TYPES}")
    return open_image(picture)


def _is_binary(stream: object) -> bool:
    return callable(getattr(stream, "read", None)) and not isinstance(stream, io.TextIOBase)


def _channels_last(tensor: Tensor) -> np.ndarray:
    """A tensor as an array (H, W) or (H, W, C)."""
    shape = tuple(tensor.shape)
    first, last = (len(shape) == 3 and shape[place] in (1, 3, 4) for place in (0, 2))
    if first and last:
        raise ImageError(f"the tensor {shape} may be channels first or last: give it as an array (H, W, C)")
    tensor = tensor.detach().cpu()
    tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor  # NumPy has none
    return (tensor.permute(1, 2, 0) if first else tensor).numpy()


def _squeezed(array: np.ndarray) -> np.ndarray:
    """The array as (H, W), (H, W, 3) or (H, W, 4)."""
    shape = array.shape
    if array.ndim not in (2, 3) or array.ndim == 3 and shape[2] not in (1, 3, 4):
        hint = "; channels come last: array.transpose(1, 2, 0)" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        hint = hint or ("; one picture at a time" if array.ndim == 4 else "")
        raise ImageError(f"the picture is an array {shape}: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4){hint}")
    if not array.size:
        raise ImageError(f"the picture is an empty array {shape}: expected at least one pixel")
    return array[..., 0] if array.ndim == 3 and shape[2] == 1 else array


def _to_uint8(array: np.ndarray) -> np.ndarray:
    """The same values as uint8 0..255, in a memory of their own order."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and size == 1:
        return np.ascontiguousarray(array)
    if kind == "b":
        return array.astype(np.uint8) * 255
    if kind == "u" and size == 2:
        return np.rint(array / 257).astype(np.uint8)
    if kind != "f":
        raise TypeError(f"the picture is an array of {array.dtype}: {_ACCEPTED_VALUES}")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # NaN neither
        raise ImageError(f"the picture's floats reach from {low:.4g} to {high:.4g}: {_ACCEPTED_VALUES}")
    return np.rint(array * np.float32(255)).astype(np.uint8)
