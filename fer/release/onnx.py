"""A network away from PyTorch: ``python -m fer export NETWORK`` writes ONNX, and proves that it answers alike.

    python -m fer export compact                  # compact.onnx: faces (B, 1, 48, 48) in 0..1 -> probabilities (B, K)
    python -m fer predict photo.jpg --model compact.onnx           # the same answers, in half the time on one core

Normalisation and temperature are inside, B is free; the labels, joined by commas, and the confidence
threshold stand in the file's metadata. Needs `onnxscript` to write and `onnxruntime` to read.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.data.dataset import to_unit
from fer.models.layers import SIDE
from fer.models.onnx import _NEEDED, OnnxModel
from fer.utils.io import atomic_write


class CalibratedModel(nn.Module):
    """Faces (B, 1, 48, 48) in 0..1 -> probabilities (B, K) of a network, at its temperature."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.temperature = network, network.temperature

    def forward(self, faces: Tensor) -> Tensor:
        return (self.network(faces) / self.temperature).softmax(1)  # (B, K)


def export_onnx(network: nn.Module, file: Path) -> None:
    """Writes ``network``, or an ensemble, with its labels.

    Raises:
        ValueError: onnxscript is not installed.
    """
    faces = torch.zeros(2, 1, SIDE, SIDE)
    try:
        program = torch.onnx.export(
            CalibratedModel(network).eval(),
            (faces,),
            input_names=["faces"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    except ModuleNotFoundError as error:
        raise ValueError(_NEEDED.format(error.name)) from error
    told = {"confidence_threshold": str(network.confidence_threshold), "prediction_set": str(network.prediction_set)}
    program.model.metadata_props.update({"labels": ",".join(network.labels)} | told)
    with atomic_write(file) as partial:
        program.save(partial, external_data=False)


def largest_difference(network: nn.Module, file: Path, pixels: Tensor) -> float:
    """Between the probabilities of ``network`` and of its ONNX file, over uint8 faces (N, 48, 48)."""
    calibrated, portable, largest = CalibratedModel(network).eval(), OnnxModel(file), 0.0
    with torch.inference_mode():
        for block in pixels.split(256):
            faces = to_unit(block)  # (B, 1, 48, 48)
            largest = max(largest, (calibrated(faces) - portable(faces).exp()).abs().max().item())
    return largest


def synthetic_faces(count: int) -> Tensor:
    """Soft patches in place of faces, uint8 (count, 48, 48), always the same: for machines without FER-2013."""
    patches = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    soft = functional.interpolate(patches, size=(SIDE, SIDE), mode="bilinear")
    return (255 * soft[:, 0]).round().byte()
