"""The Filters tab's menus: the layers of a network, in words, and their filters, in pages or as a list."""

from pathlib import Path

import gradio as gr
from torch import nn

from fer.app.filters.job import VisualizationState
from fer.app.model_cache import load_network
from fer.features import receptive_field, visualization
from fer.models import layers, summary
from fer.models.checkpoint import FERModel

PAGE = 16  # filters that start together unless the visitor asks for more


def layer_choices(chain: FERModel) -> list[tuple[str, str]]:
    """A readable line and the name of every layer that has weights; the last one speaks of its classes."""
    rows = [row for row in summary.layer_table(chain) if isinstance(chain[row.name], nn.Conv2d | nn.Linear)]
    return [(_line(chain, row, row is rows[-1]), row.name) for row in rows]


def _line(chain: FERModel, row: summary.LayerSummary, last: bool) -> str:
    if last:
        return f"{row.name}: the {row.shape[0]} classes"
    if len(row.shape) == 1:
        return f"{row.name}: {row.shape[0]} neurons"
    field = min(receptive_field.receptive_field(chain, row.name).size, layers.SIDE)
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
        quick = [name for _, name in lines if receptive_field.receptive_field(chain, name).size <= 30]
        layer, which = (quick or [lines[0][1]])[-1], None
    return gr.update(choices=lines, value=layer), pages(network, layer, which, weights=weights)


def menu_after(
    network: str | None, layer: str | None, which: str | None, grown: VisualizationState | None, *, weights: Path
) -> tuple:
    """The menus once another network is chosen; for the one whose filters are on the sheet, they name those.

    A link changes the network before the browser can know of the layer, so what has grown counts more.
    """
    if grown is not None and grown.asked.network == network:
        layer, which = grown.asked.layer, written(grown.asked.filters)
    return menu(network, layer, which, weights=weights)


def written(filters: tuple[int, ...]) -> str:
    """As the visitor would write them: `0-15`, or `3,70`."""
    if len(filters) > 1 and filters == tuple(range(filters[0], filters[-1] + 1)):
        return f"{filters[0]}-{filters[-1]}"
    return ",".join(map(str, filters))


def pages(network: str, layer: str | None, which: str | None = None, *, weights: Path) -> dict:
    """The filters of a layer in pages; the visitor may also write a list, which stays if the layer has them all."""
    count = {row.name: row.shape[0] for row in summary.layer_table(load_network(weights, network))}.get(layer, 1)
    ranges = [f"{first}-{min(first + PAGE, count) - 1}" for first in range(0, count, PAGE)]
    value = which if which and _has_all(which, count) else ranges[0]
    return gr.update(choices=[*ranges, f"0-{count - 1}"] if len(ranges) > 1 else ranges, value=value)


def _has_all(which: str, count: int) -> bool:
    try:
        return max(visualization.parse_filters(str(which))) < count
    except ValueError:
        return False
