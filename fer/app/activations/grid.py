"""The Activations tab's sheet: every filter's map as a tile cut out of one picture; a dense layer's values as bars.

Values reach the browser through `${value}` only, escaped here; see `app/predict/view.py` for why.
"""

from dataclasses import dataclass
from html import escape

import numpy as np

from fer.app.components import choice_attributes
from fer.features.layer_report import PIXELS, LayerReport
from fer.plotting import encode, maps

COLUMNS = 16  # of the composed picture; the page flows the tiles as it has room
MOST_BARS, MOST_PAIRS = 512, 24  # the strongest neurons, and the filters that differ most, that are shown
SMALL, TINY = 33, 129  # from so many tiles on, they are drawn small, and smaller still without their numbers

EMPTY = {
    "status": "", "legend": "", "picture": "", "size": "", "columns": 1, "rows": 1, "shape": "1", "opened": None,
}  # fmt: skip


def render_sheet(
    report: LayerReport,
    places: list[int],
    opened: int | None,
    common: bool,
    face: np.ndarray,
    other: LayerReport | None = None,
) -> tuple[str, dict]:
    """The tiles or bars of a layer's filters in the order of `places`, and what else the template takes.

    other: the same layer for another face, to be shown to the right of each map.
    """
    if report.values.ndim == 1:
        return _numbers(report, places, opened, other)
    values, entry = report.values[places], opened if opened in places else places[0]
    together = values if other is None else maps.side_by_side(values, other.values[places])
    count, (high, wide) = len(places), together.shape[1:]
    if report.layer == PIXELS:
        picture, border = encode.data_url(face), 0
    else:
        border = 1
        picture = maps.palette_url(
            maps.tile_signed_maps(together, maps.map_scales(together, common), COLUMNS, border=border)
        )
    across = Cut(wide, min(COLUMNS, count), border)
    down = Cut(high, -(-count // COLUMNS), border)
    buttons = "".join(
        _tile(
            report, number, f"{across(at % COLUMNS):.4%} {down(at // COLUMNS):.4%}", number == opened, number == entry
        )
        for at, number in enumerate(places)
    )
    more = {"picture": picture, "columns": across.times, "rows": down.times, "shape": f"{wide} / {high}"}
    return buttons, more | {"size": _size(count, other is not None)}


@dataclass(frozen=True)
class Cut:
    """How CSS cuts tiles of `side` pixels, each with a border all around, out of a picture that has a row of them."""

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


def _tile(report: LayerReport, number: int, place: str, chosen: bool, entry: bool) -> str:
    text, note = _known(report, number)
    label = f"{report.name(number)}{text}"
    return (
        f"<button {choice_attributes(number, label, chosen, entry)}>"
        f'<i style="background-position: {place}"></i><span>{number}{note}</span></button>'
    )


def _known(report: LayerReport, number: int) -> tuple[str, str]:
    """Whether a filter is dead or redundant over many faces: as text, and as the note under its tile."""
    if report.known is None:
        return "", ""
    if report.known.dead[number]:
        return ", dead", '<small class="dead">dead</small>'
    representative = int(report.known.representative[number])
    if representative == number:
        return "", ""
    return f", redundant with {representative} (r > 0.95)", f"<small>≈ {representative}</small>"


# ------------------------------------------------------------------------------------------------ numbers


def _numbers(report: LayerReport, places: list[int], opened: int | None, other: LayerReport | None) -> tuple[str, dict]:
    entry = opened if opened in places else places[0]
    both = [report.values] if other is None else [report.values, other.values]
    top = max(float(np.abs(values).max()) for values in both) or 1.0
    draw = _class if report.labels else _bar
    signed = any(bool((values < 0).any()) for values in both)
    rows = "".join(draw(report, number, top, signed, number == opened, number == entry, other) for number in places)
    return rows, EMPTY | {"size": "classes" if report.labels else "bars"}


def _bar(
    report: LayerReport, number: int, top: float, signed: bool, chosen: bool, entry: bool, other: LayerReport | None
) -> str:
    """A column from the bottom, or from the middle where there are values below 0; the other face's beside it."""
    columns = [report.values[number]] + ([] if other is None else [other.values[number]])
    wide = 100 / len(columns)
    drawn = ""
    for at, value in enumerate(columns):
        share = abs(value) / top * (50 if signed else 100)
        foot = 50 - share * (value < 0) if signed else 0
        drawn += (
            f'<b class="{_sign(value)}" style="height:{share:.1f}%;bottom:{foot:.1f}%;left:{at * wide:.0f}%;'
            f'right:{100 - (at + 1) * wide:.0f}%{";opacity:.5" * at}"></b>'
        )
    label = f"{report.name(number)}: {columns[0]:.3g}" + f", the other face {columns[-1]:.3g}" * (other is not None)
    return f"<button {choice_attributes(number, label, chosen, entry)}>{drawn}</button>"


def _class(
    report: LayerReport, number: int, top: float, signed: bool, chosen: bool, entry: bool, other: LayerReport | None
) -> str:
    """A row of a class's name, its bar and its value; the other face's below it, pale."""
    values = [report.values[number]] + ([] if other is None else [other.values[number]])
    high = 100 / len(values)
    drawn = ""
    for at, value in enumerate(values):
        share = abs(value) / top * (50 if signed else 100)
        left = 50 - share * (value < 0) if signed else 0
        drawn += (
            f'<b class="{_sign(value)}" style="left:{left:.1f}%;width:{share:.1f}%;top:{at * high:.0f}%;'
            f'bottom:{100 - (at + 1) * high:.0f}%{";opacity:.5" * at}"></b>'
        )
    is_share = report.layer == "probabilities"
    text = f"{values[0]:.1%}" if is_share else f"{values[0]:+.2f}"
    name = escape(report.name(number))
    return (
        f"<button {choice_attributes(number, f'{name}: {text}', chosen, entry)}>"
        f"<span>{name}</span><em>{drawn}</em><small>{text}</small></button>"
    )


def _sign(value: float) -> str:
    return "up" if value > 0 else "down" if value < 0 else "none"
