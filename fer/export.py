"""A network away from PyTorch: ``python -m fer export NETWORK`` writes ONNX, and proves that it answers alike.

    python -m fer export compact                  # compact.onnx: faces (B, 1, 48, 48) in 0..1 -> probabilities (B, K)

Normalisation and temperature are inside, B is free, and the labels stand in the file's metadata, joined by commas.
Needs `onnxscript` to write and `onnxruntime` to check.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from fer.data import to_unit
from fer.networks import SIDE

_NEEDED = "export needs {}: `pip install onnxscript onnxruntime` brings it"


class Calibrated(nn.Module):
    """Faces (B, 1, 48, 48) in 0..1 -> probabilities (B, K) of a network, at its temperature."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.temperature = network, network.temperature

    def forward(self, faces: Tensor) -> Tensor:
        return (self.network(faces) / self.temperature).softmax(1)  # (B, K)


def to_onnx(network: nn.Module, file: Path) -> None:
    """Writes ``network``, or a committee, with its labels.

    Raises:
        ValueError: onnxscript is not installed.
    """
    faces = torch.zeros(2, 1, SIDE, SIDE)
    try:
        program = torch.onnx.export(
            Calibrated(network).eval(),
            (faces,),
            input_names=["faces"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    except ModuleNotFoundError as error:
        raise ValueError(_NEEDED.format(error.name)) from error
    program.model.metadata_props["labels"] = ",".join(network.labels)
    program.save(file, external_data=False)


def largest_difference(network: nn.Module, file: Path, pixels: Tensor) -> float:
    """Between the probabilities of ``network`` and of its ONNX file, over uint8 faces (N, 48, 48).

    Raises:
        ValueError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ValueError(_NEEDED.format(error.name)) from error
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    calibrated, largest = Calibrated(network).eval(), 0.0
    with torch.inference_mode():
        for block in pixels.split(256):
            faces = to_unit(block)  # (B, 1, 48, 48)
            (theirs,) = session.run(None, {"faces": faces.numpy()})
            largest = max(largest, (calibrated(faces) - torch.from_numpy(theirs)).abs().max().item())
    return largest
