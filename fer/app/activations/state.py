"""What a visitor of the Activations tab has before them: a face, a layer's activations, and their order.

state = compute_state("cnn", "conv2d_1", face, NO_FACE, weights=weights)
places = sort_filters(state.report, state.other, SIMILARITY)
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fer.app.activations import grid
from fer.app.activations.redundancy import redundancy_text
from fer.app.examples import example_face, example_name
from fer.app.model_cache import load_network
from fer.features import activations, layer_report, pruning, redundancy, similarity
from fer.features.layer_report import LayerReport

NUMBER, MEAN, SIMILARITY = ORDERS = ("number", "mean activation", "similarity")
DIFFERENCE = "difference"
NO_FACE = "none"  # to compare with


@dataclass(frozen=True)
class ActivationState:
    """What a visitor has before them; kept in a `gr.State`."""

    model: str
    face: np.ndarray  # uint8 (48, 48)
    face_name: str
    report: LayerReport
    other: LayerReport | None = None  # of the example that the face is compared with
    compared_with: str = NO_FACE
    live: bool = False  # the face is the webcam's


def compute_state(
    model: str, layer: str | None, face: np.ndarray | None, compared_with: str, *, weights: Path, live: bool = False
) -> ActivationState:
    """A layer's activations for a face, or for an example where there is none, and for the example to compare with.

    Where the model has no such layer, its first one with weights is taken.
    """
    chain, known = load_network(weights, model), load_measured(weights, model)
    face = example_face() if face is None else face
    example = example_name(face)
    name = "Your webcam" if live else f"The {example} example" if example else "Current face"
    if layer not in layer_report.list_steps(chain):
        layer = pruning.removable(chain)[0]
    report = layer_report.layer_report(chain, layer, face, known)
    other = None
    if compared_with != NO_FACE:
        other = layer_report.layer_report(chain, layer, example_face(compared_with), known)
    return ActivationState(model, face, name, report, other, compared_with, live)


def load_measured(weights: Path, model: str) -> redundancy.Redundancy | None:
    """What was measured of a model over many faces; read again when its file changes."""
    file = weights / model / redundancy.FILE
    return _load(weights / model, file.stat().st_mtime_ns) if file.is_file() else None


@functools.lru_cache(maxsize=16)
def _load(folder: Path, changed: int) -> redundancy.Redundancy | None:
    return redundancy.load_redundancy(folder)


def sort_filters(report: LayerReport, other: LayerReport | None, order: str) -> list[int]:
    """The filters in an order of ORDERS, or by DIFFERENCE; of many neurons, and of pairs, only the first."""
    values = torch.from_numpy(report.values)
    strength = activations.mean_activation(values)
    if order == DIFFERENCE and other is not None:
        ranked = (-similarity.map_differences(values, torch.from_numpy(other.values))).argsort(stable=True).tolist()
    elif order == SIMILARITY and report.known is not None:
        ranked = report.known.order.tolist()
    elif order == SIMILARITY and (correlations := report.alike()) is not None:
        ranked = similarity.seriate(torch.from_numpy(correlations), int(strength.argmax()))
    elif order == MEAN:
        ranked = (-strength).argsort(stable=True).tolist()
    else:
        ranked = list(range(len(values)))
    if report.values.ndim == 3:
        return ranked if other is None else ranked[: grid.MOST_PAIRS]
    strongest = set((-strength).argsort(stable=True)[: grid.MOST_BARS].tolist())
    return [number for number in ranked if number in strongest]


def status_text(state: ActivationState, places: list[int]) -> str:
    """What the sheet shows, as markup: names of layers hold none, being those of the registry."""
    report, count = state.report, len(state.report.values)
    sentences = []
    if len(places) < count:
        most = "most different" if report.values.ndim == 3 else "strongest"
        sentences.append(f"The {len(places)} {most} of {count:,} are shown.")
    if state.other is not None:
        mine, theirs = ("Left", "right") if report.values.ndim == 3 else ("Dark", "pale")
        sentences.append(f"{mine}: {state.face_name.lower()}; {theirs}: the {state.compared_with} example.")
    if report.known is not None and count > 1 and not report.labels:
        sentences.append(redundancy_text(report.known))
    elif report.values.ndim == 3 and count > 1:
        sentences.append(f"On this face, {len(report.redundant()) or 'none'} of {count} are redundant (r > 0.95).")
    return " ".join(sentences)
