"""Gradient ascent: from noise to the picture that a filter, a class or a direction answers most.

    for step, images, values, dead in ascend(network, "conv2d_3", range(16)):
        ...  # images (16, 1, S, S) in 0..1, one for each filter, every four steps

`presets.py` holds the parts. The preset `report` ascends as the two coursework reports did, and gets their white noise;
`clear` cures its causes, after Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017: waves in place
of pixels, small random movements, and one neuron before its activation, so that a shut ReLU does not end the ascent.

The network is cut off after the layer and runs without hooks; its weights are read and never written. Where the
machine has units for bfloat16 the way up is found in it, in less than half the time; values are always float32's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fer.features.objectives import mixture_objective
from fer.features.parametrization import Drawing
from fer.features.presets import PRESETS, Preset
from fer.features.receptive_field import canvas_size, is_dense, last_layer, layer_names_up_to, num_units
from fer.models.clone import clone_shared, fuse_for_inference
from fer.models.layers import SIDE, NamedSequential
from fer.utils.precision import autocast, use_bf16

MAX_STEPS = 10_000  # every step has its draws in memory from the start
BATCH_SIZE = 64  # pictures that pass through the network together: bounds the memory that 512 filters take


class Snapshot(NamedTuple):
    """A moment of an ascent; each tensor has a row for each filter."""

    step: int
    images: Tensor  # (B, 1, S, S) in 0..1
    values: Tensor  # (B,), the objective of these very pictures, unshaken
    dead: Tensor  # (B,), whether there has been no gradient from the start, so that the noise is what it was


def visualize(
    network: NamedSequential,
    layer: str,
    filters: Iterable[int] | None = None,
    preset: Preset = PRESETS["clear"],
    *,
    seed: int = 0,
    steps: int | None = None,
    every: int = 4,
    start: Tensor | None = None,
    budget: float = 0.1,
    same: bool = True,
) -> Iterator[Snapshot]:
    """One picture for each filter, all in one batch, each independent of the others; a frame every few steps.

    The first frame is step 0, the last one step `steps` (the preset's own number unless given). The same seed gives a
    filter the same picture whatever others are in the batch. With a face `start` (1 or B, 1, 48, 48) in 0..1, it is
    this face that is changed, by a root mean square of at most `budget`. Without `same`, rounding may depend
    on the batch, where that is faster: the pictures are others then, as good as these.

    Raises:
        ValueError: no such layer or filter, no step, or a start that is no face.
    """
    chosen = torch.tensor(check_filters(network, layer, filters))
    stem, preset = _truncated_network(network, layer, preset.activated), _preset_for_layer(preset, network, layer)
    side = SIDE if start is not None else preset.canvas or canvas_size(network, layer)
    device = next(network.parameters()).device
    steps = preset.steps if steps is None else steps
    if not 1 <= steps <= MAX_STEPS or every < 1:
        raise ValueError(f"steps is {steps} and every is {every}, expected at least 1, and at most {MAX_STEPS} steps")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}, expected 0 to {2**31 - 1}")
    noise, draws = (part.to(device) for part in _noise_and_draws(seed, chosen.tolist(), side, steps))
    face = None if start is None else _start_face(start, len(chosen)).to(device)
    parameters, draw = preset.parametrise(noise, face)
    within = draw if face is None else lambda moved: _project_to_budget(draw(moved), face, budget)
    return _ascend(_Ascent(stem, preset, chosen.to(device), within, same), parameters, draws, every)


def visualize_classes(network: NamedSequential, preset: Preset = PRESETS["clear"], **options) -> Iterator[Snapshot]:
    """`visualize` for all logits at once: a prototype of each class. Options as for `visualize`."""
    return visualize(network, last_layer(network), None, preset, **options)


def interpolate_classes(
    network: NamedSequential,
    first: int,
    second: int,
    preset: Preset = PRESETS["clear"],
    *,
    stops: int = 9,
    seed: int = 0,
    steps: int | None = None,
    every: int = 4,
) -> Iterator[Snapshot]:
    """The way from one class's prototype to another's: `stops` pictures, grown at once, all of the same noise.

    Each has its own mixture of the two logits to climb, from the first alone to the second alone; a frame's values are
    those mixtures. Raises ValueError for a class that the network does not have, or fewer than two stops.
    """
    layer = last_layer(network)
    stem, device = _truncated_network(network, layer, preset.activated), next(network.parameters()).device
    ends = torch.eye(num_units(network, layer))[check_filters(network, layer, [first, second])]
    steps = preset.steps if steps is None else steps
    if stops < 2 or steps < 1:
        raise ValueError(f"stops is {stops} and steps is {steps}, expected at least 2 and 1")
    shares = torch.linspace(0, 1, stops)[:, None]
    mixed = replace(
        _preset_for_layer(preset, network, layer),
        objective=mixture_objective(ends[0] * (1 - shares) + ends[1] * shares),
    )
    noise, draws = (part.to(device) for part in _noise_and_draws(seed, [0] * stops, SIDE, steps))
    parameters, draw = mixed.parametrise(noise, None)
    return _ascend(_Ascent(stem, mixed, torch.arange(stops, device=device), draw), parameters, draws, every)


@dataclass(frozen=True)
class _Ascent:
    """What does not change during an ascent."""

    stem: nn.Module
    preset: Preset
    chosen: Tensor
    draw: Drawing
    same: bool = True

    def slopes(self, images: Tensor, draws: Tensor) -> Tensor:
        """The gradient of each picture's own objective with respect to its pixels, after one shake."""
        parts = zip(
            images.detach().split(BATCH_SIZE), draws.split(BATCH_SIZE), self.chosen.split(BATCH_SIZE), strict=True
        )
        return torch.cat([self._slope(part.requires_grad_(), moves, chosen) for part, moves, chosen in parts])

    def _slope(self, images: Tensor, draws: Tensor, chosen: Tensor) -> Tensor:
        moved = self.preset.transform(images, draws)
        with autocast(images.device, use_bf16(images.device, self.same)):
            values = self.stem(moved.contiguous(memory_format=torch.channels_last))
        return torch.autograd.grad(self.preset.objective(values.float(), chosen).sum(), images)[0]

    @torch.no_grad()
    def look(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        images = self.draw(parameters)
        parts = zip(images.split(BATCH_SIZE), self.chosen.split(BATCH_SIZE), strict=True)
        values = torch.cat([self.preset.objective(self.stem(part), chosen) for part, chosen in parts])
        return images.cpu(), values.cpu()


def _ascend(run: _Ascent, parameters: Tensor, draws: Tensor, every: int) -> Iterator[Snapshot]:
    """`draws` (B, steps, 4)."""
    move, dead, steps = run.preset.loop(parameters), None, draws.shape[1]
    for step in range(steps):
        # No grad mode may be held over a yield: it would be the caller's until the next frame.
        with torch.enable_grad():
            free = parameters.detach().requires_grad_()
            images = run.draw(free)
            slopes = run.slopes(images, draws[:, step])
            gradient = torch.autograd.grad((images * slopes).sum(), free)[0]
        still = slopes.flatten(1).eq(0).all(1).cpu()
        dead = still if dead is None else dead & still
        if step % every == 0:
            yield Snapshot(step, *run.look(parameters), dead)
        move(gradient)
    yield Snapshot(steps, *run.look(parameters), dead)


def _noise_and_draws(seed: int, filters: list[int], side: int, steps: int) -> tuple[Tensor, Tensor]:
    """White noise (B, 1, S, S) and every step's draws (B, steps, 4) in -1..1, from a generator of each filter's own."""
    noise, draws = [], []
    for number in filters:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        noise.append(torch.randn(1, side, side, generator=generator))
        draws.append(torch.rand(steps, 4, generator=generator) * 2 - 1)
    return torch.stack(noise), torch.stack(draws)


def _project_to_budget(images: Tensor, start: Tensor, budget: float) -> Tensor:
    """The pictures, drawn towards `start` until their root mean square from it is at most the budget."""
    change = images - start
    size = change.detach().square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
    return start + change * (budget / size).clamp(max=1)


def _truncated_network(network: NamedSequential, layer: str, activated: bool) -> nn.Module:
    """The network up to the layer, in eval mode: a quick copy of its own, which asks for no gradient.

    Nothing that is done to it reaches the network, and nobody's hooks or training mode reach it later.
    """
    last = len(layer_names_up_to(network, layer)) - 1
    if activated and last + 1 < len(network) and _is_activation(network[last + 1]):
        last += 1
    elif not activated and last > 0 and _is_activation(network[last]):
        last -= 1  # it rises with what goes in, which has a gradient everywhere
    return fuse_for_inference(clone_shared(network[: last + 1]).eval()).requires_grad_(False)


def _preset_for_layer(preset: Preset, network: NamedSequential, layer: str) -> Preset:
    """The preset as it is for this layer: a dense one sees the face as a whole."""
    if not preset.whole or not is_dense(network, layer):
        return preset
    return replace(preset, canvas=SIDE, **preset.whole)


def _is_activation(module: nn.Module) -> bool:
    return isinstance(module, nn.ReLU | nn.SELU | nn.Sigmoid)


# ------------------------------------------------------------------------------------------------ checks


def parse_filters(words: str) -> list[int]:
    """The numbers that people write as `0-3,7`: 0, 1, 2, 3, 7, each once. Raises ValueError for anything else."""
    parts = [part.strip().split("-") for part in words[:1001].split(",")]
    plain = all(len(ends) <= 2 and all(end.isdecimal() and len(end) <= 4 for end in ends) for ends in parts)
    if len(words) > 1000 or not plain:
        raise ValueError(f"filters are {words[:40]!r}, expected numbers and ranges such as 0-63,70")
    return list(dict.fromkeys(number for ends in parts for number in range(int(ends[0]), int(ends[-1]) + 1)))


def check_filters(network: NamedSequential, layer: str, filters: Iterable[int] | None = None) -> list[int]:
    """The filters' numbers, all of the layer's for None. Raises ValueError for a layer or filter that is not there."""
    available = num_units(network, layer)
    numbers = list(range(available) if filters is None else filters)
    wrong = [number for number in numbers if not 0 <= number < available]
    if wrong or not numbers:
        raise ValueError(f"{layer} has the filters 0 to {available - 1}, got {wrong or 'none'}")
    return numbers


def _start_face(start: Tensor, count: int) -> Tensor:
    if start.shape[1:] != (1, SIDE, SIDE) or len(start) not in (1, count):
        raise ValueError(f"start is {tuple(start.shape)}, expected (1 or {count}, 1, {SIDE}, {SIDE})")
    if not 0 <= start.min() <= start.max() <= 1:
        raise ValueError(f"start runs from {start.min():.3g} to {start.max():.3g}, expected pixels in 0..1")
    return start.float().expand(count, -1, -1, -1)
