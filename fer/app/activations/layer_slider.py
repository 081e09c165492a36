"""The Activations tab's slider: the model's layers as bars in named blocks, from pixels to probabilities.

Its `choice` event has the `index` of the step that the visitor slides to, or clicks, and a `number` to be answered.
"""

from html import escape
from itertools import groupby

from torch import nn

from fer.features import activations, layer_report, receptive_field
from fer.models import layers, summary
from fer.models.checkpoint import FERModel

MINOR = nn.modules.batchnorm._BatchNorm


def shown_steps(chain: FERModel, layer: str, every: bool) -> list[str]:
    """The steps that the slider has: all, or without normalisation; `layer` in any case."""
    modules = dict(chain.named_children())
    names = layer_report.list_steps(chain)
    return [name for name in names if every or name == layer or not isinstance(modules.get(name), MINOR)]


def render_slider(chain: FERModel, layer: str, every: bool = False) -> str:
    """The slider of a model at a layer, as markup."""
    rows = {row.name: row for row in summary.layer_table(chain)}
    steps, names = layer_report.list_steps(chain), shown_steps(chain, layer, every)
    lines = {name: layer_text(chain, rows.get(name), name) for name in names}
    blocks = ""
    for title, group in groupby(names, key=lambda name: _block_name(chain, name)):
        group = list(group)
        bars = "".join(_bar(chain, rows, name, name == layer, lines[name], steps.index(name)) for name in group)
        blocks += f'<div style="--count: {len(group)}"><div>{bars}</div><span>{title}</span></div>'
    return (
        f'<output role="status">{escape(lines[layer])}</output><div class="blocks" aria-hidden="true">{blocks}</div>'
        f'<input type="range" min="0" max="{len(names) - 1}" value="{names.index(layer)}" aria-label="Layer" '
        f'aria-valuetext="{escape(lines[layer])}">'
    )


def _bar(chain: FERModel, rows: dict, name: str, chosen: bool, line: str, step: int) -> str:
    """As high as the layer's maps."""
    module = dict(chain.named_children()).get(name)
    kinds = " ".join(["weights"] * isinstance(module, nn.Conv2d | nn.Linear) + ["on"] * chosen)
    side = _side(rows.get(name), name) / layers.SIDE
    line = escape(line)
    return f'<i class="{kinds}" style="--high: {side:.2f}" title="{line}" data-line="{line}" data-step="{step}"></i>'


def _side(row: summary.LayerSummary | None, name: str) -> int:
    return layers.SIDE if name == layer_report.PIXELS else row.shape[1] if row and len(row.shape) == 3 else 1


def _block_name(chain: FERModel, name: str) -> str:
    """The block of a step: a block ends with a pooling; behind the last map lies the classifier."""
    if name == layer_report.PIXELS:
        return "Input"
    if name == layer_report.PROBABILITIES:
        return "Output"
    block = 1
    for layer, module in chain.named_children():
        if isinstance(module, nn.Flatten | nn.Linear | nn.AdaptiveAvgPool2d):
            return "Classifier"
        if layer == name:
            return f"Block {block}"
        block += isinstance(module, nn.MaxPool2d | nn.AvgPool2d)
    return "Classifier"


def layer_text(chain: FERModel, row: summary.LayerSummary | None, name: str) -> str:
    """A step's name, the number and size of its maps, and their receptive field."""
    if row is None:
        return "pixels: the model input" if name == layer_report.PIXELS else f"{name}: the prediction"
    if len(row.shape) == 1 or row.shape[1:] == (1, 1):
        classes = name == activations.active_layers(chain)[-1]
        return f"{name}: a logit for each of {row.shape[0]} classes" if classes else f"{name}: {row.shape[0]} neurons"
    count, high, wide = row.shape
    field = min(receptive_field.receptive_field(chain, name).size, layers.SIDE)
    what = f"{count} filters" if count > 1 else "the normalised pixels"
    return f"{name}: {what}, map {high}×{wide}" + f", receptive field {field}×{field}" * (field > 1)
