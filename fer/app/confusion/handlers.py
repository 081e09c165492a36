"""The Confusion tab's handlers: a visitor's choices -> markup.

Everything but the faces is computed from the logits that `python -m fer evaluate` left in predictions.npz, so no data
set is needed.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from torch import Tensor

from fer.app import components
from fer.app.confusion import examples, matrix, upload, view
from fer.app.errors import user_error
from fer.app.events import fill_choices, validated_index
from fer.app.model_cache import load_any, outline
from fer.data.image_folder import LabelledFaces
from fer.evaluation import comparison, metrics, predictions
from fer.evaluation.predictions import Predictions
from fer.models import checkpoint
from fer.models.ensemble import PREFIX
from fer.plotting import evaluation

OWN, NOBODY = "your own faces", ""
NO_CELL = "Choose a cell of the matrix to read about it, and to see its faces."


@dataclass(frozen=True)
class ConfusionRequest:
    """What a visitor asks for, in the order of the tab's controls. Unchecked: it comes from the browser."""

    network: str
    split: str
    counting: str
    against: str
    threshold: float
    without_duplicates: bool
    members: list[str] | None
    own: LabelledFaces | None

    @property
    def name(self) -> str:
        """The network, or the ensemble with its other members."""
        others = [name for name in self.members or () if name != self.network]
        return PREFIX + "+".join([self.network, *others]) if others else self.network

    def found(self, weights: Path) -> Predictions:
        return self._answers(self.name, weights)

    def other(self, weights: Path) -> Predictions | None:
        """The answers of the network that it is compared with, if there is another."""
        return None if self.against in (NOBODY, None, self.name) else self._answers(self.against, weights)

    def faces(self) -> LabelledFaces | None:
        return self.own if self.split == OWN else None

    def _answers(self, name: str, weights: Path) -> Predictions:
        network = outline(weights, name)
        try:
            if self.split != OWN:
                found = predictions.load_predictions(network, self.split, weights)
            elif self.own is None:
                raise ValueError('there are no faces of yours yet: upload some under "Your own faces"')
            else:
                found = predictions.predict_own_faces(self.own, network, upload.answers_on(self.own, weights, name))
            return found.select(bool(self.without_duplicates)).above_confidence(self.threshold)
        except gr.Error:
            raise
        except ValueError as error:
            raise user_error(sentence(error, weights)) from None


def sentence(error: ValueError, weights: Path) -> str:
    """What is wrong, as a sentence: with a capital, unless it begins with a network's name."""
    words = getattr(error, "message", str(error)).rstrip(".") + "."  # gr.Error is a ValueError with a message
    named = words.startswith((PREFIX, *(f"{name} " for name in checkpoint.list_checkpoints(weights))))
    return words if named else words[:1].upper() + words[1:]


# ---- handlers: the choices of `Asked` come first, then the chosen cell, or what was drawn before


def show(*asked, weights: Path) -> tuple:
    """Matrix, cell, figures, comparison, taggers, emotions, and the chosen cell, which stays if it can."""
    *asked, chosen = asked
    try:
        asked = ConfusionRequest(*asked)
        found, other = asked.found(weights), asked.other(weights)
        figures = found.figures()
        compared = None if other is None else comparison.compare(found, other)
        if asked.counting not in matrix.COUNTINGS:
            raise user_error(f"There is no counting {str(asked.counting)[:40]!r}.")
    except ValueError as error:  # gr.Error is one
        return "", sentence(error, weights), "", fill_choices(""), "", "", None
    chosen = chosen if isinstance(chosen, int) and 0 <= chosen < _cells(found, other) else None
    emotions = matrix.emotions(figures, found.labels, predictions.mistakes(found))
    return (
        grid(asked, found, other, chosen),
        words(found, other, chosen),
        view.summary(found, figures),
        fill_choices("" if compared is None else view.against(compared, _side(found, chosen))),
        view.taggers(found),
        components.table(matrix.EMOTIONS, emotions, f"{found.name}-{asked.split}-emotions", "Every emotion"),
        chosen,
    )


def _cells(found: Predictions, other: Predictions | None) -> int:
    """How many choices there are: the cells, and of two networks the faces that only one reads right."""
    return len(found.labels) ** 2 + 2 * (other is not None)


def _side(found: Predictions, chosen: int | None) -> int | None:
    return None if chosen is None else chosen - len(found.labels) ** 2


def grid(asked: ConfusionRequest, found: Predictions, other: Predictions | None, chosen: int | None) -> str:
    """The matrix, or the difference of two."""
    if other is None:
        return matrix.table(found.confusion(), found.labels, asked.counting, chosen)
    counts, names = (found.confusion(), other.confusion()), (found.name, other.name)
    return matrix.difference(*counts, found.labels, asked.counting, names, chosen)


def words(found: Predictions, other: Predictions | None, chosen: int | None) -> str:
    """What there is to say of the choice."""
    if chosen is None:
        return NO_CELL
    if chosen < len(found.labels) ** 2:
        return view.cell(found, other, *divmod(chosen, len(found.labels)))
    one, two = (found, other) if _side(found, chosen) == 0 else (other, found)
    return f"Faces that **{one.name}** reads right and **{two.name}** does not."


def choose(*asked, event: gr.EventData, side: bool, weights: Path) -> tuple:
    """Matrix, cell, comparison and the choice, for a click on a cell, or on one `side` of the comparison."""
    asked = ConfusionRequest(*asked)
    found, other = asked.found(weights), asked.other(weights)
    size = len(found.labels) ** 2
    chosen = size + validated_index(event, 2) if side and other is not None else validated_index(event, size)
    box = "" if other is None else view.against(comparison.compare(found, other), _side(found, chosen))
    return grid(asked, found, other, chosen), words(found, other, chosen), fill_choices(box), chosen


