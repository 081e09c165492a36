"""The Saliency tab: which pixels raise or lower a class's score for the current face, and how faithful the map is.

tab(session)    lays it out, inside a `gr.Tab`; `handlers.py` has what its events do, `view.py` its markup
"""

from collections.abc import Callable, Iterator
from functools import partial

import gradio as gr
from gradio.components import Component
from gradio.context import get_render_context

from fer.app import static
from fer.app.components import fold
from fer.app.events import QUIET, by_name, by_name_steps
from fer.app.saliency import benchmarks, concepts, handlers, method_menu, training_examples, view
from fer.app.saliency.handlers import DRAWINGS, LAST_LAYER, NONE, PREDICTED, SMOOTH, CurrentRequest, ExplainRequest
from fer.app.session import Session
from fer.attribution import baselines
from fer.attribution.methods import METHODS

INTRO = "### Saliency map\nWhich pixels of the current face raise or lower the score of a class."
RANDOMISE = {"last": "Randomise last layer", "all": "Randomise all layers"}
BUSY = {"api_visibility": "private", "show_progress": "minimal"}
MEAN_SALIENCY, BENCHMARK = "Mean saliency by class", "Method benchmark"


def tab(session: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`, whose opening computes the map."""
    gr.Markdown(INTRO)
    with gr.Row():
        with gr.Column(min_width=260, scale=2):
            controls, hint, drawn = _controls()
        with gr.Column(min_width=300, scale=5):
            with gr.Row(elem_id="pictures"):
                pictures, masked = _html("explained", view.NO_FACE, "choice.js"), _html("masked")
            with gr.Row():
                top = gr.Slider(
                    0, 100, 20, step=1, label="Keep top-k %", info="Pixels that the masked input keeps.", elem_id="keep"
                )
                download = gr.Button("Download figure", size="sm", min_width=150)
    outputs = {**controls, "hint": hint, "pictures": pictures, "masked": masked}
    buttons = _tabs(outputs)
    for title, render in ((MEAN_SALIENCY, benchmarks.mean_saliency), (BENCHMARK, benchmarks.method_benchmark)):
        css = static.text("tabs.css", "saliency.css")
        fold(session, title, partial(render, session.weights), css_template=css, elem_id=render.__name__)
    training_examples.section(session)
    concepts.section(session)
    outputs |= {name: gr.State(None) for name in ("shown", "known", "compared")}
    inputs = [session.face, session.model, *controls.values(), top, drawn]
    _wire(session, inputs, outputs, buttons)
    _wire_download(session, download, [outputs["shown"], top, drawn])


def _controls() -> tuple[dict[str, Component], gr.Markdown, gr.CheckboxGroup]:
    """The choices in the order of `ExplainRequest`, after face and model."""
    options = [(method_menu.name(method), method) for method in METHODS]
    method = gr.Dropdown(options, value=options[0][1], label="Method", elem_id="method")
    hint = gr.Markdown(elem_id="hint")
    target = gr.Dropdown([(PREDICTED, "")], value="", label="Target", elem_id="target")
    contrast = gr.Dropdown(
        [(NONE, "")], value="", label="Contrast class", info="Explains the difference of two logits.",
        elem_id="against",
    )  # fmt: skip
    with gr.Accordion("More settings", open=False, elem_id="settings"):
        baseline = gr.Dropdown(
            [(text, name) for name, text in baselines.BASELINES.items()], value="blurred", label="Baseline",
            info="What removed pixels become.", elem_id="baseline",
        )  # fmt: skip
        layer = gr.Dropdown([(LAST_LAYER, "")], value="", label="Layer", visible=False, elem_id="layer-explained")
        drawn = gr.CheckboxGroup(list(DRAWINGS), value=[SMOOTH], label="Draw maps", elem_id="drawing")
    controls = dict(method=method, target=target, contrast=contrast, baseline=baseline, layer=layer)
    return controls, hint, drawn


def _tabs(outputs: dict[str, Component]) -> dict[str, gr.Button]:
    """The four tabs below the pictures, whose parts go into the outputs; and their buttons."""
    buttons = {}
    with gr.Tabs(elem_id="saliency-tabs"):
        with gr.Tab("Faithfulness"), gr.Row():
            outputs["scores"] = _html("trust", min_width=300, html_template='<div role="status">${value}</div>')
            outputs["curves"] = _html("curves", min_width=300)
        for which, title in (("methods", "Compare methods"), ("classes", "Compare classes")):
            with gr.Tab(title):
                text = "scores are perturbation correlations" if which == "methods" else "with their probabilities"
                buttons[which] = gr.Button(f"Compare all {which}", size="sm", elem_id=f"compare-{which}")
                gr.Markdown(f"The same face and settings; {text}.")
                outputs[f"compared_{which}"] = _html(f"all-{which}", "", "choice.js")
        with gr.Tab("Sanity check"):
            gr.Markdown(
                "A map that stays the same after parameters are re-initialised does not explain the model "
                "([Adebayo et al. 2018](https://arxiv.org/abs/1810.03292))."
            )
            with gr.Row():
                buttons |= {which: gr.Button(text, size="sm", min_width=150) for which, text in RANDOMISE.items()}
            outputs["randomised"] = _html("forgot")
    return buttons


def _html(elem_id: str, value: str = "", script: str | None = None, **properties) -> gr.HTML:
    return gr.HTML(
        value, css_template=static.text("tabs.css", "saliency.css"), js_on_load=static.text(script) if script else None,
        apply_default_css=False, padding=False, elem_id=elem_id, **properties,
    )  # fmt: skip


# ---- events


def _wire(
    session: Session, inputs: list[Component], outputs: dict[str, Component], buttons: dict[str, gr.Button]
) -> None:
    """The map, its scores and its curves; handlers take an `ExplainRequest` and the visitor's `CurrentRequest`."""
    weights, every, current = session.weights, list(outputs.values()), gr.State(CurrentRequest())
    shown, known = outputs["shown"], outputs["known"]
    *_, top, drawn = inputs

    def request(values: tuple) -> ExplainRequest:
        *choices, drawn = values
        return ExplainRequest.of(*choices, tuple(drawn))

    def steps(handler: Callable[..., Iterator[dict]]) -> Callable:
        return by_name_steps(outputs, lambda *values: handler(request(values[:-1]), values[-1], weights))

    def once(handler: Callable[..., dict]) -> Callable:
        return by_name(outputs, lambda *values: handler(request(values[:-1]), values[-1]))

    def open_tab(*values) -> Iterator[dict]:
        yield from handlers.open_tab(request(values[:-2]), *values[-2:], weights)

    changes = [session.model_change_in("Saliency"), *(part.input for part in inputs[2:7])]
    gr.on(changes, lambda *values: handlers.note(request(values[:-1]), values[-1]), [*inputs, current], None,
          queue=False, **QUIET)  # fmt: skip
    chosen = gr.on(changes, steps(handlers.explain), [*inputs, current], every, trigger_mode="always_last", **QUIET)
    entered = get_render_context().select(by_name_steps(outputs, open_tab), [*inputs, current, shown], every, **QUIET)
    catch_up = by_name(outputs, partial(handlers.catch_up, weights=weights))
    measure = by_name_steps(outputs, partial(handlers.measure, weights=weights))
    for event in (chosen, entered):
        event.success(catch_up, [shown, top], every, **QUIET)
        event.success(measure, [shown, known, current], every, trigger_mode="always_last", **QUIET)
        event.failure(once(handlers.fail), [*inputs, current], every, **QUIET)
    outputs["pictures"].choice(once(handlers.stop), [*inputs, current], every, cancels=[chosen, entered], **QUIET)
    remask = by_name(outputs, partial(handlers.remask, weights=weights))
    top.input(remask, [shown, top], every, trigger_mode="always_last", **QUIET)
    drawn.input(by_name(outputs, handlers.redraw), [shown, outputs["compared"], drawn], every, **QUIET)
    _wire_tabs(session, outputs, buttons, drawn, current)


def _wire_tabs(
    session: Session, outputs: dict[str, Component], buttons: dict[str, gr.Button], drawn: gr.CheckboxGroup,
    current: gr.State,
) -> None:  # fmt: skip
    weights, every = session.weights, list(outputs.values())
    shown, known, compared = (outputs[name] for name in ("shown", "known", "compared"))
    for which in RANDOMISE:
        randomise = by_name(outputs, partial(handlers.randomise, which=which, weights=weights))
        buttons[which].click(randomise, [shown, drawn], every, show_progress_on=buttons[which], **BUSY)
    for which in ("methods", "classes"):
        compare = by_name_steps(outputs, partial(handlers.compare, which=which, weights=weights))
        comparing = buttons[which].click(compare, [shown, known, drawn, current], every, **QUIET)
        stop = by_name(outputs, partial(handlers.stop_comparing, which=which))
        outputs[f"compared_{which}"].choice(stop, [shown, compared, drawn], every, cancels=[comparing], **QUIET)


def _wire_download(session: Session, button: gr.Button, inputs: list[Component]) -> None:
    address, name = gr.Textbox(visible=False), gr.Textbox(visible=False)
    taken = button.click(partial(handlers.download, weights=session.weights), inputs, [address, name], **QUIET)
    taken.success(None, [address, name], None, js=static.text("download.js"), **QUIET)
