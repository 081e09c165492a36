"""The Saliency tab's handlers: a request -> values by the name of the component that they go into.

A component that is not named stays as it is. A visitor changes the request faster than some methods compute: `note`
keeps the current one, and work on any other ends. The map comes first, its scores and curves after it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from torch import nn

from fer.app.errors import user_error
from fer.app.jobs import JobResult, run_with_progress
from fer.app.model_cache import load_network
from fer.app.saliency import method_menu, view
from fer.app.saliency.view import Drawing
from fer.attribution import benchmark, explanation, target_layer
from fer.attribution.explain import list_methods
from fer.attribution.explanation import Explanation
from fer.attribution.faithfulness import OutputChanges
from fer.attribution.methods import METHODS

SMOOTH, HIDE_PHOTO, SHARED_SCALE = DRAWINGS = ("smooth", "hide photo", "shared colour scale")
PREDICTED, NONE, LAST_LAYER = "predicted class", "none", "last 6×6 layer"  # what "" stands for in the menus


@dataclass(frozen=True)
class ExplainRequest:
    """A visitor's choices, in the order of the tab's inputs. Two are equal if they ask for the same map."""

    face: np.ndarray | None = field(compare=False)  # uint8 (48, 48)
    model: str
    method: str
    target: str = ""
    contrast: str = ""
    baseline: str = "blurred"
    layer: str = ""
    top_percent: float = field(default=20, compare=False)
    drawn: tuple[str, ...] = field(default=(), compare=False)
    pixels: bytes = b""

    @classmethod
    def of(cls, face: np.ndarray | None, *choices) -> "ExplainRequest":
        return replace(cls(face, *choices), pixels=b"" if face is None else face.tobytes())

    @property
    def drawing(self) -> Drawing:
        return drawing(self.drawn)


@dataclass
class CurrentRequest:
    """The request that a visitor waits for; the one object of a session that handlers share while they work."""

    request: ExplainRequest | None = None
    begun: ExplainRequest | None = None  # what was last worked on


@dataclass(frozen=True)
class ExplanationState:
    """What a visitor has before them; kept in a `gr.State`."""

    model: str
    explanation: Explanation
    request: ExplainRequest


@dataclass(frozen=True)
class FaithfulnessCache:
    """How the output changes with the face, for all maps of one target; and the map that was last measured."""

    key: tuple
    changes: OutputChanges
    shown: ExplanationState


def drawing(chosen: tuple[str, ...]) -> Drawing:
    return Drawing(SMOOTH in chosen, HIDE_PHOTO in chosen, SHARED_SCALE in chosen)


# ---- the map


def note(request: ExplainRequest, current: CurrentRequest) -> None:
    """Keeps what is wanted now, so that work on anything else ends."""
    current.request = None if request.face is None else request


def explain(request: ExplainRequest, current: CurrentRequest, weights: Path) -> Iterator[dict]:
    """The map of a request; what the model does not offer is chosen no longer.

    What fails leaves no map, as that of an earlier request must not stand beside this one.
    """
    current.request = current.begun = None if request.face is None else request
    if request.face is None:
        yield {"hint": "", **_without_map(view.NO_FACE)}
        return
    try:
        yield from _explain(request, current, weights)
    except Exception:  # raised again: Gradio tells it
        if current.request == request:
            yield stop(request, current)
        raise


def _explain(request: ExplainRequest, current: CurrentRequest, weights: Path) -> Iterator[dict]:
    model, measured = load_network(weights, request.model), benchmark.load_benchmark(weights / request.model)
    chosen, menus = _menus(request, model, measured)
    method, target, contrast, layer = chosen
    options = (method, target or None, contrast or None, request.top_percent / 100, request.baseline, layer or None)
    menus["hint"] = method_menu.hint(model, method, measured)
    with errors_as_messages():
        for step in run_with_progress(
            lambda watch: explanation.explain_face(model, request.face, *options, watch),
            lambda: current.request == request,
        ):
            if isinstance(step, JobResult):
                yield menus | _with_map(ExplanationState(request.model, step.result, request))
            else:
                tile = view.progress(request.face, method_menu.name(method), step, METHODS[method].passes)
                yield menus | _without_map(tile)


def _menus(request: ExplainRequest, model: nn.Module, measured: list[dict]) -> tuple[tuple[str, ...], dict]:
    """What the model offers of the choices, and the updates of their menus."""
    methods = method_menu.order(model, measured)
    method = request.method if request.method in methods else methods[0]
    target, contrast = (label if label in model.labels else "" for label in (request.target, request.contrast))
    layers = target_layer.target_layers(model) if METHODS[method].layered else []
    layer = request.layer if request.layer in layers else ""
    return (method, target, contrast, layer), {
        "method": gr.update(choices=method_menu.choices(model, measured), value=method),
        "target": gr.update(choices=[(PREDICTED, ""), *model.labels], value=target),
        "contrast": gr.update(choices=[(NONE, ""), *model.labels], value=contrast),
        "layer": gr.update(choices=[(LAST_LAYER, ""), *layers], value=layer, visible=bool(layers)),
    }


def _with_map(shown: ExplanationState) -> dict:
    found, drawn = shown.explanation, shown.request.drawing
    return _without_map(view.input_and_map(found, drawn)) | {
        "masked": view.masked_input(found, found.masked, found.probabilities[1], found.top_fraction),
        "shown": shown,
        "scores": view.MEASURING,
        "curves": view.SPACE,
    }


def _without_map(pictures: str) -> dict:
    """The pictures' place without a map, and nothing left of an earlier one."""
    empty = dict.fromkeys(("masked", "scores", "curves"), "")
    hidden = {"randomised": "", "compared_methods": "", "compared_classes": ""}
    return {"pictures": pictures, **empty, **hidden, "shown": None, "compared": None}


