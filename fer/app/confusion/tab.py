"""The Confusion tab: which classes a model confuses, why, and how calibrated it is; two models compared.

tab(session)    lays it out, inside a `gr.Tab`
/confusion      the same for programs: (network, split, without_duplicates, threshold, other) -> figures and matrix
"""

from functools import partial
from pathlib import Path

import gradio as gr
from gradio.components import Component
from gradio.context import get_render_context
from gradio.events import Dependency

from fer.app import components, static
from fer.app.confusion import handlers, matrix, suspects, upload
from fer.app.confusion.request import NO_MODEL, OWN, SPLIT_NAMES, ConfusionRequest, error_text
from fer.app.errors import user_error
from fer.app.events import QUIET, by_name
from fer.app.session import Session
from fer.evaluation import comparison

INTRO = (
    "### Confusion matrix\nHow often each class is predicted for faces of each true class, on FER-2013's test "
    "images or on your own."
)
OPENS = ("Saliency", "Activations", "Filters")  # the tabs that a face can be opened in, where the page has them
AT_ONCE = {"queue": False, **QUIET}  # what is quick need not wait in a queue


def confusion(
    network: str, split: str, without_duplicates: bool, threshold: float, other: str = NO_MODEL, *, weights: Path
) -> dict:
    """A model's confusion matrix and metrics on a test split of FER-2013.

    Rows of "confusion" are true labels, columns predictions. Predictions with a calibrated confidence below the
    threshold are left out; "answered" is the share that is left. An ensemble is "ensemble:compact+cnn"; with another
    model, "compared" has McNemar's test.
    """
    if not isinstance(without_duplicates, bool):
        raise user_error(f"without_duplicates is {str(without_duplicates)[:40]!r}: true or false would be right.")
    request = ConfusionRequest(network, split, matrix.COUNTS, other, threshold, without_duplicates)
    try:
        return comparison.report(request.predictions(weights), request.other_predictions(weights))
    except gr.Error:
        raise
    except ValueError as error:
        raise user_error(error_text(error, weights)) from None


# ---- layout


def tab(session: Session) -> None:
    """Lays the tab out, with the first model's matrix in it, and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    first = ConfusionRequest(session.model.value, "PrivateTest", matrix.COUNTS)
    values = handlers.render(first, None, session.weights)
    controls, upload_parts = _controls(first, values)
    outputs = _outputs(values) | {name: controls[name] for name in ("compare_with", "ensemble_with")}
    with gr.Accordion("FER+ annotators", open=False):
        outputs["annotators"] = _html("annotators", values["annotators"])
    suspects.section(session)
    with gr.Accordion("Export", open=False) as export:
        exported = components.box("", "saved")
    outputs |= {"selected": gr.State(None), "drawn_for": gr.State(None), "current_face": session.face}
    session.address["split"] = controls["split"]
    inputs = [session.model, *controls.values()]
    outputs |= {"export": export, "exported": exported}
    _wire(session, inputs, upload_parts, outputs)
    _publish(session, inputs)


def _controls(first: ConfusionRequest, values: dict) -> tuple[dict[str, Component], dict[str, Component]]:
    """The visitor's choices in the order of `ConfusionRequest`, after the model; and the parts of the upload."""
    with gr.Row():
        split = gr.Radio(
            [(name, value) for value, name in SPLIT_NAMES.items()], value=first.split, label="Faces", min_width=280,
            info="Test and validation are FER-2013's PrivateTest and PublicTest.", elem_id="split",
        )  # fmt: skip
        normalize = gr.Radio(
            [("Counts", matrix.COUNTS), ("By true class", matrix.BY_TRUE), ("By predicted class", matrix.BY_PREDICTED)],
            value=first.normalize, label="Normalise", elem_id="counting", min_width=280,
            info="Shares of a row are recall, of a column precision.",
        )  # fmt: skip
        compare_with = gr.Dropdown(
            values["compare_with"]["choices"], value=NO_MODEL, label="Compare with",
            info="Models with the same labels; cell by cell.", elem_id="compare-with", min_width=200,
        )  # fmt: skip
    upload_parts = _upload_group()
    with gr.Accordion("Confidence threshold, duplicates, ensemble", open=False, elem_id="more-confusion"):
        threshold = gr.Slider(
            0, 0.95, 0, step=0.05, label="Confidence threshold", elem_id="threshold",
            info="Predictions below it are left out; the share that remains is the coverage.",
        )  # fmt: skip
        no_duplicates = gr.Checkbox(
            label="Without duplicates", elem_id="without-duplicates",
            info="Leaves out the 8 % of test faces that are also in the training set.",
        )  # fmt: skip
        ensemble_with = gr.Dropdown(
            values["ensemble_with"]["choices"], value=[], multiselect=True, label="Ensemble with", elem_id="members",
            info="Averages the probabilities of several models.",
        )  # fmt: skip
    controls = dict(split=split, normalize=normalize, compare_with=compare_with, threshold=threshold)
    controls |= dict(no_duplicates=no_duplicates, ensemble_with=ensemble_with, own_faces=gr.State(None))
    return controls, upload_parts


