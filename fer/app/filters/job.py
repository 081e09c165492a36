"""What a visitor asks of an ascent, checked, and what has come of it so far.

asked = growing.ask(weights, "compact", "conv2d_3", "0-15", "clear", 48, 0)
growing.kept(asked, weights)      # a Grown out of the atlas, at once; None where that has no such pictures
for grown in growing.grow(asked, weights):
    ...  # a Grown after every few steps, the first before any
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fer.app.errors import user_error
from fer.app.gpu import on_gpu, placed
from fer.app.model_cache import load_network
from fer.evaluation import predictions
from fer.features import atlas, receptive_field, visualization
from fer.features.presets import PRESETS, preset_with
from fer.models.checkpoint import FERModel

MOST = 128  # steps that a visitor may ask for
TURN = 120  # seconds that one ascent may take, where others may be waiting
BUDGET = 0.1  # how far from a face, as a root mean square of its pixels in 0..1


@dataclass(frozen=True)
class VisualizationRequest:
    """What is to be grown. The same again gives the same pictures."""

    network: str
    layer: str
    filters: tuple[int, ...]
    preset: str
    steps: int
    seed: int
    face: np.ndarray | None = None  # uint8 (48, 48): what it starts from, in place of grey with noise
    budget: float = BUDGET
    parts: tuple[tuple[str, str], ...] = ()  # parts of the preset that are exchanged, and for what


@dataclass
class JobToken:
    """Which of a visitor's ascents is wanted; the one object of a session that its handlers share while they work.

    Gradio's own way to end one waits for it, takes a Start meanwhile for the same that still runs, and drops it.
    """

    wanted: int = 0  # its number, 0 for none
    begun: int = 0

    def begin(self) -> None:
        self.begun += 1
        self.wanted = self.begun

    def end(self) -> None:
        self.wanted = 0


@dataclass(frozen=True)
class VisualizationState:
    """What an ascent has come to; kept in a `gr.State`."""

    asked: VisualizationRequest
    names: tuple[str, ...]  # of the filters, or of the classes
    images: np.ndarray  # (N, S, S) in 0..1
    dead: tuple[bool, ...]
    history: tuple[tuple[int, tuple[float, ...]], ...]  # a step and its N ascent values, one entry a frame
    best: tuple[float | None, ...]  # what real faces get out of each filter at most, where that is known
    of_atlas: bool = False  # not grown now but once for all
    late: bool = False  # it was ended before its last step, as `TURN` seconds were over

    @property
    def beyond(self) -> float | None:
        """How many times as much as its best real face the middle one of the pictures gets; None: not known."""
        ratios = sorted(value / best for value, best in zip(self.values, self.best, strict=True) if best and best > 0)
        return ratios[len(ratios) // 2] if ratios else None

    @property
    def step(self) -> int:
        return self.history[-1][0]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of itself."""
        return self.late or self.step == self.asked.steps

    @property
    def values(self) -> tuple[float, ...]:
        return self.history[-1][1]


def status(grown: VisualizationState, stopped: bool = False) -> str:
    """How far it is, in words of ours: names of networks and layers hold no markup, being those of the registry."""
    asked, at_end = grown.asked, grown.step == grown.asked.steps
    place = f"{asked.layer} of {asked.network}, step {grown.step} of {asked.steps}"
    late = f", ended: {TURN} seconds were over, and others may be waiting" if grown.late else ""
    place += ", from the atlas" if grown.of_atlas else ", done" if at_end else late or ", stopped" * stopped
    gone = sum(grown.dead)
    place += f"; {gone} dead: no gradient from the start" if gone else ""
    return place + "." + _beyond(grown)


def _beyond(grown: VisualizationState) -> str:
    """How far beyond what real faces get it has come, where that is known."""
    if not grown.beyond:
        return ""
    if len(grown.names) == 1:
        return f" It gets {grown.beyond:.1f} times what its best real face gets."
    return f" Half of them get {grown.beyond:.1f} times what their best real face gets, or more."


def ask(
    weights: Path, network: str, layer: str, filters: str, preset: str, steps: float, seed: float, **more
) -> VisualizationRequest:
    """The visitor's choices as they come from the page; raises gr.Error, in a sentence, for what cannot be grown."""
    load_network(weights, network)
    if preset not in PRESETS or not _whole(steps, 1, MOST) or not _whole(seed, 0, 2**31):
        raise user_error(f"Choose a preset, 1 to {MOST} steps and a seed of 0 or more.")
    try:
        preset_with(preset, **dict(more.get("parts", ())))
    except (ValueError, KeyError) as error:
        raise user_error(f"There is no such part of an ascent: {error}.") from None
    budget = more.get("budget", BUDGET)
    if not isinstance(budget, int | float) or not 0 < budget <= 1:
        raise user_error("A face can be changed by more than 0 and at most 1.")
    try:
        numbers = tuple(visualization.parse_filters(str(filters)))
    except ValueError as error:
        raise user_error(f"This cannot be climbed: {error}.") from None
    return VisualizationRequest(network, layer, numbers, preset, int(steps), int(seed), **more)


