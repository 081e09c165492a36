"""Logits -> accuracy with its interval, per-class figures, confusion, calibration: ``python -m fer evaluate NETWORK``.

Every figure is computed on all faces (comparable with publications) and on those without a twin in Training
(honest). This is the only module that reads PrivateTest, and no decision comes back from it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer import artifacts
from fer.artifacts import Artifact
from fer.checkpoint import Network
from fer.committee import Committee, joined
from fer.data import Faces, to_unit
from fer.networks import SIDE
from fer.threads import one_thread

PREDICTIONS = "predictions.npz"
_TTA_SHIFT = 3  # pixels
_ROUNDING = 0.05  # between the logits of two machines


class NotMeasuredError(ValueError):
    """A network that was not measured on a split yet. One line, with the command that does it."""


def predict_logits(network: nn.Module, pixels: Tensor, size: int = SIDE, tta: bool = False) -> Tensor:
    """Logits (N, K) of uint8 faces (N, 48, 48), on the CPU. Puts ``network`` into eval mode.

    size: side to which the faces are shrunk first, for a network that is being trained on small ones.
    tta: the mean of the logits of ten views of each face (test-time augmentation).
    """
    network.eval()
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    rows = []
    with torch.inference_mode():
        for block in pixels.split(256):
            faces = to_unit(block.to(device))  # (B, 1, 48, 48)
            if size != SIDE:
                faces = functional.interpolate(faces, size=size, mode="area")
            views = ten_views(faces) if tta else [faces]
            rows.append(torch.stack([network(view).float() for view in views]).mean(0).cpu())
    return torch.cat(rows)


def ten_views(faces: Tensor) -> Iterator[Tensor]:
    """The face, and the face shifted towards its four corners, each as it is and mirrored: ten of (B, 1, 48, 48)."""
    side, shift = faces.shape[-1], _TTA_SHIFT
    padded = functional.pad(faces, [shift] * 4, mode="replicate")
    for top, left in ((shift, shift), (0, 0), (0, 2 * shift), (2 * shift, 0), (2 * shift, 2 * shift)):
        view = padded[:, :, top : top + side, left : left + side]
        yield from (view, view.flip(-1))


# ------------------------------------------------------------------------------------------------ figures


def figures(
    logits: Tensor, labels: Tensor, twin: Tensor, temperature: float = 1.0, prediction_set: float = 0.0
) -> dict:
    """What is printed of a network on one split; logits (N, K), labels (N,), twin (N,) bool.

    ``ci95`` are Wilson intervals; ``ece`` is the calibration error of softmax(logits / temperature); the confusion
    has a row for every true label. All are of all faces, but for those named ``_without_twins``. prediction_set: the
    probability from which on a label is in a face's set; with 0, nothing is told of sets.
    """
    matrix = confusion(logits.argmax(1), labels, logits.shape[1])
    probabilities = (logits / temperature).softmax(1)
    right = logits.argmax(1) == labels
    alone = right[~twin]
    per_class = class_figures(matrix)
    return {
        "accuracy": right.float().mean().item(),
        "n": len(right),
        "ci95": wilson(int(right.sum()), len(right)),
        "accuracy_without_twins": alone.float().mean().item(),
        "n_without_twins": len(alone),
        "ci95_without_twins": wilson(int(alone.sum()), len(alone)),
        "macro_f1": float(np.mean([row["f1"] for row in per_class])),
        "balanced_accuracy": float(np.mean([row["recall"] for row in per_class if row["support"]])),
        "ece": calibration_error(probabilities, labels),
        **(set_figures(probabilities, labels, prediction_set) if prediction_set else {}),
        "per_class": per_class,
        "confusion": matrix.tolist(),
    }


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts, int64 (K, K): how many faces of the row's label were read as the column's."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def class_figures(matrix: Tensor) -> list[dict]:
    """Precision, recall, F1 and support of every label of a confusion matrix (K, K)."""
    rows = []
    for right, support, answered in zip(matrix.diagonal(), matrix.sum(1), matrix.sum(0), strict=True):
        precision, recall = (right / answered.clamp_min(1)).item(), (right / support.clamp_min(1)).item()
        f1 = (2 * right / (support + answered).clamp_min(1)).item()
        rows.append({"precision": precision, "recall": recall, "f1": f1, "support": int(support)})
    return rows


def wilson(right: int, total: int, z: float = 1.959964) -> list[float]:
    """The 95 % interval of a share (Wilson 1927), which stays within 0..1 for small counts too."""
    if total == 0:
        return [0.0, 1.0]
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5 / (1 + z * z / total)
    return [centre - half, centre + half]


# ------------------------------------------------------------------------------------------------ calibration


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> list[dict]:
    """For each of 15 equal bins of confidence that holds a face: how many, their mean confidence, their accuracy."""
    confidence, answer = probabilities.max(1)
    right = (answer == labels).float()
    which = (confidence * bins).long().clamp(max=bins - 1)  # (N,)
    return [
        {
            "n": int(inside.sum()),
            "confidence": confidence[inside].mean().item(),
            "accuracy": right[inside].mean().item(),
        }
        for inside in (which == number for number in range(bins))
        if inside.any()
    ]


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): the mean gap, over 15 equal bins, of confidence and accuracy."""
    rows = reliability(probabilities, labels, bins)
    return sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / len(labels)


