"""What goes into a network's last layer, for every training face: ``training_features.npz`` beside the weights.

    table = find_or_make(network, folder, lambda: load_splits()["Training"])

The table holds float16 features with each face's label and FER+ votes, and no picture: 29 MB for 28,709 faces of
512 features. It is made on first use where the data set is at hand, stamped with the weights' digest, and used from
then on wherever it lies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer.attribution.last_layer import features_of, last_layer
from fer.data.dataset import FaceDataset, to_unit
from fer.models.clone import fuse_for_inference
from fer.utils.artifacts import Artifact

FILE = "training_features.npz"
_BLOCK = 256  # faces at once


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """N training faces in the order of their split.

    features: float32 (N, D). labels: int64 (N,). votes: FER+'s counts, uint8 (N, 10), or None. is_duplicate:
    bool (N,), the face is also in a test split.
    """

    features: Tensor
    labels: Tensor
    votes: Tensor | None
    is_duplicate: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def extract(network: nn.Module, pixels: Tensor, quiet: bool = True) -> Tensor:
    """The features, float32 (N, D), of uint8 faces (N, 48, 48)."""
    last_layer(network)
    fast = fuse_for_inference(network)
    blocks = tqdm(pixels.split(_BLOCK), desc="features", disable=quiet)
    return torch.cat([features_of(fast, to_unit(block)) for block in blocks])


def make(network: nn.Module, faces: FaceDataset, quiet: bool = True) -> FeatureTable:
    """Reads all faces once, which takes a network like `compact` 5 ms a face on a slow core.

    Features are rounded to float16 at once, so that a table is the same before and after it was stored.
    """
    features = extract(network, faces.pixels, quiet).half().float()
    return FeatureTable(features, faces.labels, faces.votes, faces.is_duplicate)


def find_or_make(
    network: nn.Module, folder: Path | None, faces: Callable[[], FaceDataset], quiet: bool = True
) -> FeatureTable:
    """The table beside the weights in ``folder``, or a new one, which is kept there where it can be written.

    faces: reads the training faces; it is called only if there is no table of these weights.
    """
    known = ARTIFACT.load_or_none(folder) if folder else None
    if known is not None and known.features.shape[1] == last_layer(network).in_features:
        return known
    table = make(network, faces(), quiet)
    if folder:
        write(table, folder)
    return table


def write(table: FeatureTable, folder: Path) -> None:
    """Keeps the table beside the weights; where the folder is read-only, the next call makes it again."""
    content = {
        "features": table.features.half().numpy(),
        "labels": table.labels.to(torch.uint8).numpy(),
        "votes": np.zeros((0, 0), np.uint8) if table.votes is None else table.votes.numpy(),
        "is_duplicate": table.is_duplicate.numpy(),
    }
    try:
        ARTIFACT.save(folder, content)
    except PermissionError:
        return  # only time is lost


def _parse(kept: dict[str, np.ndarray]) -> FeatureTable:
    features, labels, votes = kept["features"], kept["labels"], kept["votes"]
    is_duplicate = kept["is_duplicate"]
    count = len(labels)
    shapes = features.ndim == 2 and len(features) == count and is_duplicate.shape == labels.shape == (count,)
    kinds = (
        features.dtype == np.float16
        and labels.dtype == np.uint8
        and is_duplicate.dtype == bool
        and votes.dtype == np.uint8
    )
    if not (shapes and kinds and count and votes.shape in ((0, 0), (count, 10)) and np.isfinite(features).all()):
        raise ValueError("shapes or numbers that no table of features has")
    return FeatureTable(
        torch.from_numpy(features).float(),
        torch.from_numpy(labels).long(),
        torch.from_numpy(votes) if len(votes) else None,
        torch.from_numpy(is_duplicate),
    )


ARTIFACT = Artifact(FILE, "influence --benchmark --model {}", _parse)