def _upload_group() -> dict[str, Component]:
    """Shown under the choice of faces while that is "Your own faces"."""
    folder = (
        '<button type="button" class="upload">Upload folder</button><p role="status"></p>'
        '<input type="file" webkitdirectory multiple hidden aria-label="A folder of faces">'
    )
    with gr.Group(visible=False, elem_id="own-faces") as group:
        gr.Markdown(upload.HELP, container=True)
        with gr.Row():
            zipped = gr.UploadButton("Upload .zip", file_types=[".zip"], size="md", elem_id="own-zip", min_width=140)
            _html("own-folder", folder, js="upload_folder.js", min_width=140)
            detect = gr.Checkbox(label="Detect faces first", info="For photographs.", elem_id="own-find", min_width=240)
        text = _html("own-about")
    return {"group": group, "zip": zipped, "detect": detect, "text": text}


def _outputs(values: dict) -> dict[str, Component]:
    """The matrix with what its selection shows beside it; below, the figures of the whole."""
    with gr.Row():
        with gr.Column(min_width=300, scale=3):
            table = _html("matrix", values["matrix"], js="choice.js")
            summary = _html("figures", values["summary"])
        with gr.Column(min_width=300, scale=2):
            status = '<div role="status" class="cell">${value}</div>'
            cell = _html("cell", values["cell"], html_template=status)
            faces = _html("behind", js="choice.js", visible=False)
            face = _html("behind-face", visible=False)
            open_buttons = _open_buttons()
            explain = gr.Button("Explain this confusion", visible=False, size="sm", elem_id="why-mixed-up")
            explanation = _html("because", visible=False)
    compared = _html("against", js="choice.js", visible=False)
    classes = components.box(values["classes"], "emotions")
    diagrams = components.box("", "diagrams", static.text("confusion.css"))
    return {
        "matrix": table, "cell": cell, "faces": faces, "face": face, "open_buttons": open_buttons, "explain": explain,
        "explanation": explanation, "comparison": compared, "summary": summary, "classes": classes,
        "diagrams": diagrams,
    }  # fmt: skip


def _open_buttons() -> gr.Row:
    with gr.Row(visible=False) as row:
        tabs = _page_tabs()
        for name in OPENS:
            if name in [child.id for child in tabs.children]:
                button = gr.Button(f"Open in {name}", size="sm", min_width=110, elem_id=f"open-in-{name.lower()}")
                button.click(lambda name=name: gr.Tabs(selected=name), None, tabs, **QUIET)
    return row


def _html(elem_id: str, value: str = "", js: str | None = None, **properties) -> gr.HTML:
    return gr.HTML(
        value, css_template=static.text("tabs.css", "confusion.css"), js_on_load=static.text(js) if js else None,
        apply_default_css=False, elem_id=elem_id, **properties,
    )  # fmt: skip