def prediction_sets(probabilities: Tensor, threshold: float) -> Tensor:
    """Which labels each face's set holds, bool (N, K): those that reach the threshold, and the most probable always."""
    best = probabilities == probabilities.amax(1, keepdim=True)
    return (probabilities >= threshold) | best


def set_figures(probabilities: Tensor, labels: Tensor, threshold: float) -> dict:
    """The share of faces whose set holds the true label, the sets' mean size, and the share with a single label."""
    sets = prediction_sets(probabilities, threshold)
    sizes = sets.sum(1).double()
    covered = sets.gather(1, labels[:, None]).double().mean().item()
    single = (sizes == 1).double().mean().item()
    return {"set_coverage": covered, "set_size": sizes.mean().item(), "set_single": single}


def mistaken_for(matrix: Tensor) -> list[tuple[int, int] | None]:
    """For every label the one it is most often read as by mistake, and how often; None if it never is."""
    wrong = matrix.clone().fill_diagonal_(0)
    most, answer = wrong.max(1)
    return [(int(a), int(n)) if n else None for a, n in zip(answer, most, strict=True)]


def calibrate(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """The temperature in 0.25..8 under which softmax(logits / temperature) has the least loss on ``labels``.

    weights: how much each face counts, (N,).
    """
    low, high = -2.0, 3.0  # powers of two; the loss has one valley, so the interval can be cut by the golden section
    golden = (5**0.5 - 1) / 2
    logits = logits.double()
    weights = torch.ones(len(labels)).double() if weights is None else weights.double()

    def loss(power: float) -> float:
        return (functional.cross_entropy(logits / 2**power, labels, reduction="none") @ weights).item()

    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(2 ** ((low + high) / 2), 4)


def unsure_below(probabilities: Tensor, labels: Tensor, wrong: float = 0.10, weights: Tensor | None = None) -> float:
    """The lowest top probability above which at most the share ``wrong`` of answers is wrong; 0 if none has to go.

    1 if no threshold reaches it: then every answer is unsure. weights: how much each face counts, (N,).
    """
    confidence, answer = probabilities.max(1)
    confidence, order = confidence.sort(descending=True)
    weights = torch.ones(len(labels)) if weights is None else weights
    weights = weights[order].double()
    errors = ((answer != labels)[order] * weights).cumsum(0) / weights.cumsum(0)  # (N,), of the surest k answers
    kept = (errors <= wrong).nonzero().flatten()
    if len(kept) == 0:
        return 1.0
    return 0.0 if kept[-1] == len(labels) - 1 else round(confidence[kept[-1]].item(), 4)


# ------------------------------------------------------------------------------------------------ keeping


def evaluate(
    network: Network, split: str, faces: Faces, tta: bool = False, folder: Path | None = None, keep: bool = False
) -> dict:
    """The figures of ``network`` on a split's faces; with ``folder``, keeps the plain logits in its predictions.npz.

    keep: also where nothing that matters has changed, see ``keep_predictions``.
    """
    digest = artifacts.digest_or_none(folder) if folder else None  # before the minutes in which others may train
    logits = answers(network, faces.pixels, tta)
    if folder is not None and not tta:
        keep_predictions(folder / PREDICTIONS, split, logits, faces, digest, keep)
    return {"network": network.name, "split": split, "tta": tta} | figures(
        logits, faces.labels, faces.twin, network.temperature, network.prediction_set
    )


def milliseconds_a_face(network: nn.Module, repeats: int = 100) -> float:
    """Median time of one face (1, 1, 48, 48) through ``network`` in float32 on one core, in milliseconds.

    It is the core's own time, so that another program's turn on it does not count.
    """
    face, times = torch.full((1, 1, SIDE, SIDE), 0.5), []
    with one_thread(), torch.inference_mode():
        for _ in range(repeats):
            began = time.thread_time()
            network(face)
            times.append(time.thread_time() - began)
    return 1000 * median(times)


def answers(network: Network | Committee, pixels: Tensor, tta: bool = False) -> Tensor:
    """Logits (N, K) of uint8 faces (N, 48, 48) as predictions.npz keeps them, to the digit."""
    if isinstance(network, Committee):
        parts = [answers(member, pixels, tta) for member in network.members]
        return joined(parts, [member.temperature for member in network.members])
    return predict_logits(network, pixels, tta=tta).half().float()


def keep_predictions(
    path: Path, split: str, logits: Tensor, faces: Faces, digest: str | None = None, always: bool = False
) -> None:
    """Puts a split's logits (float16), labels and twins into ``path``, stamped with the digest of the weights there.

    What is there of other weights goes. Where the weights, the labels and the twins are as before, and no logit differs
    by more than a machine's rounding may make it (_ROUNDING), nothing is written, unless ``always``.
    """
    old = _ARTIFACT.load_or_none(path.parent) or {}
    rows = {"logits": logits.half().numpy(), "labels": faces.labels.byte().numpy(), "twin": faces.twin.numpy()}
    new = {f"{split}_{key}": value for key, value in rows.items()}
    if always or not all(key in old and _same(old[key], value) for key, value in new.items()):
        _ARTIFACT.save(path.parent, old | new, digest)


def _same(old: np.ndarray, new: np.ndarray) -> bool:
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        return False
    if new.dtype.kind != "f":
        return np.array_equal(old, new)
    return bool((np.abs(old.astype(np.float32) - new.astype(np.float32)) <= _ROUNDING).all())  # NaN neither


def kept(folder: Path, split: str) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, K), labels (N,) and twins (N,) that ``evaluate`` left in a checkpoint's folder.

    Raises:
        NotMeasuredError: the network was not measured on this split yet.
        ValueError: what was kept is broken, or of other weights. One line, with the command that mends it.
    """
    artifact = Artifact(PREDICTIONS, f"evaluate {{}} --split {split}", lambda stored: _of_split(stored, split))
    with suppress(FileNotFoundError):
        if (found := artifact.load(folder)) is not None:
            return found
    command = f"python -m fer evaluate {folder.name} --split {split}"
    raise NotMeasuredError(f"{folder.name} has not been measured on {split} yet: `{command}` does that")


def kept_figures(network: Network, split: str, folder: Path) -> dict:
    """The figures that follow from what ``kept`` gives: the same on every machine."""
    found = figures(*kept(folder, split), network.temperature)
    return {"network": network.name, "split": split, "tta": False} | found


def _of_split(stored: dict[str, np.ndarray], split: str) -> tuple[Tensor, Tensor, Tensor] | None:
    if f"{split}_logits" not in stored:
        return None
    return _sound(*(stored[f"{split}_{key}"] for key in ("logits", "labels", "twin")))


def _sound(logits: np.ndarray, labels: np.ndarray, twin: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """The same as tensors. Raises ValueError for shapes, types or values that no measurement has."""
    count, classes = logits.shape if logits.ndim == 2 else (0, 0)
    kinds = (logits.dtype.kind, labels.dtype.kind, twin.dtype.kind)
    if kinds not in (("f", "u", "b"), ("f", "i", "b")) or not count or not labels.shape == twin.shape == (count,):
        raise ValueError(f"{logits.shape}, {labels.shape}, {twin.shape}: expected logits (N, K) and two of (N,)")
    if not np.isfinite(logits).all() or labels.min() < 0 or labels.max() >= classes:
        raise ValueError("logits or labels out of range")
    return torch.from_numpy(logits).float(), torch.from_numpy(labels).long(), torch.from_numpy(twin)


def kept_together(members: Sequence[Network], split: str, weights: Path) -> tuple[Tensor, Tensor, Tensor]:
    """What the answers that were kept of several networks come to as a committee's; as ``kept`` gives and raises."""
    parts = [kept(weights / member.name, split) for member in members]
    for member, (_, labels, _) in zip(members, parts, strict=True):
        if not torch.equal(labels, parts[0][1]):
            raise ValueError(f"{members[0].name} and {member.name} were measured on other faces: they are no committee")
    logits = joined([logits for logits, _, _ in parts], [member.temperature for member in members])
    return logits, *parts[0][1:]


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """The arrays ``<split>_logits`` (N, K), ``<split>_labels`` (N,) and ``<split>_twin`` (N,) of a predictions.npz."""
    return _ARTIFACT.load(path.parent)


_ARTIFACT = Artifact(PREDICTIONS, "evaluate")
