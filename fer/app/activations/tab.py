"""The Activations tab: what each filter of a layer answers to this face, from pixels to probabilities.

tab(shared)     lays it out, inside a `gr.Tab`, whose opening asks for the maps

A layer is one composed picture, sent as a data address: nothing is written to disk. `state.py` says what a
visitor sees, `layer_slider.py` is the slider, `grid.py` the sheet of maps, `card.py` the card of one map,
`redundancy.py` tells which filters are redundant, and `app/webcam.py` lets the maps follow the webcam.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.context import get_render_context

from fer.app import webcam
from fer.app.activations import card as activations_card
from fer.app.activations import grid, layer_slider, redundancy
from fer.app.activations.card import filters_of
from fer.app.activations.state import DIFFERENCE, NOBODY, ORDERS, ActivationState, measured, placed, see, status
from fer.app.errors import user_error
from fer.app.events import QUIET, event_value, validated_index
from fer.app.examples import example_files, example_name, find_face
from fer.app.model_cache import load_network
from fer.app.session import FilterRequest, Session
from fer.features import layer_report

EACH, LAYER = SCALES = ("per map", "per layer")

INTRO = "What does each filter see in this face? Slide from pixels to probabilities. Red is above 0, blue below, white \
is 0. Click a map to enlarge it."


CHOOSE = ". Choose your own face in the Predict tab."


# ---- drawing


def view(seen: ActivationState, order: str, scale: str, opened: int | None) -> gr.HTML:
    """The sheet, always with all of its properties: Gradio drops those that an update leaves out of an undrawn tab."""
    places = placed(seen.answer, seen.other, order)
    value, more = grid.sheet(seen.answer, places, opened, scale == LAYER, seen.face, seen.other)
    return gr.HTML(value, **grid.NOTHING | more | {"status": status(seen, places), "opened": opened})


def card(seen: ActivationState, opened: int | None, *, weights: Path) -> str:
    if opened is None:
        return activations_card.HINT
    known = measured(weights, seen.network)
    chain = load_network(weights, seen.network)
    return activations_card.card(chain, seen.network, seen.answer, opened, seen.face, known.faces if known else 0)


# ---- handlers: all read (face, network, layer, beside, order, scale, seen, opened)


def enter(
    face: np.ndarray | None, network: str, layer: str | None, beside: str, order: str, scale: str,
    seen: ActivationState | None, opened: int | None, *, weights: Path,
) -> tuple:  # fmt: skip
    """All of the tab for the face of the other tabs: when it is opened, and for another network."""
    now = see(network, layer, face, beside, weights=weights)
    opened = _still(seen, now, opened, weights)
    return (
        now,
        now.answer.layer,
        opened,
        webcam.shown(now.face, now.whose + CHOOSE * (example_name(now.face) is not None)),
        layer_slider.drawn(load_network(weights, network), now.answer.layer),
        view(now, order, scale, opened),
        card(now, opened, weights=weights),
    )


def turn(
    face: np.ndarray | None, network: str, layer: str | None, beside: str, order: str, scale: str,
    seen: ActivationState | None, opened: int | None, event: gr.EventData, *, weights: Path,
) -> tuple:  # fmt: skip
    """Another layer of the same face: (seen, layer, opened, slider, sheet, card)."""
    names = layer_report.list_steps(load_network(weights, network))
    now = _again(face, network, names[validated_index(event, len(names))], beside, seen, weights)
    opened = _still(seen, now, opened, weights)
    return (
        now,
        now.answer.layer,
        opened,
        gr.HTML(answered=event_value(event, "number") or 0),
        view(now, order, scale, opened),
        card(now, opened, weights=weights),
    )


def compare(
    face: np.ndarray | None, network: str, layer: str | None, beside: str, order: str, scale: str,
    seen: ActivationState | None, opened: int | None, *, weights: Path,
) -> tuple:  # fmt: skip
    """An example beside the face, or none any more: (seen, order, sheet)."""
    now = _again(face, network, layer, beside, seen, weights)
    if now.other is None:
        order = ORDERS[0] if order == DIFFERENCE else order
        return now, gr.Dropdown(list(ORDERS), value=order), view(now, order, scale, opened)
    return now, gr.Dropdown([*ORDERS, DIFFERENCE], value=DIFFERENCE), view(now, DIFFERENCE, scale, opened)


def redraw(seen: ActivationState | None, order: str, scale: str, opened: int | None) -> gr.HTML | dict:
    return view(seen, order, scale, opened) if seen else gr.skip()


def choose(seen: ActivationState | None, event: gr.EventData, *, weights: Path) -> tuple:
    """(opened, card, sheet), whose tile is pressed."""
    index = validated_index(event, len(seen.answer.values) if seen else 0)
    return index, card(seen, index, weights=weights), gr.HTML(opened=index)


def jump(
    seen: ActivationState | None, opened: int | None, wanted: FilterRequest | None, *, weights: Path
) -> FilterRequest:
    """The open filter, for the Filters tab."""
    if seen is None or opened is None:
        raise user_error("Choose a map first.")
    layer = filters_of(load_network(weights, seen.network), seen.answer.layer)
    return FilterRequest(seen.network, layer, opened, wanted.visit + 1 if wanted else 0)


def live(
    network: str, layer: str | None, beside: str, order: str, scale: str, opened: int | None,
    event: gr.EventData, *, weights: Path,
) -> tuple:  # fmt: skip
    """A frame of the webcam: (seen, face box, sheet, card). It is read in memory and forgotten, but for its face."""
    number, picture = webcam.frame(event)
    face = find_face(picture, whole_picture=False)
    if face is None:
        return gr.skip(), webcam.answered(number, "No face in sight."), gr.skip(), gr.skip()
    now = see(network, layer, face, beside, weights=weights, live=True)
    drawn = card(now, opened, weights=weights) if opened is not None else gr.skip()
    return now, webcam.answered(number, now.whose, face), view(now, order, scale, opened), drawn


def _again(
    face: np.ndarray | None, network: str, layer: str | None, beside: str, seen: ActivationState | None, weights: Path
) -> ActivationState:
    """What `see` gives for the face that is shown: the webcam's last one, where it was the webcam's."""
    held = seen is not None and seen.live
    return see(network, layer, seen.face if held else face, beside, weights=weights, live=held)


def _still(before: ActivationState | None, now: ActivationState, opened: int | None, weights: Path) -> int | None:
    """The open filter, where what is shown now are the same filters: before and behind their activation, say."""
    if before is None or before.network != now.network or len(before.answer.values) != len(now.answer.values):
        return None
    chain = load_network(weights, now.network)
    layers = {filters_of(chain, seen.answer.layer) for seen in (before, now)}
    return opened if len(layers) == 1 else None


# ---- layout


def tab(shared: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    with gr.Row():
        beside = gr.Dropdown([NOBODY, *(file.stem for file in example_files())], value=NOBODY, min_width=140,
                             label="Compare with", elem_id="beside")  # fmt: skip
        order = gr.Dropdown(list(ORDERS), value=ORDERS[0], label="Order", elem_id="map-order", min_width=140)
        scale = gr.Dropdown(list(SCALES), value=EACH, label="Scale of the colours", elem_id="scale", min_width=140)
    with gr.Row(elem_id="way"):
        face = webcam.box()
        slider = _html("ladder", "", layer_slider.CSS, layer_slider.JS, answered=0)
    with gr.Row(elem_id="maps"):
        sheet = gr.HTML("", **grid.NOTHING, html_template=grid.SHEET, css_template=grid.CSS, js_on_load=grid.JS,
                        apply_default_css=False, elem_id="map-sheet", min_width=300)  # fmt: skip
        one = _html("map-card", activations_card.HINT, activations_card.CSS, activations_card.JS, min_width=300)
    redundancy.section(shared)
    _wire(shared, (beside, order, scale), (face, slider, sheet, one))


def _html(name: str, value: str, css: str, js: str, **place) -> gr.HTML:
    return gr.HTML(value, css_template=css, js_on_load=js, apply_default_css=False, elem_id=name, **place)


def _wire(shared: Session, fields: tuple, parts: tuple[gr.HTML, ...]) -> None:
    beside, order, scale = fields
    face, slider, sheet, one = parts
    seen, layer, opened = (gr.State(None) for _ in range(3))
    weights = {"weights": shared.weights}
    read = [shared.face, shared.model, layer, beside, order, scale, seen, opened]
    everything = [seen, layer, opened, face, slider, sheet, one]
    for asked in (get_render_context().select, shared.model_change_in("Activations")):
        asked(partial(enter, **weights), read, everything, **QUIET)
    beside.input(partial(compare, **weights), read, [seen, order, sheet], **QUIET)
    gr.on([order.input, scale.input], redraw, [seen, order, scale, opened], sheet, **QUIET)

    many = {"trigger_mode": "multiple", **QUIET}
    slider.choice(_with_event(turn, weights), read, [seen, layer, opened, slider, sheet, one], **many)
    for clicked in (sheet.choice, one.choice):
        clicked(_with_event(choose, weights), seen, [opened, one, sheet], **many)
    one.jump(partial(jump, **weights), [seen, opened, shared.filter_request], shared.filter_request, **QUIET)
    face.frame(
        _with_event(live, weights), [shared.model, layer, beside, order, scale, opened], [seen, face, sheet, one],
        concurrency_id="follow", concurrency_limit=2, **many,
    )  # fmt: skip


def _with_event(handler: Callable, weights: dict) -> Callable:
    """The handler with its folder; Gradio hands an event over only where it can read the parameter's type."""

    def handle(event: gr.EventData, *values):
        return handler(*values, event, **weights)

    return handle
