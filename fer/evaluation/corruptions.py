"""FER-2013-C: accuracy on corrupted faces, after Hendrycks and Dietterich 2019.

    python -m fer evaluate compact --split PublicTest --corruptions

Eleven corruptions at three strengths each, computed from a split with fixed seeds, equal for every model, machine and
batch size. Robust accuracy is the mean over all 33.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from fer.data import degradations
from fer.data.dataset import FaceDataset, to_unit
from fer.data.transforms import resampled
from fer.evaluation.metrics import classification_metrics, wilson_interval
from fer.evaluation.predictions import predict_split

STRENGTHS = (1, 2, 3)


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption, and its setting at each of three strengths, in ``unit``."""

    unit: str
    settings: tuple[float, float, float]
    apply: Callable[[Tensor, float, Generator], Tensor]
    """Faces (B, 1, 48, 48) in 0..1, a setting, a generator -> corrupted faces."""


def corrupt(pixels: Tensor, name: str, strength: int) -> Tensor:
    """uint8 faces (N, 48, 48) under the corruption ``name`` of ``strength`` 1 to 3, as bytes again.

    Raises:
        ValueError: no such corruption or strength.
    """
    if name not in CORRUPTIONS or strength not in STRENGTHS:
        raise ValueError(f"corruption {name!r} {strength}: expected 1 to 3 of {', '.join(CORRUPTIONS)}")
    corruption = CORRUPTIONS[name]
    generator = Generator().manual_seed(1000 * list(CORRUPTIONS).index(name) + strength)
    blocks = (
        corruption.apply(to_unit(block), corruption.settings[strength - 1], generator) for block in pixels.split(256)
    )
    return torch.cat([(block[:, 0] * 255).round().clamp(0, 255).byte() for block in blocks])


def corrupted_logits(network: nn.Module, pixels: Tensor) -> Tensor:
    """Logits (33, N, K) of uint8 faces (N, 48, 48) under every corruption at every strength, in CORRUPTIONS' order."""
    return torch.stack(
        [predict_split(network, corrupt(pixels, name, level)) for name in CORRUPTIONS for level in STRENGTHS]
    )


def robust_metrics(logits: Tensor, faces: FaceDataset, temperature: float = 1.0, prediction_set: float = 0.0) -> dict:
    """`classification_metrics` over all corruptions, and a row for each; logits (33, N, K).

    ``n`` is the number of faces. A face counts by the share of its 33 images that are predicted correctly, so that the
    95 % intervals are those of N independent faces, not of 33 N images.
    """
    count, total = logits.shape[:2]
    labels, is_duplicate = faces.labels.repeat(count), faces.is_duplicate.repeat(count)
    right = (logits.argmax(2) == faces.labels).double()  # (33, N)
    pooled = classification_metrics(logits.flatten(0, 1), labels, is_duplicate, temperature, prediction_set)
    for suffix, kept in (("", torch.ones_like(faces.is_duplicate)), ("_deduplicated", ~faces.is_duplicate)):
        shares = right[:, kept].mean(0)
        pooled |= {f"n{suffix}": len(shares), f"ci95{suffix}": _interval(shares)}
    kinds = [(name, level) for name in CORRUPTIONS for level in STRENGTHS]
    rows = [
        {"corruption": name, "strength": level, "setting": CORRUPTIONS[name].settings[level - 1]}
        | {"unit": CORRUPTIONS[name].unit, "accuracy": hits.mean().item(), "n": total}
        | {"ci95": wilson_interval(int(hits.sum()), total)}
        for (name, level), hits in zip(kinds, right, strict=True)
    ]
    return pooled | {"corruptions": rows}


def _interval(shares: Tensor) -> list[float]:
    """The 95 % interval of the mean of independent shares (N,)."""
    half = 1.959964 * shares.std().item() / math.sqrt(len(shares)) if len(shares) > 1 else 0.0
    return [max(0.0, shares.mean().item() - half), min(1.0, shares.mean().item() + half)]


def _for_each(faces: Tensor, value: float) -> Tensor:
    return torch.full((len(faces),), float(value))


def _sign(faces: Tensor, generator: Generator) -> Tensor:
    return 2.0 * torch.randint(2, (len(faces),), generator=generator) - 1  # (B,), -1 or 1


def _noise(faces: Tensor, deviation: float, generator: Generator) -> Tensor:
    return degradations.gaussian_noise(faces, _for_each(faces, deviation / 255), generator)


def _gaussian_blur(faces: Tensor, sigma: float, generator: Generator) -> Tensor:
    return degradations.gaussian_blur(faces, _for_each(faces, sigma))


def _motion_blur(faces: Tensor, length: float, generator: Generator) -> Tensor:
    angle = math.pi * torch.rand(len(faces), generator=generator)
    return degradations.motion_blur(faces, _for_each(faces, length), angle)


def _jpeg(faces: Tensor, quality: float, generator: Generator) -> Tensor:
    return degradations.jpeg(faces, _for_each(faces, quality))


def _low_resolution(faces: Tensor, side: float, generator: Generator) -> Tensor:
    return degradations.low_resolution(faces, _for_each(faces, side).long())


def _brightness(faces: Tensor, factor: float, generator: Generator) -> Tensor:
    return degradations.brightness(faces, _for_each(faces, factor))


def _contrast(faces: Tensor, factor: float, generator: Generator) -> Tensor:
    return degradations.contrast(faces, _for_each(faces, factor))


def _rotation(faces: Tensor, degrees: float, generator: Generator) -> Tensor:
    angle = math.radians(degrees) * _sign(faces, generator)
    return resampled(faces, angle, _for_each(faces, 1), torch.zeros(len(faces), 2))


def _shift_zoom(faces: Tensor, share: float, generator: Generator) -> Tensor:
    direction = 2 * math.pi * torch.rand(len(faces), generator=generator)
    offset = 2 * share * torch.stack([direction.cos(), direction.sin()], 1)
    return resampled(faces, _for_each(faces, 0), 1 + share * _sign(faces, generator), offset)


def _occlusion(faces: Tensor, side: float, generator: Generator) -> Tensor:
    corners = torch.randint(faces.shape[-1] - int(side) + 1, (len(faces), 2, 1), generator=generator)  # (B, 2, 1)
    place = torch.arange(faces.shape[-1])
    rows, columns = ((place >= corners) & (place < corners + side)).unbind(1)  # (B, S) each
    return faces.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0.5)


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption("standard deviation, of 255", (10, 25, 40), _noise),
    "gaussian blur": Corruption("sigma, in pixels", (1, 2, 3), _gaussian_blur),
    "motion blur": Corruption("pixels", (5, 9, 13), _motion_blur),
    "JPEG": Corruption("quality", (30, 10, 5), _jpeg),
    "low resolution": Corruption("pixels", (36, 24, 16), _low_resolution),
    "dark": Corruption("times", (0.5, 0.2, 0.1), _brightness),
    "bright": Corruption("times", (1.5, 2, 3), _brightness),
    "low contrast": Corruption("times", (0.5, 0.3, 0.15), _contrast),
    "rotation": Corruption("degrees", (10, 20, 30), _rotation),
    "shift and zoom": Corruption("of the side", (0.05, 0.1, 0.15), _shift_zoom),
    "occlusion": Corruption("pixels", (16, 22, 28), _occlusion),
}
