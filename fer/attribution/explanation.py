"""Explain one face: attribution map, masked image and faithfulness scores, by the names of network, method and labels.

    reason = explain_face(load_model("compact"), face, "integrated-gradients")         # the network's own prediction
    reason = explain_face(network, face, "gradient", "sad", against="fear", top_fraction=0.3)   # why sad and not fear
    scores = score_explanation(reason, measure_output_changes(network, reason))

`python -m fer saliency IMAGE` and the page's Saliency tab show it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer.attribution import faithfulness
from fer.attribution.baselines import face_to_tensor, load_baseline
from fer.attribution.explain import explain, to_contributions
from fer.attribution.faithfulness import OutputChanges
from fer.attribution.methods import METHODS
from fer.inference import predictor
from fer.plotting.maps import constant_map_message, overlay

OnForward = Callable[[int], None]  # called with the number of faces before each forward pass; see `explain.explain`


@dataclass(frozen=True)
class Explanation:
    """Why a network answers a face as it does.

    map: signed, float (48, 48). masked: uint8 (48, 48), the face at the `top_fraction` of
    the pixels where the smoothed map is highest, blurred elsewhere. probabilities: the target's calibrated probability
    for the face and for the masked face. baseline: one of BASELINES.
    """

    face: np.ndarray  # uint8 (48, 48)
    method: str
    target: str
    against: str | None
    map: np.ndarray
    top_fraction: float
    masked: np.ndarray
    probabilities: tuple[float, float]
    baseline: str = "blurred"
    layer: str | None = None


@dataclass(frozen=True)
class FaithfulnessScores:
    """Faithfulness correlation (-1..1) and infidelity score (0..1) of a map, and of each control map by name."""

    faithfulness_correlation: float
    infidelity_score: float
    controls: dict[str, tuple[float, float]]

    def beats_controls(self) -> bool:
        """Whether both scores are above those of every control map."""
        return all(
            self.faithfulness_correlation > correlation and self.infidelity_score > infidelity
            for correlation, infidelity in self.controls.values()
        )


def explain_face(
    network: nn.Module,
    face: np.ndarray,
    method: str = "integrated-gradients",
    target: str | None = None,
    against: str | None = None,
    top_fraction: float = 0.2,
    baseline: str = "blurred",
    layer: str | None = None,
    on_forward: OnForward | None = None,
) -> Explanation:
    """Why `network` answers `face`, uint8 (48, 48), with `target` (None: its own answer), or so rather than `against`.

    Raises:
        ValueError: an unknown method, label, baseline or layer, a share outside 0..1, or a method that does not hold
            for this network.
    """
    faces = face_to_tensor(face)
    chances = predictor.calibrated_probabilities(network, faces)[0]  # (K,)
    label = int(chances.argmax()) if target is None else label_index(network, target)
    rival = None if against is None else label_index(network, against)
    if rival == label:
        raise ValueError(f"{against!r} cannot be explained against itself: expected another label")
    maps = explain(network, faces, method, label, rival, load_baseline(baseline), layer, on_forward=on_forward)
    left, chance = masked_face(network, face, maps, top_fraction)
    return Explanation(
        face=face,
        method=method,
        target=network.labels[label],
        against=against,
        map=maps[0, 0].numpy(),
        top_fraction=top_fraction,
        masked=left,
        probabilities=(chances[label].item(), chance[label]),
        baseline=baseline,
        layer=layer,
    )


def measure_output_changes(network: nn.Module, reason: Explanation) -> OutputChanges:
    """What becomes of the answer when the face is changed: the same for every method's map of it."""
    return faithfulness.output_changes(network, face_to_tensor(reason.face), *_label_indices(network, reason))


def score_explanation(reason: Explanation, changes: OutputChanges) -> FaithfulnessScores:
    """How far the map can be trusted, beside the controls."""
    faces, maps = face_to_tensor(reason.face), torch.from_numpy(reason.map)[None, None]
    mine = faithfulness.faithfulness_scores(maps, to_contributions(maps, faces, reason.method), changes)[:, 0].tolist()
    controls = faithfulness.control_scores(faces, changes)
    return FaithfulnessScores(*mine, {name: tuple(pair[:, 0].tolist()) for name, pair in controls.items()})


def masked_face(
    network: nn.Module, face: np.ndarray, maps: Tensor, top_fraction: float
) -> tuple[np.ndarray, list[float]]:
    """The face masked by the smoothed map, uint8 (48, 48), and the probabilities (K,) of just these pixels."""
    left = (
        (255 * faithfulness.keep_top_pixels(face_to_tensor(face), faithfulness.smooth(maps), top_fraction))
        .round()
        .byte()[0]
    )  # (1, 48, 48)
    return left[0].numpy(), predictor.predict_probabilities(network, left)[0].tolist()


def randomized_map(network: nn.Module, reason: Explanation, which: str) -> tuple[np.ndarray, float]:
    """The map (48, 48) of the same question with the `last` layer drawn anew, or `all`, and its rank correlation."""
    maps = _explain_again(
        faithfulness.randomize_parameters(network, which), reason, reason.method, *_label_indices(network, reason)
    )
    return maps[0, 0].numpy(), faithfulness.rank_correlation(maps, torch.from_numpy(reason.map)[None, None]).item()


