"""A network away from PyTorch: ``python -m fer export NETWORK`` writes ONNX, and proves that it answers alike.

    python -m fer export compact                  # compact.onnx: faces (B, 1, 48, 48) in 0..1 -> probabilities (B, K)
    python -m fer predict photo.jpg --network compact.onnx         # the same answers, in half the time on one core

Normalisation and temperature are inside, B is free; the labels, joined by commas, and the probability below which an
answer is unsure stand in the file's metadata. Needs `onnxscript` to write and `onnxruntime` to read.
"""

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.data import to_unit
from fer.networks import SIDE
from fer.writing import whole

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
    program.model.metadata_props.update({"labels": ",".join(network.labels), "unsure": str(network.unsure)})
    with whole(file) as partial:
        program.save(partial, external_data=False)


class Portable(nn.Module):
    """An ONNX file as a network in eval mode: faces (B, 1, 48, 48) in 0..1 -> logarithms of its probabilities (B, K).

    It has labels and a threshold of doubt, and a temperature of 1; no layers to look into, and no gradients. A copy, an
    unpickled one and a forked process open the file anew.

    Raises:
        ValueError: onnxruntime is not installed, or the file is missing, broken or was not written by `to_onnx`.
    """

    differentiable = False

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, self._sessions = file.absolute(), {}
        try:
            told = self.session.get_modelmeta().custom_metadata_map
            self.labels, self.unsure = tuple(told["labels"].split(",")), float(told["unsure"])
        except ModuleNotFoundError as error:
            raise ValueError(_NEEDED.format(error.name)) from error
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise ValueError(f"{file} is no network that `python -m fer export` wrote") from error
        self.name, self.temperature, self.figures = file.stem, 1.0, {}
        self.eval()

    @property
    def session(self) -> "onnxruntime.InferenceSession":  # noqa: F821 (not needed for anything else)
        """This process's own: a forked one has none of the threads that its parent's would wait for."""
        process = os.getpid()
        if process not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            made = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
            self._sessions[process] = made
        return self._sessions[process]

    def __getstate__(self) -> dict:
        return vars(self) | {"_sessions": {}}

    def forward(self, faces: Tensor) -> Tensor:
        (shares,) = self.session.run(None, {"faces": faces.detach().numpy()})
        return torch.from_numpy(shares).clamp_min(1e-12).log()  # (B, K)


def largest_difference(network: nn.Module, file: Path, pixels: Tensor) -> float:
    """Between the probabilities of ``network`` and of its ONNX file, over uint8 faces (N, 48, 48)."""
    calibrated, portable, largest = Calibrated(network).eval(), Portable(file), 0.0
    with torch.inference_mode():
        for block in pixels.split(256):
            faces = to_unit(block)  # (B, 1, 48, 48)
            largest = max(largest, (calibrated(faces) - portable(faces).exp()).abs().max().item())
    return largest


def made_up_faces(count: int) -> Tensor:
    """Soft patches in place of faces, uint8 (count, 48, 48), always the same: for machines without FER-2013."""
    patches = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    soft = functional.interpolate(patches, size=(SIDE, SIDE), mode="bilinear")
    return (255 * soft[:, 0]).round().byte()
