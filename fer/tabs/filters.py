"""The Filters tab: gradient ascent from noise, live, for the filters of any layer; the last layer gives the classes.

tab(shared)     lays it out, inside a `gr.Tab`

A frame is one composed picture, sent as a data address: nothing is written to disk. `growing.py` grows, `onefilter.py`
fills the card of a tile, `morph.py` goes from one class to another, `tiles.py` holds the markup.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
from torch import nn

from fer import ascent, filters, networks, plots
from fer.checkpoint import Network
from fer.presets import PRESETS
from fer.tabs import growing, morph, onefilter, tiles
from fer.tabs.growing import BUDGET, MOST, Grown
from fer.tabs.shared import Shared, Wanted, choices, load_network, network_menu, refusal

PAGE = 16  # filters that start together unless the visitor asks for more
COLUMNS = 16  # of the composed picture; the page flows the tiles as it has room
SMALL = 64  # from so many tiles on, they are drawn small
ORDERS = ("by number", "by ascent value")
NOISE, FACE = ORIGINS = ("noise", "your face")

INTRO = "What does a filter look for? Each picture starts as noise and is changed, step by step, so that its filter \
answers more. `clear` shows what is found; `report` climbs as the two coursework reports did, and stays noise. \
Most of these pictures excite a network more than any face does: caricatures, not portraits."

NOTHING = {"value": "", "status": "", "picture": "", "size": "", "columns": 1, "rows": 1}


# ---- handlers: menus


def layer_choices(chain: Network) -> list[tuple[str, str]]:
    """A readable line and the name of every layer that has weights; the last one speaks of its classes."""
    rows = [row for row in networks.table(chain) if isinstance(chain[row.name], nn.Conv2d | nn.Linear)]
    return [(_line(chain, row, row is rows[-1]), row.name) for row in rows]


def _line(chain: Network, row: networks.LayerRow, last: bool) -> str:
    if last:
        return f"{row.name}: the {row.shape[0]} classes"
    if len(row.shape) == 1:
        return f"{row.name}: {row.shape[0]} neurons"
    field = min(filters.receptive_field(chain, row.name), networks.SIDE)
    return f"{row.name}: {row.shape[0]} filters see {field} x {field}"


def menu(network: str | None, layer: str | None = None, which: str | None = None, *, weights: Path) -> tuple:
    """The layers of a network and their filters: what was chosen stays where there is such a layer.

    Else the deepest layer that is quick is chosen.
    """
    try:
        chain = load_network(weights, network)
    except gr.Error:  # told where the network is chosen
        return gr.update(choices=[], value=None), gr.update(choices=[], value=None)
    lines = layer_choices(chain)
    if layer not in (name for _, name in lines):
        quick = [name for _, name in lines if filters.receptive_field(chain, name) <= 30]
        layer, which = (quick or [lines[0][1]])[-1], None
    return gr.update(choices=lines, value=layer), pages(network, layer, which, weights=weights)


def menu_after(
    network: str | None, layer: str | None, which: str | None, grown: Grown | None, *, weights: Path
) -> tuple:
    """The menus once another network is chosen; for the one whose filters are on the sheet, they name those.

    A link changes the network before the browser can know of the layer, so what has grown counts more.
    """
    if grown is not None and grown.asked.network == network:
        layer, which = grown.asked.layer, _written(grown.asked.filters)
    return menu(network, layer, which, weights=weights)


def _written(filters: tuple[int, ...]) -> str:
    """As the visitor would write them: `0-15`, or `3,70`."""
    if len(filters) > 1 and filters == tuple(range(filters[0], filters[-1] + 1)):
        return f"{filters[0]}-{filters[-1]}"
    return ",".join(map(str, filters))


def pages(network: str, layer: str | None, which: str | None = None, *, weights: Path) -> dict:
    """The filters of a layer in pages; the visitor may also write a list, which stays if the layer has them all."""
    count = {row.name: row.shape[0] for row in networks.table(load_network(weights, network))}.get(layer, 1)
    ranges = [f"{first}-{min(first + PAGE, count) - 1}" for first in range(0, count, PAGE)]
    value = which if which and _within(which, count) else ranges[0]
    return gr.update(choices=[*ranges, f"0-{count - 1}"] if len(ranges) > 1 else ranges, value=value)


def _within(which: str, count: int) -> bool:
    try:
        return max(ascent.listed(str(which))) < count
    except ValueError:
        return False


# ---- handlers: the sheet


def grow(
    network: str, layer: str, which: str, preset: str, steps: float, seed: float, origin: str, budget: float,
    order: str, face: np.ndarray | None, *, weights: Path,
) -> Iterator[tuple[gr.HTML, Grown]]:  # fmt: skip
    """The view and what is behind it, after every few steps."""
    if origin == FACE and face is None:
        raise refusal("There is no face yet: choose a picture in the Predict tab, then start from it here.")
    start = {"face": face, "budget": budget} if origin == FACE else {}
    asked = growing.ask(weights, network, layer, which, preset, steps, seed, **start)
    for grown in growing.grow(asked, weights):
        yield view(grown, order), grown


def view(grown: Grown | None, order: str, opened: int | None = None, stopped: bool = False) -> gr.HTML:
    """The composed picture with its buttons.

    Always with all of its properties: Gradio drops those that an update leaves out where the tab is not drawn yet.
    """
    if grown is None:
        return gr.HTML(**NOTHING)
    count, side = len(grown.names), grown.images.shape[-1]
    places = sorted(range(count), key=lambda index: -grown.values[index] if order == ORDERS[1] else index)
    # At three pixels for one, a browser's rounding at a tile's edge is too little to see.
    sheet = plots.sheet(grown.images[places], COLUMNS, scale=max(1, 144 // side) if count < SMALL else 1, gap=0)
    return gr.HTML(
        _buttons(grown, places, opened),
        status=status(grown, stopped),
        picture=plots.data_url(sheet, longest=8000),
        size="small" if count >= SMALL else "",
        columns=min(COLUMNS, count),
        rows=-(-count // COLUMNS),
    )


def _buttons(grown: Grown, places: list[int], opened: int | None) -> str:
    count = len(places)
    shape = (-(-count // COLUMNS), min(COLUMNS, count))
    return tiles.buttons(places, grown.names, grown.values, grown.dead, shape, opened)


def status(grown: Grown, stopped: bool = False) -> str:
    """How far it is, in words of ours: names of networks and layers hold no markup, being those of the registry."""
    asked, at_end = grown.asked, grown.step == grown.asked.steps
    place = f"{asked.layer} of {asked.network}, step {grown.step} of {asked.steps}"
    place += ", done" if at_end else ", stopped" if stopped else ""
    gone = sum(grown.dead)
    return place + (f"; {gone} dead: no gradient from the start" if gone else "") + "."


def settle(
    grown: Grown | None, order: str, opened: int | None, face: np.ndarray | None, *, weights: Path
) -> tuple[gr.HTML, str]:
    """The sheet and, where one was opened meanwhile, the card, once nothing changes any more."""
    card = "" if grown is None or opened is None else onefilter.card(grown, opened, face, weights)
    return view(grown, order, opened), card


def open_link(request: gr.Request, *, weights: Path) -> Iterator[tuple]:
    """What a link to a card asks for, grown anew; nothing where the page was opened without one.

    Yields the network, layer, filters, preset, steps, seed, the sheet, what is behind it, the card and the open tile.
    """
    asked = onefilter.linked(dict(request.query_params), weights)
    if asked is None:
        yield *(gr.skip(),) * 6, view(None, ORDERS[0]), None, "", None  # without a yield, Gradio would empty them all
        return
    which = _written(asked.filters)
    layer, filters = menu(asked.network, asked.layer, which, weights=weights)
    chosen = (asked.network, layer, filters, asked.preset, asked.steps, asked.seed)
    for grown in growing.grow(asked, weights):
        yield *chosen, view(grown, ORDERS[0], 0), grown, onefilter.card(grown, 0, None, weights), 0
        chosen = (gr.skip(),) * len(chosen)  # what the visitor turns to meanwhile is left alone


# ---- layout


def tab(shared: Shared) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    controls = _controls(shared)
    with gr.Row():
        start = gr.Button("Start", variant="primary", elem_id="start", min_width=80)
        end = gr.Button("Stop", elem_id="stop", min_width=80)
        again = gr.Button("Reseed", elem_id="new-seed", min_width=80)
    sheet = choices(**NOTHING, html_template=tiles.SHEET, css_template=tiles.SHEET_CSS, elem_id="sheet")
    card = gr.HTML("", css_template=tiles.CARD_CSS, apply_default_css=False, elem_id="filter-card")
    compare = gr.Button("Compare with the next seed", visible=False, elem_id="compare")
    _wire(shared, controls, (start, end, again, compare), sheet, card)
    morph.section(shared)


def _controls(shared: Shared) -> list:
    """The visitor's choices, in the order in which `grow` takes them after the network."""
    layers, filters = (_properties(update) for update in menu(shared.network.value, weights=shared.weights))
    with gr.Row():
        network_menu(shared, "filters-network")
        layer = gr.Dropdown(**layers, label="Layer", elem_id="layer", scale=2, min_width=260)
        which = gr.Dropdown(
            **filters, label="Filters, as in 0-63,70",
            allow_custom_value=True, elem_id="which", min_width=160,
        )  # fmt: skip
    with gr.Row():
        preset = gr.Radio(list(PRESETS), value="clear", label="Preset", elem_id="preset", min_width=180)
        steps = gr.Slider(1, MOST, value=PRESETS["clear"].steps, step=1, label="Steps", elem_id="steps", min_width=180)
        seed = gr.Number(0, precision=0, minimum=0, label="Seed of the noise", elem_id="seed", min_width=140)
    with gr.Row():
        origin = gr.Radio(list(ORIGINS), value=NOISE, label="Start from", elem_id="origin", min_width=180)
        budget = gr.Slider(
            0.02, 0.4, value=BUDGET, step=0.02, label="Change it by at most (RMS)",
            elem_id="budget", min_width=180, visible=False,
        )  # fmt: skip
        order = gr.Radio(list(ORDERS), value=ORDERS[0], label="Order", elem_id="order", min_width=240)
    return [layer, which, preset, steps, seed, origin, budget, order]


