"""Which units of a network are dead: they answer nothing, whatever the face.

A unit is one output channel of an activation layer: a filter's map, or one number of a dense layer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.data import to_unit

_CHANGELESS = 1e-3  # a span of answers below which a unit tells nothing; SELU's floor is -1.758


@dataclass(frozen=True)
class Units:
    """How many units an activation layer has, how many are dead, how many changeless (the dead ones included).

    dead: 0 at every place of every face. changeless: the same, to within 0.001, at every place of every face, which
    is the only way in which a unit of SELU can die, as it is 0 nowhere but at 0.
    """

    layer: str
    units: int
    dead: int
    changeless: int


def count_dead(network: nn.Sequential, pixels: Tensor) -> list[Units]:
    """A row for every activation layer of ``network``, on uint8 faces (N, 48, 48). Puts it into eval mode."""
    return [
        Units(
            layer,
            len(low),
            dead=int(((low == 0) & (high == 0)).sum()),
            changeless=int((high - low <= _CHANGELESS).sum()),
        )
        for layer, (low, high) in ranges(network, pixels).items()
    ]


def ranges(network: nn.Sequential, pixels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """For every activation layer the least and the greatest answer of each unit, (C,) each, over faces and places.

    Raises:
        ValueError: no faces, about which every unit would look dead.
    """
    if len(pixels) == 0:
        raise ValueError("no faces to count dead units on: expected at least one")
    network.eval()
    device = next(network.parameters()).device
    found: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.inference_mode():
        for block in pixels.split(128):
            values = to_unit(block.to(device))  # (B, 1, 48, 48)
            for name, layer in network.named_children():
                values = layer(values)  # (B, C, H, W) or (B, C)
                if name.startswith("activation"):
                    found[name] = _widened(found.get(name), values.float().transpose(0, 1).flatten(1).cpu())
    return found


def _widened(known: tuple[Tensor, Tensor] | None, answers: Tensor) -> tuple[Tensor, Tensor]:
    """The range (C,), (C,) known so far, widened by more answers (C, M)."""
    low, high = answers.amin(1), answers.amax(1)
    return (low, high) if known is None else (torch.minimum(known[0], low), torch.maximum(known[1], high))


def total(rows: list[Units]) -> dict[str, int]:
    """Units, dead and changeless ones of a whole network."""
    return {key: sum(getattr(row, key) for row in rows) for key in ("units", "dead", "changeless")}
