"""How studies are run: their config, the architectures that only they train, and trainings in folders of their own.

A study's folder holds ``results.json``, ``README.md`` and, where there are curves, ``curves.csv``; each training lies
below it in ``runs/<run>/``. A finished training is taken from there, an unfinished one goes on from its last epoch.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fer.data import dataset, fer2013
from fer.data.dataset import FaceDataset
from fer.data.duplicates import fingerprint
from fer.data.transforms import Augmentation
from fer.evaluation.inference import predict_logits
from fer.models import checkpoint, vgg
from fer.models import layers as models_layers
from fer.models import registry as models_registry
from fer.models.checkpoint import FERModel
from fer.models.layers import SIDE, Normalize
from fer.models.registry import Architecture, BuildLayers
from fer.studies.results import History, scores
from fer.training import trainer
from fer.training.config import TrainConfig, default_config
from fer.training.history import read_history

_QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 32, "low_res_epochs": 0, "aux_votes_weight": 0.0, "ema_decay": 0.0}
_QUICK |= {"folds": 0, "full_size_epochs": 0, "crop_size": SIDE}
# What the studies of our own networks train with: neither teachers nor crops nor degraded faces.
PLAIN = {"folds": 0, "full_size_epochs": 0, "crop_size": SIDE, "low_res_size": 32, "weight_decay": 5e-4}
PLAIN |= {"degrees": 10.0, "translate": 0.06, "scale": 0.1, "jitter": 0.2, "erase_prob": 0.2}
PLAIN |= {"mixup_alpha": 0.0, "degrade_prob": 0.0}
NO_AUGMENTATION = Augmentation(hflip_prob=0.0)


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
        training, public = fer2013.get_splits(fer2013.load_fer2013(self.root), "Training", "PublicTest")
        if not self.quick:
            return training, public
        return dataset.random_subset(training, 280), dataset.random_subset(public, 140)

    def config(self, network: str, **changes: object) -> TrainConfig:
        """The recipe of ``network`` with ``changes``; a quick study trains a small network in its place."""
        config = default_config(network, **changes)
        return (
            replace(config, network=_QUICK_ARCHITECTURES.get(network, "small-plain"), **_QUICK)
            if self.quick
            else config
        )


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


def without_normalization(build: BuildLayers, raw: bool) -> BuildLayers:
    """The architecture ``build`` without any normalisation; ``raw`` gives it pixels of 0..255 in place of 0..1."""

    def layers(classes: int) -> Iterable[nn.Module]:
        if raw:
            yield Normalize(0.0, 1 / 255)
        dropped = (Normalize, nn.BatchNorm1d, nn.BatchNorm2d)
        yield from (layer for layer in build(classes) if not isinstance(layer, dropped))

    return layers


STUDY_ARCHITECTURES = {
    "vgg16-relu-plain": Architecture(without_normalization(vgg.vgg16_relu, raw=False)),
    "vgg16-relu-raw": Architecture(without_normalization(vgg.vgg16_relu, raw=True)),
    "small": Architecture(small),
    "small-plain": Architecture(without_normalization(small, raw=False)),
    "small-raw": Architecture(without_normalization(small, raw=True)),
}
_QUICK_ARCHITECTURES = {"vgg16-relu-plain": "small-plain", "vgg16-relu-raw": "small-raw"}
_QUICK_ARCHITECTURES |= dict.fromkeys(("vgg16-relu", "compact-small"), "small")


@contextmanager
def study_architectures() -> Iterator[None]:
    """Registers the architectures that only studies train while the block lasts, so that no list of models has them."""
    models_registry.ARCHITECTURES.update(STUDY_ARCHITECTURES)
    try:
        yield
    finally:
        for name in STUDY_ARCHITECTURES:
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
    trainer.check_same_data(folder, {"training": fingerprint(faces), "validation": fingerprint(validation)})
    if not trainer.is_finished(folder):
        trainer.fit(config, faces, validation, folder, settings.quiet)
    network = checkpoint.load_network(str(folder))
    if changed := differences(network.train_config, config):
        raise ValueError(f"{folder} holds a run with another {', '.join(changed)}: delete it, or name another --out")
    return network


@dataclass(frozen=True)
class SeedRuns:
    """One setting trained with every seed: its scores on PublicTest, the first seed's history, and the models."""

    scores: dict
    history: History
    models: list[FERModel]


def train_seeds(settings: StudyConfig, name: str, config: TrainConfig) -> SeedRuns:
    """Trains ``config`` with the seeds 0, 1 ... of the study, or loads what an earlier run trained."""
    training, public = settings.splits
    models = [
        train_or_load(settings, f"{name}-{seed}", replace(config, seed=seed), training)
        for seed in range(settings.seeds)
    ]
    row = scores([correct(model, public) for model in models], [public.is_duplicate] * len(models))
    return SeedRuns(row, read_history(run_folder(settings, f"{name}-0")), models)


def correct(model: nn.Module, faces: FaceDataset) -> Tensor:
    """Which faces are classified correctly, bool (N,)."""
    return predict_logits(model, faces.pixels).argmax(1) == faces.labels


def require_one_seed(settings: StudyConfig) -> None:
    """Raises ValueError where a study that trains nothing is asked for several seeds."""
    if settings.seeds > 1:
        raise ValueError(f"seeds is {settings.seeds}: this study trains nothing, so expected 1")


def run_folder(settings: StudyConfig, run: str) -> Path:
    return settings.folder / "runs" / run


def init_path(settings: StudyConfig, run: str) -> str:
    """``TrainConfig.init_from`` for a study's earlier run: a relative path, as the folder may move as a whole."""
    return os.path.relpath(run_folder(settings, run))


def differences(stored: dict, config: TrainConfig) -> list[str]:
    """The settings in which a recipe kept in config.json is not ``config``; what it does not name is the default."""
    usual = asdict(TrainConfig(config.network))
    kept = {**usual, **stored, "augmentation": usual["augmentation"] | stored.get("augmentation", {})}
    return [key for key, value in asdict(config).items() if kept[key] != value]