def _properties(update: dict) -> dict:
    return {key: value for key, value in update.items() if key != "__type__"}


def _wire(shared: Shared, controls: list, buttons: tuple, sheet: gr.HTML, card: gr.HTML) -> None:
    layer, which, preset, steps, seed, origin, budget, order = controls
    start, end, again, compare = buttons
    grown, opened, other = (gr.State(None) for _ in range(3))
    weights = {"weights": shared.weights}
    ours = {"api_visibility": "private", "show_progress": "hidden"}
    long = {"concurrency_id": "ascent", **ours}

    # Gradio hands an event or a request over only where it can read the parameter's type, which a partial hides.
    def chosen(grown: Grown | None, face: np.ndarray | None, event: gr.EventData) -> tuple:
        return onefilter.choose(grown, face, event, **weights)

    def visited(request: gr.Request) -> Iterator[tuple]:
        yield from open_link(request, **weights)

    def led(wanted: Wanted) -> Iterator[tuple]:
        yield from open_link(wanted, **weights)

    linked = [shared.network, layer, which, preset, steps, seed, sheet, grown, card, opened]
    revived = gr.on(None, visited, None, linked, **long)  # no trigger: when the page is opened
    sheet.choice(chosen, [grown, shared.face], [card, opened, other], **ours)
    wanted = shared.wanted.change(led, shared.wanted, linked, **long)
    compared = compare.click(
        partial(onefilter.compare, **weights), [grown, opened, other, shared.face], [card, other], **long
    )
    opened.change(lambda opened: gr.Button(visible=opened is not None), opened, compare, **ours)
    gr.on([opened.change, order.input], view, [grown, order, opened], sheet, **ours)

    start.click(lambda: ("", None), None, [card, opened], queue=False, cancels=[revived, wanted, compared], **ours)
    asked = [shared.network, *controls, shared.face]
    climbing = start.click(partial(grow, **weights), asked, [sheet, grown], **long)
    running = [climbing, revived, wanted, compared]
    climbing.then(partial(settle, **weights), [grown, order, opened, shared.face], [sheet, card], **ours)
    end.click(partial(view, stopped=True), [grown, order, opened], sheet, cancels=running, queue=False, **ours)
    press_start = "() => document.querySelector('#start').click()"
    again.click(lambda seed: int(seed) + 1, seed, seed, cancels=running, **ours).then(None, js=press_start)

    # Unchecked by Gradio, which would refuse a layer of the network before; `menu` and `pages` check for themselves.
    unchecked = {"preprocess": False, **ours}
    now = [shared.network, layer, which, grown]
    shared.network.change(partial(menu_after, **weights), now, [layer, which], **unchecked)
    layer.input(partial(pages, **weights), [shared.network, layer], which, **unchecked)
    preset.input(lambda name: PRESETS[name].steps, preset, steps, **ours)
    origin.input(lambda origin: gr.Slider(visible=origin == FACE), origin, budget, **ours)
