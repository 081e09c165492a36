"""The Filters tab's handlers: (state, choices) -> values by the name of the component that they go into.

A component that is not named stays as it is. `choices` are the controls' values in the order of `make_request`.
"""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from fer.app.errors import user_error
from fer.app.events import validated_index
from fer.app.filters import card as filters_card
from fer.app.filters import job
from fer.app.filters.job import JobToken, VisualizationRequest, VisualizationState
from fer.app.filters.menus import Remembered, filter_pages, filters_text, layer_menus
from fer.app.filters.sheet import ORDERS, render_sheet
from fer.app.model_cache import load_network
from fer.app.session import FilterRequest
from fer.features import atlas, visualization
from fer.features.presets import PARTS, PRESETS
from fer.models import checkpoint

NOISE, FACE = ORIGINS = ("noise", "current face")
OF_PRESET = "preset"
HINT = '<div class="empty">Select an image to see its kernel, activation and nearest filters.</div>'
NO_CARD = {"card": HINT, "opened": None, "other": None, "compare": gr.update(visible=False)}


def run_or_stop(running: bool) -> dict:
    """Of the two buttons the one that can be pressed now; they stand in the same place."""
    return {"run": gr.update(visible=not running), "stop": gr.update(visible=running)}


def make_request(
    weights: Path, model: str, layer: str, which: str, preset: str, steps: float, seed: float, origin: str,
    budget: float, face: np.ndarray | None, *parts: str,
) -> VisualizationRequest:  # fmt: skip
    """The choices, checked; parts: a name for each of PARTS, or OF_PRESET. Raises gr.Error."""
    if origin == FACE and face is None:
        raise user_error("There is no current face: choose one in the Predict tab.")
    start = {"face": face, "budget": budget} if origin == FACE else {}
    named = zip(list(PARTS)[: len(parts)], parts, strict=True)
    replaced = tuple((part, name) for part, name in named if name != OF_PRESET)
    return job.make_request(weights, model, layer, which, preset, steps, seed, parts=replaced, **start)


# ---- running and stopping


def begin(token: JobToken) -> dict:
    """A click on Run: the run is queued until its turn comes."""
    token.begin()
    return {**run_or_stop(True), "sheet": gr.HTML(status="Queued.", progress=""), **NO_CARD}


def stop(token: JobToken, state: VisualizationState | None, order: str, opened: int | None) -> dict:
    """A click on Stop: the run ends at its next step, and the sheet says so at once."""
    token.end()
    sheet = gr.HTML(status="Stopped.", progress="")
    if state is not None and not state.precomputed:
        sheet = render_sheet(state, order, opened, stopped=True)
    return {**run_or_stop(False), "sheet": sheet}


def run(token: JobToken, order: str, *choices, weights: Path) -> Iterator[dict]:
    """The sheet after every few steps, for as long as this run is the current one."""
    mine = token.wanted
    if not mine:  # stopped while it was queued
        return
    request = make_request(weights, *choices)
    yield {"sheet": gr.HTML(status=f"Preparing {len(request.filters)} images.", progress="")}
    for state in job.run(request, weights):
        if token.wanted != mine:
            return
        yield {"sheet": render_sheet(state, order), "state": state}


def finish(
    token: JobToken, state: VisualizationState | None, order: str, opened: int | None, face: np.ndarray | None,
    *, weights: Path,
) -> dict:  # fmt: skip
    """After a run: sheet and open card as they are now. A run that another one replaced changes nothing."""
    stopped = not token.wanted
    if not (stopped or state and state.ended):
        return {}
    token.end()
    card = {} if state is None or opened is None else {"card": filters_card.card(state, opened, face, weights)}
    return {"sheet": render_sheet(state, order, opened, stopped)} | run_or_stop(False) | card


def fail(token: JobToken) -> dict:
    """After an error, of which Gradio tells the visitor."""
    token.end()
    return {**run_or_stop(False), "sheet": gr.HTML(status="", progress="")}


def cancel(token: JobToken) -> dict:
    """Other choices end a run."""
    token.end()
    return run_or_stop(False)


def new_seed(token: JobToken, seed: float) -> dict:
    token.end()
    return {"seed": int(seed) + 1}


# ---- the card


def open_card(state: VisualizationState | None, face: np.ndarray | None, event: gr.EventData, *, weights: Path) -> dict:
    """A click on a tile."""
    index = validated_index(event, len(state.names) if state else 0)
    return {
        "card": filters_card.card(state, index, face, weights),
        "opened": index,
        "other": None,
        "compare": gr.update(visible=True),
    }


