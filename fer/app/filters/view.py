"""The Filters tab's own markup: a grid of tiles cut out of one picture, and the card of one tile.

Values reach the browser through `${value}` only, escaped here; see `app/predict/view.py` for why.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from fer.plotting import encode, maps

# Every tile shows its own part of one picture, so that a frame is one picture however many tiles there are, and yet
# they flow into as many columns as the page is wide.
SHEET = """<p role="status" class="status">${status}</p>
${picture
  ? `<div class="tiles ${size}" style="--sheet: url(${picture}); --across: ${columns}; --down: ${rows}">${value}</div>`
  : '<div class="empty">Choose a layer and press Start: what its filters like to see grows here out of noise.</div>'}"""

EMPTY_CSS = """
.empty { min-height: 200px; padding: 24px; display: grid; place-items: center; text-align: center;
  color: var(--body-text-color-subdued); border: 1px dashed var(--border-color-primary);
  border-radius: var(--block-radius); }
.status { margin: 0 0 8px; min-height: 1.4em; color: var(--body-text-color); }
"""

SHEET_CSS = (
    EMPTY_CSS
    + """
.tiles { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); }
.tiles.small { gap: 6px; grid-template-columns: repeat(auto-fill, minmax(68px, 1fr)); }
@media (max-width: 480px) { .tiles { gap: 6px; grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)); } }
.tiles button { min-width: 0; margin: 0; padding: 3px; border: 0; border-radius: 6px; background: none; cursor: pointer;
  color: var(--body-text-color); font: 12px/1.3 var(--font); }
.tiles i { display: block; aspect-ratio: 1; border-radius: 3px; image-rendering: pixelated;
  background-image: var(--sheet); background-size: calc(100% * var(--across)) calc(100% * var(--down)); }
.tiles span { display: flex; justify-content: space-between; gap: 4px; padding: 3px 1px 0; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.tiles small { font-size: inherit; color: var(--body-text-color-subdued); }
.tiles small.dead { color: var(--error-text-color, #dc2626); }
.tiles button:hover { box-shadow: inset 0 0 0 2px var(--primary-400); }
.tiles button[aria-pressed="true"] { box-shadow: inset 0 0 0 3px var(--primary-500); }
.tiles button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 1px; }
"""
)


def buttons(
    order: Sequence[int], names: Sequence[str], values: Sequence[float], dead: Sequence[bool], shape: tuple[int, int],
    chosen: int | None = None,
) -> str:  # fmt: skip
    """A button for every tile in the order of the picture, whose tiles lie in `shape`'s rows and columns.

    A button chooses the tile's own number, whatever its place.
    """
    return "".join(
        _button(index, escape(names[index]), values[index], dead[index], _place(at, *shape), index == chosen)
        for at, index in enumerate(order)
    )


def _place(at: int, rows: int, columns: int) -> str:
    """Where a tile lies in the picture, as CSS counts a background's position."""
    down, across = divmod(at, columns)
    return f"{across / max(columns - 1, 1):.4%} {down / max(rows - 1, 1):.4%}"


def _button(index: int, name: str, value: float, dead: bool, place: str, chosen: bool) -> str:
    label = f"{name}, ascent value {value:.2f}{', dead' if dead else ''}"
    shown = '<small class="dead">dead</small>' if dead else f"<small>{value:.1f}</small>"
    return (
        f'<button type="button" data-choice="{index}" aria-pressed="{str(chosen).lower()}" aria-label="{label}" '
        f'title="{label}"><i style="background-position: {place}"></i>'
        f"<span>{name.removeprefix('filter ')}{shown}</span></button>"
    )


def card(
    title: str, pictures: dict[str, np.ndarray], facts: dict[str, str], curve: str, link: str | None = None
) -> str:
    """A tile enlarged, with what goes with it.

    Pictures by their captions: (H, W) of floats, stretched to black and white, or RGB (H, W, 3) uint8; facts by name;
    the address of the ascent's curve; and that of the card itself.
    """
    figures = "".join(
        f'<figure><img src="{_drawn(picture)}" alt=""><figcaption>{escape(caption)}</figcaption></figure>'
        for caption, picture in pictures.items()
    )
    figures += f'<figure class="curve"><img src="{curve}" alt="The ascent value at each step"></figure>'
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    if link:
        rows += f'<dt>Link</dt><dd><a href="{escape(link)}">Grow this one again, from the same noise</a></dd>'
    return (
        f'<section class="card" aria-label="{escape(title)}"><h3>{escape(title)}</h3>{figures}<dl>{rows}</dl></section>'
    )


def _drawn(picture: np.ndarray) -> str:
    if picture.ndim == 3:
        scale = max(1, 192 // picture.shape[0])  # JPEG would smear single pixels
        return encode.data_url(picture.repeat(scale, 0).repeat(scale, 1))
    return encode.data_url(maps.tile_images(picture[None], 1, gap=0))
