"""The Activations tab's section on redundancy over many faces, and on pruning."""

import functools
import json
from functools import partial
from html import escape
from pathlib import Path

from torch import nn

from fer.app import static
from fer.app.components import fold
from fer.app.model_cache import load_network
from fer.app.session import Session
from fer.features import redundancy
from fer.features.redundancy import LayerRedundancy, Redundancy
from fer.plotting import encode, training

TITLE = "Redundancy and pruning"
NOT_MEASURED = "<p>Not available for {0}: its redundancy has not been measured.</p>"
STRATEGY_TEXTS = {
    "reconstruct": "reconstruction: the rest is adjusted to reconstruct its output",
    "nearest": "nearest substitution: the most correlated filter takes its place",
    "mean": "mean ablation: its mean takes its place",
}


def redundancy_text(layer: LayerRedundancy) -> str:
    """A sentence on a layer."""
    row = layer.row()
    redundant, dead = (f"{row[key]:,}" if row[key] else "none" for key in ("redundant", "dead"))
    return (
        f"Of {row['filters']:,} filters, {redundant} redundant (r > 0.95), {dead} dead; effective rank "
        f"{row['effective_rank']:.1f}."
    )


def render_redundancy(weights: Path, name: str) -> str:
    """A model's pruning curves and its layers, and all measured models compared, as markup."""
    found = redundancy.load_redundancy(weights / name) if name else None
    if found is None:
        return NOT_MEASURED.format(escape(str(name)))
    chain = load_network(weights, name)
    parts = [f"{_pruning_text(row)}{_bound(chain[row['layer']])}{_curve(json.dumps(row))}" for row in found.pruned]
    return "".join([*parts, _table(found), _networks(weights)])


def _pruning_text(row: dict) -> str:
    """How many of a layer's filters can be removed by each strategy, as sentences."""
    sentences = []
    for way, curve in row["strategies"].items():
        left = row["filters"] - curve["removable"]
        whole, one = curve["rows"][0], next(part for part in curve["rows"] if part["kept"] == left)
        low, high = one["ci95"]
        sentences.append(
            f"<li><b>{curve['removable']:,} of the {row['filters']:,}</b> by {STRATEGY_TEXTS.get(way, way)}: "
            f"{whole['accuracy']:.1%} becomes {one['accuracy']:.1%} (n {one['n']:,}; {low:.1%} to {high:.1%})</li>"
        )
    return (
        f"<p>Filters of <b>{escape(row['layer'])}</b> that can be removed without fine-tuning before half a point of "
        f"validation accuracy is lost:</p><ul>{''.join(sentences)}</ul>"
    )


def _bound(module: nn.Module) -> str:
    """The bound on the rank of a first convolution."""
    if not isinstance(module, nn.Conv2d) or module.in_channels > 1:
        return ""
    side = module.kernel_size[0]
    return (
        f"<p>Before the activation, the {module.out_channels} maps of {side}×{side} kernels on one channel are linear "
        f"combinations of {side**2} shifted copies of the face.</p>"
    )


@functools.lru_cache(maxsize=32)  # matplotlib is slow
def _curve(row: str) -> str:
    drawn = encode.figure_url(training.pruning_curves(json.loads(row)))
    return f'<img class="pruning" src="{drawn}" alt="Accuracy against the number of filters kept">'


def _table(found: Redundancy) -> str:
    rows = "".join(
        f"<tr><td>{escape(row['layer'])}</td><td>{row['filters']:,}</td><td>{row['redundant']:,}</td>"
        f"<td>{row['dead']:,}</td><td>{row['always_active']:,}</td><td>{row['effective_rank']:.1f}</td></tr>"
        for row in found.rows()
    )
    words = (
        f"Over {found.faces:,} validation faces and all positions of the maps. A filter is redundant with another if "
        "their maps correlate above 0.95, dead if it is constant, always on if it is above 0 everywhere. The "
        "effective rank is that of Roy and Vetterli (2007)."
    )
    head = "".join(
        f"<th>{part}</th>" for part in ("layer", "filters", "redundant", "dead", "always on", "effective rank")
    )
    return f'<p>{words}</p><div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _networks(weights: Path) -> str:
    """The activation layers of every measured model as a row, to compare ReLU with SELU; nothing for a single one."""
    lines = []
    for name, found in redundancy.load_all(weights):
        chain = load_network(weights, name)
        names = [layer for layer in found.layers if isinstance(chain[layer], nn.ReLU | nn.SELU | nn.Sigmoid)]
        rows = [found.layers[layer].row() for layer in names]
        total = sum(row["filters"] for row in rows)
        kinds = " and ".join(dict.fromkeys(type(chain[layer]).__name__ for layer in names))
        shares = [
            sum(row[key] for row in rows) / total for key in ("redundant", "dead", "always_active", "effective_rank")
        ]
        cells = "".join(f"<td>{share:.1%}</td>" for share in shares)
        lines.append(f"<tr><td>{escape(name)}</td><td>{kinds}</td><td>{total:,}</td>{cells}</tr>")
    if len(lines) < 2:
        return ""
    head = "".join(
        f"<th>{part}</th>"
        for part in ("model", "activation", "filters", "redundant", "dead", "always on", "effective rank")
    )
    words = "The activation layers of all measured models, as shares of their filters:"
    return f'<p>{words}</p><div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def section(session: Session) -> None:
    """Lays it out, closed, and follows the model."""
    css = static.text("tabs.css", "activations.css")
    fold(session, TITLE, partial(render_redundancy, session.weights), css_template=css, elem_id="repeats")
