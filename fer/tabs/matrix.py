"""The Confusion tab's own markup: the matrix as a table of buttons, and the table of emotions.

As in markup.py, values reach the browser through `${value}` only, escaped here.
"""

from collections.abc import Sequence
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
th { font-weight: 500; padding: 2px; border: 0; background: none; overflow: hidden; text-overflow: ellipsis; }
thead th { text-align: center; }
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
  thead td { width: 54px; }  /* the layout is fixed: the first row gives the columns' widths */
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


def table(matrix: Tensor, labels: Sequence[str], counting: str, chosen: int | None = None) -> str:
    """The confusion matrix, counts (K, K), a button a cell; ``counting`` is one of COUNTINGS."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in labels)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{_row(matrix, labels, row, counting, chosen)}</tr>'
        for row, name in enumerate(labels)
    )
    caption = "Rows: the label. Columns: what the network reads. Choose a cell to read more."
    return (
        f'<div class="scroll"><table><caption>{caption}</caption><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(matrix: Tensor, labels: Sequence[str], row: int, counting: str, chosen: int | None) -> str:
    return "".join(f"<td>{_cell(matrix, labels, row, column, counting, chosen)}</td>" for column in range(len(labels)))


def _cell(matrix: Tensor, labels: Sequence[str], row: int, column: int, counting: str, chosen: int | None) -> str:
    index, count = row * len(labels) + column, int(matrix[row, column])
    share = _share(matrix, row, column, by_column=counting == COUNTINGS[2])
    kind = ("right" if row == column else "wrong") + " strong" * (share > 0.6)
    shown = str(count) if counting == COUNTINGS[0] else f"{share:.0%}"
    words = escape(f"{labels[row]} read as {labels[column]}: {count} faces, {share:.0%}")
    return (
        f'<button type="button" class="{kind}" style="--share:{share:.3f}" data-choice="{index}" title="{words}" '
        f'aria-label="{words}" aria-pressed="{str(index == chosen).lower()}">{shown}</button>'
    )


def _share(matrix: Tensor, row: int, column: int, by_column: bool) -> float:
    total = int(matrix[:, column].sum() if by_column else matrix[row].sum())
    return int(matrix[row, column]) / total if total else 0.0


def emotions(figures: dict, labels: Sequence[str], mistakes: Sequence[tuple[int, int] | None]) -> str:
    """Every emotion's support, precision, recall and F1, and what it is most often mistaken for, beside report 2."""
    lines = ["| emotion | faces | precision | recall | F1 | most often mistaken for | in report 2 |"]
    lines += ["|---|--:|--:|--:|--:|---|---|"]
    for name, row, mistake in zip(labels, figures["per_class"], mistakes, strict=True):
        numbers = " | ".join(f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
        read_as = "-"
        if mistake:
            read_as = f"{labels[mistake[0]]} ({mistake[1]}, {mistake[1] / row['support']:.0%})"
        lines.append(f"| {name} | {row['support']} | {numbers} | {read_as} | {REPORT.get(name, '-')} |")
    return "\n".join(lines)
