"""The Activations tab's foot: which filters of a network are redundant over many faces, and how many it needs."""

import functools
import json
from functools import partial
from html import escape
from pathlib import Path

from torch import nn

from fer.app.components import fold
from fer.app.model_cache import load_network
from fer.app.session import Session
from fer.features import redundancy
from fer.features.redundancy import LayerRedundancy, Redundancy
from fer.plotting import encode, training

TITLE = "Report 1 says that fewer filters would do: how many can go?"
UNMEASURED = "<p>Not measured for {0} yet: <code>python -m fer redundancy {0}</code> does it.</p>"
STRATEGY_TEXTS = {
    "reconstruct": "the others reconstruct it by least squares",
    "nearest": "the nearest other filter, rescaled, takes its place",
    "mean": "its mean takes its place",
}

CSS = """
p { margin: 0 0 10px; line-height: 1.5; color: var(--body-text-color); }
.wide { overflow-x: auto; }
ul { margin: 0 0 12px; padding-left: 20px; list-style: disc; line-height: 1.6; color: var(--body-text-color); }
img { display: block; width: 560px; max-width: 100%; margin: 0 0 16px; }
table { border-collapse: collapse; margin: 0 0 14px; font-size: var(--text-sm); color: var(--body-text-color);
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--border-color-primary); }
th { font-weight: 600; color: var(--body-text-color-subdued); }
th:first-child, td:first-child { text-align: left; }
"""


def sentence(layer: LayerRedundancy) -> str:
    """A layer of the sheet in words."""
    row = layer.row()
    redundant, dead = (f"{row[key]:,}" if row[key] else "none" for key in ("redundant", "dead"))
    return (
        f"Of {row['filters']:,}, {redundant} are redundant and {dead} never change; together they are as "
        f"varied as {row['effective_rank']:.1f} that have nothing in common."
    )


def told(weights: Path, name: str) -> str:
    """What is known of a network: how many filters can go, its layers, and all measured networks beside each other."""
    found = redundancy.load_redundancy(weights / name) if name else None
    if found is None:
        return UNMEASURED.format(escape(str(name)))
    chain = load_network(weights, name)
    parts = [f"{_answer(row)}{_bound(chain[row['layer']])}{_curve(json.dumps(row))}" for row in found.pruned]
    return "".join([*parts, _table(found), _networks(weights)])


def _answer(row: dict) -> str:
    """How many of a layer's filters can go, each way, as sentences."""
    sentences = []
    for way, curve in row["strategies"].items():
        left = row["filters"] - curve["removable"]
        whole, one = curve["rows"][0], next(part for part in curve["rows"] if part["kept"] == left)
        low, high = one["ci95"]
        sentences.append(
            f"<li><b>{curve['removable']:,} of the {row['filters']:,}</b> if {STRATEGY_TEXTS[way]} ({way}): "
            f"{whole['accuracy']:.1%} becomes {one['accuracy']:.1%} (n {one['n']:,}; {low:.1%} to {high:.1%})</li>"
        )
    return (
        f"<p>Filters of <b>{escape(row['layer'])}</b> that were removed, without training anew, before half a point of "
        f"accuracy on PublicTest was lost:</p><ul>{''.join(sentences)}</ul>"
    )


def _bound(module: nn.Module) -> str:
    """Why a first convolution needs few filters."""
    if not isinstance(module, nn.Conv2d) or module.in_channels > 1:
        return ""
    side = module.kernel_size[0]
    return (
        f"<p>No wonder: a {side} x {side} filter mixes {side**2} copies of the grey face, each shifted a little. "
        f"Before the activation, all {module.out_channels} maps are mixtures of those {side**2} pictures.</p>"
    )


@functools.lru_cache(maxsize=32)  # matplotlib is slow
def _curve(row: str) -> str:
    drawn = encode.figure_url(training.pruning_curves(json.loads(row)))
    return f'<img src="{drawn}" alt="Accuracy against the filters that are kept">'


def _table(found: Redundancy) -> str:
    rows = "".join(
        f"<tr><td>{escape(row['layer'])}</td><td>{row['filters']:,}</td><td>{row['redundant']:,}</td>"
        f"<td>{row['dead']:,}</td><td>{row['always_active']:,}</td><td>{row['effective_rank']:.1f}</td></tr>"
        for row in found.rows()
    )
    words = (
        f"Over {found.faces:,} faces of PublicTest and all places of the maps. A filter is redundant if its "
        "maps correlate above 0.95 with those of another one, dead if it never changes, always active if it is above 0 "
        "everywhere. The effective rank says how many filters with nothing in common would be as varied."
    )
    head = "".join(
        f"<th>{part}</th>" for part in ("layer", "filters", "redundant", "dead", "always active", "effective rank")
    )
    return f'<p>{words}</p><div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _networks(weights: Path) -> str:
    """Every measured network's activations as a line, for ReLU to be set against SELU; nothing for a single one."""
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
        for part in ("network", "activation", "filters", "redundant", "dead", "always active", "effective rank")
    )
    words = "The activation layers of all measured networks, in shares of their filters:"
    return f'<p>{words}</p><div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def section(shared: Session) -> None:
    """Lays it out, closed, and follows the network."""
    fold(shared, TITLE, partial(told, shared.weights), css_template=CSS, elem_id="repeats")
