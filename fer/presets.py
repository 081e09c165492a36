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

from fer import facespace
from fer.networks import SIDE

SHIFT = 2.0  # pixels by which `clear` moves the picture of a filter

Drawing = Callable[[Tensor], Tensor]  # parameters -> images (B, 1, S, S) in 0..1
# Noise and what to start from, (B, 1, S, S) both, None for nothing -> parameters, drawing
Parametrisation = Callable[[Tensor, Tensor | None], tuple[Tensor, Drawing]]
Transform = Callable[[Tensor, Tensor], Tensor]  # images, draws (B, 4) in -1..1 -> images
Objective = Callable[[Tensor, Tensor], Tensor]  # the layer's values, the chosen filters (B,) -> (B,)
Loop = Callable[[Tensor], Callable[[Tensor], None]]  # parameters -> what moves them along a gradient


# ------------------------------------------------------------------------------------------------ what is moved


def frequencies(side: int) -> Tensor:
    """Cycles a pixel of every wave of a picture: (S, S), in the order of `torch.fft.fft2`."""
    one = torch.fft.fftfreq(side)
    return torch.hypot(one[:, None], one[None, :])


def pixels(noise: Tensor, start: Tensor | None) -> tuple[Tensor, Drawing]:
    """Each pixel by itself, as in the reports: `start`, or mid-grey, with white noise of a tenth of the range."""
    return (0.5 if start is None else start) + 0.1 * noise, _cut


def _cut(images: Tensor) -> Tensor:
    """To 0..1 without cutting the gradient: a pixel that has hit an end can still come back."""
    return images + (images.clamp(0, 1) - images).detach()


