"""What the studies are made of: settings, trainings kept in folders of their own, and the table that is written.

A study's folder holds ``results.json``, ``README.md`` and, where there are curves, ``curves.csv``; each training lies
below it in ``runs/<run>/``. A finished training is taken from there, an unfinished one goes on from its last epoch.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import mean

from torch import Tensor, nn

from fer.data import dataset, fer2013
from fer.data.dataset import FaceDataset
from fer.data.duplicates import fingerprint
from fer.evaluation.inference import predict_logits
from fer.evaluation.metrics import round_metrics, wilson_interval
from fer.models import checkpoint, vgg
from fer.models import layers as models_layers
from fer.models import registry as models_registry
from fer.models.checkpoint import FERModel
from fer.models.layers import SIDE, Normalize
from fer.training import trainer
from fer.training.config import TrainConfig, default_config
from fer.training.history import write_rows
from fer.utils.io import write_text
from fer.utils.tables import markdown

History = list[dict[str, float]]
_QUICK_FACES = {"Training": 280, "PublicTest": 140}
_QUICK = {"epochs": 2, "batch_size": 32, "low_res_epochs": 0, "aux_votes_weight": 0.0, "ema_decay": 0.0}
_QUICK |= {"folds": 0, "full_size_epochs": 0, "crop_size": SIDE}
# What the studies of our own networks train with: neither teachers nor crops nor degraded faces.
PLAIN = {"folds": 0, "full_size_epochs": 0, "crop_size": SIDE, "low_res_size": 32, "weight_decay": 5e-4}
PLAIN |= {
    "degrees": 10.0,
    "translate": 0.06,
    "scale": 0.1,
    "jitter": 0.2,
    "erase_prob": 0.2,
    "mixup_alpha": 0.0,
    "degrade_prob": 0.0,
}


@dataclass(frozen=True)
class StudyConfig:
    """How a study is run."""

    folder: Path
    """Where its table goes, with its trainings below in runs/."""
    root: str | Path | None = None
    """Where FER-2013 is, as `data.load` takes it."""
    quick: bool = False
    """A few hundred faces, two epochs and a small network: whether it runs, not what comes out."""
    seeds: int = 1
    """Trainings of each kind, with the seeds 0, 1 ..., over which accuracies are averaged."""
    quiet: bool = False
    """No progress bars."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}: expected 1 or more")
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file: expected a folder, or nothing yet, for the study's table")
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise ValueError("WORLD_SIZE is above 1: a study trains in one process; start it without torchrun")

    @cached_property
    def splits(self) -> tuple[FaceDataset, FaceDataset]:
        """Training and PublicTest; a study never holds PrivateTest. Raises DataError."""
        names = ("Training", "PublicTest")
        faces = fer2013.get_splits(fer2013.load_fer2013(self.root), *names)
        if not self.quick:
            return tuple(faces)
        return tuple(dataset.random_subset(part, _QUICK_FACES[name]) for name, part in zip(names, faces, strict=True))

    def config(self, network: str, **changes: object) -> TrainConfig:
        """The recipe of ``network`` with ``changes``; for a quick study that of its small stand-in."""
        config = default_config(network, **changes)
        return replace(config, network=_STAND_INS.get(network, "small-plain"), **_QUICK) if self.quick else config


# ------------------------------------------------------------------------------------------------ networks


