"""One face, one network, one method, by their names: the map, what is left of the face, and how far to trust it.

    reason = of(checkpoint.load("compact"), crop, "integrated-gradients")                   # the network's own answer
    reason = of(network, crop, "gradient", target="sad", against="fear", keep=0.3)          # why sad and not fear
    print(*sentences(reason), sep="\\n")

`python -m fer saliency IMAGE` and the page's Saliency tab show it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer import data, faithfulness, plots, prediction
from fer.saliency import explain, offered


@dataclass(frozen=True)
class Reason:
    """Why a network answers a face as it does.

    map: signed, float (48, 48). masked: uint8 (48, 48), the face where the map, smoothed, is highest, and its
    blurred self elsewhere.
    chances: the target's calibrated probability for the face and for the masked face. correlation: the map's region
    correlation, and of the controls', by name.
    """

    face: np.ndarray  # uint8 (48, 48)
    method: str
    target: str
    against: str | None
    map: np.ndarray
    keep: float
    masked: np.ndarray
    chances: tuple[float, float]
    correlation: float
    controls: dict[str, float]

    def summary(self) -> dict:
        """The method, the target and the scores, for JSON."""
        scores = {
            "probability": round(self.chances[0], 4),
            "probability_masked": round(self.chances[1], 4),
            "kept": self.keep,
            "region_correlation": round(self.correlation, 4),
            "controls": {name: round(score, 4) for name, score in self.controls.items()},
        }
        return {"method": self.method, "target": self.target, "against": self.against, "scores": scores}


def of(
    network: nn.Module,
    face: np.ndarray,
    method: str = "integrated-gradients",
    target: str | None = None,
    against: str | None = None,
    keep: float = 0.2,
) -> Reason:
    """Why `network` answers `face`, uint8 (48, 48), with `target` (None: its own answer), or so rather than `against`.

    Raises:
        ValueError: an unknown method or label, a share outside 0..1, or a method that does not hold for this network.
    """
    faces = _unit(face)
    chances = prediction.calibrated(network, faces)[0]  # (K,)
    label = int(chances.argmax()) if target is None else number(network, target)
    rival = None if against is None else number(network, against)
    if rival == label:
        raise ValueError(f"{against!r} cannot be explained against itself: expected another label")
    maps = explain(network, faces, method, label, rival)
    left, chance = mask(network, face, maps, keep)
    falls = faithfulness.square_falls(network, faces, label, rival)
    controls = {name: score.item() for name, score in faithfulness.control_scores(faces, falls).items()}
    return Reason(
        face=face,
        method=method,
        target=network.labels[label],
        against=against,
        map=maps[0, 0].numpy(),
        keep=keep,
        masked=left,
        chances=(chances[label].item(), chance[label]),
        correlation=faithfulness.region_correlation(maps, falls).item(),
        controls=controls,
    )


def mask(network: nn.Module, face: np.ndarray, maps: Tensor, keep: float) -> tuple[np.ndarray, list[float]]:
    """The face masked by the smoothed map, uint8 (48, 48), and the probabilities (K,) of just these pixels."""
    left = (255 * faithfulness.masked(_unit(face), faithfulness.smoothed(maps), keep)).round().byte()[0]  # (1, 48, 48)
    return left[0].numpy(), prediction.probabilities(network, left)[0].tolist()


def forgotten(network: nn.Module, reason: Reason, which: str) -> tuple[np.ndarray, float]:
    """The map (48, 48) of the same question with the `last` layer drawn anew, or `all`, and its rank correlation."""
    changed = faithfulness.randomised(network, which)
    maps = explain(changed, _unit(reason.face), reason.method, *_question_of(network, reason))
    return maps[0, 0].numpy(), faithfulness.rank_correlation(maps, torch.from_numpy(reason.map)[None, None]).item()


def curves(network: nn.Module, reason: Reason) -> tuple[list[float], list[float]]:
    """The target's probability while the smoothed map's highest pixels go, and while they come: 17 shares, 0 to 1."""
    faces, maps = _unit(reason.face), faithfulness.smoothed(torch.from_numpy(reason.map)[None, None])
    deletion, insertion = faithfulness.curves(network, faces, maps, number(network, reason.target))
    return deletion[0].tolist(), insertion[0].tolist()


def side_by_side(network: nn.Module, reason: Reason) -> Iterator[tuple[str, np.ndarray, float]]:
    """The same question to every method that holds for the network: its name, its map (48, 48), region correlation."""
    faces, question = _unit(reason.face), _question_of(network, reason)
    falls = faithfulness.square_falls(network, faces, *question)
    for method in offered(network):
        maps = explain(network, faces, method, *question)
        yield method, maps[0, 0].numpy(), faithfulness.region_correlation(maps, falls).item()


def _question_of(network: nn.Module, reason: Reason) -> tuple[int, int | None]:
    """The places of the label that was explained, and of the one against which it was."""
    return number(network, reason.target), None if reason.against is None else number(network, reason.against)


def number(network: nn.Module, label: str) -> int:
    """The label's place among the network's; ValueError if it has none of that name."""
    if label not in network.labels:
        raise ValueError(f"no label {label!r}: expected one of {', '.join(network.labels)}")
    return network.labels.index(label)


def pictures(reason: Reason) -> dict[str, np.ndarray]:
    """Original, saliency and masked image by their titles, as in report 1."""
    before, after = (f"{reason.target} {chance:.0%}" for chance in reason.chances)
    return {
        before: reason.face,
        f"{reason.method}, {_question(reason)}": plots.overlay(reason.face, reason.map),
        f"highest {reason.keep:.0%} kept: {after}": reason.masked,
    }


def sentences(reason: Reason) -> list[str]:
    """What there is to say of a map: its flatness, the masked face, and its score beside those of the controls."""
    before, after = reason.chances
    controls = ", ".join(f"{name} {score:+.2f}" for name, score in reason.controls.items())
    flat = plots.flatness(reason.map)
    return [
        *([flat] if flat else []),
        f"{reason.target} has {before:.0%} on the face, and {after:.0%} with only its highest {reason.keep:.0%} kept.",
        f"Region correlation {reason.correlation:+.2f}; of maps that know nothing of the network: {controls}.",
    ]


def _question(reason: Reason) -> str:
    return f"why {reason.target}" + (f" and not {reason.against}" if reason.against else "")


def _unit(face: np.ndarray) -> Tensor:
    return data.to_unit(torch.from_numpy(np.array(face))[None])
