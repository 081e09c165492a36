"""The parts of a face in FER-2013's frame: which pixels eyes, brows, mouth, nose and cheeks have, and what is left.

masks()                       # bool (P, 48, 48), in the order of PARTS
shares(maps)                  # (B, 1, 48, 48) -> (B, P): how much of each map lies in which part
"""

import torch
from torch import Tensor

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
FACE_REGIONS = (*BOXES, "rest")


def region_masks() -> Tensor:
    """Which pixels each of PARTS has: bool (P, 48, 48); every pixel has one part."""
    free, found = torch.ones(48, 48, dtype=torch.bool), []
    for boxes in BOXES.values():
        inside = torch.zeros(48, 48, dtype=torch.bool)
        for top, bottom, left, right in boxes:
            inside[top:bottom, left:right] = True
        found.append(inside & free)
        free = free & ~inside
    return torch.stack([*found, free])


def region_shares(maps: Tensor) -> Tensor:
    """The share of a map's size in each part: (B, 1, 48, 48) -> (B, P), sums of 1; zeros for a map of zeros."""
    sizes = torch.einsum("bhw,phw->bp", maps[:, 0].abs().double(), region_masks().double())
    return sizes / sizes.sum(1, keepdim=True).clamp_min(1e-300)


def region_areas() -> Tensor:
    """The share of the pixels that each part has: (P,)."""
    return region_masks().double().mean((1, 2))
