"""The faces behind a cell of the matrix, most confident first, and why two labels are mixed up.

FER-2013's faces may not be handed on, so they are shown only where whoever runs the page has the data set.
"""

import functools
import logging
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import numpy as np
import torch
from torch import Tensor

from fer.app.saliency import view as saliency_view
from fer.attribution import confusion_pairs
from fer.attribution.confusion_pairs import ConfusionPair
from fer.data import dataset, fer2013
from fer.data.ferplus import VOTES
from fer.data.image_folder import LabelledFaces
from fer.data.labels import EMOTIONS
from fer.evaluation import comparison
from fer.evaluation.predictions import Predictions
from fer.features.presets import PRESETS
from fer.plotting import encode

log = logging.getLogger(__name__)
MOST = 48  # faces that are shown of a cell

CSS = """
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(60px, 1fr)); gap: 6px;
  max-height: 360px; overflow-y: auto; }
.faces button { min-width: 0; margin: 0; padding: 3px; border: 0; border-radius: 6px; background: none; cursor: pointer;
  color: var(--body-text-color); font: 12px/1.3 var(--font); font-variant-numeric: tabular-nums; }
.faces img { display: block; width: 100%; aspect-ratio: 1; margin: 0 0 2px; border-radius: 4px;
  image-rendering: pixelated; }
.faces button:hover { box-shadow: inset 0 0 0 2px var(--primary-400); }
.faces button[aria-pressed="true"] { box-shadow: inset 0 0 0 3px var(--primary-500); }
.faces button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 1px; }
p { margin: 0 0 8px; font-size: var(--text-sm); line-height: 1.45; color: var(--body-text-color); }
p a { color: var(--link-text-color); text-decoration: underline; }
code { overflow-wrap: anywhere; }
.empty { padding: 16px; font-size: var(--text-sm); color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius); }
"""

FACE_CSS = """
.card { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; color: var(--body-text-color); }
.card img { display: block; width: 144px; height: 144px; margin: 0; image-rendering: pixelated;
  border-radius: var(--radius-md); }
.card > div { flex: 1 1 240px; }
p { margin: 0 0 8px; font-size: var(--text-sm); line-height: 1.45; }
a { color: var(--link-text-color); text-decoration: underline; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: 3px 10px; align-items: center;
  max-width: 420px; font-size: var(--text-sm); font-variant-numeric: tabular-nums; }
.bars i { display: block; height: 8px; border-radius: 4px; background: var(--primary-500); min-width: 1px; }
.bars b { font-weight: 600; }
"""

NO_DATA = (
    '<div class="empty">The faces themselves are shown where FER-2013 is at hand, which may not be handed on here: get '
    '<code>fer2013.csv</code> from Kaggle ("Challenges in Representation Learning: Facial Expression Recognition"), '
    "put it into <code>data/fer2013/</code> and start the page again. Everything else works without it.</div>"
)
OTHER_DATA = (
    '<div class="empty">The FER-2013 at hand has its faces in another order than Kaggle\'s <code>fer2013.csv</code>, '
    "so it is not known which of them these are.</div>"
)


# ---- which faces


def rows_of(found: Predictions, other: Predictions | None, chosen: int) -> tuple[Predictions, Tensor]:
    """The answers that a choice speaks of, and the rows of its faces, most confident first.

    chosen: a cell, 0 to K * K - 1; then the faces that only the first of two networks reads right; only the second.
    """
    cells = len(found.labels) ** 2
    if chosen < cells:
        row, column = divmod(chosen, len(found.labels))
        which = (found.truth == row) & (found.read == column)
    elif other is None:
        which = torch.zeros(len(found), dtype=torch.bool)
    else:
        found, other = comparison.paired_correctness(found, other)
        which = found.right & ~other.right if chosen == cells else other.right & ~found.right
    rows = which.nonzero()[:, 0]
    sure = found.probabilities[rows].max(1).values
    return found, rows[sure.argsort(descending=True, stable=True)]


def pixels_of(found: Predictions, split: str, own: LabelledFaces | None) -> Tensor | str:
    """The faces behind the answers, uint8 (N, 48, 48), or markup that says why they are not to be had."""
    if own is not None:
        return own.pixels[found.face]
    faces = _at_hand(split)
    if faces is None or int(found.face.max()) >= len(faces.labels):
        return NO_DATA
    if found.labels == EMOTIONS and not torch.equal(faces.labels[found.face], found.truth):
        return OTHER_DATA
    return faces.pixels[found.face]


@functools.cache
def _at_hand(split: str) -> dataset.FaceDataset | None:
    """The split of the FER-2013 on this machine, read once; None where there is none."""
    try:
        return fer2013.load_fer2013().get(split)
    except (dataset.DataError, OSError) as error:
        log.info("no faces on the Confusion tab: %s", error)
        return None


# ---- markup


