"""The Confusion tab: which emotions a network mixes up, why, and how sure it was; two networks compared.

tab(shared)     lays it out, inside a `gr.Tab`
/confusion      the same for programs: (network, split, without_duplicates, threshold, other) -> figures and matrix
"""

from functools import partial
from pathlib import Path

import gradio as gr
from gradio.context import get_render_context

from fer.app import components
from fer.app.components import choices
from fer.app.confusion import examples, handlers, matrix, upload
from fer.app.confusion import view as confusion_view
from fer.app.confusion.handlers import NOBODY, OWN, ConfusionRequest
from fer.app.confusion.view import AGAINST_CSS
from fer.app.errors import user_error
from fer.app.events import QUIET, visible_if
from fer.app.session import Session
from fer.evaluation import comparison, predictions

OPENS = ("Saliency", "Activations", "Filters")  # the tabs that a face can be opened in, where the page has them
TAGGERS = "Judged by FER+'s ten taggers"
AT_ONCE = {"queue": False, **QUIET}  # what is quick need not wait in a line


def confusion(
    network: str, split: str, without_duplicates: bool, threshold: float, other: str = NOBODY, *, weights: Path
) -> dict:
    """A network's confusion matrix and figures on a test split of FER-2013.

    Rows of "confusion" are true labels, columns what the network reads. Answers with a calibrated probability below
    the threshold are left out; "answered" is the share that is left. An ensemble is "ensemble:compact+cnn"; with
    another network, "compared" has McNemar's test.
    """
    if not isinstance(without_duplicates, bool):
        raise user_error(f"without_duplicates is {str(without_duplicates)[:40]!r}: true or false would be right.")
    asked = ConfusionRequest(network, split, matrix.COUNTINGS[0], other, threshold, without_duplicates, [], None)
    try:
        return comparison.report(asked.found(weights), asked.other(weights))
    except gr.Error:
        raise
    except ValueError as error:
        raise user_error(handlers.sentence(error, weights)) from None


# ---- layout


def tab(shared: Session) -> None:
    """Lays the tab out, with the first network's answers in it, and wires it; call inside a `gr.Tab`."""
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            asked = menus(shared)
        first = handlers.show(*(part.value for part in asked), None, weights=shared.weights)
        with gr.Column(min_width=300, scale=3):
            view = choices(first[0], js=matrix.JS, css_template=matrix.CSS, elem_id="matrix")
            cell = gr.Markdown(first[1], elem_id="cell")
    against = choices("", visible=False, css_template=AGAINST_CSS, elem_id="against")
    inside = look_inside()
    figures = gr.HTML(first[2], css_template=confusion_view.CSS, apply_default_css=False, elem_id="figures")
    emotions = components.box(first[5], "emotions")
    diagrams = components.box("", "diagrams", PAIR_CSS)
    with gr.Accordion(TAGGERS, open=False):
        taggers = gr.HTML(first[4], css_template=confusion_view.CSS, apply_default_css=False, elem_id="taggers")
    with gr.Accordion(handlers.OWN.capitalize(), open=False):
        upload.section(shared.weights, asked[0], asked[-1], asked[1], OWN)
    with gr.Accordion("Save the matrix", open=False) as saving:
        saved = components.box("", "saved")
    saving.expand(partial(handlers.to_save, weights=shared.weights), asked, saved, **QUIET)
    outputs = [view, cell, figures, against, taggers, emotions, gr.State(None)]
    wire(shared, asked, outputs, (diagrams, saving, saved), inside)
    publish(shared, asked)


def menus(shared: Session) -> list:
    """The visitor's choices, in the order of `Asked`."""
    others = [("no other network", NOBODY), *shared.names]
    against = gr.Dropdown(others, value=NOBODY, label="Compare with", elem_id="compare-with")
    split = gr.Radio([*predictions.SPLITS, OWN], value=predictions.SPLITS[0], label="Faces", elem_id="split")
    counting = gr.Radio(list(matrix.COUNTINGS), value=matrix.COUNTINGS[0], label="Show", elem_id="counting")
    with gr.Accordion("More: unsure answers, duplicates, ensembles", open=False):
        threshold = gr.Slider(0, 0.95, 0, step=0.05, label="Leave out answers less sure than", elem_id="threshold")
        duplicates = gr.Checkbox(label="Only faces without a duplicate in Training", elem_id="without-duplicates")
        members = gr.Dropdown(
            visible_if(shared.names),
            value=[],
            multiselect=True,
            label="Ask these as well, as an ensemble",
            elem_id="members",
        )
    return [shared.model, split, counting, against, threshold, duplicates, members, gr.State(None)]


