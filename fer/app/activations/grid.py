"""The Activations tab's sheet: every filter's map as a tile cut out of one picture; a dense layer's numbers as bars.

Values reach the browser through `${value}` only, escaped here; see `app/predict/view.py` for why.
"""

from dataclasses import dataclass
from html import escape

import numpy as np

from fer.app.filters import view as filters_view
from fer.features.layer_report import PIXELS, LayerReport
from fer.plotting import encode, maps

COLUMNS = 16  # of the composed picture; the page flows the tiles as it has room
MOST_BARS, MOST_PAIRS = 512, 24  # the strongest neurons, and the filters that differ most, that are shown
SMALL, TINY = 33, 129  # from so many tiles on, they are drawn small, and smaller still without their numbers

SHEET = """<p role="status" class="status">${status}</p>
<div class="tiles ${size}" style="--sheet: url(${picture}); --across: ${columns}; --down: ${rows}; --shape: ${shape}"
  >${value}</div>"""

CSS = (
    filters_view.SHEET_CSS
    + """
.status { font-size: var(--text-sm); color: var(--body-text-color-subdued); }
.tiles i { aspect-ratio: var(--shape); box-shadow: 0 0 0 1px var(--border-color-primary); }
.tiles { grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)); }
.tiles.small { grid-template-columns: repeat(auto-fill, minmax(62px, 1fr)); }
.tiles.tiny { gap: 2px; grid-template-columns: repeat(auto-fill, minmax(40px, 1fr)); }
.tiles.tiny button { padding: 2px; } .tiles.tiny span { display: none; }
.tiles.one { grid-template-columns: minmax(0, 320px); }
.tiles.pairs { grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); }
.tiles.bars { gap: 14px 1px; grid-template-columns: repeat(auto-fill, minmax(7px, 1fr)); }
.tiles.bars button { position: relative; height: 72px; padding: 0; border-radius: 2px; }
.tiles.bars b { position: absolute; left: 0; right: 0; min-height: 1px; background: var(--bar); }
.tiles.classes { display: block; }
.tiles.classes button { display: grid; grid-template-columns: 5.5em 1fr 4em; gap: 10px; align-items: center;
  width: 100%; padding: 5px 4px; font-size: var(--text-md); text-align: left; }
.tiles.classes em { position: relative; height: 18px; font-style: normal; border-radius: 4px;
  background: var(--background-fill-secondary); }
.tiles.classes b { position: absolute; top: 0; bottom: 0; border-radius: 4px; background: var(--bar); }
.tiles.classes small { text-align: right; font-variant-numeric: tabular-nums; color: var(--body-text-color); }
.up { --bar: #d6604d; } .down { --bar: #4393c3; } .none { --bar: var(--border-color-primary); }
"""
)

# The pressed tile follows a click at once, and the server's word where another way leads to a filter.
JS = """const press = index => element.querySelectorAll('[data-choice]').forEach(
  tile => tile.setAttribute('aria-pressed', String(Number(tile.dataset.choice) === index)));
element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-choice]');
  if (!chosen) return;
  press(Number(chosen.dataset.choice));
  trigger('choice', {index: Number(chosen.dataset.choice)});
});
watch('opened', () => press(props.opened));"""

NOTHING = {"status": "", "picture": "", "size": "", "columns": 1, "rows": 1, "shape": "1", "opened": None}