def tiles(found: Predictions, rows: Tensor, pixels: Tensor | str, chosen: int | None = None) -> str:
    """The faces as buttons with what the network reads and how surely."""
    if not len(rows):
        return ""
    if isinstance(pixels, str):
        return pixels
    words = f"{len(rows)} faces" if len(rows) > 1 else "One face"
    words += f", the {MOST} surest of them" if len(rows) > MOST else ", the surest first" if len(rows) > 1 else ""
    buttons = "".join(_tile(found, row, pixels[row], at, at == chosen) for at, row in enumerate(rows[:MOST].tolist()))
    return f'<p>{words}. Choose one to open it.</p><div class="faces">{buttons}</div>'


def _tile(found: Predictions, row: int, face: Tensor, at: int, pressed: bool) -> str:
    answer = found.labels[found.read[row]]
    sure = found.probabilities[row].max().item()
    words = escape(f"Face {found.face[row]}, label {found.labels[found.truth[row]]}, read as {answer}, {sure:.0%}")
    return (
        f'<button type="button" data-choice="{at}" aria-pressed="{str(pressed).lower()}" title="{words}" '
        f'aria-label="{words}"><img src="{encode.data_url(face.numpy())}" alt="" loading="lazy">{sure:.0%}</button>'
    )


def card(found: Predictions, row: int, face: np.ndarray) -> str:
    """One face, enlarged, with its label, the network's probabilities and the taggers' votes."""
    truth, chances = found.labels[found.truth[row]], found.probabilities[row].tolist()
    ranked = sorted(zip(found.labels, chances, strict=True), key=lambda entry: -entry[1])
    bars = "".join(
        f"<span>{escape(name)}</span><i style='width:{100 * share:.1f}%'></i><span>{share:.0%}</span>"
        for name, share in ranked
    )
    votes = "" if found.votes is None else f"<p>FER+'s ten taggers: {_votes(found.votes[row])}.</p>"
    return (
        f'<div class="card"><img src="{encode.data_url(face)}" alt="The chosen face"><div><p>Label '
        f"<strong>{escape(truth)}</strong>, read as <strong>{escape(ranked[0][0])}</strong> by {escape(found.name)}."
        f'</p>{votes}<div class="bars">{bars}</div></div></div>'
    )


def _votes(votes: Tensor) -> str:
    counted = sorted(zip(VOTES, votes.tolist(), strict=True), key=lambda entry: -entry[1])
    return ", ".join(f"{count} {'no face' if name == 'NF' else name}" for name, count in counted if count) or "no votes"


# ---- why


def why(network: torch.nn.Module, found: Predictions, pixels: Tensor, cell: int) -> ConfusionPair:
    """What differs between a cell's faces and those of the same label that are read right."""
    row, column = divmod(cell, len(found.labels))
    _, mistaken = rows_of(found, None, cell)
    _, right = rows_of(found, None, row * len(found.labels) + row)
    return confusion_pairs.explain_pair(network, pixels[mistaken], pixels[right], column, row)


def told(mixup: ConfusionPair, name: str, labels: Sequence[str], cell: int) -> str:
    """The mean map over the mean face, where it lies, the filters, and whether they matter."""
    truth, answer = (labels[number] for number in divmod(cell, len(labels)))
    parts = sorted(mixup.shares.items(), key=lambda item: -item[1])[:3]
    where = ", ".join(f"{part} {share:.0%}" for part, share in parts)
    caption = (
        f"The mean of {mixup.mapped} faces, and what speaks for {answer} (red) rather than {truth} (blue) in them, by "
        f"integrated gradients. Most lies in: {where}."
    )
    address = encode.data_url(saliency_view.Drawing().of(mixup.face, mixup.map), lossless=True)
    picture = f'<img src="{address}" alt="Where on the face {escape(answer)} outweighs {escape(truth)}">'
    return f'<div class="card">{picture}<div><p>{escape(caption)}</p>{_filters(mixup, name, truth, answer)}</div></div>'


def _filters(mixup: ConfusionPair, name: str, truth: str, answer: str) -> str:
    if not mixup.filters or mixup.gap is None:
        return ""
    named = ", ".join(
        f'<a href="{escape(_address(name, mixup.layer, row.number))}" target="_blank">{row.number}</a> '
        f"({abs(row.distance):.1f} deviations {'more' if row.distance > 0 else 'less'})"
        for row in mixup.filters
    )
    words = (
        f"Filters of {mixup.layer} that answer {mixup.faces} of these faces otherwise than faces of {escape(truth)} "
        f"that are read right: {named}."
    )
    before, without, chance = mixup.gap
    effect = (
        f"The logit of {answer} is {before:+.2f} above that of {truth} on average; without the filters that answer "
        f"more it is {without:+.2f}, without as many others at random {chance:+.2f}."
    )
    return f"<p>{words}</p><p>{escape(effect)}</p>"


def _address(network: str, layer: str, number: int) -> str:
    """The Filters tab's link to one filter, grown by its usual preset."""
    asked = {"network": network, "layer": layer, "filter": number, "preset": "clear"}
    return "?" + urlencode({"tab": "Filters", **asked, "steps": PRESETS["clear"].steps, "seed": 0})
