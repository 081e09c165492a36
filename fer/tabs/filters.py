"""The Filters tab: gradient ascent from noise, live, for the filters of any layer; the last layer gives the classes.

tab(shared)     lays it out, inside a `gr.Tab`

A frame is one composed picture, sent as a data address: nothing is written to disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from torch import nn

from fer import ascent, networks, plots
from fer.checkpoint import Network
from fer.presets import PRESETS
from fer.tabs import tiles
from fer.tabs.shared import Shared, choices, load_network, network_menu, picked, refusal

PAGE = 16  # filters that start together unless the visitor asks for more
COLUMNS = 8
MOST = 128  # steps that a visitor may ask for
ORDERS = ("by number", "by ascent value")

INTRO = "What does a filter look for? Each picture starts as noise and is changed, step by step, so that its filter \
answers more. `clear` shows what is found; `report` climbs as the two coursework reports did, and stays noise. \
These pictures excite a network far more than any face does: caricatures, not portraits."

NOTHING = {"value": "", "status": "", "picture": "", "wide": 1, "high": 1, "columns": COLUMNS, "rows": 1}


@dataclass(frozen=True)
class Grown:
    """What an ascent has come to; kept in a `gr.State`."""

    network: str
    layer: str
    names: tuple[str, ...]  # of the filters, or of the classes
    filters: tuple[int, ...]
    images: np.ndarray  # (N, S, S) in 0..1
    values: tuple[float, ...]
    dead: tuple[bool, ...]
    step: int
    steps: int


# ---- handlers: plain functions


def layer_choices(chain: Network) -> list[tuple[str, str]]:
    """A readable line and the name of every layer that has weights; the last one speaks of its classes."""
    rows = [row for row in networks.table(chain) if isinstance(chain[row.name], nn.Conv2d | nn.Linear)]
    return [(_line(chain, row, row is rows[-1]), row.name) for row in rows]


def _line(chain: Network, row: networks.LayerRow, last: bool) -> str:
    if last:
        return f"{row.name}: the {row.shape[0]} classes"
    if len(row.shape) == 1:
        return f"{row.name}: {row.shape[0]} neurons"
    field = min(ascent.receptive_field(chain, row.name), networks.SIDE)
    return f"{row.name}: {row.shape[0]} filters, {field} x {field} pixels"


def menu(network: str | None, *, weights: Path) -> tuple[dict, dict]:
    """The layers of a network, and the filters of the one that is chosen first: the deepest one that is quick."""
    try:
        chain = load_network(weights, network)
    except gr.Error:  # told where the network is chosen
        return gr.update(choices=[], value=None, label="Layer"), gr.update(choices=[], value=None)
    lines = layer_choices(chain)
    quick = [name for _, name in lines if ascent.receptive_field(chain, name) <= 30]
    layer = (quick or [lines[0][1]])[-1]
    return gr.update(choices=lines, value=layer, label=f"Layer of {network}"), pages(network, layer, weights=weights)


def pages(network: str, layer: str | None, *, weights: Path) -> dict:
    """The filters of a layer in pages; the visitor may also write a list."""
    chain = load_network(weights, network)
    count = {row.name: row.shape[0] for row in networks.table(chain)}.get(layer, 1)
    ranges = [f"{first}-{min(first + PAGE, count) - 1}" for first in range(0, count, PAGE)]
    return gr.update(choices=[*ranges, f"0-{count - 1}"] if len(ranges) > 1 else ranges, value=ranges[0])


def grow(
    network: str, layer: str, filters: str, preset: str, steps: float, seed: float, order: str, *, weights: Path
) -> Iterator[tuple]:
    """The view and `Grown` after every few steps. The first look comes before the first step, so that noise is seen."""
    chain = load_network(weights, network)
    if preset not in PRESETS or not _whole(steps, 1, MOST) or not _whole(seed, 0, 2**31):
        raise refusal(f"Choose a preset, 1 to {MOST} steps and a seed of 0 or more.")
    try:
        numbers = ascent.listed(str(filters))
        frames = ascent.ascend(chain, layer, numbers, PRESETS[preset], seed=int(seed), steps=int(steps))
    except ValueError as error:
        raise refusal(f"This cannot be climbed: {error}.") from None
    names = _names(chain, layer, numbers)
    for step, images, values, dead in frames:
        pictures = images[:, 0].numpy()
        found = (tuple(values.tolist()), tuple(dead.tolist()), step, int(steps))
        grown = Grown(network, layer, names, tuple(numbers), pictures, *found)
        yield view(grown, order), grown


def _whole(number: object, least: int, most: int) -> bool:
    return isinstance(number, int | float) and least <= number <= most and number == int(number)


def _names(chain: Network, layer: str, numbers: list[int]) -> tuple[str, ...]:
    last = list(dict(chain.named_children()))[-1]
    return tuple(chain.labels[number] if layer == last else f"filter {number}" for number in numbers)


def view(grown: Grown | None, order: str) -> gr.HTML:
    """The composed picture with its buttons."""
    if grown is None:
        return gr.HTML(**NOTHING)
    count, side = len(grown.filters), grown.images.shape[-1]
    places = sorted(range(count), key=lambda index: -grown.values[index] if order == ORDERS[1] else index)
    sheet = plots.sheet(grown.images[places], COLUMNS, scale=max(1, 48 // side))
    columns = min(COLUMNS, count)
    return gr.HTML(
        tiles.buttons(places, grown.names, grown.values, grown.dead),
        status=status(grown),
        picture=plots.data_url(sheet, longest=8000),
        wide=sheet.shape[1],
        high=sheet.shape[0],
        columns=columns,
        rows=-(-count // columns),
    )


def status(grown: Grown, stopped: bool = False) -> str:
    """How far it is, in words of ours: names of networks and layers hold no markup, being those of the registry."""
    place = f"{grown.layer} of {grown.network}, step {grown.step} of {grown.steps}"
    ends = "stopped" if stopped and grown.step < grown.steps else "done" if grown.step == grown.steps else "climbing"
    gone = sum(grown.dead)
    return f"{place}, {ends}" + (f"; {gone} dead: no gradient from the start" if gone else "") + "."


def stop(grown: Grown | None) -> gr.HTML:
    """What is there stays; only the words change."""
    return gr.HTML(status=status(grown, stopped=True) if grown else "")


def card(grown: Grown | None, face: np.ndarray | None, event: gr.EventData, *, weights: Path) -> str:
    """One tile enlarged, with its kernel in the first layer and what it answers to the visitor's face."""
    index = picked(event, len(grown.filters) if grown else 0)
    chain, number = load_network(weights, grown.network), grown.filters[index]
    image = grown.images[index]
    pictures = {"What it answers most": image}
    facts = {"Ascent value": f"{grown.values[index]:.3f}" + " (dead)" * grown.dead[index]}
    facts["Fine waves"] = f"{ascent.spectral_share(torch.tensor(image)[None, None]).item():.0%} (noise 81%, faces 6%)"
    layer = chain[grown.layer]
    if isinstance(layer, nn.Conv2d) and layer.in_channels == 1:
        pictures["Its kernel"] = layer.weight[number, 0].detach().numpy()
    if face is not None:
        answer = response(chain, grown.layer, number, face)
        if answer.ndim == 2:
            pictures["Its map of your face, before activation"] = answer
        facts["Most on your face"] = f"{answer.max():.3f}"
    facts["Step"] = f"{grown.step} of {grown.steps}"
    name = grown.names[index]
    return tiles.card(f"{name[0].upper()}{name[1:]}, {grown.layer} of {grown.network}", pictures, facts)


