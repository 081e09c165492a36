import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_NEEDED = "export needs {}: `pip install onnxscript onnxruntime` brings it"


class OnnxModel(nn.Module):
    """An ONNX file as a network in eval mode: faces (B, 1, 48, 48) in 0..1 -> log-probabilities (B, K).

    It has labels and a confidence threshold, and a temperature of 1; no layers and no gradients. Copies, unpickled ones
    and forked processes open the file again.

    Raises:
        ValueError: onnxruntime is not installed, or the file is missing, broken or was not written by `to_onnx`.
    """

    differentiable = False
    name: str
    labels: tuple[str, ...]
    temperature: float
    confidence_threshold: float
    prediction_set: float
    metrics: dict

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file.absolute()
        self._sessions: dict[int, Any] = {}
        try:
            stored = self.session.get_modelmeta().custom_metadata_map
            self.labels = tuple(stored["labels"].split(","))
            self.confidence_threshold = float(stored["confidence_threshold"])
            self.prediction_set = float(stored.get("prediction_set", 0.0))
        except ModuleNotFoundError as error:
            raise ValueError(_NEEDED.format(error.name)) from error
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise ValueError(f"{file} is no network that `python -m fer export` wrote") from error
        self.name, self.temperature, self.metrics = file.stem, 1.0, {}
        self.eval()

    @property
    def session(self) -> Any:
        """The onnxruntime.InferenceSession of this process: a forked one has none of its parent's threads."""
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
