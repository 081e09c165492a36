"""Augmentation of batches: functions from tensor to tensor, on the batch's device.

Faces are floats (B, 1, 48, 48) in 0..1. Every random number comes from the generator that is passed in, so a batch
is repeatable from a seed; every step leaves the batch as it is where its setting is 0.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from fer.data.degradations import degrade


@dataclass(frozen=True)
class Augmentation:
    """Settings of augmentation. 0 switches a step off."""

    hflip_prob: float = 0.5
    """Probability of mirroring a face."""
    degrees: float = 0.0
    """Largest rotation, in degrees."""
    translate: float = 0.0
    """Largest shift along each axis, as a fraction of the side."""
    scale: float = 0.0
    """Largest zoom in or out, as a fraction."""
    jitter: float = 0.0
    """Largest change of contrast and of brightness, as a fraction of the range."""
    erase_prob: float = 0.0
    """Probability of replacing a rectangle of 2 % to 25 % of the face by its mean (random erasing)."""
    mixup_alpha: float = 0.0
    """Alpha of the Beta distribution of mixup (Zhang et al. 2018)."""
    degrade_prob: float = 0.0
    """Probability that a face is degraded as a webcam would: noise, blur, low resolution, JPEG, dim light."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0 or (name in ("hflip_prob", "erase_prob", "degrade_prob") and value > 1):
                raise ValueError(f"{name} is {value}: expected 0 or more, and at most 1 for a probability")


def augment(
    faces: Tensor, settings: Augmentation, generator: Generator, size: int | None = None, crop: float = 1.0
) -> Tensor:
    """Flip, crop, rotation, shift, zoom, light, degradation and erasing, drawn for each face on its own.

    size: side in pixels to which whole faces are resized: below 48 in low-resolution epochs.
    crop: side of a random crop as a fraction of the face's; the output is smaller by it, at the same scale.
    """
    size = size or faces.shape[-1]
    scale = size / faces.shape[-1]
    faces = random_affine(faces, settings, generator, size, crop)
    if settings.jitter:
        faces = jitter(faces, settings.jitter, generator)
    if settings.degrade_prob:
        faces = degrade(faces, settings.degrade_prob, generator, scale)
    if settings.erase_prob:
        faces = random_erase(faces, settings.erase_prob, generator)
    return faces


def random_affine(faces: Tensor, settings: Augmentation, generator: Generator, size: int, crop: float = 1.0) -> Tensor:
    """Flip, crop, rotation, shift and zoom in one bilinear resampling; what comes from outside repeats the border."""
    batch = len(faces)
    mirror = 1 - 2 * (_uniform(batch, generator) < settings.hflip_prob).float()  # (B,), -1 or 1
    if not (settings.degrees or settings.translate or settings.scale) and (size, crop) == (faces.shape[-1], 1):
        return torch.where(mirror[:, None, None, None] < 0, faces.flip(-1), faces)
    angle = math.radians(settings.degrees) * _symmetric(batch, generator)
    scale = crop * (1 + settings.scale * _symmetric(batch, generator))
    offset = (
        2 * settings.translate * torch.stack([_symmetric(batch, generator), _symmetric(batch, generator)], 1)
    )  # (B, 2)
    if crop < 1:
        offset += (1 - crop) * torch.stack([_symmetric(batch, generator), _symmetric(batch, generator)], 1)
        size = round(crop * size)
    return resampled(faces, angle, scale, offset, size, mirror)


def resampled(
    faces: Tensor,
    angle: Tensor,
    scale: Tensor,
    offset: Tensor,
    size: int | None = None,
    mirror: Tensor | float = 1.0,
) -> Tensor:
    """Faces (B, 1, S, S) turned by ``angle`` radians (B,), as one window of each, ``scale`` (B,) times its size.

    offset: where the window's centre is, (B, 2), in halves of the side. size: the side in pixels of what comes out.
    mirror: -1 for a mirrored face, else 1, (B,). Bilinear; what comes from outside repeats the border.
    """
    size = size or faces.shape[-1]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack([cos * mirror, -sin, sin * mirror, cos], 1).view(-1, 2, 2)
    theta = torch.cat([matrix, offset[:, :, None]], 2)  # (B, 2, 3)
    grid = functional.affine_grid(theta, [len(faces), 1, size, size], align_corners=False)  # (B, S, S, 2)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def jitter(faces: Tensor, amount: float, generator: Generator) -> Tensor:
    """Contrast about each face's mean, then brightness; clamped to 0..1."""
    contrast = 1 + amount * _symmetric(len(faces), generator)[:, None, None, None]
    brightness = amount * _symmetric(len(faces), generator)[:, None, None, None]
    mean = faces.mean((1, 2, 3), keepdim=True)
    return ((faces - mean) * contrast + mean + brightness).clamp(0, 1)


def random_erase(faces: Tensor, probability: float, generator: Generator) -> Tensor:
    """Random erasing (Zhong et al. 2017): a rectangle is replaced by the face's mean."""
    batch, side = len(faces), faces.shape[-1]
    area = 0.02 + 0.23 * _uniform(batch, generator)
    ratio = torch.exp(_symmetric(batch, generator) * math.log(3.0))
    height, width = (area * ratio).sqrt(), (area / ratio).sqrt()  # (B,), fractions of the side
    top, left = (_uniform(batch, generator) * (1 - length.clamp(max=1)) for length in (height, width))
    place = (torch.arange(side, device=faces.device) + 0.5) / side  # (S,)
    rows = (place >= top[:, None]) & (place < (top + height)[:, None])  # (B, S)
    columns = (place >= left[:, None]) & (place < (left + width)[:, None])
    chosen = (_uniform(batch, generator) < probability)[:, None]
    hole = (rows & chosen)[:, None, :, None] & columns[:, None, None, :]  # (B, 1, S, S)
    return torch.where(hole, faces.mean((1, 2, 3), keepdim=True), faces)


def mixup(faces: Tensor, targets: tuple[Tensor, ...], alpha: float, generator: Generator) -> tuple:
    """mixup (Zhang et al. 2018): every face and its targets are blended with those of another face of the batch.

    targets: distributions (B, K), each blended by the same share as the faces. The larger share is the face's own.
    """
    shares = torch.full((2, len(faces)), alpha, device=faces.device)
    shares = torch._standard_gamma(shares, generator).clamp_min(1e-30)  # torch's Beta takes no generator
    own = shares.amax(0) / shares.sum(0)  # (B,)
    other = torch.randperm(len(faces), generator=generator, device=generator.device)
    return tuple(torch.lerp(value[other], value, own.view(-1, *[1] * (value.ndim - 1))) for value in (faces, *targets))


def _uniform(count: int, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device)  # (count,), in 0..1


def _symmetric(count: int, generator: Generator) -> Tensor:
    return 2 * _uniform(count, generator) - 1  # (count,), in -1..1
