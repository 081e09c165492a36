"""The Filters tab's own markup: one picture of many tiles with a button over each, and the card of one tile.

Values reach the browser through `${value}` only, escaped here; see `markup.py` for why.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from fer import plots

SHEET = """<p role="status" class="status">${status}</p>
${picture
  ? `<div class="scroll">
       <div class="sheet" style="aspect-ratio: ${wide} / ${high}; --columns: ${columns}; --rows: ${rows}">
       <img src="${picture}" alt="A tile for each filter"><div class="tiles">${value}</div></div></div>`
  : '<div class="empty">Choose a layer and press Start: what its filters like to see grows here out of noise.</div>'}"""

SHEET_CSS = """
.status { margin: 0 0 8px; min-height: 1.4em; color: var(--body-text-color); }
.empty { min-height: 240px; padding: 24px; display: grid; place-items: center; text-align: center;
  color: var(--body-text-color-subdued); border: 1px dashed var(--border-color-primary);
  border-radius: var(--block-radius); }
.scroll { overflow-x: auto; }
.sheet { position: relative; width: min(100%, calc(var(--columns) * 160px)); min-width: calc(var(--columns) * 64px); }
.sheet > img { display: block; width: 100%; height: 100%; margin: 0; image-rendering: pixelated; }
.tiles { position: absolute; inset: 0; display: grid; grid-template-columns: repeat(var(--columns), 1fr);
  grid-template-rows: repeat(var(--rows), 1fr); }
.tiles button { position: relative; min-width: 0; margin: 0; padding: 0; border: 0; background: none; cursor: pointer; }
.tiles button:hover { box-shadow: inset 0 0 0 2px var(--primary-400); }
.tiles button[aria-pressed="true"] { box-shadow: inset 0 0 0 3px var(--primary-500); }
.tiles button:focus-visible { outline: 3px solid var(--primary-500); outline-offset: -3px; }
.tiles span { position: absolute; left: 3px; bottom: 3px; max-width: calc(100% - 6px); padding: 0 3px; overflow: hidden;
  border-radius: 3px; font: 11px/15px var(--font); color: #fff; background: #18181bcc; }
.tiles span.dead { bottom: auto; top: 3px; background: #b91c1c; }
"""

CARD_CSS = """
.card { display: flex; flex-wrap: wrap; gap: 16px; padding: 16px; border: 1px solid var(--border-color-primary);
  border-radius: var(--block-radius); background: var(--block-background-fill); color: var(--body-text-color); }
.card h3 { width: 100%; margin: 0; font-size: var(--text-lg); color: var(--body-text-color); }
figure { margin: 0; }
figure img { display: block; width: 192px; height: 192px; margin: 0; image-rendering: pixelated;
  border-radius: var(--radius-md); }
figcaption { margin-top: 6px; max-width: 192px; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
dl { display: grid; grid-template-columns: auto 1fr; gap: 4px 12px; align-content: start; margin: 0; flex: 1 1 220px; }
dt { color: var(--body-text-color-subdued); } dd { margin: 0; font-variant-numeric: tabular-nums; }
"""


def buttons(order: Sequence[int], names: Sequence[str], values: Sequence[float], dead: Sequence[bool]) -> str:
    """A button for every tile in the order of the picture; it chooses the tile's own number."""
    return "".join(_button(index, escape(names[index]), values[index], dead[index]) for index in order)


def _button(index: int, name: str, value: float, dead: bool) -> str:
    label = f"{name}, ascent value {value:.2f}{', dead' if dead else ''}"
    mark = '<span class="dead">dead</span>' if dead else ""
    return (
        f'<button type="button" data-choice="{index}" aria-label="{label}" title="{label}">'
        f"{mark}<span>{name.removeprefix('filter ')}</span></button>"
    )


def card(title: str, pictures: dict[str, np.ndarray], facts: dict[str, str]) -> str:
    """A tile enlarged, with what goes with it: pictures (H, W) of floats by their captions, and facts by name."""
    figures = "".join(
        f'<figure><img src="{plots.data_url(plots.sheet(picture[None], 1, gap=0))}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, picture in pictures.items()
    )
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        f'<section class="card" aria-label="{escape(title)}"><h3>{escape(title)}</h3>{figures}<dl>{rows}</dl></section>'
    )
