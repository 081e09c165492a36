from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fer.attribution import explain
from fer.data import dataset

MEAN_FACE = (
    Path(__file__).parent.parent / "data" / "assets" / "mean_face.png"
)  # of Training's faces; `python -m tests.benchmarks.mean_face` made it
BASELINES = {"blurred": "the face itself, blurred", "black": "black", "mean": "the mean face"}


def load_baseline(name: str) -> str | Tensor:
    if name not in BASELINES:
        raise ValueError(f"no baseline {name!r}: expected one of {', '.join(BASELINES)}")
    return name if name in explain.BASELINES else face_to_tensor(np.asarray(Image.open(MEAN_FACE)))[0]


def face_to_tensor(face: np.ndarray) -> Tensor:
    return dataset.to_unit(torch.from_numpy(np.array(face))[None])
