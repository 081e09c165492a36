from dataclasses import dataclass
from statistics import mean

from fer.models import checkpoint, summary
from fer.studies.registry import register_study
from fer.studies.results import History, Result, share
from fer.studies.runner import StudyConfig, differences, run_folder, train_or_load
from fer.training.config import TrainConfig, default_config
from fer.training.history import read_history

_PARAMETERS = {"cnn": 3_480_000, "dnn": 3_100_000}  # as report 1 rounds them


@register_study("cnn-against-dnn")
def cnn_against_dnn(settings: StudyConfig) -> Result:
    """Is a network with convolutions more accurate than one of about the same size without, trained in the same way?

    Both by report 1's recipe; curves of checkpoints in weights/ that were trained with it are reused.
    """
    rows: list[dict] = []
    curves: dict[str, History] = {}
    for name in ("cnn", "dnn"):
        runs = [training_curve(settings, default_config(name, seed=seed)) for seed in range(settings.seeds)]
        curves |= {name if seed == 0 else f"{name}, seed {seed}": run.history for seed, run in enumerate(runs)}
        last = {key: mean(run.history[-1][key] for run in runs) for key in runs[0].history[-1]}
        row: dict = {"network": name, "parameters": runs[0].parameters, "report_parameters": _PARAMETERS[name]}
        row |= {"epochs": len(runs[0].history)} | share(last["public_accuracy"], runs[0].faces)
        row |= {"without_duplicates": last["public_accuracy_deduplicated"], "training_accuracy": last["accuracy"]}
        rows.append(row | {"source": "; ".join(dict.fromkeys(run.source for run in runs))})
    notes = [
        "Accuracies are those after the last epoch, on PublicTest; the training accuracy is that of the augmented "
        "faces with dropout on. The moving average of the weights is what is measured.",
        "Report 1 prints no accuracies for the two, only curves: the CNN does better.",
    ]
    return Result(rows, notes, curves)


@dataclass(frozen=True)
class TrainingCurve:
    """A training's epochs, where they are from, its parameter count, and how many faces it was validated on."""

    history: History
    source: str
    parameters: int
    faces: int


def training_curve(settings: StudyConfig, config: TrainConfig) -> TrainingCurve:
    """The training by ``config``: that of the checkpoint in weights/ if it used the same settings, else a new one."""
    if found := shipped_curve(config):
        return found
    run = f"{config.network}-{config.seed}"
    network = train_or_load(settings, run, settings.config(config.network, seed=config.seed), settings.splits[0])
    history = read_history(run_folder(settings, run))
    return TrainingCurve(
        history, f"trained here as runs/{run}", summary.count_parameters(network), len(settings.splits[1])
    )


def shipped_curve(config: TrainConfig) -> TrainingCurve | None:
    """The curve in ``weights/`` of a training by ``config``; None if its first stage differs or was not evaluated."""
    name = config.network
    if name not in checkpoint.list_checkpoints():
        return None
    shipped, history = checkpoint.load_network(name), read_history(checkpoint.WEIGHTS / name)[: config.epochs]
    if (
        differences(first_stage(shipped.train_config), config)
        or len(history) < config.epochs
        or "public_test" not in shipped.metrics
    ):
        return None
    source = f"weights/{name}/history.csv, epochs 1 to {config.epochs}"
    return TrainingCurve(history, source, summary.count_parameters(shipped), shipped.metrics["public_test"]["n"])


def first_stage(stored: dict) -> dict:
    """The settings of the first stage of a training."""
    while "previous_stage" in stored:
        stored = stored["previous_stage"]
    return stored
