"""The Filters tab: gradient ascent from noise, live, for the filters of any layer; the last layer gives the classes.

tab(shared)     lays it out, inside a `gr.Tab`

A frame is one composed picture, sent as a data address: nothing is written to disk. `job.py` runs the ascent,
`sheet.py` shows it, `card.py` fills the card of a tile, `interpolation.py` goes from one class to another, `menus.py`
and `view.py` hold menus and markup.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np

from fer.app import components
from fer.app.components import choices
from fer.app.errors import user_error
from fer.app.events import QUIET
from fer.app.filters import card as filters_card
from fer.app.filters import interpolation, job
from fer.app.filters.card import choose
from fer.app.filters.job import BUDGET, MOST, JobToken, VisualizationState
from fer.app.filters.menus import menu, menu_after, pages, written
from fer.app.filters.sheet import NOTHING, ORDERS, rest, settle, view
from fer.app.filters.view import SHEET, SHEET_CSS
from fer.app.model_cache import load_network
from fer.app.session import FilterRequest, Session
from fer.features import atlas, visualization
from fer.features.presets import PARTS, PRESETS
from fer.models import checkpoint

NOISE, FACE = ORIGINS = ("noise", "your face")
OF_PRESET = "preset"

INTRO = "What does a filter look for? Each picture started as noise and was changed, step by step, so that its filter \
answers more; in deep layers most excite it more than any real face does: caricatures, not portraits. **Start** grows \
them before your eyes, and a click on one opens its card. The last layer gives the emotions."

HOW = "`clear` shows what a filter looks for; `report` climbs as the two coursework reports did, and stays noise. Each \
of the four parts of a preset can be exchanged: what is moved (pixels, waves, or the ways in which faces differ, which \
`clear` takes for whole faces), how a picture is shaken before every step, what is to grow, and how a step is taken."

PART_LABELS = {
    "parametrise": "What is moved", "transform": "How it is shaken", "objective": "What is to grow", "loop": "Steps by",
}  # fmt: skip


# ---- handlers: the sheet


def asked_for(
    weights: Path, network: str, layer: str, which: str, preset: str, steps: float, seed: float, origin: str,
    budget: float, face: np.ndarray | None, *parts: str,
) -> job.VisualizationRequest:  # fmt: skip
    """What the controls say, checked; parts: a name for each of PARTS, or OF_PRESET."""
    if origin == FACE and face is None:
        raise user_error("There is no face yet: choose a picture in the Predict tab, then start from it here.")
    start = {"face": face, "budget": budget} if origin == FACE else {}
    named = zip(list(PARTS)[: len(parts)], parts, strict=True)
    exchanged = tuple((part, name) for part, name in named if name != OF_PRESET)
    return job.ask(weights, network, layer, which, preset, steps, seed, parts=exchanged, **start)


def grow(turn: JobToken, order: str, *choices, weights: Path) -> Iterator[tuple]:
    """The view and what is behind it, after every few steps of what the controls say, for as long as it is wanted."""
    mine = turn.wanted
    for grown in job.grow(asked_for(weights, *choices), weights) if mine else ():  # none: stopped as it waited
        if turn.wanted != mine:
            break
        yield view(grown, order), grown
    yield gr.skip(), gr.skip()  # without a yield, Gradio would empty them


def wait(turn: JobToken) -> tuple[gr.HTML, str, None]:
    """What is seen of a Start until its first frame; no card, no open tile. Others may be before it."""
    turn.begin()
    return gr.HTML(status="Waiting for its turn."), "", None


def stop(turn: JobToken, *seen, weights: Path) -> tuple:
    """Ends what grows, at its next frame; the sheet says so at once."""
    turn.end()
    return rest(turn, *seen, weights=weights)


def reseed(turn: JobToken, seed: float) -> int:
    turn.end()
    return int(seed) + 1


def browse(
    grown: VisualizationState | None, opened: int | None, order: str, *choices, weights: Path
) -> tuple[gr.HTML, VisualizationState | None, str, int | None]:
    """What the atlas has of what the controls say: the view, what is behind it, no card, no open tile.

    Where it has nothing, what is on the sheet stays; but of an atlas that is stale the visitor is told.
    """
    unchanged = (grown, opened, order, _face_of(choices), weights)
    try:
        asked = asked_for(weights, *choices)
        visualization.check_filters(load_network(weights, asked.network), asked.layer, asked.filters)
    except (gr.Error, ValueError):  # told once the visitor presses Start
        return _as_it_was(*unchanged)
    found = job.kept(asked, weights)
    if found is None and not atlas.is_stale(weights / asked.network, asked.layer):
        return _as_it_was(*unchanged)
    return view(found, order, told=_stale(asked.network)), found, "", None


def browse_after(
    grown: VisualizationState | None, opened: int | None, order: str, network: str, *choices, weights: Path
) -> tuple:
    """The same once another network is chosen; a link, which has its filters on the sheet already, is left alone."""
    if grown is not None and grown.asked.network == network:
        return _as_it_was(grown, opened, order, _face_of((network, *choices)), weights)
    return browse(grown, opened, order, network, *choices, weights=weights)


def _face_of(choices: tuple) -> np.ndarray | None:
    return choices[8]  # after network, layer, filters, preset, steps, seed, origin and budget


def _as_it_was(
    grown: VisualizationState | None, opened: int | None, order: str, face: np.ndarray | None, weights: Path
) -> tuple[gr.HTML, VisualizationState | None, str, int | None]:
    """Said once more and not skipped: of a tab that is not drawn yet, Gradio would forget what it shows."""
    drawn, card = settle(grown, order, opened, face, weights=weights)
    return drawn, grown, card, opened


def _stale(network: str) -> str:
    return f"The atlas of {network} is of earlier weights (python -m fer atlas {network} makes it anew): press Start."


def open_link(link: gr.Request | FilterRequest, *, weights: Path) -> Iterator[tuple]:
    """What a link asks for, kept or grown: all choices, the sheet, what is behind it, the card and the open tile.

    Without a link, only what the atlas has of the choices that the page opens with.
    """
    asked = filters_card.linked(dict(link.query_params), weights)
    if asked is None:
        grown = first(weights)
        skipped = (gr.skip(),) * (6 + len(PARTS))
        yield *skipped, view(grown, ORDERS[0]), grown, "", None  # without a yield, Gradio would empty them all
        return
    which = written(asked.filters)
    layer, numbers = menu(asked.network, asked.layer, which, weights=weights)
    parts = (dict(asked.parts).get(part, OF_PRESET) for part in PARTS)
    chosen = (asked.network, layer, numbers, asked.preset, asked.steps, asked.seed, *parts)
    found = job.kept(asked, weights)
    for grown in job.grow(asked, weights) if found is None else [found]:
        yield *chosen, view(grown, ORDERS[0], 0), grown, filters_card.card(grown, 0, None, weights), 0
        chosen = (gr.skip(),) * len(chosen)  # what the visitor turns to meanwhile is left alone


def first(weights: Path) -> VisualizationState | None:
    """What the atlas has of the choices that the page opens with, so that there is something to look at."""
    names = checkpoint.list_checkpoints(weights)
    try:
        layer, which = menu(names[0] if names else None, weights=weights)
        default = ("clear", PRESETS["clear"].steps, 0)
        return job.kept(job.ask(weights, names[0], layer["value"], which["value"], *default), weights)
    except (gr.Error, IndexError):
        return None


# ---- layout


def tab(shared: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    controls, order = _controls(shared)
    sheet = choices(**NOTHING, html_template=SHEET, css_template=SHEET_CSS, elem_id="sheet")
    card = gr.HTML("", css_template=components.CARD_CSS, apply_default_css=False, elem_id="filter-card")
    compare = gr.Button("Compare with the next seed", visible=False, elem_id="compare")
    _wire(shared, controls, order, sheet, card, compare)
    interpolation.section(shared)


def _controls(shared: Session) -> tuple[dict, gr.Radio]:
    """The visitor's choices by name, in the order of `asked_for`, with the buttons; and the order of the tiles."""
    layers, numbers = (_properties(update) for update in menu(shared.model.value, weights=shared.weights))
    with gr.Row():
        layer = gr.Dropdown(**layers, label="Layer", elem_id="layer", scale=2, min_width=260)
        which = gr.Dropdown(
            **numbers, label="Filters, as in 0-63,70",
            allow_custom_value=True, elem_id="which", min_width=160,
        )  # fmt: skip
    with gr.Accordion("How they grow", open=False, elem_id="how"):
        gr.Markdown(HOW)
        with gr.Row():
            preset = gr.Radio(list(PRESETS), value="clear", label="Preset", elem_id="preset", min_width=180)
            steps = gr.Slider(
                1, MOST, value=PRESETS["clear"].steps, step=1, label="Steps", elem_id="steps", min_width=180
            )
            seed = gr.Number(0, precision=0, minimum=0, label="Seed of the noise", elem_id="seed", min_width=140)
        with gr.Row():
            parts = [
                gr.Dropdown([OF_PRESET, *PARTS[part]], value=OF_PRESET, label=label, elem_id=part, min_width=140)
                for part, label in PART_LABELS.items()
            ]
        with gr.Row():
            origin = gr.Radio(list(ORIGINS), value=NOISE, label="Start from", elem_id="origin", min_width=180)
            budget = gr.Slider(
                0.02, 0.4, value=BUDGET, step=0.02, label="Change it by at most (RMS)",
                elem_id="budget", min_width=180, visible=False,
            )  # fmt: skip
    with gr.Row(elem_id="growing"):
        buttons = {
            "start": gr.Button("Start", variant="primary", elem_id="start", min_width=80),
            "end": gr.Button("Stop", elem_id="stop", min_width=80),
            "again": gr.Button("Reseed", elem_id="new-seed", min_width=80),
        }
        order = gr.Radio(
            list(ORDERS), value=ORDERS[0], show_label=False, container=False, elem_id="order", min_width=330
        )
    return {
        "layer": layer, "which": which, "preset": preset, "steps": steps, "seed": seed,
        "origin": origin, "budget": budget, "parts": parts, **buttons,
    }, order  # fmt: skip