def open_tab(
    request: ExplainRequest, current: CurrentRequest, shown: ExplanationState | None, weights: Path
) -> Iterator[dict]:
    """When the tab is opened: for another face or model its predicted class; what is there already stays."""
    same = shown and shown.model == request.model and np.array_equal(shown.explanation.face, request.face)
    if same:
        return
    method = request.method if shown else ""  # at first the model's most faithful one
    request = replace(request, method=method, target="", contrast="", layer="")
    yield from explain(request, current, weights)


def stop(request: ExplainRequest, current: CurrentRequest) -> dict:
    """The face without a map."""
    current.request = None
    return {"hint": "", **_without_map(view.NO_FACE if request.face is None else view.without_map(request.face))}


def fail(request: ExplainRequest, current: CurrentRequest) -> dict:
    """The same for a request on which nobody began, as too many others wait.

    What follows a failure follows a Stop as well, and late: then another request may be worked on.
    """
    return {} if current.begun == current.request else stop(request, current)


# ---- what comes after the map


def measure(
    shown: ExplanationState | None, known: FaithfulnessCache | None, current: CurrentRequest, weights: Path
) -> Iterator[dict]:
    """The map's scores beside those of the baselines, and its deletion and insertion curves."""
    if shown is None:
        yield {"scores": "", "curves": "", "known": None}
    if shown is None or shown.request != current.request or (known and known.shown is shown):
        return
    model, found = load_network(weights, shown.model), shown.explanation
    known = output_changes(model, shown, known)
    ranks = method_menu.rank_text(found.method, benchmark.load_benchmark(weights / shown.model))
    yield {"scores": view.scores(explanation.score_explanation(found, known.changes), *ranks), "known": known}
    yield {"curves": view.curves(found.target, *explanation.deletion_insertion(model, found))}


def output_changes(model: nn.Module, shown: ExplanationState, known: FaithfulnessCache | None) -> FaithfulnessCache:
    """What is known already, or else found now: it is the same for every method."""
    found = shown.explanation
    key = (shown.model, shown.request.pixels, found.target, found.against)
    same = known is not None and known.key == key
    changes = known.changes if same else explanation.measure_output_changes(model, found)
    return FaithfulnessCache(key, changes, shown)


