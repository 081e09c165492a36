"""The Confusion tab's words: what there is to say of a cell, of all answers, of two networks, and of the taggers."""

from html import escape

from fer.app.components import cards
from fer.evaluation import comparison, metrics
from fer.evaluation.predictions import Predictions

CSS = """
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 10px; margin: 0; }
.cards > div { padding: 10px 12px; border: 1px solid var(--border-color-primary); border-radius: var(--radius-md);
  background: var(--block-background-fill); }
p { margin: 0; font-size: var(--text-sm); color: var(--body-text-color); }
dt { font-size: var(--text-sm); color: var(--body-text-color-subdued); }
dd { margin: 0; font-size: var(--text-sm); line-height: 1.4; color: var(--body-text-color);
  font-variant-numeric: tabular-nums; }
dd b { display: block; font-size: var(--text-xl); font-weight: 600; }
"""

AGAINST_CSS = (
    CSS
    + """
p { margin: 0 0 8px; line-height: 1.45; color: var(--body-text-color); }
.quarters { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 10px; }
.quarters > * { padding: 10px 12px; text-align: left; border: 1px solid var(--border-color-primary); font: inherit;
  border-radius: var(--radius-md); background: var(--block-background-fill); color: var(--body-text-color);
  font-size: var(--text-sm); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.quarters b { display: block; font-size: var(--text-xl); font-weight: 600; }
.quarters button { cursor: pointer; }
.quarters button:hover { border-color: var(--primary-400); }
.quarters button[aria-pressed="true"] { border-color: var(--primary-500); box-shadow: 0 0 0 1px var(--primary-500); }
.quarters button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 1px; }
"""
)


def cell(found: Predictions, other: Predictions | None, row: int, column: int) -> str:
    """A few sentences on one cell."""
    truth, answer = found.labels[row], found.labels[column]
    inside = inside_of(found, row, column)
    count, support = int(inside.sum()), int((found.truth == row).sum())
    if count == 0:
        words = f"**{truth} read as {answer}**: no face."
    else:
        sure = found.probabilities[inside].max(1).values.mean().item()
        words = f"**{truth} read as {answer}**: {count} of {support} faces ({count / support:.0%}), {sure:.0%} sure on "
        words += "average."
    if count and row != column:
        second = found.probabilities[inside].topk(2, 1).indices[:, 1] == row
        back = int(inside_of(found, column, row).sum())
        words += f" In {second.float().mean():.0%} of them {truth} came second. The other way round: {back}."
    if count and found.votes is not None and "contempt" not in found.labels:
        words += " " + _voted(found, inside, column, truth if row != column else None)
    if other is not None:
        words += f" {other.name}: {int(inside_of(other, row, column).sum())}."
    return words


def _voted(found: Predictions, inside, column: int, truth: str | None) -> str:
    """How many of the cell's faces FER+'s taggers read as the network does."""
    seen = comparison.majority_label(found)[inside]
    agreed = int((seen == column).sum())
    word = f"FER+'s taggers agree with the network on {agreed} of them"
    if truth is None:
        return f"{word}."
    return f"{word}, with the label on {int((seen == found.labels.index(truth)).sum())}."


def inside_of(found: Predictions, row: int, column: int):
    """Which faces are in a cell, bool (N,)."""
    return (found.truth == row) & (found.read == column)


def summary(found: Predictions, figures: dict) -> str:
    """Accuracy with n and interval, the other figures, and how many faces were answered at all, as cards."""
    low, high = figures["ci95"]
    before = metrics.calibration_error(found.logits.softmax(1), found.truth)
    facts = {
        "Accuracy": (f"{figures['accuracy']:.4f}", f"n {figures['n']:,}; 95 % interval {low:.3f} to {high:.3f}"),
        "Balanced accuracy": (f"{figures['balanced_accuracy']:.4f}", "the mean of all recalls"),
        "Macro-F1": (f"{figures['macro_f1']:.4f}", "every emotion counts the same"),
        "Calibration error": (
            f"{figures['ece']:.4f}",
            f"{before:.4f} before the temperature" if found.temperature != 1 else "needs no temperature",
        ),
        "Answered": (f"{figures['answered']:.1%}", f"of {found.faces:,} faces"),
    }
    judged = comparison.annotator_agreement(found)
    if judged is not None and judged["n"]:
        words = f"accuracy on {judged['n']:,} faces on which most of ten agree"
        facts["Judged by FER+'s taggers"] = (f"{judged['accuracy']:.4f}", words)
    return cards(facts)


def taggers(found: Predictions) -> str:
    """What FER+'s taggers make of the network's mistakes."""
    if found.votes is None:
        return "<p>Nobody is known to have voted on these faces.</p>"
    facts = comparison.annotator_agreement(found)
    if facts is None or not facts["n"]:
        return f"<p>The labels of {escape(found.name)} are what most of the taggers see.</p>"
    low, high = facts["ci95"]
    shared = facts["as_taggers"] / facts["mistakes"] if facts["mistakes"] else 0
    known = {
        "Taggers agree with the label": (f"{facts['label']:.1%}", f"of {facts['n']:,} faces on which most agree"),
        "Network judged by the taggers": (f"{facts['accuracy']:.4f}", f"95 % interval {low:.3f} to {high:.3f}"),
        "Its mistakes that they make too": (
            f"{facts['as_taggers']:,}",
            f"of {facts['mistakes']:,} on these faces ({shared:.0%})",
        ),
    }
    return cards(known)


def against(facts: dict, chosen: int | None) -> str:
    """Two networks on the same faces: who is right where, as buttons, and whether that could be chance."""
    first, second = escape(facts["first"]), escape(facts["second"])
    low, high = (100 * end for end in facts["ci95"])
    better = first if facts["gain"] > 0 else second
    words = (
        f"On the {facts['n']:,} faces that both answer, <strong>{first}</strong> is right "
        f"{100 * facts['gain']:+.2f} points more often than <strong>{second}</strong> (95 % interval {low:+.2f} to "
        f"{high:+.2f}). "
    )
    verdict = f"{better} is better, and not by chance" if facts["p"] < 0.05 else "this may well be chance"
    words += f"McNemar's test: p {_chance(facts['p'])}, so {verdict}."
    only = "".join(
        f'<button type="button" data-choice="{number}" aria-pressed="{str(number == chosen).lower()}">'
        f"<b>{facts[key]:,}</b>only {name} is right</button>"
        for number, (key, name) in enumerate((("only_first", first), ("only_second", second)))
    )
    both, neither = (f"<span><b>{facts[key]:,}</b>{key} is right</span>" for key in ("both", "neither"))
    return f'<p>{words}</p><div class="quarters">{both.replace("both is", "both are")}{only}{neither}</div>'


def _chance(p: float) -> str:
    return "below 0.0001" if p < 1e-4 else f"{p:.4f}"
