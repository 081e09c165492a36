"""The Filters tab: feature visualisation, the input that maximises a filter or a class.

tab(session)    lays it out, inside a `gr.Tab`; `handlers.py` has what its events do, `job.py` runs the optimisation,
                `sheet.py` and `card.py` are its markup, `interpolation.py` its section between two classes
"""

from collections.abc import Iterator
from functools import partial

import gradio as gr
import numpy as np
from gradio.components import Component

from fer.app import static
from fer.app.components import choices
from fer.app.events import QUIET, by_name, by_name_steps
from fer.app.filters import handlers, interpolation
from fer.app.filters.card import PRESET_NAMES
from fer.app.filters.handlers import FACE, NOISE, OF_PRESET, ORIGINS
from fer.app.filters.job import BUDGET, MAX_STEPS, JobToken, VisualizationState
from fer.app.filters.menus import layer_menus
from fer.app.filters.sheet import EMPTY, ORDERS
from fer.app.session import Session
from fer.features.presets import PARTS, PRESETS

INTRO = (
    "### Feature visualisation\nGradient ascent from noise to the input that maximises a class or a filter "
    "([Olah et al. 2017](https://distill.pub/2017/feature-visualization/)). Such inputs exceed any real face: "
    "caricatures, not portraits."
)
FIRST_PRESET = next(iter(PRESETS))
PART_LABELS = {
    "parametrise": ("Parameterisation", "What is optimised: pixels, Fourier coefficients, eigenface weights."),
    "transform": ("Jitter", "Random shifts, scalings and rotations before each step."),
    "objective": ("Objective", "Which activations of the map are maximised."),
    "loop": ("Optimiser", "How a step follows the gradient."),
}
PART_NAMES = {
    "pixels": "pixels", "waves": "Fourier", "coarse waves": "Fourier, low frequencies", "faces": "eigenfaces",
    "still": "none", "centre": "centre neuron", "plain": "normalised gradient", "adam": "Adam",
    OF_PRESET: "of the preset",
}  # fmt: skip


def tab(session: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    controls = _controls(session)
    with gr.Row():
        run = gr.Button("Run", variant="primary", elem_id="start", min_width=120)
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop", min_width=120)
        again = gr.Button("New seed", elem_id="new-seed", min_width=120)
        order = gr.Radio(
            list(ORDERS), value=ORDERS[0], label="Sort", container=False, elem_id="order", min_width=330
        )  # fmt: skip
    css = static.text("tabs.css", "filters.css")
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            sheet = choices(**EMPTY, html_template=static.text("filters.html"), css_template=css, elem_id="sheet")
        with gr.Column(scale=2, min_width=300):
            card = gr.HTML(
                handlers.HINT, css_template=css, js_on_load=static.text("card.js"), apply_default_css=False,
                elem_id="filter-card", sheet="#sheet",
            )  # fmt: skip
            compare = gr.Button("Try another seed", visible=False, size="sm", elem_id="compare")
    states = {name: gr.State(None) for name in ("state", "opened", "other", "remembered")}
    outputs = {
        "model": session.model,
        **controls,
        "run": run,
        "stop": stop,
        "sheet": sheet,
        "card": card,
        "compare": compare,
        **states,
    }
    _wire(session, outputs, order, again)
    with gr.Accordion("Class interpolation", open=False, elem_id="interpolation"):
        interpolation.section(session)


def _controls(session: Session) -> dict[str, Component]:
    """The visitor's choices by name."""
    menus = layer_menus(session.model.value, weights=session.weights)
    layers, numbers = ({key: menus[name].get(key) for key in ("choices", "value")} for name in ("layer", "which"))
    with gr.Row():
        layer = gr.Dropdown(
            **layers, label="Layer", info="The last one holds the classes.", elem_id="layer", scale=2, min_width=260
        )
        which = gr.Dropdown(
            **numbers, label="Filters", info="A range or a list, as in 0-63,70", allow_custom_value=True,
            elem_id="which", min_width=160,
        )  # fmt: skip
    with gr.Accordion("Optimisation settings", open=False, elem_id="how"):
        with gr.Row():
            preset = gr.Radio(
                [(PRESET_NAMES.get(name, name), name) for name in PRESETS], value=FIRST_PRESET, label="Preset",
                info="Without regularisation the result stays noise.", elem_id="preset", min_width=180,
            )  # fmt: skip
            steps = gr.Slider(
                1, MAX_STEPS, PRESETS[FIRST_PRESET].steps, step=1, label="Steps", elem_id="steps", min_width=180
            )
            seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="seed", min_width=140)
        with gr.Row():
            parts = {part: _part_menu(part) for part in PARTS}
        with gr.Row():
            origin = gr.Radio(list(ORIGINS), value=NOISE, label="Initial image", elem_id="origin", min_width=180)
            budget = gr.Slider(
                0.02, 0.4, value=BUDGET, step=0.02, label="Max perturbation (RMS)",
                info="Of pixels in 0 to 1.", elem_id="budget", min_width=180, visible=False,
            )  # fmt: skip
    return dict(
        layer=layer, which=which, preset=preset, steps=steps, seed=seed, origin=origin, budget=budget, **parts
    )  # fmt: skip


