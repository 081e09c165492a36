"""The average face and the ways in which faces differ most: what a face-like picture can be made of.

    average, ways = facespace.load()     # (48, 48) and (150, 48, 48)
    face = average + weights @ ways      # weights of -2..2 give faces that could be

Eigenfaces (Turk and Pentland, "Eigenfaces for Recognition", 1991) of FER-2013's Training, mirrored ones included, so
that all of them are symmetric. No label went into them, and none of the 28,709 faces can be had back from them.
`python -m tests.benchmarks.face_space` makes the table anew.
"""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

EIGENFACES_FILE = Path(__file__).parent / "assets" / "eigenfaces.npz"  # a constant of the package, as its code is


@functools.lru_cache(maxsize=1)
def load_eigenfaces() -> tuple[Tensor, Tensor]:
    """The average face (48, 48) in 0..1, and K ways (K, 48, 48): each is one standard deviation of real faces."""
    with np.load(EIGENFACES_FILE, allow_pickle=False) as table:
        halves = np.concatenate([table["average"][None], table["ways"]]).astype(
            np.float32
        )  # (1 + K, 48, 24) in -127..127
        scales = np.concatenate([table["scale_of_average"][None], table["scales"]]).astype(np.float32)
    faces = torch.from_numpy(halves * scales[:, None, None])
    faces = torch.cat([faces, faces.flip(-1)], -1)  # (1 + K, 48, 48)
    return faces[0], faces[1:]
