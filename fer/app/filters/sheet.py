"""The Filters tab's sheet: the images of all filters as one picture with a button for each; and the card of one.

Values reach the browser through `${value}` only, escaped here; see `app/predict/view.py` for why.
"""

from collections.abc import Sequence
from html import escape

import gradio as gr
import numpy as np

from fer.app.components import choice_attributes
from fer.app.filters import job
from fer.app.filters.job import VisualizationState
from fer.plotting import encode, maps

COLUMNS = 16  # of the picture; the page flows the tiles as it has room
SMALL = 64  # from so many tiles on, they are drawn small
BY_NUMBER, BY_ACTIVATION = ORDERS = ("by number", "by activation")

EMPTY = {"value": "", "status": "", "progress": "", "picture": "", "size": "", "columns": 1, "rows": 1}


def render_sheet(
    state: VisualizationState | None, order: str, opened: int | None = None, stopped: bool = False, message: str = ""
) -> gr.HTML:
    """The picture with its buttons; without a state, the message.

    Always with all of its properties: Gradio drops those that an update leaves out where the tab is not drawn yet.
    """
    if state is None:
        return gr.HTML(**EMPTY | {"status": message})
    count, side = len(state.names), state.images.shape[-1]
    places = sorted(range(count), key=lambda index: -state.values[index] if order == BY_ACTIVATION else index)
    # At three pixels for one, a browser's rounding at a tile's edge is too little to see.
    sheet = maps.tile_images(state.images[places], COLUMNS, scale=max(1, 144 // side) if count < SMALL else 1, gap=0)
    rows, columns = -(-count // COLUMNS), min(COLUMNS, count)
    running = not (state.precomputed or state.ended or stopped)
    return gr.HTML(
        tiles(places, state.names, state.values, state.dead, (rows, columns), opened),
        status=job.status(state, stopped),
        progress=f"{state.step / state.request.steps:.0%}" if running else "",
        picture=encode.data_url(sheet, longest=8000),
        size="small" if count >= SMALL else "",
        columns=columns,
        rows=rows,
    )


def tiles(
    order: Sequence[int], names: Sequence[str], values: Sequence[float], dead: Sequence[bool], shape: tuple[int, int],
    opened: int | None = None,
) -> str:  # fmt: skip
    """A button for every tile in the order of the picture, whose tiles lie in `shape`'s rows and columns.

    A button chooses the tile's own number, whatever its place; one of them is the sheet's tab stop.
    """
    entry = order[0] if opened is None else opened
    return "".join(
        _tile(
            index, escape(names[index]), values[index], dead[index], _place(at, *shape), index == opened, index == entry
        )
        for at, index in enumerate(order)
    )


def _place(at: int, rows: int, columns: int) -> str:
    """Where a tile lies in the picture, as CSS counts a background's position."""
    down, across = divmod(at, columns)
    return f"{across / max(columns - 1, 1):.4%} {down / max(rows - 1, 1):.4%}"


def _tile(index: int, name: str, value: float, dead: bool, place: str, pressed: bool, entry: bool) -> str:
    label = f"{name}, activation {value:.2f}{', dead' if dead else ''}"
    shown = '<small class="dead">dead</small>' if dead else f"<small>{value:.1f}</small>"
    return (
        f"<button {choice_attributes(index, label, pressed, entry)}>"
        f'<i style="background-position: {place}"></i>'
        f"<span>{name.removeprefix('filter ')}{shown}</span></button>"
    )


def render_card(
    title: str, pictures: dict[str, np.ndarray], facts: dict[str, str], curve: str, link: str | None = None
) -> str:
    """One filter enlarged, with what is known of it, as markup.

    pictures: by caption, (H, W) of floats, stretched to black and white, or RGB (H, W, 3) uint8. facts: by name.
    curve: the address of the activation's curve. link: that of the card itself.
    """
    figures = "".join(
        f'<figure><img src="{_data_url(picture)}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption>'
        "</figure>"
        for caption, picture in pictures.items()
    )
    figures += f'<figure class="curve"><img src="{curve}" alt="Activation at each step"></figure>'
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    if link:
        rows += f'<dt>Link</dt><dd><a href="{escape(link)}">This image, from the same seed</a></dd>'
    return (
        f'<section class="card" aria-label="{escape(title)}"><h3>{escape(title)}</h3>{figures}<dl>{rows}</dl></section>'
    )


def _data_url(picture: np.ndarray) -> str:
    if picture.ndim == 3:
        scale = max(1, 192 // picture.shape[0])  # JPEG would smear single pixels
        return encode.data_url(picture.repeat(scale, 0).repeat(scale, 1))
    return encode.data_url(maps.tile_images(picture[None], 1, gap=0))
