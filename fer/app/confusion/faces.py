"""The faces behind a cell of the matrix, the most confident first.

FER-2013's faces may not be redistributed, so they are shown only where the page's machine has the data set.
"""

import functools
import logging
from html import escape

import numpy as np
import torch
from torch import Tensor

from fer.app.components import choice_attributes, class_bars
from fer.data import dataset, fer2013
from fer.data.ferplus import VOTES
from fer.data.image_folder import LabelledFaces
from fer.data.labels import EMOTIONS
from fer.evaluation import comparison
from fer.evaluation.predictions import Predictions
from fer.plotting import encode

log = logging.getLogger(__name__)
MOST = 48  # faces that are shown of a cell

NO_DATA = '<p class="quiet">The faces are not shown here: FER-2013 may not be redistributed.</p>'
OTHER_DATA = '<p class="quiet">The faces are not shown: the FER-2013 on this server is in another order.</p>'


def select_rows(found: Predictions, other: Predictions | None, selected: int) -> tuple[Predictions, Tensor]:
    """The predictions that a selection speaks of, and the rows of its faces, the most confident first.

    selected: a cell, 0 to K * K - 1; then the faces that only the first of two models predicts correctly; only the
    second.
    """
    cells = len(found.labels) ** 2
    if selected < cells:
        row, column = divmod(selected, len(found.labels))
        mask = (found.truth == row) & (found.predicted == column)
    elif other is None:
        mask = torch.zeros(len(found), dtype=torch.bool)
    else:
        found, other = comparison.paired_correctness(found, other)
        mask = found.correct & ~other.correct if selected == cells else other.correct & ~found.correct
    rows = mask.nonzero()[:, 0]
    confidence = found.probabilities[rows].max(1).values
    return found, rows[confidence.argsort(descending=True, stable=True)]


def load_pixels(found: Predictions, split: str, own: LabelledFaces | None) -> Tensor | str:
    """The faces behind the predictions, uint8 (N, 48, 48), or markup that says why they cannot be shown."""
    if own is not None:
        return own.pixels[found.face]
    faces = _load_split(split)
    if faces is None or int(found.face.max()) >= len(faces.labels):
        return NO_DATA
    if found.labels == EMOTIONS and not torch.equal(faces.labels[found.face], found.truth):
        return OTHER_DATA
    return faces.pixels[found.face]


@functools.cache
def _load_split(split: str) -> dataset.FaceDataset | None:
    """The split of the FER-2013 on this machine, read once; None where there is none."""
    try:
        return fer2013.load_fer2013().get(split)
    except (dataset.DataError, OSError) as error:
        log.info("no faces on the Confusion tab: %s", error)
        return None


# ---- markup


def face_buttons(found: Predictions, rows: Tensor, pixels: Tensor | str, selected: int | None = None) -> str:
    """The faces as buttons, each with the prediction's confidence."""
    if not len(rows):
        return ""
    if isinstance(pixels, str):
        return pixels
    text = f"{len(rows)} faces" if len(rows) > 1 else "One face"
    text += f", the {MOST} most confident shown" if len(rows) > MOST else ", most confident first" * (len(rows) > 1)
    buttons = "".join(
        _button(found, row, pixels[row], place, place == selected, place == (selected or 0))
        for place, row in enumerate(rows[:MOST].tolist())
    )
    return f'<p>{text}. Select one to use it in all tabs.</p><div class="faces" data-arrows>{buttons}</div>'


def _button(found: Predictions, row: int, face: Tensor, place: int, pressed: bool, entry: bool) -> str:
    truth, predicted = found.labels[found.truth[row]], found.labels[found.predicted[row]]
    confidence = found.probabilities[row].max().item()
    label = escape(f"Face {found.face[row]}, true {truth}, predicted {predicted}, {confidence:.0%}")
    return (
        f"<button {choice_attributes(place, label, pressed, entry)}>"
        f'<img src="{encode.data_url(face.numpy())}" alt="" loading="lazy">{confidence:.0%}</button>'
    )


def face_card(found: Predictions, row: int, face: np.ndarray) -> str:
    """One face, enlarged, with its label, the model's probabilities and the FER+ votes."""
    truth, predicted = escape(found.labels[found.truth[row]]), escape(found.labels[found.predicted[row]])
    votes = "" if found.votes is None else f"<p>FER+ votes: {_votes_text(found.votes[row])}.</p>"
    bars = class_bars(found.labels, found.probabilities[row].tolist())
    alt = f"The selected face, labelled {truth}"
    return (
        f'<div class="face"><img src="{encode.data_url(face)}" alt="{alt}"><div><p>True <strong>{truth}</strong>, '
        f"predicted <strong>{predicted}</strong> by {escape(found.name)}.</p>{votes}{bars}</div></div>"
    )


def _votes_text(votes: Tensor) -> str:
    counted = sorted(zip(VOTES, votes.tolist(), strict=True), key=lambda entry: -entry[1])
    return ", ".join(f"{count} {'no face' if name == 'NF' else name}" for name, count in counted if count) or "none"