def _whole(number: object, least: int, most: int) -> bool:
    return isinstance(number, int | float) and least <= number <= most and number == int(number)


def grow(asked: VisualizationRequest, weights: Path) -> Iterator[VisualizationState]:
    """Frame by frame; the first comes before the first step, so that noise is seen. Raises gr.Error at the first."""
    chain, history, ends = load_network(weights, asked.network), (), time.monotonic() + TURN
    try:
        visualization.check_filters(chain, asked.layer, asked.filters)
    except ValueError as error:
        raise user_error(f"This cannot be climbed: {error}.") from None
    names, best = _names(chain, asked), _best(asked, weights)
    for step, images, values, dead in _climb(asked, weights):
        history += ((step, tuple(values.tolist())),)
        late = step < asked.steps and time.monotonic() > ends
        yield VisualizationState(asked, names, images[:, 0].numpy(), tuple(dead.tolist()), history, best, late=late)
        if late:
            return


@on_gpu(duration=lambda asked, weights: 10 + len(asked.filters) * asked.steps // 500)
def _climb(asked: VisualizationRequest, weights: Path) -> Iterator[visualization.Snapshot]:
    start = None if asked.face is None else torch.tensor(asked.face)[None, None].float() / 255
    options = {"seed": asked.seed, "steps": asked.steps, "start": start, "budget": asked.budget}
    preset = preset_with(asked.preset, **dict(asked.parts))
    yield from visualization.visualize(
        placed(load_network(weights, asked.network)), asked.layer, asked.filters, preset, **options
    )


def kept(asked: VisualizationRequest, weights: Path) -> VisualizationState | None:
    """The pictures out of the atlas, where that was made just as is asked and of these very weights."""
    plain = (asked.preset, asked.steps, asked.seed, asked.face, asked.parts) == (
        atlas.PRESET, atlas.STEPS, atlas.SEED, None, (),
    )  # fmt: skip
    layer = atlas.load_layer(weights / asked.network, asked.layer) if plain else None
    if layer is None or max(asked.filters) >= len(layer.values):
        return None
    chosen, steps = list(asked.filters), (*range(0, atlas.STEPS, atlas.SNAPSHOT_EVERY), atlas.STEPS)
    return VisualizationState(
        asked,
        _names(load_network(weights, asked.network), asked),
        layer.images[chosen].astype(np.float32) / 255,
        tuple(layer.dead[chosen].tolist()),
        tuple((step, tuple(values)) for step, values in zip(steps, layer.curves[chosen].T.tolist(), strict=True)),
        _best(asked, weights),
        of_atlas=True,
    )


def _best(asked: VisualizationRequest, weights: Path) -> tuple[float | None, ...]:
    """Known of one neuron's answers only: what a preset adds up over a map cannot be set beside them."""
    chain = load_network(weights, asked.network)
    summed = asked.preset != atlas.PRESET or "objective" in dict(asked.parts)
    if summed and asked.layer != receptive_field.last_layer(chain):
        return (None,) * len(asked.filters)
    return best(weights, asked.network, chain, asked.layer, asked.filters)


def _names(chain: FERModel, asked: VisualizationRequest) -> tuple[str, ...]:
    last = asked.layer == receptive_field.last_layer(chain)
    return tuple(chain.labels[number] if last else f"filter {number}" for number in asked.filters)


def alone(grown: VisualizationState, index: int, seed: int) -> VisualizationRequest:
    """One of the filters again, as far as it has come, from another seed."""
    return replace(grown.asked, filters=(grown.asked.filters[index],), steps=max(grown.step, 1), seed=seed)


def best(weights: Path, network: str, chain: FERModel, layer: str, numbers: Sequence[int]) -> tuple[float | None, ...]:
    """The highest answers to any real face: a class's on both test splits, a filter's on PublicTest."""
    if layer == receptive_field.last_layer(chain):
        return tuple(best_logit(weights / network, number) for number in numbers)
    kept = atlas.load_layer(weights / network, layer)
    if kept is None or kept.activations.shape[1] == 0:
        return (None,) * len(numbers)
    return tuple(kept.activations[list(numbers), 0].tolist())


def best_logit(folder: Path, number: int) -> float | None:
    """The highest logit of a class among all real faces whose answers are kept; None where there are none."""
    found = []
    for split in ("PublicTest", "PrivateTest"):
        try:
            found.append(predictions.load_logits(folder, split)[0][:, number].max().item())
        except ValueError:  # not measured
            continue
    return max(found, default=None)
