"""The Confusion tab's handlers: (request, selection) -> values by the name of the component that they go into.

A component that is not named stays as it is.
"""

from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from torch import Tensor

from fer.app import components
from fer.app.confusion import explanation, faces, matrix, view
from fer.app.confusion.request import NO_MODEL, OWN, SPLIT_NAMES, ConfusionRequest, comparable_models, error_text
from fer.app.errors import user_error
from fer.app.events import fill_choices, validated_index, visible_if
from fer.app.model_cache import load_any
from fer.evaluation import comparison, metrics
from fer.evaluation.predictions import Predictions
from fer.models import checkpoint
from fer.plotting import evaluation

AWAITS_UPLOAD = "<p>Upload labelled faces first. Until then the matrix stays as it was.</p>"


def render(request: ConfusionRequest, selected: int | None, weights: Path) -> dict:
    """The matrix and all text. The selection stays where it can; models with other labels are no longer offered."""
    menus = _model_menus(request, weights)
    if request.awaits_upload:
        return {"cell": AWAITS_UPLOAD}
    try:
        request = request.comparable(weights)
        found, other = request.predictions(weights), request.other_predictions(weights)
        figures = found.compute_metrics()
        compared = None if other is None else comparison.compare(found, other)
        if request.normalize not in matrix.NORMALIZE:
            raise user_error(f"There is no normalisation {str(request.normalize)[:40]!r}.")
    except ValueError as error:  # gr.Error is one
        return menus | _render_error(error_text(error, weights))
    selected = selected if isinstance(selected, int) and 0 <= selected < _selectable(found, other) else None
    return {
        **menus,
        **_render_selection(request, found, other, compared, selected),
        "summary": view.summary(found, figures),
        "annotators": view.annotators(found),
        "classes": _class_table(request, found, figures),
        "export": gr.update(open=False),
        "exported": "",
    }


def _render_error(text: str) -> dict:
    empty = dict.fromkeys(("matrix", "summary", "annotators", "classes"), "")
    return {**empty, "cell": f"<p>{escape(text)}</p>", "comparison": fill_choices(""), "selected": None}


def _model_menus(request: ConfusionRequest, weights: Path) -> dict:
    """Only models with the same labels can be compared with the chosen one, or join its ensemble."""
    names = comparable_models(request.model, checkpoint.list_models(weights), weights)
    kept = request.comparable(weights)
    others = [("no other model", NO_MODEL), *names]
    return {
        "compare_with": gr.update(choices=others, value=kept.compare_with),
        "ensemble_with": gr.update(choices=visible_if(names), value=kept.ensemble_with),
    }


def _selectable(found: Predictions, other: Predictions | None) -> int:
    """How many selections there are: the cells, and of two models the faces that only one predicts correctly."""
    return len(found.labels) ** 2 + 2 * (other is not None)


def _render_selection(
    request: ConfusionRequest,
    found: Predictions,
    other: Predictions | None,
    compared: dict | None,
    selected: int | None,
) -> dict:
    size = len(found.labels) ** 2
    side = None if selected is None else selected - size
    counts = found.confusion()
    if other is None:
        table = matrix.table(counts, found.labels, request.normalize, selected)
    else:
        names = (found.name, other.name)
        table = matrix.difference(counts, other.confusion(), found.labels, request.normalize, names, selected)
    return {
        "matrix": table,
        "cell": view.selection_text(found, other, selected),
        "comparison": fill_choices("" if compared is None else view.comparison_text(compared, side)),
        "selected": selected,
    }


def _class_table(request: ConfusionRequest, found: Predictions, figures: dict) -> str:
    rows = matrix.class_rows(figures, found.labels, metrics.top_confusion(found.confusion()))
    return components.table(matrix.CLASS_HEADERS, rows, f"{_file_name(request)}-classes", "Figures of each class")


def select(request: ConfusionRequest, event: gr.EventData, in_comparison: bool, weights: Path) -> dict:
    """A click on a cell of the matrix, or on one of the two buttons of the comparison."""
    request = request.comparable(weights)
    found, other = request.predictions(weights), request.other_predictions(weights)
    size = len(found.labels) ** 2
    if in_comparison and other is not None:
        selected = size + validated_index(event, 2)
    else:
        selected = validated_index(event, size)
    compared = None if other is None else comparison.compare(found, other)
    return _render_selection(request, found, other, compared, selected)


# ---- the diagrams and the export, which take longer to draw


def render_diagrams(request: ConfusionRequest, drawn_for: tuple | None, weights: Path) -> dict:
    """The diagrams, and what they were drawn for; nothing where that has not changed."""
    key = (*map(str, list(vars(request).values())[:-1]), id(request.own_faces))
    if key == drawn_for or request.awaits_upload:
        return {}
    try:
        request = request.comparable(weights)
        return {"diagrams": diagrams(request, request.predictions(weights), weights), "drawn_for": key}
    except ValueError:
        return {"diagrams": "", "drawn_for": key}