def fourier(decay: float, scale: float = 1.0) -> Parametrisation:
    """Waves, the coarse ones weighing more: a wave of frequency f counts scale / f**decay; a sigmoid makes them pixels.

    A scale of 1 is that of Lucid (lucid/optvis/param/spatial.py), so that its learning rates fit a decay of 1.
    """

    def parametrise(noise: Tensor, start: Tensor | None) -> tuple[Tensor, Drawing]:
        side = noise.shape[-1]
        weights = scale * side / 4 / frequencies(side)[:, : side // 2 + 1].clamp(min=1 / side) ** decay
        weights, offset = weights.to(noise.device), 0.0 if start is None else torch.logit(start, eps=0.02)

        def draw(parameters: Tensor) -> Tensor:
            waves = torch.view_as_complex(parameters) * weights
            return torch.sigmoid(offset + torch.fft.irfft2(waves, s=(side, side)))

        unit = torch.view_as_real(torch.fft.rfft2(noise)) * (math.sqrt(2) / side)  # (B, 1, S, S // 2 + 1, 2)
        return 0.01 * unit, draw

    return parametrise


def within_faces(noise: Tensor, start: Tensor | None) -> tuple[Tensor, Drawing]:
    """Not freely but as faces differ: the average face, or `start`, moved along eigenfaces by so many deviations.

    The prior has seen faces and no label (see `facespace.py`): what it lets grow always looks somewhat like a face;
    which face is the network's own choice. The ways in which faces differ most count more, so that a mouth opens before
    wrinkles grow that only the network sees, and none goes beyond two deviations. Pictures are of 48x48, as faces have
    their places.
    """
    average, ways = (part.to(noise.device) for part in facespace.load())  # (48, 48), (K, 48, 48)
    weights = torch.arange(1, len(ways) + 1, device=noise.device) ** -0.3  # (K,)

    def draw(parameters: Tensor) -> Tensor:
        moved = torch.einsum("bk,khw->bhw", 2 * torch.tanh(parameters * weights), ways)
        return _cut((average if start is None else start) + moved[:, None])

    return 0.05 * noise.flatten(1)[:, : len(ways)], draw


# ------------------------------------------------------------------------------------------------ how it is shaken


def still(images: Tensor, draws: Tensor) -> Tensor:
    """Not at all."""
    return images


def moving(shift: float = SHIFT, scale: float = 0.05, rotation: float = 5.0) -> Transform:
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


# ------------------------------------------------------------------------------------------------ what is to grow


def centre(values: Tensor, chosen: Tensor) -> Tensor:
    """The neuron in the middle of the filter's map (B, C, H, W); of a dense layer (B, K), the neuron itself."""
    return _middle(values)[torch.arange(len(chosen)), chosen]


def total(values: Tensor, chosen: Tensor) -> Tensor:
    """The sum over the filter's map, report 1's objective."""
    return _all(values, chosen).sum(1)


def mean(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean over the filter's map."""
    return _all(values, chosen).mean(1)


def towards(direction: Tensor) -> Objective:
    """The middle of all the layer's maps along a direction (C,), whichever filter is chosen."""

    def objective(values: Tensor, chosen: Tensor) -> Tensor:
        return _middle(values) @ direction.to(values)

    return objective


def mixture(weights: Tensor) -> Objective:
    """The middles of the layer's maps, added up with the weights of row `chosen` of `weights` (R, C)."""

    def objective(values: Tensor, chosen: Tensor) -> Tensor:
        return (_middle(values) * weights.to(values)[chosen]).sum(1)

    return objective


def _all(values: Tensor, chosen: Tensor) -> Tensor:
    return values[torch.arange(len(chosen)), chosen].reshape(len(chosen), -1)  # (B, H * W)


def _middle(values: Tensor) -> Tensor:
    return values if values.ndim == 2 else values[:, :, values.shape[2] // 2, values.shape[3] // 2]  # (B, C)


# ------------------------------------------------------------------------------------------------ how a step is taken


def plain(rate: float) -> Loop:
    """Plain steps along the gradient, whose root mean square is made 1 in each picture by itself, as in the reports."""

    def begin(parameters: Tensor) -> Callable[[Tensor], None]:
        def step(gradient: Tensor) -> None:
            sizes = gradient.flatten(1).square().mean(1).sqrt().clamp(min=1e-12)
            parameters.add_(rate * gradient / sizes.view(-1, *[1] * (gradient.ndim - 1)))

        return step

    return begin


def adam(rate: float) -> Loop:
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

    parametrise: Parametrisation = fourier(1.5, 0.4)
    transform: Transform = moving()
    objective: Objective = centre
    loop: Loop = adam(0.05)
    steps: int = 48
    canvas: int | None = None  # side of the picture; None: what one neuron of the layer sees, and a margin
    activated: bool = False  # take a layer with the activation next to it, as Keras writes them; else always before it
    whole: dict[str, Callable] = field(default_factory=dict)
    """Parts in place of those for dense layers, which see the face as a whole."""


PRESETS = {
    "clear": Preset(whole={"parametrise": within_faces, "transform": moving(4.0, 0.15, 10.0)}),
    "report": Preset(pixels, still, total, plain(0.02), steps=10, canvas=SIDE, activated=True),
}

# Every part's choices by name; the fields of a preset that `exchanged` puts others into.
PARTS: dict[str, dict[str, Callable]] = {
    "parametrise": {"pixels": pixels, "waves": fourier(1.0), "coarse waves": fourier(1.5, 0.4), "faces": within_faces},
    "transform": {"still": still, "small": moving(), "large": moving(4.0, 0.15, 10.0)},
    "objective": {"centre": centre, "mean": mean, "sum": total},
    "loop": {"plain": plain(0.02), "adam": adam(0.05)},
}


def exchanged(preset: str, **parts: str | None) -> Preset:
    """The preset of that name with some of its parts exchanged, each by a name of PARTS; None leaves it as it is.

    Raises ValueError for a name that is not there.
    """
    changes = {}
    for part, name in parts.items():
        if name is not None and name not in PARTS[part]:
            raise ValueError(f"{part} is {name!r}, expected one of {', '.join(PARTS[part])}")
        if name is not None:
            changes[part] = PARTS[part][name]
    if changes.get("parametrise") is within_faces:
        changes["canvas"] = SIDE
    whole = {part: function for part, function in PRESETS[preset].whole.items() if part not in changes}
    return replace(PRESETS[preset], whole=whole, **changes)
