from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fer.features import redundancy
from fer.models import checkpoint
from fer.studies.registry import register_study
from fer.studies.results import GroupedBars, Result
from fer.studies.runner import StudyConfig, require_one_seed

REPORT = {"vgg16-relu": 0.66982, "vgg16-selu": 0.68180}  # report 2's scores


@register_study("relu-against-selu")
def relu_against_selu(settings: StudyConfig, names: Sequence[str] = tuple(REPORT)) -> Result:
    """Which units of the shipped VGG16 are dead with ReLU, which with SELU, which report 2 took against dead units?"""
    require_one_seed(settings)
    nets = [checkpoint.load_network(name) for name in names]
    counted = [redundancy.count_dead(network, settings.splits[1].pixels) for network in nets]
    rows = []
    for network, layers in zip(nets, counted, strict=True):
        alike = redundancy.load_redundancy(checkpoint.WEIGHTS / network.name)
        said = [_said(alike, row.layer) for row in layers]
        rows += [{"network": network.name, **asdict(row), **more} for row, more in zip(layers, said, strict=True)]
        whole = {"network": network.name, "layer": "all", **redundancy.total(layers)}
        whole |= {"redundant": sum(more["redundant"] for more in said)} if alike else {}
        private = network.metrics.get("private_test", {})
        measured = {key: private.get(key) for key in ("accuracy", "n", "ci95")}
        rows.append(whole | measured | {"report": REPORT.get(network.name)})
    notes = [
        f"Counted on {len(settings.splits[1]):,} faces of PublicTest. A unit is an output channel of an activation "
        "layer. It is dead if it is 0 for every face, and changeless if it varies by less than 0.001 (the dead ones "
        "included): SELU is 0 for no number but 0, so only the second is a fair comparison.",
        "How many are redundant, with maps that correlate above .95 with another one, and the effective rank "
        "are those of `python -m fer redundancy` where that was run.",
        "The accuracy is the shipped network's on PrivateTest, the report's its own score.",
    ]
    begun = {network.name: Path(start).name for network in nets if (start := network.train_config.get("init_from"))}
    notes += [f"{name} began with the weights of {start}, not with fresh ones." for name, start in begun.items()]
    shares = [[row.changeless / row.units for row in layers] for layers in counted]
    series = dict(zip(names, shares, strict=True))
    return Result(rows, notes, bars=GroupedBars([row.layer for row in counted[0]], series, "share of changeless units"))


def _said(alike: redundancy.Redundancy | None, layer: str) -> dict:
    if alike is None:
        return {}
    row = alike.layers[layer].row()
    return {"redundant": row["redundant"], "effective_rank": row["effective_rank"]}
