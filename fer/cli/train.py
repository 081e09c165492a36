"""The command that trains: train."""

import argparse
import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fer.cli.evaluate import calibrate, labelled_splits
from fer.cli.output import files_of, print_metrics, print_report
from fer.cli.settings import DataSettings, Subparsers, add_command, add_flags, argument
from fer.utils import outputs

_FILES = ("config.json", "model.safetensors", "history.csv", "predictions.npz", "README.md", "resume.pt")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(DataSettings):
    network: str
    """The architecture, as in `cnn` or `compact`; an unknown one lists them all."""
    out: str | None = argument(None, "FOLDER")
    """Where to write, instead of weights/NETWORK/."""
    restart: bool = False
    """Begin anew in place of going on with a training that was stopped."""
    teachers: str | None = argument(None, "FOLDER")
    """Where the teachers of the folds are, instead of OUT/teachers/."""
    fold: int | None = argument(None, "K")
    """Train the teacher of fold K and nothing else."""


def train(settings: TrainSettings, **recipe: Any) -> None:
    """Train a network, or go on with a training that was stopped; writes weights/NETWORK/.

    Each network has a recipe of its own, which a plain `train NETWORK` repeats; config.json and the model card hold
    it whole. A flag below changes one setting of it; one that is not given stays as the recipe has it.

    In each epoch every face of Training is augmented at random and a step is taken for every batch. The moving
    average of the weights is measured on PublicTest without duplicates after each epoch, and the best epoch is kept.
    Temperature and thresholds are then fitted on PublicTest. PrivateTest is never read.

    With torchrun the batches are shared among processes: torchrun --nproc-per-node=2 -m fer train cnn.
    """
    from fer.evaluation import predictions
    from fer.models import checkpoint, registry
    from fer.release import model_card
    from fer.training import distillation, trainer
    from fer.training.config import default_config

    config = default_config(settings.network, **{key: value for key, value in recipe.items() if value is not None})
    folder = Path(settings.out) if settings.out else checkpoint.WEIGHTS / settings.network
    earlier = [file for name in (config.init_from, config.teacher) if name for file in files_of(name)]
    check_folder(folder, _FILES, settings.out, settings.data, earlier)
    # A fold locks its own folder; of torchrun's processes the first one writes.
    alone = settings.fold is None and os.environ.get("RANK", "0") == "0"
    with outputs.one_writer(folder) if alone else nullcontext():
        labels = registry.label_set(settings.network)
        (faces, validation), report = labelled_splits(settings.data, labels, "Training", "PublicTest")
        if settings.restart and alone:
            (folder / trainer.RESUME_FILE).unlink(missing_ok=True)
        teachers = Path(settings.teachers) if settings.teachers else None
        model = distillation.fit(config, faces, validation, folder, settings.json, teachers, settings.fold)
        if model is None:
            return  # a single fold's teacher, or another process measures and writes
        calibrate(model, settings.data)
        metrics = predictions.evaluate(model, "PublicTest", validation, folder=folder)
        model_card.record_metrics(model, folder, metrics)
    print_metrics(metrics, model.labels, settings.json)
    print_report(report)


def check_folder(folder: Path, names: Iterable[str], out: str | None, root: str | None, inputs: list[Path]) -> None:
    """Raises ValueError where the files called ``names`` may not be written to ``folder``.

    A link that leads to weights/ itself is how somebody arranged this machine; one in --out may be a mistake.
    """
    if root and folder.exists() and Path(root).exists() and folder.samefile(root):
        raise ValueError(f"out is {str(folder)!r}, the folder that the faces are read from: name another")
    folder = folder if out else folder.resolve()
    outputs.check_outputs(inputs, [folder / name for name in names])


def add_parser(subparsers: Subparsers) -> None:
    """The flags of `TrainSettings`, and one for every field of TrainConfig and Augmentation."""
    from fer.data.transforms import Augmentation
    from fer.training.config import TrainConfig

    parser: argparse.ArgumentParser = add_command(subparsers, train, TrainSettings)
    recipe = parser.add_argument_group("recipe (default: the network's own)")
    add_flags(recipe, TrainConfig, skip=("network", "augmentation"), optional=True)
    augmentation = parser.add_argument_group("augmentation (default: the network's own; 0 switches a step off)")
    add_flags(augmentation, Augmentation, optional=True)
    own = {each.name for each in fields(TrainSettings)}

    def run(**given: Any) -> None:
        settings = TrainSettings(**{key: given.pop(key) for key in list(given) if key in own})
        train(settings, **given)

    parser.set_defaults(run=run)