def draw(*asked, weights: Path) -> tuple:
    """The diagrams, with links to save them, and what they were drawn for; skipped if nothing changed.

    Apart from `show`, because a drawing takes longer than all the rest.
    """
    *asked, before = asked
    now = (*map(str, asked[:-1]), id(asked[-1]))
    if now == before:
        return gr.skip(), gr.skip()
    try:
        asked = ConfusionRequest(*asked)
        return diagrams(asked, asked.found(weights), asked.other(weights), weights), now
    except ValueError:
        return "", now


def diagrams(asked: ConfusionRequest, found: Predictions, other: Predictions | None, weights: Path) -> str:
    """Calibration before and after the temperature, and what leaving out unsure answers gains."""
    before = metrics.reliability(found.logits.softmax(1), found.truth)
    after = metrics.reliability(found.probabilities, found.truth)
    everything = ConfusionRequest(**vars(asked) | {"threshold": 0.0})
    whole = [everything.found(weights), everything.other(weights)]
    curves = {one.name: comparison.risk_coverage(one)[1:] for one in whole if one is not None}
    at = len(found) / found.faces if asked.threshold else None
    sure = components.figure(
        evaluation.reliability_diagram(before, after),
        f"{_title(asked)}-reliability",
        "How often answers of each confidence are right",
        "<b>Is it as sure as it is right?</b>",
    )
    gain = components.figure(
        evaluation.risk_coverage_curve({key: (x.numpy(), y.numpy()) for key, (x, y) in curves.items()}, at),
        f"{_title(asked)}-coverage",
        "What share is right if only the surest answers are given",
        "<b>What leaving out unsure answers gains</b>",
    )
    return f'<div class="pair">{sure}{gain}</div>'


def to_save(*asked, weights: Path) -> str:
    """The matrix as a figure and as a table, to take away."""
    try:
        asked = ConfusionRequest(*asked)
        found = asked.found(weights)
    except ValueError as error:
        return f"<p>{escape(sentence(error, weights))}</p>"
    counts = found.confusion()
    shares = matrix.shares(counts, asked.counting)
    shown = counts.tolist() if asked.counting == matrix.COUNTINGS[0] else [[f"{x:.0%}" for x in r] for r in shares]
    drawn = evaluation.confusion_matrix_figure(shares.numpy(), shown, found.labels)
    rows = [[label, *row] for label, row in zip(found.labels, counts.tolist(), strict=True)]
    saved = components.csv_link(("label", *found.labels), rows, f"{_title(asked)}-matrix")
    alt = f"The confusion matrix of {found.name}"
    return components.figure(drawn, f"{_title(asked)}-matrix", alt, more=saved)


def _title(asked: ConfusionRequest) -> str:
    """What a saved file is called."""
    return f"{asked.name.replace(':', '-')}-{asked.split.replace(' ', '-')}"


def faces(*asked, weights: Path) -> tuple:
    """The faces of the choice as tiles, an empty card and answer to why, and whether that can be asked."""
    *asked, chosen = asked
    nothing = (fill_choices(""), fill_choices(""), fill_choices(""), gr.update(visible=False), gr.update(visible=False))
    if chosen is None:
        return nothing
    try:
        asked, found, rows, pixels = _behind(asked, chosen, weights)
    except ValueError:
        return nothing
    size = len(found.labels)
    mistakes = chosen < size**2 and chosen // size != chosen % size
    can_ask = mistakes and len(rows) > 0 and not isinstance(pixels, str)
    title = f"Why does {found.name} mix them up?"
    offer = gr.update(value=title, visible=can_ask)
    return (
        fill_choices(examples.tiles(found, rows, pixels)),
        fill_choices(""),
        fill_choices(""),
        gr.update(visible=False),
        offer,
    )


def _behind(asked: list, chosen: int, weights: Path) -> tuple[ConfusionRequest, Predictions, Tensor, Tensor | str]:
    asked = ConfusionRequest(*asked)
    found, rows = examples.rows_of(asked.found(weights), asked.other(weights), chosen)
    return asked, found, rows, examples.pixels_of(found, asked.split, asked.faces())


def open_face(*asked, event: gr.EventData, weights: Path) -> tuple:
    """The tiles with one pressed, its card, the buttons to other tabs, and the face for these."""
    *asked, chosen = asked
    _, found, rows, pixels = _behind(asked, chosen if isinstance(chosen, int) else 0, weights)
    at = validated_index(event, 0 if isinstance(pixels, str) else min(len(rows), examples.MOST))
    face = pixels[rows[at]].numpy()
    card = examples.card(found, int(rows[at]), face)
    return examples.tiles(found, rows, pixels, at), fill_choices(card), gr.update(visible=True), np.array(face)


def why(*asked, weights: Path) -> dict:
    """What speaks for the wrong answer on the chosen cell's faces."""
    *asked, chosen = asked
    if not isinstance(chosen, int):
        raise user_error("Choose a cell of mistakes first.")
    asked = ConfusionRequest(*asked)
    found = asked.found(weights)
    pixels = examples.pixels_of(found, asked.split, asked.faces())
    if isinstance(pixels, str) or chosen >= len(found.labels) ** 2 or not len(examples.rows_of(found, None, chosen)[1]):
        raise user_error("There are no faces here to look at.")
    network = load_any(weights, found.name)
    mixup = examples.why(network, found, pixels, chosen)
    return fill_choices(examples.told(mixup, found.name, found.labels, chosen))
