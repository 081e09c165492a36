"""Training faces, at the foot of the Saliency tab: which of them made the model's answer to the current face.

section(session)    lays it out, inside the tab; it is computed when it is opened and closes when face or model change
"""

import functools
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from fer.app.events import QUIET
from fer.app.model_cache import load_network
from fer.app.saliency import view
from fer.app.saliency.fold import close_on_change, results
from fer.app.session import Session
from fer.attribution import feature_table, training_examples, training_examples_benchmark
from fer.attribution.feature_table import FeatureTable
from fer.attribution.last_layer import features_of, last_layer
from fer.attribution.training_examples import CheckpointFeatures, Evidence, Neighbours
from fer.data import dataset, fer2013
from fer.data.dataset import to_unit
from fer.data.ferplus import given_votes
from fer.data.labels import EMOTIONS
from fer.utils.artifacts import digest_or_none

TITLE = "Training faces"
COUNT = 6
WORDS = (
    "A training step on a <b>proponent</b> raises the model's confidence in its answer, one on an <b>opponent</b> "
    "lowers it: TracIn of the last layer "
    '(<a href="https://arxiv.org/abs/2002.08484" target="_blank" rel="noopener">Pruthi et al. 2020</a>), from the '
    "final weights alone. Percentages are shares of the influence of all training faces."
)


def section(session: Session) -> None:
    """Lays it out and wires it; call inside the Saliency tab."""
    with gr.Accordion(TITLE, open=False, elem_id="training-faces-fold") as fold:
        shown = results("training-faces")
    find = functools.partial(render, weights=session.weights)
    fold.expand(find, [session.face, session.model], shown, trigger_mode="always_last", **QUIET)
    close_on_change(session, fold, shown)


def render(face: np.ndarray | None, name: str, *, weights: Path) -> str:
    """The training faces for and against the answer, the nearest ones, and how far all that can be trusted."""
    if face is None:
        return view.NO_FACE
    network = load_network(weights, name)
    if tuple(network.labels) != EMOTIONS:
        return _empty(f"{escape(name)} has other labels than FER-2013's training faces.")
    try:
        layer = last_layer(network)
    except ValueError:
        return _empty(f"{escape(name)} does not end in one dense layer, so this cannot be computed for it.")
    known = _table(weights / name, digest_or_none(weights / name))
    if known is None or known.features.shape[1] != layer.in_features:
        command = f"<code>python -m fer influence --benchmark --model {escape(name)}</code>"
        return _empty(f"There is no table of training faces for these weights: {command} makes it.")
    return _found(network, layer, known, face, weights / name)


def _found(network, layer, known: FeatureTable, face: np.ndarray, folder: Path) -> str:
    features = features_of(network, to_unit(torch.from_numpy(np.array(face))[None]))
    answer = int(layer(features).argmax())
    checkpoint = CheckpointFeatures.of(layer, known.features, known.labels)
    found = training_examples.evidence([checkpoint], [features], known.labels, answer, COUNT)
    pictures = _pictures()
    if pictures is not None and len(pictures) != len(known):
        pictures = None  # another data set than the table's
    return _markup(found, known, pictures, folder)


def _markup(found: Evidence, known: FeatureTable, pictures: Tensor | None, folder: Path) -> str:
    label = EMOTIONS[found.target]
    groups = {
        f"Proponents of {label}": (found.proponents, found.total),
        "Opponents": (found.opponents, found.total),
        "Nearest in the model's features": (found.nearest, None),
        "Nearest with another label": (found.unlike, None),
    }
    parts = [f"<p>{WORDS}</p>{_trust(folder)}"]
    if pictures is None:
        parts.append("<p>FER-2013 is not on this machine, so its faces are named by row and not shown.</p>")
    for title, (rows, total) in groups.items():
        faces = "".join(_figure(row, value, total, known, pictures) for row, value in _pairs(rows))
        parts.append(f'<h4>{title}</h4><div class="figures all">{faces}</div>')
    return "".join(parts)


def _pairs(rows: Neighbours) -> list[tuple[int, float]]:
    return list(zip(rows.rows, rows.values, strict=True))


def _figure(row: int, value: float, total: float | None, known: FeatureTable, pictures: Tensor | None) -> str:
    label = EMOTIONS[int(known.labels[row])]
    amount = f"{value:.2f} alike" if total is None else f"{value / (total or 1):+.3%}"
    votes = given_votes(known.votes, row)
    said = f"<br>annotators: {', '.join(f'{name} {count}' for name, count in votes.items())}" if votes else ""
    caption = f"<b>{label}</b>Training {row}, {amount}{said}"
    if pictures is None:
        return f'<figure><div class="tile">Training {row}</div><figcaption>{caption}</figcaption></figure>'
    return view.figure(pictures[row].numpy(), caption, f"Training face {row}, labelled {label}")


def _trust(folder: Path) -> str:
    """What removing proponents did when it was measured, beside the controls; that it was not, where it was not."""
    known = training_examples_benchmark.ARTIFACT.load_or_none(folder)
    if known is None:
        return "<p>How far this can be trusted was not measured for these weights.</p>"
    rows = {row.removed: row for row in known["removal"]}
    falls = {name: rows[name].fall for name in ("proponents", "nearest_same_label", "randomised_weights", "random")}
    no_better = any(rows[name].difference_low <= 0 for name in list(falls)[1:])
    verdict = "That is no better than a control." if no_better else "That is more than any control."
    each = ", ".join(f"{name.replace('_', ' ')} {fall:.3f}" for name, fall in falls.items())
    return (
        f"<p>The answer's logit falls, once the last layer is trained without 100 faces ({rows['proponents'].n} "
        f"misread faces of PublicTest), by: {each}. {verdict}</p>"
    )


def _empty(words: str) -> str:
    return f'<div class="empty">{words}</div>'


@functools.lru_cache(maxsize=1)  # 60 MB
def _table(folder: Path, digest: str | None) -> FeatureTable | None:
    return feature_table.ARTIFACT.load_or_none(folder)


@functools.lru_cache(maxsize=1)
def _pictures() -> Tensor | None:
    """Training's faces, uint8 (N, 48, 48), where the data set is on this machine."""
    try:
        faces = fer2013.load_fer2013().get("Training")
    except (dataset.DataError, OSError):
        return None  # visitors are told so
    return None if faces is None else faces.pixels