def remask(shown: ExplanationState | None, percent: float, weights: Path) -> dict:
    """The masked input for another share, predicted again."""
    if shown is None:
        return {}
    pixels, chance = _masked(shown, percent, weights)
    return {"masked": view.masked_input(shown.explanation, pixels, chance, percent / 100)}


def catch_up(shown: ExplanationState | None, percent: float, weights: Path) -> dict:
    """The masked input for the share that was set while its map was still being computed."""
    same = shown is None or shown.explanation.top_fraction == percent / 100
    return {} if same else remask(shown, percent, weights)


def _masked(shown: ExplanationState, percent: float, weights: Path) -> tuple[np.ndarray, float]:
    model, found = load_network(weights, shown.model), shown.explanation
    with errors_as_messages():
        maps = torch.from_numpy(found.map)[None, None]  # (1, 1, 48, 48)
        pixels, chances = explanation.masked_face(model, found.face, maps, percent / 100)
    return pixels, chances[explanation.label_index(model, found.target)]


def redraw(shown: ExplanationState | None, compared: tuple | None, drawn: list[str]) -> dict:
    """The map, and those that are compared, drawn otherwise."""
    if shown is None:
        return {}
    values = {"pictures": view.input_and_map(shown.explanation, drawing(drawn))}
    if compared:
        maps, which = compared
        values[f"compared_{which}"] = view.compared_maps(shown.explanation.face, maps, which, drawing(drawn))
    return values


def compare(
    shown: ExplanationState | None, known: FaithfulnessCache | None, drawn: list[str], current: CurrentRequest,
    which: str, weights: Path,
) -> Iterator[dict]:  # fmt: skip
    """The maps of all `methods`, or of all `classes`, as they are computed."""
    model, found = load_network(weights, _require(shown).model), shown.explanation
    if which == "methods":
        names = list_methods(model)
        each = partial(explanation.explain_by_method, model, found, output_changes(model, shown, known).changes)
    else:
        names, each = model.labels, partial(explanation.explain_label, model, found)
    maps, grid = [], ""
    for name in names:
        method = name if which == "methods" else found.method
        for step in run_with_progress(
            lambda watch, name=name: each(name, on_forward=watch), lambda: current.request == shown.request
        ):
            if isinstance(step, JobResult):
                maps = [*maps, step.result]
                grid = view.compared_maps(found.face, maps, which, drawing(drawn))
                yield {f"compared_{which}": grid, "compared": (maps, which)}
            else:
                title = method_menu.name(name) if which == "methods" else name
                yield {f"compared_{which}": view.unfinished(grid, title, step, METHODS[method].passes)}
        if current.request != shown.request:
            return


def stop_comparing(shown: ExplanationState | None, compared: tuple | None, drawn: list[str], which: str) -> dict:
    """The maps that there are."""
    there = shown and compared and compared[1] == which
    grid = view.compared_maps(shown.explanation.face, *compared, drawing(drawn)) if there else ""
    return {f"compared_{which}": grid}


def randomise(shown: ExplanationState | None, drawn: list[str], which: str, weights: Path) -> dict:
    """The map of the model with its `last` layer, or `all`, re-initialised."""
    model = load_network(weights, _require(shown).model)
    values, rank = explanation.randomized_map(model, shown.explanation, which)
    return {"randomised": view.randomised(shown.explanation, values, rank, which, drawing(drawn))}


def download(shown: ExplanationState | None, percent: float, drawn: list[str], weights: Path) -> tuple[str, str]:
    """The three pictures as the address of a PNG, and its name."""
    pixels, _ = _masked(_require(shown), percent, weights)
    name = f"{shown.explanation.method}-{shown.explanation.target}.png"
    safe = "".join(c for c in name if c.isalnum() or c in "-.")
    return view.png(shown.explanation, pixels, drawing(drawn)), safe


def _require(shown: ExplanationState | None) -> ExplanationState:
    if shown is None:
        raise user_error("There is no map yet: choose a face in the Predict tab.")
    return shown


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Turns a request that cannot be explained into a message on the page."""
    try:
        yield
    except ValueError as error:
        raise user_error(str(error)) from None
