"""Degradations of faces by batches, as of poor cameras: noise, blur, low resolution, JPEG, dim light.

Functions from tensor to tensor, on the batch's device: faces are floats (B, 1, S, S) in 0..1, and each has its own
strength in a tensor (B,). There is no control flow by values, so all of it runs on a GPU without synchronisation.
``degrade`` draws strengths for training; `fer.evaluation.corruptions` uses fixed ones.
"""

import functools
import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

BLOCK = 8
# The luminance table of ITU-T T.81 (JPEG), annex K.1, row by row.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def gaussian_noise(faces: Tensor, deviation: Tensor, generator: Generator) -> Tensor:
    """Adds noise of the standard deviation (B,), of which 1 is the whole range; clamped to 0..1."""
    noise = torch.randn(faces.shape, generator=generator, device=faces.device)
    return (faces + deviation[:, None, None, None] * noise).clamp(0, 1)


def brightness(faces: Tensor, factor: Tensor) -> Tensor:
    """Every pixel times ``factor`` (B,), clamped to 0..1."""
    return (faces * factor[:, None, None, None]).clamp(0, 1)


def contrast(faces: Tensor, factor: Tensor) -> Tensor:
    """Differences from each face's mean times ``factor`` (B,), clamped to 0..1."""
    mean = faces.mean((1, 2, 3), keepdim=True)
    return ((faces - mean) * factor[:, None, None, None] + mean).clamp(0, 1)


# ------------------------------------------------------------------------------------------------ blur, resolution


