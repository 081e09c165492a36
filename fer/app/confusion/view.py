"""The Confusion tab's text and cards: one cell, all predictions, two models compared, the FER+ annotators."""

from html import escape

from torch import Tensor

from fer.app.components import cards
from fer.evaluation import comparison, metrics
from fer.evaluation.predictions import Predictions

SELECT = "<p>Select a cell of the matrix to see its faces and how confident the model was.</p>"


def selection_text(found: Predictions, other: Predictions | None, selected: int | None) -> str:
    """Markup about the selected cell, or about the faces that only one of two models predicts correctly."""
    if selected is None:
        return SELECT
    size = len(found.labels) ** 2
    if selected < size:
        return f"<p>{cell_text(found, other, *divmod(selected, len(found.labels)))}</p>"
    one, two = (found, other) if selected == size else (other, found)
    return f"<p>Faces that <b>{escape(one.name)}</b> predicts correctly and <b>{escape(two.name)}</b> does not.</p>"


def cell_text(found: Predictions, other: Predictions | None, row: int, column: int) -> str:
    """A few sentences on one cell."""
    truth, predicted = (escape(found.labels[number]) for number in (row, column))
    inside = cell_mask(found, row, column)
    count, support = int(inside.sum()), int((found.truth == row).sum())
    sentences = [f"<b>True {truth}, predicted {predicted}</b>: no faces."]
    if count:
        confidence = found.probabilities[inside].max(1).values.mean().item()
        sentences = [
            f"<b>True {truth}, predicted {predicted}</b>: {count} of {support} faces ({count / support:.0%}), "
            f"mean confidence {confidence:.0%}."
        ]
    if count and row != column:
        second = found.probabilities[inside].topk(2, 1).indices[:, 1] == row
        reverse = int(cell_mask(found, column, row).sum())
        sentences.append(f"In {second.float().mean():.0%} of them {truth} is ranked 2nd. Reverse: {reverse}.")
    if count and found.votes is not None and "contempt" not in found.labels:
        sentences.append(_annotators_text(found, inside, row, column))
    if other is not None:
        sentences.append(f"{escape(other.name)}: {int(cell_mask(other, row, column).sum())}.")
    return " ".join(sentences)


def _annotators_text(found: Predictions, inside: Tensor, row: int, column: int) -> str:
    """For how many of the cell's faces the FER+ majority is the model's prediction, and the label."""
    majority = comparison.majority_label(found)[inside]
    text = f"The FER+ majority agrees with the model on {int((majority == column).sum())} of them"
    return f"{text}." if row == column else f"{text}, with the label on {int((majority == row).sum())}."


def cell_mask(found: Predictions, row: int, column: int) -> Tensor:
    """Which faces are in a cell, bool (N,)."""
    return (found.truth == row) & (found.predicted == column)


def summary(found: Predictions, figures: dict) -> str:
    """Accuracy with n and interval, the other figures, and the share of faces that are predicted at all, as cards."""
    low, high = figures["ci95"]
    before = metrics.calibration_error(found.logits.softmax(1), found.truth)
    scaled = found.temperature != 1
    facts = {
        "Accuracy": (f"{figures['accuracy']:.4f}", f"n {figures['n']:,}; 95 % interval {low:.3f} to {high:.3f}"),
        "Balanced accuracy": (f"{figures['balanced_accuracy']:.4f}", "mean of the recalls"),
        "Macro-F1": (f"{figures['macro_f1']:.4f}", "mean of the classes' F1"),
        "ECE": (f"{figures['ece']:.4f}", f"{before:.4f} before temperature scaling" if scaled else "no scaling needed"),
        "Coverage": (f"{figures['answered']:.1%}", f"of {found.faces:,} faces"),
    }
    judged = comparison.annotator_agreement(found)
    if judged is not None and judged["n"]:
        facts["Accuracy vs FER+ majority"] = (f"{judged['accuracy']:.4f}", f"n {judged['n']:,}, faces with a majority")
    return cards(facts)


def annotators(found: Predictions) -> str:
    """How the FER+ annotators judge labels and predictions, as cards."""
    if found.votes is None:
        return "<p>No FER+ votes are known for these faces.</p>"
    facts = comparison.annotator_agreement(found)
    if facts is None or not facts["n"]:
        return f"<p>The labels of {escape(found.name)} are the FER+ majority itself.</p>"
    low, high = facts["ci95"]
    share = facts["as_annotators"] / facts["mistakes"] if facts["mistakes"] else 0
    return cards(
        {
            "Label agrees with the majority": (f"{facts['label']:.1%}", f"of {facts['n']:,} faces with a majority"),
            "Accuracy vs FER+ majority": (f"{facts['accuracy']:.4f}", f"95 % interval {low:.3f} to {high:.3f}"),
            "Errors that the majority shares": (
                f"{facts['as_annotators']:,}",
                f"of {facts['mistakes']:,} errors on these faces ({share:.0%})",
            ),
        }
    )


def comparison_text(facts: dict, selected: int | None) -> str:
    """Two models on the same faces: which is correct where, as buttons, and McNemar's test.

    selected: 0 or 1, the button that is pressed, if any.
    """
    first, second = escape(facts["first"]), escape(facts["second"])
    low, high = (100 * end for end in facts["ci95"])
    better = first if facts["gain"] > 0 else second
    text = (
        f"On {facts['n']:,} common faces the accuracy of <strong>{first}</strong> is {100 * facts['gain']:+.2f} points "
        f"that of <strong>{second}</strong> (95 % interval {low:+.2f} to {high:+.2f}). "
    )
    verdict = f"{better} is significantly better" if facts["p"] < 0.05 else "the difference is not significant"
    p = "< 0.0001" if facts["p"] < 1e-4 else f"= {facts['p']:.4f}"
    text += f"McNemar's test: p {p}, so {verdict}."
    only = "".join(
        f'<button type="button" data-choice="{number}" aria-pressed="{str(number == selected).lower()}" '
        f'tabindex="{0 if number == (selected or 0) else -1}"><b>{facts[key]:,}</b>only {name} is correct</button>'
        for number, (key, name) in enumerate((("only_first", first), ("only_second", second)))
    )
    both, neither = (
        f"<span><b>{facts['both']:,}</b>both are correct</span>",
        (f"<span><b>{facts['neither']:,}</b>neither is correct</span>"),
    )
    return f'<p>{text}</p><div class="quarters" data-arrows>{both}{only}{neither}</div>'
