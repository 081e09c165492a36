"""What a visitor of the Activations tab has before them: a face, what a layer answers to it, and in which order.

seen = see("cnn", "conv2d_1", face, NOBODY, weights=weights)
places = placed(seen.answer, seen.other, LIKENESS)
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fer.app.activations import grid
from fer.app.activations.redundancy import sentence
from fer.app.examples import example_face, example_name
from fer.app.model_cache import load_network
from fer.features import activations, layer_report, pruning, redundancy, similarity
from fer.features.layer_report import LayerReport

STRENGTH, LIKENESS = "by strength", "by likeness"
ORDERS = ("by number", STRENGTH, LIKENESS)
DIFFERENCE = "by difference"
NOBODY = "nobody"  # beside the face


@dataclass(frozen=True)
class ActivationState:
    """What a visitor has before them; kept in a `gr.State`."""

    network: str
    face: np.ndarray  # uint8 (48, 48)
    whose: str  # in words
    answer: LayerReport
    other: LayerReport | None = None  # to the example beside
    beside: str = NOBODY
    live: bool = False  # the face is the webcam's


def see(
    network: str, layer: str | None, face: np.ndarray | None, beside: str, *, weights: Path, live: bool = False
) -> ActivationState:
    """The answers of a layer to a face, or to an example where there is none, and to the example beside it, if any.

    A layer that the network does not have gives way to the first one with weights.
    """
    chain, known = load_network(weights, network), measured(weights, network)
    face = example_face() if face is None else face
    example = example_name(face)
    whose = "Your webcam" if live else f"The {example} example" if example else "Your face"
    if layer not in layer_report.list_steps(chain):
        layer = pruning.removable(chain)[0]
    other = layer_report.layer_report(chain, layer, example_face(beside), known) if beside != NOBODY else None
    return ActivationState(
        network, face, whose, layer_report.layer_report(chain, layer, face, known), other, beside, live
    )


def measured(weights: Path, network: str) -> redundancy.Redundancy | None:
    """What is known of a network over many faces; read again when its file changes."""
    file = weights / network / redundancy.FILE
    return _measured(weights / network, file.stat().st_mtime_ns) if file.is_file() else None


@functools.lru_cache(maxsize=16)
def _measured(folder: Path, changed: int) -> redundancy.Redundancy | None:
    return redundancy.load_redundancy(folder)


def placed(answer: LayerReport, other: LayerReport | None, order: str) -> list[int]:
    """The filters in the order asked for; of many neurons, and of pairs, only the first."""
    values = torch.from_numpy(answer.values)
    strength = activations.mean_activation(values)
    if order == DIFFERENCE and other is not None:
        ranked = (-similarity.map_differences(values, torch.from_numpy(other.values))).argsort(stable=True).tolist()
    elif order == LIKENESS and answer.known is not None:
        ranked = answer.known.order.tolist()
    elif order == LIKENESS and (alike := answer.alike()) is not None:
        ranked = similarity.seriate(torch.from_numpy(alike), int(strength.argmax()))
    elif order == STRENGTH:
        ranked = (-strength).argsort(stable=True).tolist()
    else:
        ranked = list(range(len(values)))
    if answer.values.ndim == 3:
        return ranked if other is None else ranked[: grid.MOST_PAIRS]
    strongest = set((-strength).argsort(stable=True)[: grid.MOST_BARS].tolist())
    return [number for number in ranked if number in strongest]


def status(seen: ActivationState, places: list[int]) -> str:
    """What the sheet shows, in words of ours: names of layers hold no markup, being those of the registry."""
    answer, count = seen.answer, len(seen.answer.values)
    words = []
    if len(places) < count:
        most = "that differ most" if answer.values.ndim == 3 else "strongest"
        words.append(f"The {len(places)} {most} of {count:,} are shown.")
    if seen.other is not None:
        mine, theirs = ("Left", "right") if answer.values.ndim == 3 else ("Dark", "pale")
        words.append(f"{mine}: {seen.whose[0].lower()}{seen.whose[1:]}; {theirs}: the {seen.beside} example.")
    if answer.known is not None and count > 1 and not answer.labels:
        words.append(sentence(answer.known))
    elif answer.values.ndim == 3 and count > 1:
        words.append(f"On this face, {len(answer.redundant()) or 'none'} of {count} are redundant.")
    return " ".join(words)
