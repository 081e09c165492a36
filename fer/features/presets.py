"""The four parts of an ascent, each a small function that another may replace, and the presets made of them.

What is moved (*parametrisation*: pixels, waves that add up to them, or the ways in which faces differ), how each
picture is shaken before the network sees it (*transform*), what is to grow (*objective*), and how a step is taken
(*loop*).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from fer.features.objectives import Objective, centre_neuron, channel_mean, channel_sum
from fer.features.parametrization import (
    Parametrization,
    eigenface_parametrization,
    fourier_parametrization,
    pixel_parametrization,
)
from fer.models.layers import SIDE

MAX_SHIFT = 2.0  # pixels by which `clear` moves the picture of a filter
Transform = Callable[[Tensor, Tensor], Tensor]  # images, draws (B, 4) in -1..1 -> images
Optimizer = Callable[[Tensor], Callable[[Tensor], None]]  # parameters -> what moves them along a gradient


# ------------------------------------------------------------------------------------------------ how it is shaken


def identity(images: Tensor, draws: Tensor) -> Tensor:
    """Not at all."""
    return images


def random_shift(shift: float = MAX_SHIFT, scale: float = 0.05, rotation: float = 5.0) -> Transform:
    """Each picture on its own: by up to `shift` pixels (a tenth of the side at most), a share and degrees.

    Faces are aligned, so position means something: nothing is mirrored or cut away.
    """

    def transform(images: Tensor, draws: Tensor) -> Tensor:
        side = images.shape[-1]
        angles, zooms = draws[:, 0] * math.radians(rotation), 1 + draws[:, 1] * scale
        x, y = (draws[:, 2:] * min(shift, side / 10) * 2 / side).unbind(1)
        cosines, sines = angles.cos() * zooms, angles.sin() * zooms
        rows = torch.stack([cosines, -sines, x, sines, cosines, y], 1).view(-1, 2, 3)
        grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    return transform


# ------------------------------------------------------------------------------------------------ how a step is taken


def normalized_sgd(rate: float) -> Optimizer:
    """Plain steps along the gradient, whose root mean square is made 1 in each picture by itself, as in the reports."""

    def begin(parameters: Tensor) -> Callable[[Tensor], None]:
        def step(gradient: Tensor) -> None:
            sizes = gradient.flatten(1).square().mean(1).sqrt().clamp(min=1e-12)
            parameters.add_(rate * gradient / sizes.view(-1, *[1] * (gradient.ndim - 1)))

        return step

    return begin


def adam(rate: float) -> Optimizer:
    """Adam (Kingma and Ba, arXiv 1412.6980), which treats each parameter by itself, and so each picture.

    Not torch.optim's: making its first one imports the compiler, seconds before the first picture.
    """

    def begin(parameters: Tensor) -> Callable[[Tensor], None]:
        first, second, count = torch.zeros_like(parameters), torch.zeros_like(parameters), 0

        def step(gradient: Tensor) -> None:
            nonlocal count
            count += 1
            first.lerp_(gradient, 0.1)
            second.lerp_(gradient.square(), 0.001)
            sizes = (second / (1 - 0.999**count)).sqrt() + 1e-8
            parameters.add_(rate / (1 - 0.9**count) * first / sizes)

        return step

    return begin


# ------------------------------------------------------------------------------------------------ the presets


@dataclass(frozen=True)
class Preset:
    """The four parts of an ascent, and how far it goes."""

    parametrise: Parametrization = fourier_parametrization(1.5, 0.4)
    transform: Transform = random_shift()
    objective: Objective = centre_neuron
    loop: Optimizer = adam(0.05)
    steps: int = 48
    canvas: int | None = None  # side of the picture; None: what one neuron of the layer sees, and a margin
    activated: bool = False  # take a layer with the activation next to it, as Keras writes them; else always before it
    whole: dict[str, Callable] = field(default_factory=dict)
    """Parts in place of those for dense layers, which see the face as a whole."""


PRESETS = {
    "clear": Preset(whole={"parametrise": eigenface_parametrization, "transform": random_shift(4.0, 0.15, 10.0)}),
    "report": Preset(
        pixel_parametrization, identity, channel_sum, normalized_sgd(0.02), steps=10, canvas=SIDE, activated=True
    ),
}

# Every part's choices by name; the fields of a preset that `exchanged` puts others into.
PARTS: dict[str, dict[str, Callable]] = {
    "parametrise": {
        "pixels": pixel_parametrization,
        "waves": fourier_parametrization(1.0),
        "coarse waves": fourier_parametrization(1.5, 0.4),
        "faces": eigenface_parametrization,
    },
    "transform": {"still": identity, "small": random_shift(), "large": random_shift(4.0, 0.15, 10.0)},
    "objective": {"centre": centre_neuron, "mean": channel_mean, "sum": channel_sum},
    "loop": {"plain": normalized_sgd(0.02), "adam": adam(0.05)},
}


def preset_with(preset: str, **parts: str | None) -> Preset:
    """The preset of that name with some of its parts exchanged, each by a name of PARTS; None leaves it as it is.

    Raises ValueError for a name that is not there.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    changes = {}
    for part, name in parts.items():
        if name is not None and name not in PARTS[part]:
            raise ValueError(f"{part} is {name!r}, expected one of {', '.join(PARTS[part])}")
        if name is not None:
            changes[part] = PARTS[part][name]
    if changes.get("parametrise") is eigenface_parametrization:
        changes["canvas"] = SIDE
    whole = {part: function for part, function in PRESETS[preset].whole.items() if part not in changes}
    return replace(PRESETS[preset], whole=whole, **changes)
