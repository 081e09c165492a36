"""The Predict tab: a picture goes in; its faces, what the network says of them and what it saw come out.

Photo is here; Live, which does the same with the camera's picture, is in `live.py`, and Video in `video.py`.

tab(shared)     lays it out, inside a `gr.Tab`; `app/api.py` has the same for programs
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np

from fer.app.components import choices
from fer.app.errors import image_errors_as_messages
from fer.app.events import QUIET, validated_index
from fer.app.examples import example_face, example_files
from fer.app.model_cache import load_detector, read
from fer.app.predict import live, video
from fer.app.predict import view as predict_view
from fer.app.predict.view import CROP_CSS, EXAMPLES_CSS, VIEW_CSS, answer, boxes, strip
from fer.app.session import Session
from fer.app.uploads import picture_file
from fer.data.image_io import open_image, open_scaled
from fer.faces.detector import detector_sentence
from fer.inference.predictor import ImagePrediction
from fer.plotting import encode

PRIVACY = "Uploaded files are deleted within twenty minutes."

NO_PICTURE = {"value": "", "strip": "", "sentence": "", "picture": "", "wide": 1, "high": 1}


@dataclass(frozen=True)
class PredictState:
    """What a visitor has before them; kept in a `gr.State`, without the picture."""

    reading: ImagePrediction
    chosen: int = 0  # which face; 0 is the largest
    whole: bool = False  # the whole picture was taken as a face


# ---- handlers: plain functions, which return the page's outputs (view, crop, probabilities, offer, Seen, face)


def look(
    picture: dict | None, network: str, before: PredictState | None = None, *, weights: Path, whole: bool = False
) -> tuple:
    """The outputs for a picture. With `before`, only the network is another one, and the choice of a face stays."""
    if picture is None:
        return gr.HTML(**NO_PICTURE), *[gr.update(visible=False)] * 3, None, example_face()
    whole = whole or (before is not None and before.whole)
    with image_errors_as_messages():
        opened = open_scaled(picture_file(picture))
        pixels = opened.pixels
        reading = read(pixels, weights, network, whole_picture=whole)
    if opened.note:
        gr.Info(opened.note, title="")
    last = max(len(reading.faces) - 1, 0)
    seen = PredictState(reading, min(before.chosen, last) if before else 0, whole)
    width, height = reading.size
    return gr.HTML(**marks(seen), picture=encode.data_url(pixels), wide=width, high=height), *about(seen)


def choose(seen: PredictState | None, event: gr.EventData) -> tuple:
    """The outputs for another face of the same picture."""
    chosen = validated_index(event, len(seen.reading.faces) if seen else 0)
    seen = replace(seen, chosen=chosen)
    return gr.HTML(**marks(seen)), *about(seen)


def marks(seen: PredictState) -> dict:
    """The view's properties that change with the chosen face."""
    drawings = {"value": boxes, "strip": strip, "sentence": answer}
    return {name: draw(seen.reading, seen.chosen) for name, draw in drawings.items()}


def about(seen: PredictState) -> tuple:
    """The outputs after the view: crop and probabilities of the chosen face, or the offer where there is none."""
    if not seen.reading.faces:
        return *[gr.update(visible=False)] * 2, gr.update(visible=True), seen, example_face()
    face = seen.reading.faces[seen.chosen]
    crop, probabilities = (
        gr.update(value=value, visible=True) for value in (predict_view.seen(face), face.probabilities)
    )
    return crop, probabilities, gr.update(visible=False), seen, face.crop


def example(event: gr.EventData) -> np.ndarray:
    """The example picture that was clicked."""
    files = example_files()
    return open_image(files[validated_index(event, len(files))])


# ---- layout


def tab(shared: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    with gr.Tabs(elem_id="ways") as ways:
        with gr.Tab("Photo", id="Photo"):
            photo(shared)
        with gr.Tab("Live", id="Live"):
            camera = live.tab(shared)
        with gr.Tab("Video", id="Video"):
            video.tab(shared)
    camera.photograph(lambda: gr.Tabs(selected="Photo"), None, ways, **QUIET)


def photo(shared: Session) -> None:
    with gr.Row():
        with gr.Column(min_width=300):
            picture = inputs()
        with gr.Column(min_width=300):
            outputs = answers()
    gr.Markdown(f"{detector_sentence(load_detector().name)} {PRIVACY}", elem_id="detector")
    wire(shared, picture, outputs)


def inputs() -> gr.Image:
    picture = gr.Image(
        label="Picture",
        alt_text="The picture you chose",
        sources=["upload", "webcam", "clipboard"],
        height=320,
        format="png",
        buttons=[],
        elem_id="picture",
    )
    examples = choices(
        predict_view.examples({file.stem: open_image(file) for file in example_files()}),
        css_template=EXAMPLES_CSS,
        elem_id="examples",
    )
    examples.choice(example, None, picture, **QUIET)
    return picture


def answers() -> list:
    """The outputs, in the order in which the handlers return them, without the states."""
    view = choices(**NO_PICTURE, html_template=predict_view.VIEW, css_template=VIEW_CSS, elem_id="view")
    whole = gr.Button("Take the whole picture as a face", visible=False, elem_id="whole")
    with gr.Row(equal_height=True):
        crop = gr.HTML(
            label="What the network sees",
            show_label=True,
            container=True,
            css_template=CROP_CSS,
            apply_default_css=False,
            padding=True,
            visible=False,
            min_width=220,
            elem_id="crop",
        )
        probabilities = gr.Label(
            label="Probabilities", show_heading=False, visible=False, min_width=220, elem_id="probabilities"
        )
    return [view, crop, probabilities, whole]


def wire(shared: Session, picture: gr.Image, outputs: list) -> None:
    """Every event of the page. `preprocess=False`: Gradio must not open what a caller names (see uploads.py)."""
    (view, _, _, whole), network = outputs, shared.model
    seen = gr.State(None)
    outputs = [*outputs, seen, shared.face]
    handler = partial(look, weights=shared.weights)
    ours = {"preprocess": False, "api_visibility": "private", "show_progress": "minimal", "show_progress_on": view}

    def look_again(picture: dict | None, name: str, seen: PredictState | None) -> tuple:
        """Another model; without a picture, the face is another tab's and stays."""
        return handler(picture, name, seen) if picture else (gr.skip(),) * len(outputs)

    for looked in (
        picture.change(handler, [picture, network], outputs, **ours),
        network.change(look_again, [picture, network, seen], outputs, **ours),
    ):
        # After an error, the answer to an earlier picture must not stand beside this one.
        looked.failure(partial(handler, None, None), None, outputs, **ours)
    whole.click(partial(handler, whole=True), [picture, network], outputs, **ours)
    view.choice(choose, seen, outputs, **ours)