def look_inside() -> list:
    """The faces behind the choice, one of them opened, and why two labels are mixed up."""
    tiles = choices("", visible=False, css_template=examples.CSS, elem_id="behind")
    card = _box(examples.FACE_CSS, "behind-face")
    with gr.Row(visible=False) as row:
        tabs = _all_tabs()
        names = [name for name in OPENS if name in [child.id for child in tabs.children]]
        for name in names:
            button = gr.Button(f"Open it in {name}", size="sm", min_width=150, elem_id=f"open-in-{name.lower()}")
            button.click(lambda name=name: gr.Tabs(selected=name), None, tabs, **QUIET)
    why = gr.Button("Why?", visible=False, size="sm", elem_id="why-mixed-up")
    because = _box(examples.FACE_CSS, "because")
    return [tiles, card, because, row, why]


def _box(css: str, elem_id: str) -> gr.HTML:
    return gr.HTML("", css_template=css, apply_default_css=False, visible=False, elem_id=elem_id)


def _all_tabs() -> gr.Tabs:
    """The page's tabs, in one of which this is laid out."""
    block = get_render_context()
    while not isinstance(block, gr.Tabs):
        block = block.parent
    return block


def wire(shared: Session, asked: list, outputs: list, drawings: tuple, inside: list) -> None:
    """Every event of the tab: the matrix answers first, then the drawings and the faces follow."""
    view, cell, _, against, *_, chosen = outputs
    tiles, card, because, row, why = inside
    diagrams, saving, saved = drawings
    weights, drawn = {"weights": shared.weights}, gr.State(None)
    draw, faces = partial(handlers.draw, **weights), partial(handlers.faces, **weights)
    drawing = (draw, [*asked, drawn], [diagrams, drawn])
    seeing = (faces, [*asked, chosen], inside)

    changed = gr.on(
        [part.change for part in asked], partial(handlers.show, **weights), [*asked, chosen], outputs,
        trigger_mode="always_last", **AT_ONCE,
    )  # fmt: skip
    changed.then(*drawing, **QUIET)
    changed.then(lambda: (gr.Accordion(open=False), ""), None, [saving, saved], **QUIET)
    changed.then(*seeing, **QUIET)
    get_render_context().select(*drawing, **QUIET)

    # Gradio hands an event over only where it can read the parameter's type, which a partial hides.
    def picked(event: gr.EventData, *asked) -> tuple:
        return handlers.choose(*asked, event=event, side=False, **weights)

    def sided(event: gr.EventData, *asked) -> tuple:
        return handlers.choose(*asked, event=event, side=True, **weights)

    def opened(event: gr.EventData, *asked) -> tuple:
        return handlers.open_face(*asked, event=event, **weights)

    for box, handler in ((view, picked), (against, sided)):
        box.choice(handler, asked, [view, cell, against, chosen], **AT_ONCE).then(*seeing, **QUIET)
    tiles.choice(opened, [*asked, chosen], [tiles, card, row, shared.face], **AT_ONCE)
    shown = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": why}
    why.click(partial(handlers.why, **weights), [*asked, chosen], because, **shown)


PAIR_CSS = """
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 16px; }
"""


def publish(shared: Session, asked: list) -> None:
    """The public endpoint, on a button that is never drawn (see the Predict tab); `confusion` checks what it gets."""
    network, split, _, against, threshold, duplicates, *_ = asked
    answer = partial(confusion, weights=shared.weights)
    answer.__name__ = confusion.__name__  # which is what MCP calls it
    gr.Button(visible=False).click(
        answer,
        [network, split, duplicates, threshold, against],
        gr.JSON(visible=False, label="figures"),
        preprocess=False,
        api_name="confusion",
        api_description=confusion.__doc__,
        api_visibility="public",
    )