def gaussian_blur(faces: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur by ``sigma`` (B,) in pixels; at the border over the pixels that are there."""
    return resample(faces, blur_matrix(sigma, faces.shape[-1]))


def low_resolution(faces: Tensor, side: Tensor) -> Tensor:
    """Shrunk to ``side`` pixels, int64 (B,), by areas, and enlarged again bilinearly."""
    return resample(faces, resolution_matrices(faces.shape[-1], faces.device)[side])


def resample(faces: Tensor, matrix: Tensor) -> Tensor:
    """The same linear map along rows and columns: matrix (B, T, S), faces (B, 1, S, S) -> (B, 1, T, T)."""
    return (matrix @ faces[:, 0] @ matrix.mT)[:, None]


def blur_matrix(sigma: Tensor, side: int) -> Tensor:
    """The matrices (B, side, side) that blur along one axis by ``sigma`` (B,) pixels; rows sum to 1."""
    place = torch.arange(side, device=sigma.device, dtype=torch.float32)
    distance = (place[:, None] - place) / sigma.clamp_min(0.01)[:, None, None]  # (B, S, S)
    return (-0.5 * distance.square()).softmax(2)


@functools.lru_cache(maxsize=8)
def resolution_matrices(side: int, device: torch.device) -> Tensor:
    """Row n is the matrix that shrinks a line of ``side`` pixels to n and enlarges it again: (side + 1, side, side)."""
    lines = torch.eye(side)[:, None]  # (S, 1, S), one impulse each
    shrunk = (functional.interpolate(lines, size=count, mode="area") for count in range(1, side + 1))
    grown = (functional.interpolate(line, size=side, mode="linear", align_corners=False) for line in shrunk)
    return torch.stack([torch.zeros(side, side), *(line[:, 0].T for line in grown)]).to(device)


def motion_blur(faces: Tensor, length: Tensor, angle: Tensor, reach: int = 10) -> Tensor:
    """Smears each face along a line of ``length`` (B,) pixels, at most 2 * reach, at ``angle`` (B,) in radians."""
    place = torch.arange(-reach, reach + 1, device=faces.device, dtype=torch.float32)
    along, across = angle.cos()[:, None, None], angle.sin()[:, None, None]
    forward = place * along + place[:, None] * across  # (B, R, R), place along the line
    aside = place[:, None] * along - place * across
    kernel = (length[:, None, None] / 2 + 0.5 - forward.abs()).clamp(0, 1) * (1 - aside.abs()).clamp_min(0)
    kernel = kernel / kernel.sum((1, 2), keepdim=True)
    framed = functional.pad(faces, [reach] * 4, mode="replicate").transpose(0, 1)  # (1, B, S + 2R, S + 2R)
    return functional.conv2d(framed, kernel[:, None], groups=len(faces)).transpose(0, 1)


# ------------------------------------------------------------------------------------------------ JPEG


def jpeg(faces: Tensor, quality: Tensor) -> Tensor:
    """Grey faces after baseline JPEG compression of ``quality`` (B,), 1 to 100; float in 0..1 of 256 levels.

    The quantisation of libjpeg: the standard table, scaled by the quality. A side that is no multiple of 8 repeats its
    last pixels up to one. Other steps of the format lose nothing, so they are left out.
    """
    side = faces.shape[-1]
    spare = -side % BLOCK
    framed = functional.pad(faces, [0, spare, 0, spare], mode="replicate")[:, 0] * 255 - 128
    table = quantisation_tables(quality)[:, None, :, None, :]  # (B, 1, 8, 1, 8)
    shares = _cosines(framed.round(), _dct(faces.device))
    framed = _cosines((shares / table).round() * table, _dct(faces.device).T, flat=True)
    pixels = (framed + 128).round().clamp(0, 255) / 255
    return pixels[:, None, :side, :side]


def quantisation_tables(quality: Tensor) -> Tensor:
    """libjpeg's luminance tables (B, 8, 8) for each quality (B,)."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()
    base = torch.tensor(_LUMINANCE, device=quality.device, dtype=torch.float32)
    return ((base * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def _cosines(pixels: Tensor, matrix: Tensor, flat: bool = False) -> Tensor:
    """``matrix`` (8, 8) along rows and columns of every block of 8 x 8.

    Pixels (B, S, S) or blocks (B, S/8, 8, S/8, 8) -> blocks, or (B, S, S) if ``flat``.
    """
    side = pixels.shape[1] if pixels.ndim == 3 else pixels.shape[1] * BLOCK
    rows = matrix @ pixels.reshape(len(pixels), side // BLOCK, BLOCK, side)
    blocks = rows.unflatten(3, (-1, BLOCK)) @ matrix.T  # (B, S/8, 8, S/8, 8)
    return blocks.reshape(len(pixels), side, side) if flat else blocks


@functools.lru_cache(maxsize=8)
def _dct(device: torch.device) -> Tensor:
    """The orthonormal discrete cosine transform of 8 pixels, (8, 8)."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    waves = torch.cos((2 * place + 1) * place[:, None] * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves.float().to(device)


# ------------------------------------------------------------------------------------------------ training


def degrade(faces: Tensor, probability: float, generator: Generator, scale: float = 1.0) -> Tensor:
    """Degrades each face with ``probability``, as a webcam would, by strengths drawn anew for each.

    A degraded face is darkened or brightened (25 %, by .15 to 1.35), blurred (30 %, sigma .3 to 2.2), of low
    resolution (25 %, 14 to 40 of 48 pixels), noisy (50 %, deviation 0 to 30 of 255) and compressed (30 %, JPEG quality
    6 to 70), in this order and each independently. Strengths in pixels are those of faces of 48; ``scale`` is how much
    smaller these are.
    """
    chosen = _uniform(faces, generator) < probability  # (B,)
    side = faces.shape[-1]

    def drawn(low: float, high: float, share: float, otherwise: float) -> Tensor:
        use = chosen & (_uniform(faces, generator) < share)
        return torch.where(use, low + (high - low) * _uniform(faces, generator), otherwise)

    faces = brightness(faces, drawn(0.15, 1.35, 0.25, 1.0))
    blur = blur_matrix(drawn(0.3, 2.2, 0.3, 0.0) * scale, side)
    small = (drawn(14 / 48, 40 / 48, 0.25, 1.0) * side).round().long()
    faces = resample(faces, resolution_matrices(side, faces.device)[small] @ blur)
    faces = gaussian_noise(faces, drawn(0.0, 30 / 255, 0.5, 0.0) * scale, generator)
    quality = drawn(6.0, 70.0, 0.3, 0.0).round()
    return torch.where((quality > 0)[:, None, None, None], jpeg(faces, quality.clamp_min(1)), faces)


def _uniform(faces: Tensor, generator: Generator) -> Tensor:
    return torch.rand(len(faces), generator=generator, device=faces.device)  # (B,), in 0..1
