import os
from pathlib import Path

import torch
from torch import Tensor, nn

_NEEDED = "export needs {}: `pip install onnxscript onnxruntime` brings it"


class OnnxModel(nn.Module):
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
            self.labels, self.confidence_threshold = (
                tuple(told["labels"].split(",")),
                float(told["confidence_threshold"]),
            )
            self.prediction_set = float(told.get("prediction_set", 0.0))
        except ModuleNotFoundError as error:
            raise ValueError(_NEEDED.format(error.name)) from error
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise ValueError(f"{file} is no network that `python -m fer export` wrote") from error
        self.name, self.temperature, self.metrics = file.stem, 1.0, {}
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
