"""The Confusion tab's matrix, or the difference of two, as a table of buttons; and the figures of each class.

Values reach the browser through `${value}` only, escaped here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from torch import Tensor

from fer.app.components import choice_attributes

COUNTS, BY_TRUE, BY_PREDICTED = NORMALIZE = ("counts", "true", "pred")

# Report 2's table: what each class was most often predicted as by mistake.
REPORT = {
    "angry": "sad",
    "disgust": "angry",
    "fear": "sad",
    "happy": "neutral",
    "sad": "neutral",
    "surprise": "fear",
    "neutral": "sad",
}


@dataclass(frozen=True)
class Cell:
    """What a cell shows: a number, a smaller one, both in words, whether more is better, and its colour's strength."""

    large: str
    small: str
    label: str
    good: bool
    strength: float  # 0..1


def table(counts: Tensor, labels: Sequence[str], normalize: str, selected: int | None = None) -> str:
    """The confusion matrix, counts (K, K): a button a cell, with its count and its share.

    normalize: one of NORMALIZE; shares are of the rows unless it is "pred".
    """
    values = shares(counts, normalize)

    def cell(row: int, column: int) -> Cell:
        count, share = int(counts[row, column]), values[row, column].item()
        numbers = (f"{count}", f"{share:.0%}")
        large, small = numbers if normalize == COUNTS else numbers[::-1]
        label = f"true {labels[row]}, predicted {labels[column]}: {count} faces, {share:.0%}"
        return Cell(large, small, label, row == column, share)

    of = "column (precision)" if normalize == BY_PREDICTED else "row (recall)"
    legend = f'<i class="right"></i>correct <i class="wrong"></i>error; darker: larger share of its {of}'
    return _grid(legend, labels, cell, selected)


def difference(
    first: Tensor, second: Tensor, labels: Sequence[str], normalize: str, names: tuple[str, str],
    selected: int | None = None,
) -> str:  # fmt: skip
    """How much more the first model has in each cell than the second, counts (K, K) each."""
    counted = normalize == COUNTS
    parts = (first.double(), second.double()) if counted else (shares(first, normalize), shares(second, normalize))
    gained = parts[0] - parts[1]
    largest = gained.abs().max().clamp_min(1e-9)

    def cell(row: int, column: int) -> Cell:
        value = gained[row, column].item()
        large = f"{value:+.0f}" if counted else f"{100 * value:+.0f} pt"
        large = "0" if large.startswith(("+0", "-0")) else large
        both = " and ".join(
            f"{int(part[row, column])} by {name}" for part, name in zip((first, second), names, strict=True)
        )
        label = f"true {labels[row]}, predicted {labels[column]}: {both}"
        return Cell(large, "", label, (value > 0) == (row == column), abs(value) / largest.item())

    legend = (
        f"<b>{escape(names[0])}</b> minus <b>{escape(names[1])}</b>: "
        '<i class="right"></i>better <i class="wrong"></i>worse'
    )
    return _grid(legend, labels, cell, selected)


def shares(counts: Tensor, normalize: str) -> Tensor:
    """Counts (K, K) as shares of their rows, or of their columns: (K, K) of 0..1, 0 where there is no face."""
    total = counts.sum(0, keepdim=True) if normalize == BY_PREDICTED else counts.sum(1, keepdim=True)
    return counts.double() / total.clamp_min(1)


def _grid(legend: str, labels: Sequence[str], cell: Callable[[int, int], Cell], selected: int | None) -> str:
    """The table with its axis titles. Only one button is a tab stop; see `choice.js`."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in labels)
    entry = selected if selected is not None and selected < len(labels) ** 2 else 0
    rows = ""
    for row, name in enumerate(labels):
        numbers = range(row * len(labels), (row + 1) * len(labels))
        buttons = "".join(_button(cell(row, n % len(labels)), n, n == selected, n == entry) for n in numbers)
        rows += f'<tr><th scope="row">{escape(name)}</th>{buttons}</tr>'
    return (
        f'<div class="scroll"><table data-arrows><caption>{legend}</caption><thead>'
        f'<tr><td class="corner"></td><th class="axis" colspan="{len(labels)}">Predicted →</th></tr>'
        f'<tr><th class="corner">True ↓</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _button(cell: Cell, number: int, pressed: bool, entry: bool) -> str:
    label = escape(cell.label)
    small = f"<small>{cell.small}</small>" if cell.small else ""
    return (
        f'<td><button class="{"right" if cell.good else "wrong"}" style="--share:{cell.strength:.3f}" '
        f"{choice_attributes(number, label, pressed, entry)}><b>{cell.large}</b>{small}</button></td>"
    )


CLASS_HEADERS = ("class", "faces", "precision", "recall", "F1", "most often predicted as", "in report 2")


def class_rows(figures: dict, labels: Sequence[str], mistakes: Sequence[tuple[int, int] | None]) -> list[list[str]]:
    """Every class's support, precision, recall and F1, and its most frequent mistake, beside report 2's."""
    rows = []
    for name, row, mistake in zip(labels, figures["per_class"], mistakes, strict=True):
        predicted = f"{labels[mistake[0]]} ({mistake[1]}, {mistake[1] / row['support']:.0%})" if mistake else "-"
        numbers = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
        rows.append([name, str(row["support"]), *numbers, predicted, REPORT.get(name, "-")])
    return rows
