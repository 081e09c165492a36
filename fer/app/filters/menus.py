"""The Filters tab's menus: the layers of a model, and the filters of a layer in pages or as a list."""

from pathlib import Path

import gradio as gr
from torch import nn

from fer.app.model_cache import load_network
from fer.features import receptive_field, visualization
from fer.models import layers, summary
from fer.models.checkpoint import FERModel

PAGE = 16  # filters that are run together unless the visitor asks for more

Remembered = dict[str, tuple[str, str]]  # by model: the layer and the filters that were chosen last


def layer_choices(chain: FERModel) -> list[tuple[str, str]]:
    """A readable line and the name of every layer that has weights; the last one is that of the classes."""
    rows = [row for row in summary.layer_table(chain) if isinstance(chain[row.name], nn.Conv2d | nn.Linear)]
    return [(_line(chain, row, row is rows[-1]), row.name) for row in rows]


def _line(chain: FERModel, row: summary.LayerSummary, last: bool) -> str:
    if last:
        return f"{row.name}: the {row.shape[0]} classes"
    if len(row.shape) == 1:
        return f"{row.name}: {row.shape[0]} neurons"
    field = min(receptive_field.receptive_field(chain, row.name).size, layers.SIDE)
    return f"{row.name}: {row.shape[0]} filters, receptive field {field}×{field}"


def layer_menus(model: str | None, layer: str | None = None, which: str | None = None, *, weights: Path) -> dict:
    """The layers of a model and their filters; without such a layer, the classes, which anybody can read."""
    try:
        chain = load_network(weights, model)
    except gr.Error:  # told where the model is chosen
        return {"layer": gr.update(choices=[], value=None), "which": gr.update(choices=[], value=None)}
    lines = layer_choices(chain)
    if layer not in (name for _, name in lines):
        layer, which = lines[-1][1], None
    return {
        "layer": gr.update(choices=lines, value=layer),
        "which": filter_pages(model, layer, which, weights=weights),
    }


def filter_pages(model: str, layer: str | None, which: str | None = None, *, weights: Path) -> dict:
    """The filters of a layer in pages; a list that the visitor wrote stays if the layer has them all."""
    count = {row.name: row.shape[0] for row in summary.layer_table(load_network(weights, model))}.get(layer, 1)
    ranges = [f"{first}-{min(first + PAGE, count) - 1}" for first in range(0, count, PAGE)]
    value = which if which and _has_all(which, count) else ranges[0]
    return gr.update(choices=[*ranges, f"0-{count - 1}"] if len(ranges) > 1 else ranges, value=value)


def _has_all(which: str, count: int) -> bool:
    try:
        return max(visualization.parse_filters(str(which))) < count
    except ValueError:
        return False


def filters_text(filters: tuple[int, ...]) -> str:
    """As a visitor would write them: `0-15`, or `3,70`."""
    if len(filters) > 1 and filters == tuple(range(filters[0], filters[-1] + 1)):
        return f"{filters[0]}-{filters[-1]}"
    return ",".join(map(str, filters))
