"""Which saliency methods can be trusted on a network: ``python -m fer trust NETWORK``.

Each method's maps of some faces of PublicTest, for the network's own answers, are scored by region correlation (does
the answer fall where the map says?) and compared with the maps of the network once its last layer has forgotten what
it learnt (Adebayo et al. 2018). What is found stands in ``trust.json`` beside the weights; the page orders the methods
by it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer import data, faithfulness
from fer.data import Faces
from fer.saliency import explain, offered

FILE = "trust.json"
_BLOCK = 16  # faces that are explained at once


def some(validation: Faces, count: int) -> Tensor:
    """``count`` faces without a twin in Training, always the same ones: floats (count, 1, 48, 48) in 0..1.

    Raises:
        ValueError: fewer than two, or more than there are.
    """
    alone = validation[~validation.twin]
    if not 2 <= count <= len(alone):
        raise ValueError(f"faces is {count}: expected 2 to {len(alone)}")
    return data.to_unit(data.drawn(alone, count).pixels)


def measure(network: nn.Module, faces: Tensor, quiet: bool = False) -> list[dict]:
    """A row for each method that holds for the network, and for each control, the most faithful first.

    correlation: the mean region correlation over faces (B, 1, 48, 48); error: half its 95 % interval. forgotten: the
    mean rank correlation with the maps of a network whose last layer was drawn anew; None for a control.
    """
    blocks = list(_asked(network, faces))
    rows = []
    for method in tqdm(offered(network), disable=quiet):
        scores = [_scored(network, method, *block) for block in blocks]
        rows.append(_row(method, *(torch.cat(part) for part in zip(*scores, strict=True))))
    controls = [faithfulness.control_scores(block, falls) for block, _, falls in blocks]
    rows += [_row(name, torch.cat([scores[name] for scores in controls]), None) for name in controls[0]]
    return sorted(rows, key=lambda row: -row["correlation"])


def _asked(network: nn.Module, faces: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Faces in blocks, with the network's answers (B,) and the falls of these when a square is blurred (B, 49)."""
    for block in faces.split(_BLOCK):
        with torch.inference_mode():
            answers = network(block).argmax(1)
        answers = answers.clone()
        yield block, answers, faithfulness.square_falls(network, block, answers)


def _scored(network: nn.Module, method: str, faces: Tensor, answers: Tensor, falls: Tensor) -> tuple[Tensor, Tensor]:
    """Region correlation (B,), and rank correlation (B,) with the maps of the forgetful network."""
    maps = explain(network, faces, method, answers)
    others = explain(faithfulness.randomised(network, "last"), faces, method, answers)
    return faithfulness.region_correlation(maps, falls), faithfulness.rank_correlation(maps, others)


def _row(method: str, correlations: Tensor, ranks: Tensor | None) -> dict:
    error = 1.96 * correlations.std().item() / len(correlations) ** 0.5
    return {
        "method": method,
        "correlation": round(correlations.mean().item(), 4),
        "error": round(error, 4),
        "forgotten": None if ranks is None else round(ranks.mean().item(), 4),
        "faces": len(correlations),
    }


def write(rows: list[dict], folder: Path) -> None:
    """Keeps what was measured beside the weights."""
    (folder / FILE).write_text(json.dumps(rows, indent=1) + "\n")


def read(folder: Path) -> list[dict]:
    """What was measured of the network in ``folder``; nothing where it was not, or where the file is broken."""
    try:
        rows = json.loads((folder / FILE).read_text())
        return [row for row in rows if isinstance(row["method"], str) and row["correlation"] + row["faces"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
