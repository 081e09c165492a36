"""The Activations tab's handlers: choices -> values by the name of the component that they go into.

A component that is not named stays as it is.
"""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np

from fer.app import webcam
from fer.app.activations import card as activations_card
from fer.app.activations import grid
from fer.app.activations.card import weight_layer
from fer.app.activations.layer_slider import render_slider
from fer.app.activations.state import (
    DIFFERENCE,
    NO_FACE,
    NUMBER,
    ORDERS,
    ActivationState,
    compute_state,
    load_measured,
    sort_filters,
    status_text,
)  # fmt: skip
from fer.app.errors import user_error
from fer.app.events import event_value, validated_index
from fer.app.examples import find_face
from fer.app.model_cache import load_network
from fer.app.session import FilterRequest
from fer.features import layer_report

PER_MAP, PER_LAYER = SCALES = ("per map", "per layer")
SCALE_TEXT = {PER_MAP: "full colour at each map's own maximum", PER_LAYER: "one scale for all maps of the layer"}


@dataclass(frozen=True)
class ActivationRequest:
    """A visitor's choices, in the order of the tab's inputs, and what they have before them."""

    face: np.ndarray | None
    model: str
    layer: str | None = None
    compared_with: str = NO_FACE
    order: str = NUMBER
    scale: str = PER_MAP
    every_layer: bool = False
    state: ActivationState | None = None
    opened: int | None = None


def open_tab(request: ActivationRequest, weights: Path) -> dict:
    """All of the tab for the current face: when it is opened, and for another model."""
    state = compute_state(request.model, request.layer, request.face, request.compared_with, weights=weights)
    return {
        "face_box": webcam.shown(state.face, state.face_name),
        "slider": render_slider(load_network(weights, request.model), state.report.layer, request.every_layer),
        **_render(request, state, weights),
    }


def select_layer(request: ActivationRequest, event: gr.EventData, weights: Path) -> dict:
    """Another layer of the same face."""
    names = layer_report.list_steps(load_network(weights, request.model))
    state = _same_face(request, names[validated_index(event, len(names))], weights)
    return {"slider": gr.HTML(answered=event_value(event, "number") or 0), **_render(request, state, weights)}


def show_layers(request: ActivationRequest, weights: Path) -> dict:
    """The slider with all layers, or without normalisation."""
    state = request.state or _same_face(request, request.layer, weights)
    return {"slider": render_slider(load_network(weights, request.model), state.report.layer, request.every_layer)}


def _render(request: ActivationRequest, state: ActivationState, weights: Path) -> dict:
    opened = _still_open(request, state, weights)
    return {
        "state": state,
        "layer": state.report.layer,
        "opened": opened,
        "sheet": render_sheet(state, request.order, request.scale, opened),
        "card": render_card(state, opened, weights),
    }


def compare(request: ActivationRequest, weights: Path) -> dict:
    """An example beside the face, sorted by difference; or none any more."""
    state = _same_face(request, request.layer, weights)
    options, order = list(ORDERS), NUMBER if request.order == DIFFERENCE else request.order
    if state.other is not None:
        options, order = [*ORDERS, DIFFERENCE], DIFFERENCE
    sheet = render_sheet(state, order, request.scale, request.opened)
    return {"state": state, "order": gr.Dropdown(options, value=order), "sheet": sheet}


def redraw(request: ActivationRequest, weights: Path) -> dict:
    """Another order, or another scale of the colours."""
    if request.state is None:
        return {}
    return {"sheet": render_sheet(request.state, request.order, request.scale, request.opened)}


def open_card(request: ActivationRequest, event: gr.EventData, weights: Path) -> dict:
    """A click on a map, or on one of the most correlated filters of a card."""
    index = validated_index(event, len(request.state.report.values) if request.state else 0)
    return {"opened": index, "card": render_card(request.state, index, weights), "sheet": gr.HTML(opened=index)}


def visualise(request: ActivationRequest, before: FilterRequest | None, weights: Path) -> FilterRequest:
    """The open filter, for the Filters tab."""
    state, opened = request.state, request.opened
    if state is None or opened is None:
        raise user_error("Select a map first.")
    layer = weight_layer(load_network(weights, state.model), state.report.layer)
    return FilterRequest(state.model, layer, opened, before.visit + 1 if before else 0)


def show_frame(request: ActivationRequest, event: gr.EventData, weights: Path) -> dict:
    """A frame of the webcam. It is read in memory; only its face is kept."""
    number, picture = webcam.frame(event)
    face = find_face(picture, whole_picture=False)
    if face is None:
        return {"face_box": webcam.answered(number, "No face detected.")}
    state = compute_state(request.model, request.layer, face, request.compared_with, weights=weights, live=True)
    card = {} if request.opened is None else {"card": render_card(state, request.opened, weights)}
    return {
        "state": state,
        "current_face": face,
        "face_box": webcam.answered(number, state.face_name, face),
        "sheet": render_sheet(state, request.order, request.scale, request.opened),
        **card,
    }


# ---- markup


def render_sheet(state: ActivationState, order: str, scale: str, opened: int | None) -> gr.HTML:
    """The sheet, always with all of its properties: Gradio drops those that an update leaves out of an undrawn tab."""
    places = sort_filters(state.report, state.other, order)
    value, more = grid.render_sheet(state.report, places, opened, scale == PER_LAYER, state.face, state.other)
    text = {"status": status_text(state, places), "legend": SCALE_TEXT.get(scale, ""), "opened": opened}
    return gr.HTML(value, **grid.EMPTY | more | text)


def render_card(state: ActivationState, opened: int | None, weights: Path) -> str:
    if opened is None:
        return activations_card.HINT
    known = load_measured(weights, state.model)
    chain, faces = load_network(weights, state.model), known.faces if known else 0
    return activations_card.render_card(chain, state.model, state.report, opened, state.face, faces)


def _same_face(request: ActivationRequest, layer: str | None, weights: Path) -> ActivationState:
    """The state for the face that is shown: the webcam's last one, where it was the webcam's."""
    live = request.state is not None and request.state.live
    face = request.state.face if live else request.face
    return compute_state(request.model, layer, face, request.compared_with, weights=weights, live=live)


def _still_open(request: ActivationRequest, state: ActivationState, weights: Path) -> int | None:
    """The open filter, where the same filters are shown now: before and behind their activation, say."""
    before = request.state
    if before is None or before.model != state.model or len(before.report.values) != len(state.report.values):
        return None
    chain = load_network(weights, state.model)
    layers = {weight_layer(chain, shown.report.layer) for shown in (before, state)}
    return request.opened if len(layers) == 1 else None
