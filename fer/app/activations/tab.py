"""The Activations tab: the feature maps of every layer for the current face, from pixels to probabilities.

tab(session)    lays it out, inside a `gr.Tab`, whose opening computes the maps

A layer is one composed picture, sent as a data address: nothing is written to disk. `handlers.py` has what the events
do, `state.py` what a visitor has before them, `layer_slider.py`, `grid.py` and `card.py` are the markup,
`redundancy.py` is the section on redundant filters, and `app/webcam.py` lets the maps follow the webcam.
"""

from collections.abc import Callable

import gradio as gr
from gradio.components import Component
from gradio.context import get_render_context

from fer.app import static, webcam
from fer.app.activations import card as activations_card
from fer.app.activations import grid, handlers, redundancy
from fer.app.activations.handlers import PER_MAP, SCALES, ActivationRequest
from fer.app.activations.state import NO_FACE, NUMBER, ORDERS
from fer.app.events import QUIET, by_name
from fer.app.examples import example_files
from fer.app.session import Session

INTRO = "### Feature maps per layer\nThe activations of each filter for the current face. Select a map to enlarge it."


def tab(session: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    with gr.Row():
        compared_with = gr.Dropdown(
            [NO_FACE, *(file.stem for file in example_files())], value=NO_FACE, label="Compare with",
            info="An example beside each map.", elem_id="beside", min_width=140,
        )  # fmt: skip
        order = gr.Dropdown(
            list(ORDERS), value=NUMBER, label="Sort", info="Similar maps beside each other, or the strongest first.",
            elem_id="map-order", min_width=140,
        )  # fmt: skip
        scale = gr.Dropdown(
            list(SCALES), value=PER_MAP, label="Colour scale", info="Per layer makes maps comparable.",
            elem_id="scale", min_width=140,
        )  # fmt: skip
    with gr.Row(elem_id="way"):
        face_box = webcam.box()
        with gr.Column():
            slider = _html("ladder", "", "layer_slider.js", answered=0)
            every_layer = gr.Checkbox(label="All layers", info="Also batch normalisation.", elem_id="every-layer")
    with gr.Row(elem_id="maps"):
        sheet = _html(
            "map-sheet", "", "choice.js", "sheet.js", html_template=static.text("activations.html"), min_width=300,
            **grid.EMPTY,
        )  # fmt: skip
        card = _html(
            "map-card", activations_card.HINT, "choice.js", "card.js", "visualise.js", sheet="#map-sheet", min_width=300
        )
    redundancy.section(session)
    states = {name: gr.State(None) for name in ("layer", "state", "opened")}
    outputs = {"face_box": face_box, "slider": slider, "sheet": sheet, "card": card, "order": order, **states}
    inputs = [session.face, session.model, states["layer"], compared_with, order, scale, every_layer]
    _wire(session, [*inputs, states["state"], states["opened"]], outputs | {"current_face": session.face})


def _html(elem_id: str, value: str, *scripts: str, **properties) -> gr.HTML:
    return gr.HTML(
        value, css_template=static.text("tabs.css", "activations.css"), js_on_load=static.text(*scripts),
        apply_default_css=False, elem_id=elem_id, **properties,
    )  # fmt: skip


def _wire(session: Session, inputs: list[Component], outputs: dict[str, Component]) -> None:
    """Every event of the tab; all handlers take an `ActivationRequest`."""
    weights, every = session.weights, list(outputs.values())
    _, _, _, compared_with, order, scale, every_layer, *_ = inputs

    def on(handler: Callable[..., dict]) -> tuple:
        return by_name(outputs, lambda *values: handler(ActivationRequest(*values), weights)), inputs, every

    def on_event(handler: Callable[..., dict]) -> tuple:
        # Gradio hands an event over only where it can read the parameter's type.
        def call(event: gr.EventData, *values) -> dict:
            return handler(ActivationRequest(*values), event, weights)

        return by_name(outputs, call), inputs, every

    entered = [get_render_context().select, session.model_change_in("Activations")]
    gr.on(entered, *on(handlers.open_tab), **QUIET)
    compared_with.input(*on(handlers.compare), **QUIET)
    gr.on([order.input, scale.input], *on(handlers.redraw), **QUIET)
    every_layer.input(*on(handlers.show_layers), **QUIET)

    many = {"trigger_mode": "multiple", **QUIET}
    outputs["slider"].choice(*on_event(handlers.select_layer), **many)
    for part in ("sheet", "card"):
        outputs[part].choice(*on_event(handlers.open_card), **many)
    outputs["face_box"].frame(
        *on_event(handlers.show_frame), concurrency_id="follow", concurrency_limit=2, **many
    )  # fmt: skip

    def visualise(*values) -> object:
        return handlers.visualise(ActivationRequest(*values[:-1]), values[-1], weights)

    outputs["card"].jump(visualise, [*inputs, session.filter_request], session.filter_request, **QUIET)