def small(classes: int) -> Iterable[nn.Module]:
    """What a quick study trains: 64 units that see the whole face."""
    yield from (
        nn.Flatten(),
        nn.Linear(models_layers.SIDE**2, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def plain(build: Callable[[int], Iterable[nn.Module]], raw: bool) -> Callable[[int], Iterable[nn.Module]]:
    """The architecture ``build`` without any normalisation; ``raw`` gives it pixels of 0..255 in place of 0..1."""

    def layers(classes: int) -> Iterable[nn.Module]:
        if raw:
            yield Normalize(0.0, 1 / 255)
        dropped = (Normalize, nn.BatchNorm1d, nn.BatchNorm2d)
        yield from (layer for layer in build(classes) if not isinstance(layer, dropped))

    return layers


VARIANTS = {
    "vgg16-relu-plain": plain(vgg.vgg16_relu, raw=False),
    "vgg16-relu-raw": plain(vgg.vgg16_relu, raw=True),
    "small": small,
    "small-plain": plain(small, raw=False),
    "small-raw": plain(small, raw=True),
}
_STAND_INS = {"vgg16-relu-plain": "small-plain", "vgg16-relu-raw": "small-raw"}
_STAND_INS |= dict.fromkeys(("vgg16-relu", "compact-small"), "small")


@contextmanager
def variants() -> Iterator[None]:
    """Registers the networks that only studies train for as long as the block lasts: no list of networks has them."""
    models_registry.ARCHITECTURES.update(VARIANTS)
    try:
        yield
    finally:
        for name in VARIANTS:
            del models_registry.ARCHITECTURES[name]


# ------------------------------------------------------------------------------------------------ trainings


def train_or_load(settings: StudyConfig, run: str, config: TrainConfig, faces: FaceDataset) -> FERModel:
    """The network that ``config`` makes of ``faces``, in eval mode; epochs are chosen on PublicTest without duplicates.

    It is read back from ``runs/<run>/`` even when it has just been trained, so that a repeated study, which finds it
    there in float16, gives the same table.

    Raises:
        ValueError: the folder holds a run of other settings or other faces.
    """
    folder, validation = run_folder(settings, run), settings.splits[1]
    trainer.claim(folder, {"training": fingerprint(faces), "validation": fingerprint(validation)})
    if not trainer.is_finished(folder):
        trainer.fit(config, faces, validation, folder, settings.quiet)
    network = checkpoint.load_model(str(folder))
    if changed := differences(network.train_config, config):
        raise ValueError(f"{folder} holds a run with another {', '.join(changed)}: delete it, or name another --out")
    return network


def run_folder(settings: StudyConfig, run: str) -> Path:
    return settings.folder / "runs" / run


def init_path(settings: StudyConfig, run: str) -> str:
    """What ``TrainConfig.start`` says of a study's earlier run: a relative path, as the folder may move as a whole."""
    return os.path.relpath(run_folder(settings, run))


def differences(stored: dict, config: TrainConfig) -> list[str]:
    """The settings in which a recipe kept in config.json is not ``config``; what it does not name is the default."""
    usual = asdict(TrainConfig(config.network))
    kept = {**usual, **stored, "augmentation": usual["augmentation"] | stored.get("augmentation", {})}
    return [key for key, value in asdict(config).items() if kept[key] != value]


# ------------------------------------------------------------------------------------------------ figures


def right(network: nn.Module, faces: FaceDataset) -> Tensor:
    """Which faces are read right, bool (N,)."""
    return predict_logits(network, faces.pixels).argmax(1) == faces.labels


def scores(rights: Sequence[Tensor], duplicates: Sequence[Tensor]) -> dict:
    """Accuracy, averaged over trainings, with the number of faces that each was judged on and its 95 % interval.

    rights, duplicates: for each training, which faces it read right and which have a duplicate in what it was trained
    on, bool (N,). The interval is that of one training's N faces: trainings judged on the same faces do not narrow it.
    """
    shares = [hits.float().mean().item() for hits in rights]
    alone = [hits[~is_duplicate].float().mean().item() for hits, is_duplicate in zip(rights, duplicates, strict=True)]
    row = share(mean(shares), len(rights[0])) | {"without_duplicates": mean(alone)}
    return row | ({"lowest": min(shares), "highest": max(shares), "seeds": len(shares)} if len(shares) > 1 else {})


def share(accuracy: float, n: int) -> dict:
    """An accuracy as every table has it: with n and its 95 % interval (Wilson 1927)."""
    return {"accuracy": accuracy, "n": n, "ci95": wilson_interval(round(accuracy * n), n)}


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Bars:
    """What a figure of bars shows: for every series a value, or None, for every group; ``what`` is the axis."""

    groups: list[str]
    series: dict[str, list[float | None]]
    what: str


def comparison_bars(group: str, rows: list[dict], theirs: str) -> Bars:
    """Our accuracies beside a report's: one group of bars a row, named by its column ``group``."""
    series = {"ours": [row["accuracy"] for row in rows], "report": [row.get(theirs) for row in rows]}
    return Bars([row[group] for row in rows], series, "accuracy")


@dataclass(frozen=True)
class Result:
    """What a study found. Its figure shows ``bars`` if there are any, else ``curves``: a history for every run."""

    rows: list[dict]
    notes: list[str] = field(default_factory=list)
    curves: dict[str, History] = field(default_factory=dict)
    bars: Bars | None = None


def write_results(study: str, question: str, result: Result, settings: StudyConfig) -> dict:
    """Writes results.json, README.md and curves.csv into the study's folder; the table as it is in results.json."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    table = {"study": study, "question": question, "quick": settings.quick, "seeds": settings.seeds}
    hurried = ["A quick run, of few faces and small networks: it shows that the study runs, and nothing about faces."]
    table |= {"rows": round_metrics(result.rows), "notes": hurried * settings.quick + result.notes}
    write_text(settings.folder / "results.json", json.dumps(table, indent=2) + "\n")
    write_text(settings.folder / "README.md", page(table))
    if result.curves:
        rows = [{"run": run} | row for run, history in result.curves.items() for row in history]
        write_rows(rows, settings.folder / "curves.csv")
    return table


def page(table: dict) -> str:
    """A study's README: what was asked, the table, what has to be known of it, and the figure."""
    command = f"python -m fer study {table['study']} --seeds {table['seeds']}{' --quick' if table['quick'] else ''}"
    notes = "".join(f"- {note}\n" for note in table["notes"])
    return (
        f"# {table['study']}\n\n{table['question']}\n\n{markdown(table['rows'])}\n\n{notes}\n"
        f"![{table['study']}](figure.png)\n\n"
        f"Written by `{command}`.\n"
    )
