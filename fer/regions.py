"""Where on the face a network looks, emotion by emotion: ``python -m fer regions NETWORK``.

Report 2 says that eyes, nose, mouth and cheeks matter, hair and plain skin do not. Here that is a number: the share of
a map's size that lies in each region of FER-2013's frame, over the share of pixels that the region has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer import data
from fer.data import Faces
from fer.saliency import explain

FILE = "regions.npz"
_BLOCK = 16  # faces that are explained at once

# Rows and columns, from and to below, around the medians of YuNet's landmarks on 554 Training faces: eyes at
# (15.1, 18.3) and (32.7, 18.1), the nose's tip at (23.4, 28.6), the mouth's corners at (16.7, 36.1) and (31.1, 36.2).
# Where two meet, the earlier has the pixel.
BOXES: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "eyes": ((15, 22, 9, 22), (15, 22, 26, 39)),
    "brows": ((9, 15, 8, 22), (9, 15, 26, 40)),
    "mouth": ((32, 42, 13, 36),),
    "nose": ((18, 32, 19, 29),),
    "cheeks": ((22, 36, 6, 19), (22, 36, 29, 42)),
}
REGIONS = (*BOXES, "rest")


def masks() -> Tensor:
    """Which pixels each of REGIONS has: bool (R, 48, 48); every pixel has one region."""
    free, found = torch.ones(48, 48, dtype=torch.bool), []
    for boxes in BOXES.values():
        inside = torch.zeros(48, 48, dtype=torch.bool)
        for top, bottom, left, right in boxes:
            inside[top:bottom, left:right] = True
        found.append(inside & free)
        free = free & ~inside
    return torch.stack([*found, free])


def shares(maps: Tensor) -> Tensor:
    """The share of a map's size in each region: (B, 1, 48, 48) -> (B, R), sums of 1; zeros for a map of zeros."""
    sizes = torch.einsum("bhw,rhw->br", maps[:, 0].abs().double(), masks().double())
    return sizes / sizes.sum(1, keepdim=True).clamp_min(1e-300)


def areas() -> Tensor:
    """The share of the pixels that each region has: (R,)."""
    return masks().double().mean((1, 2))


@dataclass(frozen=True)
class Look:
    """What a network looks at, over some faces.

    face: their mean, uint8 (48, 48). maps: the mean signed map for the network's own answers, float (K, 2, 48, 48), by
    the face's label and apart for right and wrong answers. counts: faces behind each, (K, 2). shares: the mean shares
    of REGIONS by label, float (K, R).
    """

    labels: tuple[str, ...]
    face: np.ndarray
    maps: np.ndarray
    counts: np.ndarray
    shares: np.ndarray

    def density(self) -> dict[str, float]:
        """Over all faces, how many times as much of the maps lies in a region as its area alone would have."""
        whole = (self.shares * self.counts.sum(1, keepdims=True)).sum(0) / self.counts.sum()
        return dict(zip(REGIONS, (whole / areas().numpy()).round(3).tolist(), strict=True))

    def rows(self) -> list[dict]:
        """A row an emotion: its faces, and the share of each region."""
        return [
            {"label": label, "faces": int(count.sum())}
            | dict(zip(REGIONS, share.astype(float).round(4).tolist(), strict=True))
            for label, count, share in zip(self.labels, self.counts, self.shares, strict=True)
        ]


def some(validation: Faces, each: int) -> Faces:
    """Up to ``each`` faces of every label, without twins in Training, always the same ones."""
    if each < 1:
        raise ValueError(f"each is {each}: expected 1 or more faces of a label")
    alone = validation[~validation.twin]
    shuffled = data.drawn(alone, len(alone))
    chosen = [(shuffled.labels == label).nonzero()[:each, 0] for label in shuffled.labels.unique()]
    return shuffled[torch.cat(chosen)]


def measure(network: nn.Module, faces: Faces, labels: Sequence[str], quiet: bool = False) -> Look:
    """Explains every face's answer by integrated gradients, and averages by label and by right and wrong."""
    maps, answers = [], []
    for block in tqdm(data.to_unit(faces.pixels).split(_BLOCK), disable=quiet):
        with torch.no_grad():
            answers.append(network(block).argmax(1))
        maps.append(explain(network, block, "integrated-gradients", answers[-1]))
    found, wrong = torch.cat(maps), (torch.cat(answers) != faces.labels).long()  # (N, 1, 48, 48), (N,)
    group = 2 * faces.labels + wrong
    counts = torch.bincount(group, minlength=2 * len(labels)).view(-1, 2)
    sums = torch.zeros(2 * len(labels), 48, 48).index_add(0, group, found[:, 0])
    means = sums.view(-1, 2, 48, 48) / counts[..., None, None].clamp_min(1)
    parts = torch.zeros(len(labels), len(REGIONS)).double().index_add(0, faces.labels, shares(found))
    by_label = parts / counts.sum(1, keepdim=True).clamp_min(1)
    mean = faces.pixels.float().mean(0).round().byte()
    return Look(tuple(labels), *(part.numpy() for part in (mean, means, counts, by_label)))


def write(look: Look, folder: Path) -> None:
    """Keeps it beside the weights, the maps in float16 of their own scale."""
    np.savez_compressed(
        folder / FILE,
        labels=np.array(look.labels),
        face=look.face,
        maps=(look.maps / max(np.abs(look.maps).max(), 1e-12)).astype(np.float16),
        counts=look.counts,
        shares=look.shares.astype(np.float32),
    )


def read(folder: Path) -> Look | None:
    """What was measured of the network in ``folder``; None where it was not, or where the file is broken."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as kept:
            labels = tuple(str(label) for label in kept["labels"])
            return Look(labels, kept["face"], kept["maps"].astype(float), kept["counts"], kept["shares"])
    except (OSError, ValueError, KeyError, EOFError):
        return None
