import hashlib
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from fer.data.dataset import FaceDataset

DUPLICATE_CORRELATION = 0.99


def mark_duplicates(splits: dict[str, FaceDataset], threshold: float = DUPLICATE_CORRELATION) -> dict[str, FaceDataset]:
    """Marks the test faces that have a duplicate in Training, and the Training faces that have one in a test split.

    Two pictures are duplicates if the correlation of their pixels, as they are or mirrored, is above ``threshold``.
    """
    if "Training" not in splits:
        return splits
    training = splits["Training"]
    gallery = standardize(training.pixels)  # (T, 2304)
    seen = torch.zeros(len(training), dtype=torch.bool)
    marked = {}
    for name, faces in splits.items():
        if name != "Training":
            is_duplicate = torch.zeros(len(faces), dtype=torch.bool)
            for pixels in (faces.pixels, faces.pixels.flip(-1)):
                for start, block in _blocks(standardize(pixels), 512):
                    close = block @ gallery.T > threshold  # (512, T)
                    is_duplicate[start : start + len(block)] |= close.any(1)
                    seen |= close.any(0)
            marked[name] = replace(faces, is_duplicate=is_duplicate)
    return {"Training": replace(training, is_duplicate=seen), **marked}


def duplicate_groups(pixels: Tensor, threshold: float = DUPLICATE_CORRELATION) -> Tensor:
    """Groups of duplicates, mirrored ones included, among uint8 faces (N, 48, 48).

    Returns:
        The index of each face's group, int64 (N,). Duplicates of duplicates are in the same group.
    """
    rows, group = standardize(pixels), torch.arange(len(pixels))
    small = standardize(functional.avg_pool2d(pixels[:, None].float(), 4))  # (N, 144): a quick first look
    for view in (pixels, pixels.flip(-1)):
        others, small_others = standardize(view), standardize(functional.avg_pool2d(view[:, None].float(), 4))
        for start, block in _blocks(small, 1024):
            first, second = (block @ small_others[start:].T > threshold - 0.03).nonzero().T + start  # each pair once
            close = (rows[first] * others[second]).sum(1) > threshold
            for pair in torch.stack([first[close], second[close]], 1):
                one, two = group[pair].sort().values
                group[group == two] = one
    return group.unique(return_inverse=True)[1]


def fingerprint(faces: FaceDataset) -> str:
    """The number of faces and a hash of their pixels, labels and votes."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (faces.pixels, faces.labels, faces.votes):
        if part is not None:
            digest.update(part.contiguous().numpy().data)
    return f"{len(faces)} faces {digest.hexdigest()}"


def standardize(pixels: Tensor) -> Tensor:
    """Rows (N, P) whose dot product is the correlation of two images; 0 for a blank image."""
    rows = pixels.flatten(1).float()  # (N, 2304)
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)


def _blocks(rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    return ((start, rows[start : start + size]) for start in range(0, len(rows), size))
