"""How many filters a layer needs: accuracy on PublicTest as they are removed, one by one.

What a removed filter said is fitted to the others on faces of Training, so that PublicTest judges what it has not seen.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer.data import dataset, fer2013
from fer.data.dataset import FaceDataset
from fer.evaluation.inference import predict_logits
from fer.evaluation.metrics import wilson_interval
from fer.features import pruning, redundancy
from fer.features.similarity import REDUNDANT_CORRELATION
from fer.models.checkpoint import FERModel
from fer.models.layers import NamedSequential
from fer.plotting.training import pruning_curves
from fer.utils.io import atomic_write

MAX_ACCURACY_LOSS = 0.005  # of accuracy: what may be lost for filters to be called dispensable
_SHARES = (48, 32, 16, 8, 4, 2, 1)  # 64ths of the filters that are tried at first
_BLOCK = 32  # faces at once: maps of more do not fit into a processor's cache
_STOP_BELOW = 0.6  # of the whole network's accuracy: below, fewer filters are not tried


def update_redundancy(
    network: FERModel,
    folder: Path | None,
    splits: dict[str, FaceDataset],
    faces: int,
    layers: str | None,
    quiet: bool = False,
) -> redundancy.Redundancy:
    """Measures redundancy over `faces` faces of PublicTest, and the pruning curves of `layers`.

    layers: written as `conv2d_1,conv2d_2`; the first one's if None. What is known of these weights stays, and what is
    found is added to it in the network's folder. Raises ValueError for a layer whose filters cannot be removed.
    """
    training, public = fer2013.get_splits(splits, "Training", "PublicTest")
    public = dataset.with_label_set(public, network.labels)
    wanted = layers.split(",") if layers else pruning.removable(network)[:1]
    for layer in wanted:
        pruning.next_layer(network, layer)
    known = redundancy.load_redundancy(folder) if folder else None
    if known is None or known.faces != min(faces, len(public)):
        chosen = dataset.random_subset(public, faces)
        found = redundancy.measure_redundancy(network, chosen.pixels, quiet)
        known = redundancy.Redundancy(len(chosen), found, known.pruned if known else [])
    fitted_on = dataset.random_subset(training, faces).pixels
    thinned = {row["layer"]: row for row in known.pruned}
    thinned |= {layer: measure_pruning(network, layer, fitted_on, public, quiet) for layer in wanted}
    order = [layer for layer in pruning.removable(network) if layer in thinned]
    known = replace(known, pruned=[thinned[layer] for layer in order])
    if folder:
        redundancy.save_redundancy(known, folder)
        for row in known.pruned:
            with atomic_write(folder / f"pruning-{row['layer']}.png") as partial:
                pruning_curves(row).savefig(partial, dpi=120)
    return known


def format_lines(found: redundancy.Redundancy) -> list[str]:
    """What was found, for a person: a line a layer, and one for each way to remove filters."""
    columns = ("filters", "redundant", "dead", "always_active", "effective_rank")
    words = [f"{'layer':24}" + "".join(f"{column.replace('_', ' '):>16}" for column in columns)]
    words += [f"{row['layer']:24}" + "".join(f"{row[column]:16}" for column in columns) for row in found.rows()]
    for row in found.pruned:
        for way, curve in row["strategies"].items():
            went, whole = curve["removable"], curve["rows"][0]
            left = next(one for one in curve["rows"] if one["kept"] == row["filters"] - went)
            words.append(
                f"{row['layer']}, {way}: {went} of {row['filters']} filters can go: {whole['accuracy']:.4f} -> "
                f"{left['accuracy']:.4f} (n {left['n']}, {left['ci95'][0]:.4f} to {left['ci95'][1]:.4f})"
            )
    return words


def card_section(found: redundancy.Redundancy) -> str:
    """What was found, for a network's card, in Markdown."""
    words = [
        f"Over {found.faces:,} faces of PublicTest. A filter is redundant if its maps correlate above "
        f"{REDUNDANT_CORRELATION} with those of another one, its representative. The effective rank (Roy and Vetterli "
        "2007) is the number of uncorrelated filters that would vary as much.",
        "",
        "| layer | filters | redundant | dead | always active | effective rank |",
        "|---|---|---|---|---|---|",
    ]
    words += [f"| {' | '.join(str(part) for part in row.values())} |" for row in found.rows()]
    for row in found.pruned:
        words += ["", *_pruning_section(row), "", f"![accuracy against filters kept](pruning-{row['layer']}.png)"]
    return "\n".join(words)