def _properties(update: dict) -> dict:
    return {key: value for key, value in update.items() if key != "__type__"}


def _wire(shared: Session, controls: dict, order: gr.Radio, sheet: gr.HTML, card: gr.HTML, compare: gr.Button) -> None:
    layer, which, preset, steps, seed, origin, budget, parts, start, end, again = controls.values()
    (grown, opened, other), turn = (gr.State(None) for _ in range(3)), gr.State(JobToken())
    weights = {"weights": shared.weights}
    long = {"concurrency_id": "ascent", **QUIET}
    asked = [order, shared.model, layer, which, preset, steps, seed, origin, budget, shared.face, *parts]

    # Gradio hands an event or a request over only where it can read the parameter's type, which a partial hides.
    def chosen(grown: VisualizationState | None, face: np.ndarray | None, event: gr.EventData) -> tuple:
        return choose(grown, face, event, **weights)

    def visited(request: gr.Request) -> Iterator[tuple]:
        yield from open_link(request, **weights)

    linked = [shared.model, layer, which, preset, steps, seed, *parts, sheet, grown, card, opened]
    # No trigger: when the page is opened. In a line of its own, so that no visitor waits for another's ascent.
    revived = gr.on(None, visited, None, linked, concurrency_limit=8, **QUIET)
    sheet.choice(chosen, [grown, shared.face], [card, opened, other], **QUIET)
    wanted = shared.filter_request.change(partial(open_link, **weights), shared.filter_request, linked, **long)
    compared = compare.click(
        partial(filters_card.compare, **weights), [grown, opened, other, shared.face], [card, other], **long
    )
    opened.change(lambda opened: gr.Button(visible=opened is not None), opened, compare, **QUIET)
    gr.on([opened.change, order.input], view, [grown, order, opened], sheet, **QUIET)

    others = [revived, wanted, compared]
    start.click(wait, turn, [sheet, card, opened], queue=False, cancels=others, **QUIET)
    # Where one still runs, it ends at its next frame; then Gradio follows the Start that it has put off.
    climbing = start.click(partial(grow, **weights), [turn, *asked], [sheet, grown], trigger_mode="always_last", **long)
    seen = [turn, grown, order, opened, shared.face]
    climbing.success(partial(rest, **weights), seen, [sheet, card], **QUIET)
    climbing.failure(partial(stop, **weights), seen, [sheet, card], **QUIET)
    end.click(partial(stop, **weights), seen, [sheet, card], cancels=others, queue=False, **QUIET)
    press_start = "() => document.querySelector('#start').click()"
    again.click(reseed, [turn, seed], seed, cancels=others, queue=False, **QUIET).then(None, js=press_start)

    # Unchecked by Gradio, which would refuse a layer of the network before; `menu` and `pages` check for themselves.
    unchecked = {"preprocess": False, **QUIET}
    now, shown = [shared.model, layer, which, grown], [sheet, grown, card, opened]
    gr.on([shared.model.change, layer.input, which.input], JobToken.end, turn, cancels=others, queue=False, **QUIET)
    turned = shared.model.change(partial(menu_after, **weights), now, [layer, which], **unchecked)
    turned.then(partial(browse_after, **weights), [grown, opened, *asked], shown, **unchecked)
    paged = layer.input(partial(pages, **weights), [shared.model, layer], which, **unchecked)
    for event in (paged.then, which.input):
        event(partial(browse, **weights), [grown, opened, *asked], shown, **unchecked)
    preset.input(lambda name: PRESETS[name].steps, preset, steps, **QUIET)
    origin.input(lambda origin: gr.Slider(visible=origin == FACE), origin, budget, **QUIET)
