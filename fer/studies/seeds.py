from pathlib import Path
from statistics import mean, stdev

from fer.evaluation import predictions
from fer.models import checkpoint
from fer.models import config as models_config
from fer.studies.registry import register_study
from fer.studies.results import SPLITS, GroupedBars, Result, scores
from fer.studies.runner import StudyConfig, require_one_seed
from fer.training import config as training_config

SEEDS = ("compact", "studies/seeds/1", "studies/seeds/2")  # in weights/: the same recipe with the seeds 0, 1 and 2


@register_study("seeds")
def seeds(settings: StudyConfig, names: tuple[str, ...] = SEEDS) -> Result:
    """How far apart are trainings of compact that differ in their seed?

    By the answers that ``evaluate`` kept; weights are kept of the first alone. The deviation is that of a sample: it
    estimates that of all seeds.
    """
    require_one_seed(settings)
    folders = [checkpoint.WEIGHTS / name for name in names]
    rows, series = [], {}
    for split in SPLITS:
        measured = [_seed_row(folder, split) for folder in folders]
        keys = ("accuracy", "without_duplicates")
        shares = {key: [row[key] for row in measured] for key in keys}
        row = {"seed": "mean", "split": split} | {key: mean(shares[key]) for key in keys}
        row |= {f"{key}_deviation": stdev(shares[key]) for key in keys}
        rows += [*measured, row]
        series[split] = shares["accuracy"]
    notes = [
        "Each with the epoch that is best on PublicTest without duplicates. The seed is that of order, augmentation "
        "and new "
        "weights; the first layers of all three begin as those of compact-small. Seed 0 began with 36 epochs more, "
        "under mixup (see compact's card), and is the shipped one.",
        "Repeated by " + ", ".join(f"`{_repeats(folder)}`" for folder in folders[1:]) + ".",
    ]
    return Result(
        rows, notes, bars=GroupedBars([f"seed {row['seed']}" for row in rows[: len(names)]], series, "accuracy")
    )


def _seed_row(folder: Path, split: str) -> dict:
    logits, labels, is_duplicate = predictions.load_logits(folder, split)
    return {"seed": str(_recipe(folder)["seed"]), "split": split} | scores([logits.argmax(1) == labels], [is_duplicate])


def _repeats(folder: Path) -> str:
    """The last command of the training that made what is in ``folder``."""
    return training_config.training_commands(
        {key: value for key, value in _recipe(folder).items() if key != "previous_stage"}
    )


def _recipe(folder: Path) -> dict:
    """How a network was trained whose weights need not be there."""
    return models_config.read_config(folder / "config.json")["train_config"]