def try_seed(
    state: VisualizationState | None, opened: int | None, other: VisualizationState | None, face: np.ndarray | None,
    *, weights: Path,
) -> Iterator[dict]:  # fmt: skip
    """The open filter once more, each time from the next seed, beside its image."""
    if state is None or opened is None:
        raise user_error("Select an image first.")
    seed = (other or state).request.seed + 1
    for another in job.run(job.single_filter(state, opened, seed), weights):
        yield {"card": filters_card.card(state, opened, face, weights, another), "other": another}


# ---- the menus, and what is precomputed


def change_model(
    state: VisualizationState | None, remembered: Remembered, opened: int | None, order: str, *choices, weights: Path
) -> dict:
    """Another model: its layer and filters that were chosen last, or its classes.

    A link has changed the model before the browser can know of the layer, so what is shown counts more.
    """
    model, *rest = choices
    if state is not None and state.request.network == model:
        layer, which = state.request.layer, filters_text(state.request.filters)
        return {**layer_menus(model, layer, which, weights=weights), **_again(state, opened, order, choices, weights)}
    menus = layer_menus(model, *(remembered or {}).get(model, (None, None)), weights=weights)
    chosen = (model, menus["layer"]["value"], menus["which"]["value"], *rest[2:])
    return {**menus, **browse(None, remembered, None, order, *chosen, weights=weights)}


def change_layer(
    state: VisualizationState | None, remembered: Remembered, opened: int | None, order: str, *choices, weights: Path
) -> dict:
    """Another layer: its first page of filters."""
    model, layer, _, *rest = choices
    which = filter_pages(model, layer, weights=weights)
    return {"which": which} | browse(
        state, remembered, opened, order, model, layer, which["value"], *rest, weights=weights
    )


def browse(
    state: VisualizationState | None, remembered: Remembered, opened: int | None, order: str, *choices, weights: Path
) -> dict:
    """What is precomputed of the choices. Where nothing is, the sheet stays; the choices are remembered."""
    model, layer, which, *_ = choices
    kept = {"remembered": {**(remembered or {}), model: (layer, which)}}
    try:
        request = make_request(weights, *choices)
        visualization.check_filters(load_network(weights, model), request.layer, request.filters)
    except (gr.Error, ValueError):  # told once the visitor presses Run
        return kept | _again(state, opened, order, choices, weights)
    found = job.load_precomputed(request, weights)
    if found is None and state is not None and state.request.network == model:
        return kept | _again(state, opened, order, choices, weights)
    stale = found is None and atlas.is_stale(weights / model, layer)
    message = "The precomputed images are of earlier weights. Press Run." if stale else ""
    return kept | NO_CARD | {"sheet": render_sheet(found, order, message=message), "state": found}


def _again(state: VisualizationState | None, opened: int | None, order: str, choices: tuple, weights: Path) -> dict:
    """Sent once more and not skipped: of a tab that is not drawn yet, Gradio would forget what it shows."""
    card = HINT if state is None or opened is None else filters_card.card(state, opened, choices[8], weights)
    compare = gr.update(visible=card != HINT)
    return {
        "sheet": render_sheet(state, order, opened),
        "state": state,
        "card": card,
        "opened": opened,
        "compare": compare,
    }


# ---- links


def open_link(link: gr.Request | FilterRequest, *, weights: Path) -> Iterator[dict]:
    """A linked filter, precomputed or run now, with its card open and all choices as the link has them.

    Without a link, only what is precomputed of the choices that the page opens with.
    """
    request = filters_card.parse_link(dict(link.query_params), weights)
    if request is None:
        state = first_state(weights)
        yield {"sheet": render_sheet(state, ORDERS[0]), "state": state, **NO_CARD}
        return
    parts = {part: dict(request.parts).get(part, OF_PRESET) for part in PARTS}
    menus = layer_menus(request.network, request.layer, filters_text(request.filters), weights=weights)
    chosen = {"model": request.network, **menus, "preset": request.preset, "steps": request.steps, **parts}
    chosen["seed"] = request.seed
    found = job.load_precomputed(request, weights)
    for state in job.run(request, weights) if found is None else [found]:
        card = filters_card.card(state, 0, None, weights)
        yield chosen | {"sheet": render_sheet(state, ORDERS[0], 0), "state": state, "card": card, "opened": 0,
               "compare": gr.update(visible=True)}  # fmt: skip
        chosen = {}  # what the visitor turns to meanwhile is left alone


def first_state(weights: Path) -> VisualizationState | None:
    """What is precomputed of the choices that the page opens with, so that there is something to look at."""
    names = checkpoint.list_checkpoints(weights)
    try:
        menus = layer_menus(names[0] if names else None, weights=weights)
        preset = next(iter(PRESETS))
        chosen = (menus["layer"]["value"], menus["which"]["value"], preset, PRESETS[preset].steps, 0)
        return job.load_precomputed(job.make_request(weights, names[0], *chosen), weights)
    except (gr.Error, IndexError):
        return None
