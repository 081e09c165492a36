"""The Predict tab: Photo is here; Live, which does the same with the camera, is in `live.py`, Video in `video.py`.

tab(session)    lays it out, inside a `gr.Tab`; `app/api.py` has the same for programs
"""

from functools import partial

import gradio as gr

from fer.app import static
from fer.app.components import choices
from fer.app.events import QUIET, fields_in_order
from fer.app.examples import example_files
from fer.app.model_cache import load_detector
from fer.app.predict import handlers, live, video, view
from fer.app.predict.handlers import PredictState
from fer.app.session import Session
from fer.data.image_io import open_image

LIMITS = "Predicts which of a few expressions people would name for a face; people themselves agree on about 65%. It \
cannot tell what somebody feels."
DETECTORS = {"yunet": "YuNet", "haar": "OpenCV's Haar cascade, for faces seen from the front"}
PRIVACY = "Uploads are deleted within twenty minutes."


def tab(session: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    with gr.Tabs(elem_id="ways") as ways:
        with gr.Tab("Photo", id="Photo", elem_id="tab-photo"):
            photo(session)
        with gr.Tab("Live", id="Live", elem_id="tab-live"):
            camera = live.tab(session)
        with gr.Tab("Video", id="Video", elem_id="tab-video"):
            video.tab(session)
    camera.photograph(lambda: gr.Tabs(selected="Photo"), None, ways, **QUIET)


def photo(session: Session) -> None:
    with gr.Row(elem_id="photo"):
        with gr.Column(min_width=300):
            upload = gr.Image(
                label="Photograph", alt_text="The photograph you chose", sources=["upload", "webcam", "clipboard"],
                height=300, format="png", buttons=[], elem_id="picture",
            )  # fmt: skip
            css = static.text("faces.css", "photo.css")
            shown = choices(
                **view.NO_PICTURE, html_template=static.text("photo.html"), css_template=css,
                js=static.text("choice.js", "photo.js"), elem_id="view",
            )  # fmt: skip
        with gr.Column(min_width=300):
            verdict = gr.HTML(
                view.NOTHING_YET, details="", html_template=static.text("verdict.html"), apply_default_css=False,
                css_template=static.text("verdict.css"), js_on_load=static.text("verdict.js"), elem_id="verdict",
            )  # fmt: skip
            skip = gr.Button("Skip face detection", visible=False, elem_id="whole")
    examples = choices(
        view.examples({file.stem: open_image(file) for file in example_files()}),
        css_template=static.text("faces.css"), elem_id="examples",
    )  # fmt: skip
    gr.Markdown(f"{LIMITS} Detector: {DETECTORS[load_detector().name]}. {PRIVACY}", elem_id="detector")
    examples.choice(handlers.example, None, upload, **QUIET)
    wire(session, [upload, shown, verdict, skip, gr.State(None), session.face])


def wire(session: Session, outputs: list) -> None:
    """Every event of Photo. `preprocess=False`: Gradio must not open what a caller names (see uploads.py)."""
    upload, shown, verdict, skip, state, _ = outputs
    weights = {"weights": session.weights}
    ours = {"preprocess": False, "api_visibility": "private", "show_progress": "full", "show_progress_on": verdict}
    predict = fields_in_order(partial(handlers.predict, **weights))

    def predict_again(state: PredictState | None, name: str) -> tuple:
        """Without a picture, the face is another tab's and stays."""
        if state is None:
            return (gr.skip(),) * len(outputs)
        return fields_in_order(handlers.predict_again)(state, name, **weights)

    def choose(state: PredictState | None, event: gr.EventData) -> tuple:
        return fields_in_order(handlers.choose)(state, event)

    def failed() -> tuple:
        """The prediction for an earlier picture must not stand beside this one."""
        return fields_in_order(handlers.empty)(view.NOTHING_YET)

    upload.change(predict, [upload, session.model], outputs, **ours).failure(failed, None, outputs, **QUIET)
    skip.click(partial(predict, whole_picture=True), [upload, session.model], outputs, **ours)
    session.model.change(predict_again, [state, session.model], outputs, **QUIET).failure(
        failed, None, outputs, **QUIET
    )
    shown.choice(choose, state, outputs, **QUIET)
    shown.clear(lambda: None, None, upload, **QUIET)
    verdict.explain(lambda: gr.Tabs(selected="Saliency"), None, session.tabs, **QUIET)
