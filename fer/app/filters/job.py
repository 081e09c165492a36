"""Feature visualisation as the Filters tab and the API run it: a checked request -> states, step by step.

request = make_request(weights, "compact", "conv2d_3", "0-15", "clear", 48, 0)
load_precomputed(request, weights)      # a VisualizationState at once; None where there are no such images
for state in run(request, weights):
    ...  # a VisualizationState after every few steps, the first before any
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

MAX_STEPS = 128
MAX_SECONDS = 120  # for one run, as others may be waiting
BUDGET = 0.1  # maximal perturbation of a face, the root mean square over its pixels in 0..1


@dataclass(frozen=True)
class VisualizationRequest:
    """Which filters to visualise, and how. The same request gives the same images."""

    network: str
    layer: str
    filters: tuple[int, ...]
    preset: str
    steps: int
    seed: int
    face: np.ndarray | None = None  # the initial image, uint8 (48, 48), in place of grey with noise
    budget: float = BUDGET
    parts: tuple[tuple[str, str], ...] = ()  # parts of the preset that are replaced, and by what


@dataclass
class JobToken:
    """Which of a visitor's runs is current; the one object of a session that its handlers share while they work.

    Gradio's own cancelling waits for the run to end, takes another one meanwhile for the same, and drops it.
    """

    wanted: int = 0  # the current run's number, 0 for none
    begun: int = 0

    def begin(self) -> None:
        self.begun += 1
        self.wanted = self.begun

    def end(self) -> None:
        self.wanted = 0


@dataclass(frozen=True)
class VisualizationState:
    """How far a run has come; kept in a `gr.State`."""

    request: VisualizationRequest
    names: tuple[str, ...]  # of the filters, or of the classes
    images: np.ndarray  # (N, S, S) in 0..1
    dead: tuple[bool, ...]
    history: tuple[tuple[int, tuple[float, ...]], ...]  # a step and its N activations, one entry a snapshot
    best: tuple[float | None, ...]  # each filter's maximum over real faces, where it is known
    precomputed: bool = False
    timed_out: bool = False  # ended before its last step, after MAX_SECONDS
    seconds_left: float | None = None

    @property
    def ratio_to_best(self) -> float | None:
        """The median over the images of activation / maximum over real faces; None where that is not known."""
        ratios = sorted(value / best for value, best in zip(self.values, self.best, strict=True) if best and best > 0)
        return ratios[len(ratios) // 2] if ratios else None

    @property
    def step(self) -> int:
        return self.history[-1][0]

    @property
    def ended(self) -> bool:
        return self.timed_out or self.step == self.request.steps

    @property
    def values(self) -> tuple[float, ...]:
        """The activations (N,)."""
        return self.history[-1][1]


def status(state: VisualizationState, stopped: bool = False) -> str:
    """How far it is, as markup: names of models and layers hold none, being those of the registry."""
    request = state.request
    what = f"{request.layer} of {request.network}"
    if state.precomputed:
        place = f"{what}, precomputed"
    elif state.timed_out:
        place = f"{what}, step {state.step} of {request.steps}, ended after {MAX_SECONDS} seconds"
    elif state.ended:
        place = f"{what}, {request.steps} steps, done"
    elif stopped:
        place = f"{what}, step {state.step} of {request.steps}, stopped"
    else:
        left = "" if state.seconds_left is None else f", about {max(1, round(state.seconds_left))} s left"
        return f"{what}, step {state.step} of {request.steps}{left}."
    dead = sum(state.dead)
    return place + (f"; {dead} dead (no gradient)" if dead else "") + "." + _ratio_text(state)


def _ratio_text(state: VisualizationState) -> str:
    """The activations beside those of real faces, where these are known and the optimisation has begun to work."""
    ratio = state.ratio_to_best
    if ratio is None or ratio < 0.05:
        return ""
    return f" {'Median ' if len(state.names) > 1 else ''}{ratio:.1f}× the strongest test face."


def make_request(
    weights: Path, network: str, layer: str, filters: str, preset: str, steps: float, seed: float, **more
) -> VisualizationRequest:
    """The choices as they come from the page, checked. Raises gr.Error, in a sentence, for what is not there."""
    load_network(weights, network)
    if preset not in PRESETS or not _whole(steps, 1, MAX_STEPS) or not _whole(seed, 0, 2**31):
        raise user_error(f"Choose a preset, 1 to {MAX_STEPS} steps and a seed of 0 or more.")
    try:
        preset_with(preset, **dict(more.get("parts", ())))
    except (ValueError, KeyError) as error:
        raise user_error(f"There is no such part of a preset: {error}.") from None
    budget = more.get("budget", BUDGET)
    if not isinstance(budget, int | float) or not 0 < budget <= 1:
        raise user_error("The maximal perturbation is more than 0 and at most 1.")
    try:
        numbers = tuple(visualization.parse_filters(str(filters)))
    except ValueError as error:
        raise user_error(f"No such filter: {error}.") from None
    return VisualizationRequest(network, layer, numbers, preset, int(steps), int(seed), **more)


def _whole(number: object, least: int, most: int) -> bool:
    return isinstance(number, int | float) and least <= number <= most and number == int(number)


def run(request: VisualizationRequest, weights: Path) -> Iterator[VisualizationState]:
    """A state after every few steps, the first before any step. Raises gr.Error before that."""
    chain, history, began = load_network(weights, request.network), (), time.monotonic()
    try:
        visualization.check_filters(chain, request.layer, request.filters)
    except ValueError as error:
        raise user_error(f"No such filter: {error}.") from None
    names, best = _names(chain, request), _best(request, weights)
    for step, images, values, dead in _visualize(request, weights):
        history += ((step, tuple(values.tolist())),)
        timed_out = step < request.steps and time.monotonic() - began > MAX_SECONDS
        left = (time.monotonic() - began) / step * (request.steps - step) if step else None
        yield VisualizationState(
            request, names, images[:, 0].numpy(), tuple(dead.tolist()), history, best, timed_out=timed_out,
            seconds_left=left,
        )  # fmt: skip
        if timed_out:
            return


@on_gpu(duration=lambda request, weights: 10 + len(request.filters) * request.steps // 500)
def _visualize(request: VisualizationRequest, weights: Path) -> Iterator[visualization.Snapshot]:
    start = None if request.face is None else torch.tensor(request.face)[None, None].float() / 255
    options = {"seed": request.seed, "steps": request.steps, "start": start, "budget": request.budget}
    preset = preset_with(request.preset, **dict(request.parts))
    yield from visualization.visualize(
        placed(load_network(weights, request.network)), request.layer, request.filters, preset, **options
    )


def load_precomputed(request: VisualizationRequest, weights: Path) -> VisualizationState | None:
    """The precomputed images, where they were made with these settings and these very weights; else None."""
    plain = (request.preset, request.steps, request.seed, request.face, request.parts) == (
        atlas.PRESET, atlas.STEPS, atlas.SEED, None, (),
    )  # fmt: skip
    layer = atlas.load_layer(weights / request.network, request.layer) if plain else None
    if layer is None or max(request.filters) >= len(layer.values):
        return None
    chosen, steps = list(request.filters), (*range(0, atlas.STEPS, atlas.SNAPSHOT_EVERY), atlas.STEPS)
    return VisualizationState(
        request,
        _names(load_network(weights, request.network), request),
        layer.images[chosen].astype(np.float32) / 255,
        tuple(layer.dead[chosen].tolist()),
        tuple((step, tuple(values)) for step, values in zip(steps, layer.curves[chosen].T.tolist(), strict=True)),
        _best(request, weights),
        precomputed=True,
    )


def _best(request: VisualizationRequest, weights: Path) -> tuple[float | None, ...]:
    """Known of single activations only: the sum over a map, an objective of some presets, is no such thing."""
    chain = load_network(weights, request.network)
    summed = request.preset != atlas.PRESET or "objective" in dict(request.parts)
    if summed and request.layer != receptive_field.last_layer(chain):
        return (None,) * len(request.filters)
    return best(weights, request.network, chain, request.layer, request.filters)


def _names(chain: FERModel, request: VisualizationRequest) -> tuple[str, ...]:
    last = request.layer == receptive_field.last_layer(chain)
    return tuple(chain.labels[number] if last else f"filter {number}" for number in request.filters)


def single_filter(state: VisualizationState, index: int, seed: int) -> VisualizationRequest:
    """The request for one of the filters, for as many steps, with another seed."""
    return replace(state.request, filters=(state.request.filters[index],), steps=max(state.step, 1), seed=seed)


def best(weights: Path, network: str, chain: FERModel, layer: str, numbers: Sequence[int]) -> tuple[float | None, ...]:
    """The maxima over real faces: of a class over both test splits, of a filter over PublicTest."""
    if layer == receptive_field.last_layer(chain):
        return tuple(best_logit(weights / network, number) for number in numbers)
    kept = atlas.load_layer(weights / network, layer)
    if kept is None or kept.activations.shape[1] == 0:
        return (None,) * len(numbers)
    return tuple(kept.activations[list(numbers), 0].tolist())


def best_logit(folder: Path, number: int) -> float | None:
    """The highest logit of a class over all faces whose predictions are kept; None where there are none."""
    found = []
    for split in ("PublicTest", "PrivateTest"):
        try:
            found.append(predictions.load_logits(folder, split)[0][:, number].max().item())
        except ValueError:  # not measured
            continue
    return max(found, default=None)