def _page_tabs() -> gr.Tabs:
    """The page's tabs, in one of which this is laid out."""
    block = get_render_context()
    while not isinstance(block, gr.Tabs):
        block = block.parent
    return block


# ---- events


def _wire(
    session: Session, inputs: list[Component], upload_parts: dict[str, Component], outputs: dict[str, Component]
) -> None:
    """The matrix is rendered first, then diagrams and faces follow."""
    weights, selected = session.weights, outputs["selected"]

    def on(handler: partial, state: Component) -> tuple:
        """The handler over (choices, state), its inputs and its outputs."""
        called = by_name(outputs, lambda *values: handler(ConfusionRequest(*values[:-1]), values[-1], weights=weights))
        return called, [*inputs, state], list(outputs.values())

    uploaded = _wire_upload(session, inputs, upload_parts)
    _, split, normalize, compare_with, threshold, no_duplicates, ensemble_with, _ = inputs
    changes = [part.input for part in (split, normalize, compare_with, threshold, no_duplicates, ensemble_with)]
    render = on(handlers.render, selected)
    draw, render_faces = on(handlers.render_diagrams, outputs["drawn_for"]), on(handlers.render_faces, selected)
    changed = gr.on(
        [*changes, session.model_change_in("Confusion"), get_render_context().select],
        *render,
        trigger_mode="always_last",
        **AT_ONCE,
    )
    for rendered in (changed, uploaded.success(*render, **AT_ONCE)):
        rendered.then(*draw, **QUIET)
        rendered.then(*render_faces, **QUIET)
    outputs["export"].expand(*on(handlers.export, selected), **QUIET)

    # Gradio hands an event over only where it can read the parameter's type, so these are plain functions.
    def select_cell(event: gr.EventData, *values) -> dict:
        return handlers.select(ConfusionRequest(*values), event, False, weights)

    def select_side(event: gr.EventData, *values) -> dict:
        return handlers.select(ConfusionRequest(*values), event, True, weights)

    def open_face(event: gr.EventData, *values) -> dict:
        return handlers.open_face(ConfusionRequest(*values[:-1]), values[-1], event, weights)

    everything = list(outputs.values())
    for name, handler in (("matrix", select_cell), ("comparison", select_side)):
        chosen = outputs[name].choice(by_name(outputs, handler), inputs, everything, **AT_ONCE)
        chosen.then(*render_faces, **QUIET)
    outputs["faces"].choice(by_name(outputs, open_face), [*inputs, selected], everything, **AT_ONCE)
    shown = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": outputs["explain"]}
    outputs["explain"].click(*on(handlers.explain, selected), **shown)


def _wire_upload(session: Session, inputs: list[Component], parts: dict[str, Component]) -> Dependency:
    split, own_faces = inputs[1], inputs[-1]

    def read(payload: dict | None, detect: bool, name: str) -> tuple:
        own, text = upload.read_upload(payload, detect)
        upload.predict_uploaded(own, session.weights, name)  # here, where progress is shown
        return own, text

    split.input(lambda split: gr.update(visible=split == OWN), split, parts["group"], **AT_ONCE)
    shown = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": parts["text"]}
    read_from = [parts["zip"], parts["detect"], session.model]
    return parts["zip"].upload(read, read_from, [own_faces, parts["text"]], preprocess=False, **shown)


def _publish(session: Session, inputs: list[Component]) -> None:
    """The public endpoint, on a button that is never drawn (see the Predict tab); `confusion` checks what it gets."""
    network, split, _, compare_with, threshold, no_duplicates, *_ = inputs
    answer = partial(confusion, weights=session.weights)
    answer.__name__ = confusion.__name__  # which is what MCP calls it
    gr.Button(visible=False).click(
        answer,
        [network, split, no_duplicates, threshold, compare_with],
        gr.JSON(visible=False, label="figures"),
        preprocess=False,
        api_name="confusion",
        api_description=confusion.__doc__,
        api_visibility="public",
    )