def _part_menu(part: str) -> gr.Dropdown:
    label, info = PART_LABELS[part]
    options = [(PART_NAMES.get(name, name), name) for name in (OF_PRESET, *PARTS[part])]
    return gr.Dropdown(options, value=OF_PRESET, label=label, info=info, elem_id=part, min_width=140)


# ---- events


def _wire(session: Session, outputs: dict[str, Component], order: gr.Radio, again: gr.Button) -> None:
    """Every event of the tab."""
    weights, every = {"weights": session.weights}, list(outputs.values())
    token = gr.State(JobToken())
    state, opened, other, face = outputs["state"], outputs["opened"], outputs["other"], session.face
    controls = [outputs[name] for name in ("layer", "which", "preset", "steps", "seed", "origin", "budget")]
    asked = [session.model, *controls, face, *(outputs[part] for part in PARTS)]

    # Gradio hands an event or a request over only where it can read the parameter's type, which a partial hides.
    def open_card(state: VisualizationState | None, face: np.ndarray | None, event: gr.EventData) -> dict:
        return handlers.open_card(state, face, event, **weights)

    def open_link(request: gr.Request) -> Iterator[dict]:
        yield from handlers.open_link(request, **weights)

    long = {"concurrency_id": "ascent", **QUIET}
    # No trigger: when the page is opened. In a queue of its own, so that no visitor waits for another's run.
    linked = gr.on(None, by_name_steps(outputs, open_link), None, every, concurrency_limit=8, **QUIET)
    requested = session.filter_request.change(
        by_name_steps(outputs, partial(handlers.open_link, **weights)), session.filter_request, every, **long
    )
    tried = outputs["compare"].click(
        by_name_steps(outputs, partial(handlers.try_seed, **weights)), [state, opened, other, face], every, **long
    )
    outputs["sheet"].choice(by_name(outputs, open_card), [state, face], every, **QUIET)
    gr.on([opened.change, order.input], handlers.render_sheet, [state, order, opened], outputs["sheet"], **QUIET)
    others = [linked, requested, tried]
    _wire_run(session, outputs, token, [order, *asked], again, others)
    _wire_menus(session, outputs, token, [state, outputs["remembered"], opened, order, *asked], others)


def _wire_run(
    session: Session, outputs: dict[str, Component], token: gr.State, asked: list[Component], again: gr.Button,
    others: list,
) -> None:  # fmt: skip
    """Run or Stop is shown; while a run is being stopped, the next one waits for its end."""
    weights, every, order = {"weights": session.weights}, list(outputs.values()), asked[0]
    run, state, opened = outputs["run"], outputs["state"], outputs["opened"]
    run.click(by_name(outputs, handlers.begin), token, every, queue=False, cancels=others, **QUIET)
    outputs["stop"].click(
        by_name(outputs, handlers.stop), [token, state, order, opened], every, queue=False, cancels=others, **QUIET
    )
    running = run.click(
        by_name_steps(outputs, partial(handlers.run, **weights)), [token, *asked], every,
        trigger_mode="always_last", concurrency_id="ascent", **QUIET,
    )  # fmt: skip
    finish = by_name(outputs, partial(handlers.finish, **weights))
    running.success(finish, [token, state, order, opened, session.face], every, **QUIET)
    running.failure(by_name(outputs, handlers.fail), token, every, **QUIET)
    press_run = "() => document.querySelector('#start').click()"
    seeded = again.click(
        by_name(outputs, handlers.new_seed), [token, outputs["seed"]], every, cancels=others, queue=False, **QUIET
    )
    seeded.then(None, js=press_run)


def _wire_menus(
    session: Session, outputs: dict[str, Component], token: gr.State, seen: list[Component], others: list
) -> None:
    """The menus follow the model, and the sheet follows the menus where something is precomputed."""
    weights, every = {"weights": session.weights}, list(outputs.values())
    layer, which, preset = outputs["layer"], outputs["which"], outputs["preset"]
    changes = [session.model.change, layer.input, which.input]
    gr.on(changes, by_name(outputs, handlers.cancel), token, every, cancels=others, queue=False, **QUIET)
    # Unchecked by Gradio, which would refuse a layer of the model before; the handlers check for themselves.
    for change, handler in zip(changes, (handlers.change_model, handlers.change_layer, handlers.browse), strict=True):
        change(by_name(outputs, partial(handler, **weights)), seen, every, preprocess=False, **QUIET)
    preset.input(lambda name: PRESETS[name].steps, preset, outputs["steps"], **QUIET)
    outputs["origin"].input(
        lambda origin: gr.Slider(visible=origin == FACE), outputs["origin"], outputs["budget"], **QUIET
    )