def deletion_insertion(network: nn.Module, reason: Explanation) -> tuple[list[float], list[float]]:
    """The target's probability while the smoothed map's highest pixels go, and while they come: 17 shares, 0 to 1."""
    faces, maps = face_to_tensor(reason.face), faithfulness.smooth(torch.from_numpy(reason.map)[None, None])
    deletion, insertion = faithfulness.deletion_insertion_curves(
        network, faces, maps, label_index(network, reason.target)
    )
    return deletion[0].tolist(), insertion[0].tolist()


@dataclass(frozen=True)
class ComparedMap:
    """A map (48, 48) of another method with its faithfulness correlation, or of another label with its probability."""

    name: str
    map: np.ndarray
    score: float


def explain_by_method(
    network: nn.Module, reason: Explanation, changes: OutputChanges, method: str, on_forward: OnForward | None = None
) -> ComparedMap:
    """The same question to another method."""
    maps = _explain_again(network, reason, method, *_label_indices(network, reason), on_forward)
    return ComparedMap(
        method, maps[0, 0].numpy(), faithfulness.faithfulness_correlation(maps, changes.occlusion_drops).item()
    )


def explain_label(
    network: nn.Module, reason: Explanation, label: str, on_forward: OnForward | None = None
) -> ComparedMap:
    """The same method of why another label; its score is the label's calibrated probability."""
    place = label_index(network, label)
    chance = predictor.calibrated_probabilities(network, face_to_tensor(reason.face))[0, place].item()
    return ComparedMap(
        label, _explain_again(network, reason, reason.method, place, None, on_forward)[0, 0].numpy(), chance
    )


def _explain_again(
    network: nn.Module,
    reason: Explanation,
    method: str,
    target: int,
    against: int | None,
    on_forward: OnForward | None = None,
) -> Tensor:
    """A map (1, 1, 48, 48) with the settings of another, where they concern its method."""
    layer = reason.layer if METHODS[method].layered else None
    return explain(
        network,
        face_to_tensor(reason.face),
        method,
        target,
        against,
        load_baseline(reason.baseline),
        layer,
        on_forward=on_forward,
    )


def _label_indices(network: nn.Module, reason: Explanation) -> tuple[int, int | None]:
    """The places of the label that was explained, and of the one against which it was."""
    return label_index(network, reason.target), None if reason.against is None else label_index(network, reason.against)


def label_index(network: nn.Module, label: str) -> int:
    """The label's place among the network's; ValueError if it has none of that name."""
    if label not in network.labels:
        raise ValueError(f"no label {label!r}: expected one of {', '.join(network.labels)}")
    return network.labels.index(label)


def labelled_images(reason: Explanation) -> dict[str, np.ndarray]:
    """Original, saliency and masked image by their titles, as in report 1."""
    before, after = (f"{reason.target} {chance:.0%}" for chance in reason.probabilities)
    return {
        before: reason.face,
        f"{reason.method}, {_question_text(reason)}": overlay(reason.face, reason.map),
        f"highest {reason.top_fraction:.0%} kept: {after}": reason.masked,
    }


def describe(reason: Explanation, scores: FaithfulnessScores) -> list[str]:
    """What there is to say of a map: its flatness, the masked face, and its scores beside those of the controls."""
    before, after = reason.probabilities
    flat = constant_map_message(reason.map)
    correlations, infidelities = (
        ", ".join(f"{name} {pair[place]:+.2f}" for name, pair in scores.controls.items()) for place in (0, 1)
    )
    return [
        *([flat] if flat else []),
        f"{reason.target} has {before:.0%} on the face, and {after:.0%} with its top {reason.top_fraction:.0%} alone.",
        f"Faithfulness correlation {scores.faithfulness_correlation:+.2f}; of the control maps: {correlations}.",
        f"Infidelity score {scores.infidelity_score:+.2f}; of the control maps: {infidelities}.",
    ]


def to_json(reason: Explanation, scores: FaithfulnessScores) -> dict:
    """The method, the target and the scores, for JSON."""
    found = {
        "probability": round(reason.probabilities[0], 4),
        "probability_masked": round(reason.probabilities[1], 4),
        "top_fraction": reason.top_fraction,
        "faithfulness_correlation": round(scores.faithfulness_correlation, 4),
        "infidelity_score": round(scores.infidelity_score, 4),
        "controls": {
            name: {"faithfulness_correlation": round(correlation, 4), "infidelity_score": round(infidelity, 4)}
            for name, (correlation, infidelity) in scores.controls.items()
        },
    }
    asked = {key: getattr(reason, key) for key in ("method", "target", "against", "baseline", "layer")}
    return {**asked, "scores": found}


def _question_text(reason: Explanation) -> str:
    return f"why {reason.target}" + (f" and not {reason.against}" if reason.against else "")
