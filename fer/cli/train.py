"""Commands that train and measure: networks, summary, train, evaluate, confusion, ensemble, study."""

import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from fer.cli.evaluate import _calibrate, _labelled_splits
from fer.cli.output import _print_figures, files_of, print_report
from fer.evaluation import predictions
from fer.models import checkpoint
from fer.models import registry as models_registry
from fer.release import model_card
from fer.utils import outputs

TRAINED = ("config.json", "model.safetensors", "history.csv", "predictions.npz", "README.md", "resume.pt")
STUDIED = ("results.json", "curves.csv", "figure.png", "README.md")


def train(
    network: str, root: str | None, out: str | None, restart: bool, teachers: str | None, fold: int | None,
    as_json: bool, **changes: object,
) -> None:  # fmt: skip
    """Trains a network, or goes on with a run that was stopped, and writes weights/<name>/."""
    from fer.training import config as training_config
    from fer.training import distillation, trainer

    config = training_config.default_config(
        network, **{key: value for key, value in changes.items() if value is not None}
    )
    folder = Path(out) if out else checkpoint.WEIGHTS / network
    earlier = [file for name in (config.init_from, config.teacher) if name for file in files_of(name)]
    _check_folder(folder, TRAINED, out, root, earlier)
    alone = fold is None and os.environ.get("RANK", "0") == "0"  # a fold locks its own; torchrun's first process writes
    with outputs.one_writer(folder) if alone else nullcontext():
        (faces, validation), report = _labelled_splits(
            root, models_registry.label_set(network), "Training", "PublicTest"
        )
        if restart and alone:
            (folder / trainer.RESUME_FILE).unlink(missing_ok=True)
        teachers = Path(teachers) if teachers else None
        trained = distillation.fit(config, faces, validation, folder, as_json, teachers, fold)
        if trained is None:
            return  # a single fold's teacher, or another process measures and writes
        _calibrate(trained, root)
        figures = predictions.evaluate(trained, "PublicTest", validation, folder=folder)
        model_card.record_metrics(trained, folder, figures)
    _print_figures(figures, trained.labels, as_json)
    print_report(report)


def _check_folder(folder: Path, names: Iterable[str], out: str | None, root: str | None, inputs: list[Path]) -> None:
    """Raises ValueError where the files called ``names`` may not be written to ``folder``.

    A link that leads to weights/ itself is how somebody arranged this machine; one in --out may be a mistake.
    """
    if root and folder.exists() and Path(root).exists() and folder.samefile(root):
        raise ValueError(f"out is {str(folder)!r}, the folder that the faces are read from: name another")
    folder = folder if out else folder.resolve()
    outputs.check_outputs(inputs, [folder / name for name in names])
