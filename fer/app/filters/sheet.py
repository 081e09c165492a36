"""The sheet of the Filters tab: what has grown so far, or what the atlas has, as one composed picture with buttons."""

from pathlib import Path

import gradio as gr
import numpy as np

from fer.app.filters import card as filters_card
from fer.app.filters import job
from fer.app.filters.job import JobToken, VisualizationState
from fer.app.filters.view import buttons
from fer.plotting import encode, maps

COLUMNS = 16  # of the composed picture; the page flows the tiles as it has room
SMALL = 64  # from so many tiles on, they are drawn small
ORDERS = ("by number", "by ascent value")

NOTHING = {"value": "", "status": "", "picture": "", "size": "", "columns": 1, "rows": 1}


def view(
    grown: VisualizationState | None, order: str, opened: int | None = None, stopped: bool = False, told: str = ""
) -> gr.HTML:
    """The composed picture with its buttons; without one, what is told in its place.

    Always with all of its properties: Gradio drops those that an update leaves out where the tab is not drawn yet.
    """
    if grown is None:
        return gr.HTML(**NOTHING | {"status": told})
    count, side = len(grown.names), grown.images.shape[-1]
    places = sorted(range(count), key=lambda index: -grown.values[index] if order == ORDERS[1] else index)
    # At three pixels for one, a browser's rounding at a tile's edge is too little to see.
    sheet = maps.tile_images(grown.images[places], COLUMNS, scale=max(1, 144 // side) if count < SMALL else 1, gap=0)
    return gr.HTML(
        _buttons(grown, places, opened),
        status=job.status(grown, stopped),
        picture=encode.data_url(sheet, longest=8000),
        size="small" if count >= SMALL else "",
        columns=min(COLUMNS, count),
        rows=-(-count // COLUMNS),
    )


def _buttons(grown: VisualizationState, places: list[int], opened: int | None) -> str:
    count = len(places)
    shape = (-(-count // COLUMNS), min(COLUMNS, count))
    return buttons(places, grown.names, grown.values, grown.dead, shape, opened)


def settle(
    grown: VisualizationState | None, order: str, opened: int | None, face: np.ndarray | None, *,
    stopped: bool = False, weights: Path,
) -> tuple[gr.HTML, str]:  # fmt: skip
    """The sheet and, where one was opened meanwhile, the card, once nothing changes any more."""
    card = "" if grown is None or opened is None else filters_card.card(grown, opened, face, weights)
    return view(grown, order, opened, stopped), card


def rest(turn: JobToken, grown: VisualizationState | None, *seen, weights: Path) -> tuple:
    """The same after an ascent or a Stop, which leaves a card that was opened meanwhile.

    What follows an ascent that another one took the place of changes nothing.
    """
    stopped = not turn.wanted
    if not (stopped or grown and grown.ended):
        return gr.skip(), gr.skip()
    sheet, card = settle(grown, *seen, stopped=stopped, weights=weights)
    return sheet, card or gr.skip()
