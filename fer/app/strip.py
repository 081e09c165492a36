"""The strip under the title, on all tabs: the current face, its prediction, the Model menu, Share.

model, face, strip = layout(weights, names)     inside the page's Blocks, before the tabs
wire(session)                                   after them
"""

import base64
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
import torch

from fer.app import static
from fer.app.errors import user_error
from fer.app.events import QUIET, event_value, on_face_change, on_model_change, visible_if
from fer.app.examples import example_face, example_name
from fer.app.model_cache import load_network, outline
from fer.app.session import Session
from fer.data.image_io import open_image
from fer.inference import predictor
from fer.models import summary
from fer.plotting import encode

# The strip's script then fires the event of the tab that is open; see `Session.model_change_in`.
TELL_OPEN_TAB = "() => document.dispatchEvent(new Event('fer:model'))"


def layout(weights: Path, names: list[str]) -> tuple[gr.Dropdown, gr.State, gr.HTML]:
    """The Model menu, the current face and the strip's markup."""
    models, face = visible_if(names), example_face()
    name = models[0] if models else None
    with gr.Row(elem_id="strip-row"):
        strip = gr.HTML(
            **describe(face, name, weights=weights), html_template=static.text("strip.html"),
            css_template=static.text("strip.css"), js_on_load=static.text("strip.js"), apply_default_css=False,
            padding=False, elem_id="strip", min_width=200,
        )  # fmt: skip
        menu = gr.Dropdown(
            [(model_label(weights, each), each) for each in models], value=name, label="Model", elem_id="model",
            min_width=200,
        )  # fmt: skip
    return menu, gr.State(face), strip


def wire(session: Session) -> None:
    """The strip follows the face and the model, and tells the open tab of another model."""

    def drawn(face: np.ndarray, name: str | None) -> gr.HTML:
        return gr.HTML(**describe(face, name, weights=session.weights))

    on_face_change(session, drawn, session.strip, inputs=(session.model,))
    on_model_change(session, lambda name, face: drawn(face, name), session.strip, inputs=(session.face,))
    session.model.change(None, None, None, js=TELL_OPEN_TAB, **QUIET)
    session.strip.kept(kept_face, None, session.face, **QUIET)


def describe(face: np.ndarray, name: str | None, *, weights: Path) -> dict[str, object]:
    """The strip's properties for a face, uint8 (48, 48): its picture, its prediction and where it is from."""
    example = example_name(face)
    source = f"Example: average of many {example} faces" if example else "Current face"
    return {
        "value": prediction(face, name, weights),
        "picture": encode.data_url(face),
        "source": escape(source),
        "own": not example,
    }


def kept_face(event: gr.EventData) -> np.ndarray:
    """The face, uint8 (48, 48), that the visitor's browser kept over a reload. Raises gr.Error for anything else."""
    address = event_value(event, "picture")
    try:
        sent = base64.b64decode(address.removeprefix("data:image/png;base64,")[:20_000], validate=True)
        face = open_image(sent)[..., 0]
    except (AttributeError, ValueError):  # ImageError is one
        raise user_error("The face that was kept cannot be read. Please choose it again.") from None
    if face.shape != (48, 48):
        raise user_error(f"The face that was kept is {face.shape[1]}x{face.shape[0]}: 48x48 would be right.")
    return face.copy()


def prediction(face: np.ndarray, name: str | None, weights: Path) -> str:
    """`Happy 82%`, as markup; nothing without a model that can be loaded."""
    try:
        network = load_network(weights, name)
    except gr.Error:  # told where the model is used
        return ""
    shares = predictor.predict_probabilities(network, torch.from_numpy(face[None]))[0]
    share, place = shares.max(0)
    low = " · low confidence" * bool(share < network.confidence_threshold)
    return f"<b>{escape(network.labels[int(place)].capitalize())}</b> {float(share):.0%}{low}"


def model_label(weights: Path, name: str) -> str:
    """`compact · 3.1 M · 72.3%`: parameters and accuracy on the test split, where it was measured."""
    try:
        network = outline(weights, name)
    except gr.Error:
        return name
    figures = network.metrics.get("private_test")
    accuracy = f" · {figures['accuracy']:.1%}" if figures else ""
    return f"{name} · {summary.count_parameters(network) / 1e6:.1f} M{accuracy}"
