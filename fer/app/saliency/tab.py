"""The Saliency tab: why the network answers the face from the Predict tab as it does, and how far to trust the map.

tab(shared)     lays it out, inside a `gr.Tab`; `handlers.py` has what its events do, `view.py` its markup
"""

from functools import partial

import gradio as gr
from gradio.context import get_render_context

from fer.app.components import choices, fold
from fer.app.events import QUIET
from fer.app.saliency import benchmarks, concepts, handlers, training_examples, view
from fer.app.saliency.handlers import CHOSEN, DRAWINGS, GRAIN, NOTHING, OWN, CurrentRequest
from fer.app.session import Session
from fer.attribution import baselines
from fer.attribution.methods import METHODS

FORGET = {"Let it forget its last layer": "last", "Let it forget all": "all"}
COMPARE = {"All methods side by side": "methods", "All emotions side by side": "emotions"}
DOWNLOAD = "Download the three as PNG"
SAVE = """(address, name) => {
  const link = document.createElement("a");
  [link.href, link.download] = [address, name];
  link.click();
}"""
BUSY = {"api_visibility": "private", "show_progress": "minimal"}
TRUSTED = "Which methods are faithful to this network"
LOOKS = "Where this network looks, emotion by emotion"


def tab(shared: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`, whose opening asks for the map."""
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            method = gr.Dropdown(list(METHODS), value=next(iter(METHODS)), label="Method", elem_id="method")
            words = gr.Markdown(elem_id="hint")
            with gr.Row():
                target = gr.Dropdown([(OWN, "")], value="", label="Why", min_width=140, elem_id="target")
                against = gr.Dropdown([(NOTHING, "")], value="", label="and not", min_width=140, elem_id="against")
            with gr.Accordion("More settings", open=False, elem_id="settings"):
                baseline = gr.Dropdown(
                    [(words_, name) for name, words_ in baselines.BASELINES.items()], value="blurred",
                    label="Baseline: what counts as no evidence", elem_id="baseline",
                )  # fmt: skip
                layer = gr.Dropdown([(CHOSEN, "")], value="", label="Layer", visible=False, elem_id="layer-explained")
                drawn = gr.CheckboxGroup(list(DRAWINGS), value=[GRAIN], label="Draw maps", elem_id="drawing")
        with gr.Column(min_width=300, scale=3):
            with gr.Row(elem_id="pictures"):
                explained = choices(view.NO_FACE, css_template=view.CSS, padding=False, elem_id="explained")
                left = _html("masked")
            keep = gr.Slider(0, 100, 20, step=1, label="Kept by the mask, %", elem_id="keep")
    with gr.Row():
        with gr.Column(min_width=300):
            trusted = _html("trust")
        with gr.Column(min_width=300):
            curves = _html("curves")
    with gr.Row():
        buttons = [gr.Button(text, size="sm", min_width=150) for text in (*FORGET, *COMPARE, DOWNLOAD)]
    forgot = _html("forgot", visible=False)
    everything = choices("", css_template=view.CSS, padding=False, elem_id="all-methods", visible=False)
    for title, found in ((LOOKS, benchmarks.looks), (TRUSTED, benchmarks.ranking)):
        tell = partial(found, shared.weights)
        fold(shared, title, tell, css_template=view.CSS, padding=False, elem_id=found.__name__)
    training_examples.section(shared)
    concepts.section(shared)
    question = [shared.face, shared.model, method, target, against, baseline, layer]
    menus = [method, target, against, layer]
    answer = [words, explained, left, trusted, curves, forgot, everything]
    wire(shared, question, menus, answer, keep, drawn, buttons)


def wire(
    shared: Session, question: list, menus: list, answer: list, keep: gr.Slider, drawn: gr.CheckboxGroup,
    buttons: list[gr.Button],
) -> None:  # fmt: skip
    """Every event of the tab."""
    face, network, method, *_, baseline, _ = question
    words, explained, left, trusted, curves, forgot, everything = answer
    shown, known, found, wish = gr.State(None), gr.State(None), gr.State(None), gr.State(CurrentRequest())
    weights = {"weights": shared.weights}
    inputs = [shared.model_change_in("Saliency"), *(field.input for field in question[2:])]
    seen = [words, explained, left, shown, trusted, curves, forgot, everything, found]
    outputs = [*menus, *seen]
    gr.on(inputs, handlers.hurry, [*question, wish], None, queue=False, **QUIET)
    chosen = gr.on(
        inputs,
        partial(handlers.show, **weights),
        [*question, keep, drawn, wish],
        outputs,
        trigger_mode="always_last",
        **QUIET,
    )
    entered = get_render_context().select(
        partial(handlers.opened, **weights),
        [face, network, method, baseline, keep, drawn, wish, shown],
        outputs,
        **QUIET,
    )
    for event in (chosen, entered):
        event.success(partial(handlers.catch_up, **weights), [shown, keep], left, **QUIET)
        event.success(
            partial(handlers.measure, **weights),
            [shown, known, wish],
            [trusted, curves, known],
            trigger_mode="always_last",
            **QUIET,
        )
        event.failure(handlers.refused, [face, wish], seen, **QUIET)
    explained.choice(handlers.stop, [face, wish], seen, cancels=[chosen, entered], **QUIET)
    keep.input(partial(handlers.remask, **weights), [shown, keep], left, trigger_mode="always_last", **QUIET)
    drawn.input(handlers.redraw, [shown, found, drawn], [explained, everything], **QUIET)
    for which, button in zip(FORGET.values(), buttons[:2], strict=True):
        button.click(
            partial(handlers.forget, which=which, **weights), [shown, drawn], forgot, show_progress_on=button, **BUSY
        )
    comparing = [
        button.click(
            partial(handlers.compare, which=which, **weights),
            [shown, known, drawn, wish],
            [everything, found],
            **QUIET,
        )
        for which, button in zip(COMPARE.values(), buttons[2:4], strict=True)
    ]
    everything.choice(handlers.stop_comparing, [shown, found, drawn], everything, cancels=comparing, **QUIET)
    address, name = gr.Textbox(visible=False), gr.Textbox(visible=False)
    taken = buttons[4].click(partial(handlers.download, **weights), [shown, keep, drawn], [address, name], **QUIET)
    taken.success(None, [address, name], None, js=SAVE, **QUIET)


def _html(name: str, value: str = "", **place) -> gr.HTML:
    return gr.HTML(value, css_template=view.CSS, apply_default_css=False, padding=False, elem_id=name, **place)