def sheet(
    answer: LayerReport,
    places: list[int],
    opened: int | None,
    common: bool,
    face: np.ndarray,
    other: LayerReport | None = None,
) -> tuple[str, dict]:
    """The tiles or bars of a layer's filters in the order of `places`, and what else the template takes.

    other: what the same layer answers to another face, to be shown to the right of each map.
    """
    if answer.values.ndim == 1:
        return _numbers(answer, places, opened, other)
    values = answer.values[places]
    together = values if other is None else maps.side_by_side(values, other.values[places])
    count, (high, wide) = len(places), together.shape[1:]
    if answer.layer == PIXELS:
        picture, border = encode.data_url(face), 0
    else:
        border = 1
        picture = maps.palette_url(
            maps.tile_signed_maps(together, maps.map_scales(together, common), COLUMNS, border=border)
        )
    across = Cut(wide, min(COLUMNS, count), border)
    down = Cut(high, -(-count // COLUMNS), border)
    buttons = "".join(
        _tile(answer, number, f"{across(at % COLUMNS):.4%} {down(at // COLUMNS):.4%}", number == opened)
        for at, number in enumerate(places)
    )
    more = {"picture": picture, "columns": across.times, "rows": down.times, "shape": f"{wide} / {high}"}
    return buttons, more | {"size": _size(count, other is not None)}


@dataclass(frozen=True)
class Cut:
    """How CSS cuts tiles of so many pixels, each with a border all around, out of a picture that has a row of them."""

    side: int
    count: int
    border: int

    @property
    def times(self) -> float:
        """How many times as large as a tile the picture is."""
        return round(self.count * (self.side + 2 * self.border) / self.side, 5)

    def __call__(self, at: int) -> float:
        """Where one begins, as a background's position: a share of what the picture is longer than the tile."""
        begins = at * (self.side + 2 * self.border) + self.border
        return begins / max(self.count * (self.side + 2 * self.border) - self.side, 1)


def _size(count: int, pairs: bool) -> str:
    if pairs:
        return "pairs"
    return "one" if count == 1 else "tiny" if count >= TINY else "small" if count >= SMALL else ""


def _tile(answer: LayerReport, number: int, place: str, chosen: bool) -> str:
    words, note = _known(answer, number)
    label = f"{answer.name(number)}{words}"
    return (
        f'<button type="button" data-choice="{number}" aria-pressed="{str(chosen).lower()}" aria-label="{label}" '
        f'title="{label}"><i style="background-position: {place}"></i><span>{number}{note}</span></button>'
    )


def _known(answer: LayerReport, number: int) -> tuple[str, str]:
    """What is known of a filter over many faces: in words, and as the note under its tile."""
    if answer.known is None:
        return "", ""
    if answer.known.dead[number]:
        return ", dead", '<small class="dead">dead</small>'
    representative = int(answer.known.representative[number])
    if representative == number:
        return "", ""
    return f", redundant with {representative}", f"<small>= {representative}</small>"


# ------------------------------------------------------------------------------------------------ numbers


def _numbers(answer: LayerReport, places: list[int], opened: int | None, other: LayerReport | None) -> tuple[str, dict]:
    both = [answer.values] if other is None else [answer.values, other.values]
    top = max(float(np.abs(values).max()) for values in both) or 1.0
    draw = _class if answer.labels else _bar
    signed = any(bool((values < 0).any()) for values in both)
    rows = "".join(draw(answer, number, top, signed, number == opened, other) for number in places)
    return rows, NOTHING | {"size": "classes" if answer.labels else "bars"}


def _bar(answer: LayerReport, number: int, top: float, signed: bool, chosen: bool, other: LayerReport | None) -> str:
    """A column that rises from the foot, or from the middle of a layer with numbers below 0; the other's beside it."""
    columns = [answer.values[number]] + ([] if other is None else [other.values[number]])
    wide = 100 / len(columns)
    drawn = ""
    for at, value in enumerate(columns):
        share = abs(value) / top * (50 if signed else 100)
        foot = 50 - share * (value < 0) if signed else 0
        drawn += (
            f'<b class="{_sign(value)}" style="height:{share:.1f}%;bottom:{foot:.1f}%;left:{at * wide:.0f}%;'
            f'right:{100 - (at + 1) * wide:.0f}%{";opacity:.5" * at}"></b>'
        )
    label = f"{answer.name(number)}: {columns[0]:.3g}" + f", the other face {columns[-1]:.3g}" * (other is not None)
    return (
        f'<button type="button" data-choice="{number}" aria-pressed="{str(chosen).lower()}" aria-label="{label}" '
        f'title="{label}">{drawn}</button>'
    )


def _class(answer: LayerReport, number: int, top: float, signed: bool, chosen: bool, other: LayerReport | None) -> str:
    """A row of an emotion's name, its bar and its number; the other face's below it, pale."""
    values = [answer.values[number]] + ([] if other is None else [other.values[number]])
    high = 100 / len(values)
    drawn = ""
    for at, value in enumerate(values):
        share = abs(value) / top * (50 if signed else 100)
        left = 50 - share * (value < 0) if signed else 0
        drawn += (
            f'<b class="{_sign(value)}" style="left:{left:.1f}%;width:{share:.1f}%;top:{at * high:.0f}%;'
            f'bottom:{100 - (at + 1) * high:.0f}%{";opacity:.5" * at}"></b>'
        )
    chance = answer.layer == "probabilities"
    words = f"{values[0]:.1%}" if chance else f"{values[0]:+.2f}"
    name = escape(answer.name(number))
    return (
        f'<button type="button" data-choice="{number}" aria-pressed="{str(chosen).lower()}" '
        f'aria-label="{name}: {words}"><span>{name}</span><em>{drawn}</em><small>{words}</small></button>'
    )


def _sign(value: float) -> str:
    return "up" if value > 0 else "down" if value < 0 else "none"
