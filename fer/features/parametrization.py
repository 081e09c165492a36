import math
from collections.abc import Callable

import torch
from torch import Tensor

from fer.features import eigenfaces

Drawing = Callable[[Tensor], Tensor]  # parameters -> images (B, 1, S, S) in 0..1
# Noise and what to start from, (B, 1, S, S) both, None for nothing -> parameters, drawing
Parametrization = Callable[[Tensor, Tensor | None], tuple[Tensor, Drawing]]


# ------------------------------------------------------------------------------------------------ what is moved


def frequencies(side: int) -> Tensor:
    """Cycles a pixel of every wave of a picture: (S, S), in the order of `torch.fft.fft2`."""
    one = torch.fft.fftfreq(side)
    return torch.hypot(one[:, None], one[None, :])


def pixel_parametrization(noise: Tensor, start: Tensor | None) -> tuple[Tensor, Drawing]:
    """Each pixel by itself, as in the reports: `start`, or mid-grey, with white noise of a tenth of the range."""
    return (0.5 if start is None else start) + 0.1 * noise, _clamp_straight_through


def _clamp_straight_through(images: Tensor) -> Tensor:
    """To 0..1 without cutting the gradient: a pixel that has hit an end can still come back."""
    return images + (images.clamp(0, 1) - images).detach()


def fourier_parametrization(decay: float, scale: float = 1.0) -> Parametrization:
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


def eigenface_parametrization(noise: Tensor, start: Tensor | None) -> tuple[Tensor, Drawing]:
    """Not freely but as faces differ: the average face, or `start`, moved along eigenfaces by so many deviations.

    The prior has seen faces and no label (see `eigenfaces.py`): what it lets grow always looks somewhat like a face;
    which face is the network's own choice. The ways in which faces differ most count more, so that a mouth opens before
    wrinkles grow that only the network sees, and none goes beyond two deviations. Pictures are of 48x48, as faces have
    their places.
    """
    average, ways = (part.to(noise.device) for part in eigenfaces.load_eigenfaces())  # (48, 48), (K, 48, 48)
    weights = torch.arange(1, len(ways) + 1, device=noise.device) ** -0.3  # (K,)

    def draw(parameters: Tensor) -> Tensor:
        moved = torch.einsum("bk,khw->bhw", 2 * torch.tanh(parameters * weights), ways)
        return _clamp_straight_through((average if start is None else start) + moved[:, None])

    return 0.05 * noise.flatten(1)[:, : len(ways)], draw