def _pruning_section(row: dict) -> list[str]:
    """How many filters of a layer can go, and the accuracy at every count that was tried, as a table."""
    ways = row["strategies"]
    went = ", ".join(f"{curve['removable']} ({way})" for way, curve in ways.items())
    first = ways["reconstruct"]["rows"][0]
    lines = [
        f"Of the {row['filters']} filters of `{row['layer']}`, so many can be pruned without retraining before half a "
        f"point of accuracy is lost: {went}. Accuracy on PublicTest, n {first['n']:,}, with its 95 % interval. A "
        "pruned filter is replaced by the least-squares `reconstruct`ion from all others, by its `nearest` other "
        "filter, or by its `mean`:",
        "",
        f"| filters kept | {' | '.join(ways)} |",
        f"|---|{'---|' * len(ways)}",
    ]
    found = {way: {one["kept"]: one for one in curve["rows"]} for way, curve in ways.items()}
    for kept in sorted({kept for rows in found.values() for kept in rows}, reverse=True):
        cells = [
            "{:.4f} ({:.3f} to {:.3f})".format(rows[kept]["accuracy"], *rows[kept]["ci95"]) if kept in rows else "-"
            for rows in found.values()
        ]
        lines.append(f"| {kept} | {' | '.join(cells)} |")
    return lines


def measure_pruning(
    network: NamedSequential, layer: str, fitted_on: Tensor, judged_on: FaceDataset, quiet: bool = False
) -> dict:
    """Prunes the filters of a layer with each of `pruning.STRATEGIES`, and measures each smaller network.

    fitted_on: uint8 faces (N, 48, 48) of Training. The result can be kept as JSON: {"layer", "filters", "strategies":
    {strategy: {"removable", "rows": [{"kept", "accuracy", "n", "ci95"}]}}}, rows from all filters down.
    """
    moments = pruning.second_moments(network, layer, fitted_on)
    whole = _accuracy_row(network, len(moments) - 1, judged_on)
    ways = {way: _curve(network, layer, moments, way, judged_on, whole, quiet) for way in pruning.STRATEGIES}
    return {"layer": layer, "filters": len(moments) - 1, "strategies": ways}


def _curve(
    network: NamedSequential, layer: str, moments: Tensor, way: str, judged_on: FaceDataset, whole: dict, quiet: bool
) -> dict:
    steps = {len(step.kept): step for step in pruning.prune_sequence(network, layer, moments, way)}
    rows = {whole["kept"]: whole}

    def tried(kept: int) -> bool:
        """Measures the network with so many filters; whether it loses too much."""
        if kept not in rows:
            rows[kept] = _accuracy_row(steps[kept].network(), kept, judged_on)
        return rows[kept]["accuracy"] <= whole["accuracy"] - MAX_ACCURACY_LOSS

    for kept in tqdm(filter_counts(whole["kept"]), desc=f"{layer} {way}", disable=quiet):
        tried(kept)
        if rows[kept]["accuracy"] < _STOP_BELOW * whole["accuracy"]:
            break
    ordered = sorted(rows, reverse=True)
    enough, few = next(((more, fewer) for more, fewer in pairwise(ordered) if tried(fewer)), (1, 0))
    while enough - few > 1:  # the border is between the two
        middle = (enough + few) // 2
        enough, few = (enough, middle) if tried(middle) else (middle, few)
    ordered = [rows[kept] for kept in sorted(rows, reverse=True)]
    return {"removable": num_removable(ordered), "rows": ordered}


def filter_counts(filters: int) -> list[int]:
    """How many filters are kept at first, of so many: the fewer, the closer together; never all of them."""
    return sorted({max(1, round(filters * share / 64)) for share in _SHARES} - {filters}, reverse=True)


def num_removable(rows: Iterable[dict]) -> int:
    """How many filters can be removed before LOSS is lost, for rows from all filters down."""
    first, *rest = rows
    fewest = first["kept"]
    for row in rest:
        if row["accuracy"] <= first["accuracy"] - MAX_ACCURACY_LOSS:
            break
        fewest = row["kept"]
    return first["kept"] - fewest


def _accuracy_row(network: nn.Module, kept: int, faces: FaceDataset) -> dict:
    blocks = faces.pixels.split(_BLOCK)
    answers = torch.cat([predict_logits(network, block).argmax(1) for block in blocks])
    right = int((answers == faces.labels).sum())
    ci95 = [round(edge, 5) for edge in wilson_interval(right, len(faces))]
    return {"kept": kept, "accuracy": round(right / len(faces), 5), "n": len(faces), "ci95": ci95}
