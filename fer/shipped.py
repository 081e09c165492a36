"""Studies of what ``weights/`` holds: which units are dead, what twins are worth, how much chance decides."""

from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev

from torch import Tensor

from fer import cards, checkpoint, configs, evaluation, redundancy, units
from fer.trials import Bars, Result, Settings, scores, share, trained

REPORT = {"vgg16-relu": 0.66982, "vgg16-selu": 0.68180}  # report 2's scores
_SPLITS = ("PublicTest", "PrivateTest")
SEEDS = ("compact", "studies/seeds/1", "studies/seeds/2")  # in weights/: the same recipe with the seeds 0, 1 and 2


def relu_against_selu(settings: Settings, names: tuple[str, str] = tuple(REPORT)) -> Result:
    """Which units of the shipped VGG16 are dead with ReLU, which with SELU, which report 2 took against dead units?"""
    _trains_nothing(settings)
    nets = [checkpoint.load(name) for name in names]
    counted = [units.count_dead(network, settings.splits[1].pixels) for network in nets]
    rows = []
    for network, layers in zip(nets, counted, strict=True):
        alike = redundancy.read(checkpoint.WEIGHTS / network.name)
        said = [_said(alike, row.layer) for row in layers]
        rows += [{"network": network.name, **asdict(row), **more} for row, more in zip(layers, said, strict=True)]
        whole = {"network": network.name, "layer": "all", **units.total(layers)}
        whole |= {"say_the_same": sum(more["say_the_same"] for more in said)} if alike else {}
        private = network.figures.get("private_test", {})
        measured = {key: private.get(key) for key in ("accuracy", "n", "ci95")}
        rows.append(whole | measured | {"report": REPORT.get(network.name)})
    notes = [
        f"Counted on {len(settings.splits[1]):,} faces of PublicTest. A unit is an output channel of an activation "
        "layer. It is dead if it is 0 for every face, and changeless if it varies by less than 0.001 (the dead ones "
        "included): SELU is 0 for no number but 0, so only the second is a fair comparison.",
        "Which say the same, with maps that correlate above .95, and the effective rank, as many units as would be as "
        "varied with nothing in common, are those of `python -m fer redundancy` where that was run.",
        "The accuracy is the shipped network's on PrivateTest, the report's its own score.",
    ]
    begun = {network.name: Path(start).name for network in nets if (start := network.recipe.get("start"))}
    notes += [f"{name} began with the weights of {start}, not with fresh ones." for name, start in begun.items()]
    shares = [[row.changeless / row.units for row in layers] for layers in counted]
    series = dict(zip(names, shares, strict=True))
    return Result(rows, notes, bars=Bars([row.layer for row in counted[0]], series, "share of changeless units"))


def _trains_nothing(settings: Settings) -> None:
    if settings.seeds > 1:
        raise ValueError(f"seeds is {settings.seeds}: this study trains nothing, so expected 1")


def _said(alike: redundancy.Redundancy | None, layer: str) -> dict:
    if alike is None:
        return {}
    row = alike.layers[layer].row()
    return {"say_the_same": row["repeated"], "effective_rank": row["rank"]}


def twins(settings: Settings) -> Result:
    """How much better is a test face read whose twin is in Training, and does a network need the twins at all?

    Shipped networks by the answers that ``evaluate`` kept; and compact trained with and without the faces of Training
    that have a twin in a test split.
    """
    rows, notes = [], []
    for name in checkpoint.available():
        for split in _SPLITS:
            try:
                rows.append(twin_row(name, split, *evaluation.kept(checkpoint.WEIGHTS / name, split)))
            except ValueError as error:
                notes.append(f"Left out: {error}.")
    rows += _with_and_without(settings)
    public = [row for row in rows if row["split"] == "PublicTest"]
    series = {key.replace("_", " "): [row[key] for row in public] for key in ("with_twin", "without_twin")}
    notes.append(
        "A twin is the same picture in Training, mirrored ones included, with a correlation above .99. Faces with a "
        "twin may also be easier ones: what is learnt by heart shows between the last two networks, trained in the "
        "same way from fresh weights, one on all of Training, one without the faces that have a twin in a test split."
    )
    return Result(rows, notes, bars=Bars([row["network"] for row in public], series, "accuracy on PublicTest"))


def _with_and_without(settings: Settings) -> list[dict]:
    """Rows of compact trained on all faces and on those without a twin, for every seed, measured on PublicTest."""
    faces, public = settings.splits
    rows = []
    for seed in range(settings.seeds):
        config = replace(settings.config("compact"), seed=seed)
        for kind, taught in (("with", faces), ("without", faces[~faces.twin])):
            network = trained(settings, f"{kind}-twins-{seed}", config, taught)
            logits = evaluation.predict_logits(network, public.pixels)
            name = f"{config.network} trained {kind} twins" + (f", seed {seed}" if seed else "")
            rows.append(twin_row(name, "PublicTest", logits, public.labels, public.twin))
    return rows


def twin_row(name: str, split: str, logits: Tensor, labels: Tensor, twin: Tensor) -> dict:
    """Accuracy on all faces, on those with a twin and on those without, None where there are none of them.

    logits: (N, K). labels: (N,). twin: bool (N,).
    """
    right = logits.argmax(1) == labels
    row = {"network": name, "split": split} | share(right.float().mean().item(), len(right))
    for key, part in (("with_twin", right[twin]), ("without_twin", right[~twin])):
        found = share(part.float().mean().item(), len(part)) if len(part) else {"accuracy": None, "n": 0, "ci95": None}
        row |= {key: found["accuracy"], f"n_{key}": found["n"], f"ci95_{key}": found["ci95"]}
    return row


# ------------------------------------------------------------------------------------------------ seeds


def seeds(settings: Settings, names: tuple[str, ...] = SEEDS) -> Result:
    """How far apart are trainings of compact that differ in their seed?

    By the answers that ``evaluate`` kept; weights are kept of the first alone. The deviation is that of a sample: it
    estimates that of all seeds.
    """
    _trains_nothing(settings)
    folders = [checkpoint.WEIGHTS / name for name in names]
    rows, series = [], {}
    for split in _SPLITS:
        measured = [_seed_row(folder, split) for folder in folders]
        keys = ("accuracy", "without_twins")
        shares = {key: [row[key] for row in measured] for key in keys}
        row = {"seed": "mean", "split": split} | {key: mean(shares[key]) for key in keys}
        row |= {f"{key}_deviation": stdev(shares[key]) for key in keys}
        rows += [*measured, row]
        series[split] = shares["accuracy"]
    notes = [
        "Each with the epoch that is best on PublicTest without twins. The seed is that of order, augmentation and new "
        "weights; the first layers of all three begin as those of compact-small. Seed 0 began with 36 epochs more, "
        "under mixup (see compact's card), and is the shipped one.",
        "Repeated by " + ", ".join(f"`{_repeats(folder)}`" for folder in folders[1:]) + ".",
    ]
    return Result(rows, notes, bars=Bars([f"seed {row['seed']}" for row in rows[: len(names)]], series, "accuracy"))


def _seed_row(folder: Path, split: str) -> dict:
    logits, labels, twin = evaluation.kept(folder, split)
    return {"seed": str(_recipe(folder)["seed"]), "split": split} | scores([logits.argmax(1) == labels], [twin])


def _repeats(folder: Path) -> str:
    """The last command of the training that made what is in ``folder``."""
    return cards.commands({key: value for key, value in _recipe(folder).items() if key != "earlier"})


def _recipe(folder: Path) -> dict:
    """How a network was trained whose weights need not be there."""
    return configs.read(folder / "config.json")["recipe"]
