"""The Confusion tab's own markup: the matrix, or the difference of two, as a table of buttons; the table of emotions.

As in markup.py, values reach the browser through `${value}` only, escaped here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from torch import Tensor

COUNTINGS = ("faces", "share of the row (recall)", "share of the column (precision)")

# Report 2's table: what each emotion was most often mistaken for.
REPORT = {
    "angry": "sad",
    "disgust": "angry",
    "fear": "sad",
    "happy": "neutral",
    "sad": "neutral",
    "surprise": "fear",
    "neutral": "sad",
}

CSS = """
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 2px; width: 100%; table-layout: fixed; margin: 0;
  font: 13px/1.2 var(--font); color: var(--body-text-color); }
caption { caption-side: top; text-align: left; padding: 0 0 8px; color: var(--body-text-color-subdued); }
caption b { font-weight: 600; }
caption .right { color: #6366f1; } caption .wrong { color: #ea580c; }
th { font-weight: 500; padding: 2px; border: 0; background: none; overflow: hidden; text-overflow: ellipsis; }
thead th { text-align: center; font-size: 12px; padding: 2px 0; overflow: visible; }
thead td { width: 72px; }  /* the layout is fixed: the first row gives the columns' widths */
tbody th { text-align: right; padding-right: 6px; }
td { padding: 0; border: 0; background: none; }
td button { width: 100%; height: 44px; padding: 0; border: 0; border-radius: 4px; cursor: pointer;
  color: var(--body-text-color); font: inherit; font-variant-numeric: tabular-nums;
  background: color-mix(in srgb, var(--tone) calc(var(--share) * 85%), var(--block-background-fill)); }
td button.strong { color: #fff; }
td button.right { --tone: #4f46e5; }
td button.wrong { --tone: #c2410c; }
td button:hover { box-shadow: inset 0 0 0 2px var(--body-text-color-subdued); }
td button[aria-pressed="true"] { box-shadow: inset 0 0 0 3px var(--body-text-color); }
td button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 1px; }
@media (max-width: 480px) {
  table { border-spacing: 1px; font-size: 11px; }
  thead th { writing-mode: vertical-rl; transform: rotate(180deg); height: 62px; text-align: left; }
  thead td { width: 60px; }
  tbody th { padding-right: 3px; }
  td button { height: 38px; }
}
"""

# A click or Enter chooses a cell; the arrow keys walk from cell to cell.
JS = """element.addEventListener('click', event => {
  const cell = event.target.closest('[data-choice]');
  if (cell) trigger('choice', {index: Number(cell.dataset.choice)});
});
element.addEventListener('keydown', event => {
  const cell = event.target.closest('[data-choice]');
  const size = Math.sqrt(element.querySelectorAll('[data-choice]').length);
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -size, ArrowDown: size}[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  element.querySelector(`[data-choice="${Number(cell.dataset.choice) + step}"]`)?.focus();
});"""


@dataclass(frozen=True)
class Cell:
    """What a cell shows: a number, the same in words, whether it is good news, and how strongly it is coloured."""

    shown: str
    words: str
    good: bool
    strength: float  # 0..1


def table(counts: Tensor, labels: Sequence[str], counting: str, chosen: int | None = None) -> str:
    """The confusion matrix, counts (K, K), a button a cell; ``counting`` is one of COUNTINGS."""
    values = shares(counts, counting)

    def cell(row: int, column: int) -> Cell:
        count, share = int(counts[row, column]), values[row, column].item()
        shown = str(count) if counting == COUNTINGS[0] else f"{share:.0%}"
        words = f"{labels[row]} read as {labels[column]}: {count} faces, {share:.0%}"
        return Cell(shown, words, row == column, share)

    return _grid("Rows: the label. Columns: what the network reads. Choose a cell to read more.", labels, cell, chosen)


def difference(
    first: Tensor, second: Tensor, labels: Sequence[str], counting: str, names: tuple[str, str],
    chosen: int | None = None,
) -> str:  # fmt: skip
    """How much more the first network has in each cell than the second, counts (K, K) each."""
    faces = counting == COUNTINGS[0]
    parts = (first.double(), second.double()) if faces else (shares(first, counting), shares(second, counting))
    gained = parts[0] - parts[1]
    largest = gained.abs().max().clamp_min(1e-9)

    def cell(row: int, column: int) -> Cell:
        value = gained[row, column].item()
        shown = f"{value:+.0f}" if faces else f"{100 * value:+.0f} pt"
        shown = "0" if shown.startswith(("+0", "-0")) else shown
        counted = " and ".join(
            f"{int(part[row, column])} by {name}" for part, name in zip((first, second), names, strict=True)
        )
        words = f"{labels[row]} read as {labels[column]}: {counted}"
        return Cell(shown, words, (value > 0) == (row == column), abs(value) / largest.item())

    caption = (
        f"How much more <b>{escape(names[0])}</b> has in each cell than <b>{escape(names[1])}</b>: "
        '<span class="right">better</span>, <span class="wrong">worse</span>.'
    )
    return _grid(caption, labels, cell, chosen)


def shares(counts: Tensor, counting: str) -> Tensor:
    """Counts (K, K) as shares of their rows, or of their columns: (K, K) of 0..1, 0 where there is no face."""
    total = counts.sum(0, keepdim=True) if counting == COUNTINGS[2] else counts.sum(1, keepdim=True)
    return counts.double() / total.clamp_min(1)


def _grid(caption: str, labels: Sequence[str], cell, chosen: int | None) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in labels)
    rows = ""
    for row, name in enumerate(labels):
        numbers = range(row * len(labels), (row + 1) * len(labels))
        buttons = "".join(_button(cell(row, n % len(labels)), n, n == chosen) for n in numbers)
        rows += f'<tr><th scope="row">{escape(name)}</th>{buttons}</tr>'
    return (
        f'<div class="scroll"><table><caption>{caption}</caption><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _button(cell: Cell, number: int, pressed: bool) -> str:
    # White words have the better contrast only on a colour that is nearly full.
    kind = ("right" if cell.good else "wrong") + " strong" * (cell.strength > 0.85)
    words = escape(cell.words)
    return (
        f'<td><button type="button" class="{kind}" style="--share:{cell.strength:.3f}" data-choice="{number}" '
        f'title="{words}" aria-label="{words}" aria-pressed="{str(pressed).lower()}">{cell.shown}</button></td>'
    )


EMOTIONS = ("emotion", "faces", "precision", "recall", "F1", "most often mistaken for", "in report 2")


def emotions(figures: dict, labels: Sequence[str], mistakes: Sequence[tuple[int, int] | None]) -> list[list[str]]:
    """Every emotion's support, precision, recall and F1, and what it is most often mistaken for, beside report 2."""
    lines = []
    for name, row, mistake in zip(labels, figures["per_class"], mistakes, strict=True):
        read_as = f"{labels[mistake[0]]} ({mistake[1]}, {mistake[1] / row['support']:.0%})" if mistake else "-"
        numbers = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
        lines.append([name, str(row["support"]), *numbers, read_as, REPORT.get(name, "-")])
    return lines
