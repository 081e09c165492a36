"""Whether a crop is a face: a small convolutional network rejects much of what a cascade wrongly takes for one.

    face_score(crop) >= 0                                  # uint8 (48, 48), framed as FER-2013 frames its faces

Its 2,869 weights are in assets/verifier.npz; `python -m tests.benchmarks.false_finds` makes them and measures them.
"""

import functools
from pathlib import Path

import numpy as np

from fer.utils import io

FILE = Path(__file__).parent / "assets" / "verifier.npz"


def face_score(crop: np.ndarray) -> float:
    """How much more uint8 (48, 48) is like a face than like a cascade's false find: 0 or more for 99 % of faces.

    Three 3x3 convolutions with ReLU and max pooling, and a linear layer.
    """
    weights = _weights()
    maps = crop.astype(np.float32).reshape(24, 2, 24, 2).mean((1, 3))[None]  # (1, 24, 24)
    maps = (maps - maps.mean()) / (maps.std(ddof=1) + 8)
    for layer in range(3):
        maps = _conv_block(maps, weights[f"kernel{layer}"], weights[f"bias{layer}"])  # (8, 12, 12) ... (16, 3, 3)
    return float(maps.ravel() @ weights["weights"] + weights["bias"])


def _conv_block(maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(C, S, S), kernel (D, C, 3, 3) and bias (D,) -> (D, S / 2, S / 2)."""
    side = maps.shape[1]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))  # (C, S, S, 3, 3)
    out = np.maximum(np.tensordot(kernel, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None], 0)  # (D, S, S)
    return out.reshape(len(out), side // 2, 2, side // 2, 2).max((2, 4))


@functools.lru_cache(maxsize=1)
def _weights() -> dict[str, np.ndarray]:
    return {name: values.astype(np.float32) for name, values in io.load_npz(FILE).items()}