@torch.inference_mode()
def response(chain: Network, layer: str, number: int, face: np.ndarray) -> np.ndarray:
    """What a filter answers to a face, uint8 (48, 48): its map (H, W), or one number ()."""
    return chain[:layer](torch.tensor(face)[None, None].float() / 255)[0, number].numpy()


# ---- layout


def tab(shared: Shared) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(INTRO)
    layers, filters = menu(shared.network.value, weights=shared.weights)
    with gr.Row():
        network_menu(shared, "filters-network")
        layer = gr.Dropdown(**_properties(layers), elem_id="layer", scale=2, min_width=260)
        which = gr.Dropdown(
            **_properties(filters), label="Filters: a page, or a list like 0-63,70",
            allow_custom_value=True, elem_id="which", min_width=160,
        )  # fmt: skip
    with gr.Row():
        preset = gr.Radio(list(PRESETS), value="clear", label="Preset", elem_id="preset", min_width=180)
        steps = gr.Slider(1, MOST, value=PRESETS["clear"].steps, step=1, label="Steps", elem_id="steps", min_width=180)
        seed = gr.Number(0, precision=0, minimum=0, label="Seed of the noise", elem_id="seed", min_width=120)
        order = gr.Radio(list(ORDERS), value=ORDERS[0], label="Order", elem_id="order", min_width=220)
    with gr.Row():
        start = gr.Button("Start", variant="primary", elem_id="start")
        end = gr.Button("Stop", elem_id="stop")
    sheet = choices(**NOTHING, html_template=tiles.SHEET, css_template=tiles.SHEET_CSS, elem_id="sheet")
    about = gr.HTML("", css_template=tiles.CARD_CSS, apply_default_css=False, elem_id="filter-card")
    _wire(shared, (layer, which, preset, steps, seed, order), (start, end), sheet, about)


def _properties(update: dict) -> dict:
    return {key: value for key, value in update.items() if key != "__type__"}


def _wire(shared: Shared, controls: tuple, buttons: tuple, sheet: gr.HTML, about: gr.HTML) -> None:
    layer, which, preset, _, _, order = controls
    start, end = buttons
    grown = gr.State(None)
    ours = {"api_visibility": "private", "show_progress": "hidden"}
    weights = {"weights": shared.weights}
    climbing = start.click(
        partial(grow, **weights), [shared.network, *controls], [sheet, grown], concurrency_id="ascent", **ours
    )
    end.click(stop, grown, sheet, cancels=[climbing], queue=False, **ours)
    start.click(lambda: "", None, about, queue=False, **ours)
    shared.network.change(partial(menu, **weights), shared.network, [layer, which], **ours)
    layer.input(partial(pages, **weights), [shared.network, layer], which, **ours)
    preset.input(lambda name: PRESETS[name].steps, preset, controls[3], **ours)
    order.input(view, [grown, order], sheet, **ours)

    def chosen(grown: Grown | None, face: np.ndarray | None, event: gr.EventData) -> str:
        return card(grown, face, event, **weights)  # Gradio finds the event by its annotation, which a partial hides

    sheet.choice(chosen, [grown, shared.face], about, **ours)