def diagrams(request: ConfusionRequest, found: Predictions, weights: Path) -> str:
    """Reliability before and after temperature scaling, and the risk-coverage curve."""
    before = metrics.reliability(found.logits.softmax(1), found.truth)
    after = metrics.reliability(found.probabilities, found.truth)
    everything = ConfusionRequest(**vars(request) | {"threshold": 0.0})
    whole = [everything.predictions(weights), everything.other_predictions(weights)]
    curves = {one.name: comparison.risk_coverage(one)[1:] for one in whole if one is not None}
    coverage = len(found) / found.faces if request.threshold else None
    reliability = components.figure(
        evaluation.reliability_diagram(before, after),
        f"{_file_name(request)}-reliability",
        "Reliability diagram: accuracy against confidence",
        "<b>Reliability diagram</b>",
    )
    risk = components.figure(
        evaluation.risk_coverage_curve({key: (x.numpy(), y.numpy()) for key, (x, y) in curves.items()}, coverage),
        f"{_file_name(request)}-coverage",
        "Risk-coverage curve: accuracy of the most confident share of the faces",
        "<b>Risk–coverage curve</b>",
    )
    return f'<div class="pair">{reliability}{risk}</div>'


def export(request: ConfusionRequest, selected: int | None, weights: Path) -> dict:
    """The matrix as a figure and as a table to download."""
    try:
        found = request.predictions(weights)
    except ValueError as error:
        return {"exported": f"<p>{escape(error_text(error, weights))}</p>"}
    counts = found.confusion()
    shares = matrix.shares(counts, request.normalize)
    shown = counts.tolist() if request.normalize == matrix.COUNTS else [[f"{x:.0%}" for x in row] for row in shares]
    figure = evaluation.confusion_matrix_figure(shares.numpy(), shown, found.labels)
    rows = [[label, *row] for label, row in zip(found.labels, counts.tolist(), strict=True)]
    name = f"{_file_name(request)}-matrix"
    csv = components.csv_link(("true", *found.labels), rows, name)
    return {"exported": components.figure(figure, name, f"The confusion matrix of {found.name}", more=csv)}


def _file_name(request: ConfusionRequest) -> str:
    split = "own-faces" if request.split == OWN else SPLIT_NAMES.get(request.split, "").lower()
    return f"{request.name.replace(':', '-')}-{split}"


# ---- the faces behind the selection


def render_faces(request: ConfusionRequest, selected: int | None, weights: Path) -> dict:
    """The selection's faces; no face is opened, nothing explained yet."""
    closed = {"face": fill_choices(""), "explanation": fill_choices(""), "open_buttons": gr.update(visible=False)}
    hidden = closed | {"faces": fill_choices(""), "explain": gr.update(visible=False)}
    if selected is None or request.awaits_upload:
        return hidden
    try:
        found, rows, pixels = _load_faces(request, selected, weights)
    except ValueError:
        return hidden
    row, column = divmod(selected, len(found.labels))
    can_explain = row < len(found.labels) and row != column and len(rows) > 0 and not isinstance(pixels, str)
    buttons = faces.face_buttons(found, rows, pixels)
    return closed | {"faces": fill_choices(buttons), "explain": gr.update(visible=can_explain)}


def _load_faces(request: ConfusionRequest, selected: int, weights: Path) -> tuple[Predictions, Tensor, Tensor | str]:
    request = request.comparable(weights)
    found, rows = faces.select_rows(request.predictions(weights), request.other_predictions(weights), selected)
    return found, rows, faces.load_pixels(found, request.split, request.faces())


def open_face(request: ConfusionRequest, selected: int | None, event: gr.EventData, weights: Path) -> dict:
    """A click on a face: its card, the buttons to the other tabs, and the face for these."""
    found, rows, pixels = _load_faces(request, selected if isinstance(selected, int) else 0, weights)
    place = validated_index(event, 0 if isinstance(pixels, str) else min(len(rows), faces.MOST))
    face = pixels[rows[place]].numpy()
    return {
        "faces": faces.face_buttons(found, rows, pixels, place),
        "face": fill_choices(faces.face_card(found, int(rows[place]), face)),
        "open_buttons": gr.update(visible=True),
        "current_face": np.array(face),
    }


def explain(request: ConfusionRequest, selected: int | None, weights: Path) -> dict:
    """What raises the wrong class's logit on the selected cell's faces."""
    if not isinstance(selected, int):
        raise user_error("Select a cell of errors first.")
    found = request.predictions(weights)
    pixels = faces.load_pixels(found, request.split, request.faces())
    if isinstance(pixels, str) or selected >= len(found.labels) ** 2:
        raise user_error("There are no faces here to explain.")
    if not len(faces.select_rows(found, None, selected)[1]):
        raise user_error("There are no faces here to explain.")
    pair = explanation.explain_cell(load_any(weights, found.name), found, pixels, selected)
    return {"explanation": fill_choices(explanation.explanation_card(pair, found.name, found.labels, selected))}
