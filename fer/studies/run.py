"""The reports' experiments, repeated: ``python -m fer study NAME``.

    python -m fer study pseudo-labels            # three seeds; goes on where it was stopped
    python -m fer study normalisation --quick    # minutes, not hours: shows that it runs, nothing about accuracy

Every number is measured; the reports' own are constants that are only printed beside ours. Epochs are chosen on
PublicTest without duplicates. No study evaluates on PrivateTest: `duplicates` and `seeds` read predictions of it that
``evaluate`` stored.
"""

from pathlib import Path

from fer.models import checkpoint
from fer.studies import (  # noqa: F401 (registers them)
    architecture,
    augmentation,
    dead_units,
    duplicates,
    normalization,
    pseudo_labels,
    seeds,
)
from fer.studies.registry import get_study
from fer.studies.results import Result
from fer.studies.runner import StudyConfig, study_architectures
from fer.utils.io import atomic_write


def run_study(name: str, config: StudyConfig) -> Result:
    """What the study ``name`` finds. Raises ValueError: no such study, or data or a checkpoint is missing."""
    with study_architectures():
        return get_study(name).run(config)


def study_config(
    name: str,
    out: str | None = None,
    root: str | None = None,
    quick: bool = False,
    num_seeds: int | None = None,
    quiet: bool = False,
) -> StudyConfig:
    """The config of the study ``name``; what is None gets the study's default.

    The folder is then weights/studies/<name>/, or runs/quick/<name>/ below the current folder for a quick run.
    """
    folder = Path("runs/quick") if quick else checkpoint.WEIGHTS / "studies"
    num_seeds = (1 if quick else get_study(name).seeds) if num_seeds is None else num_seeds
    return StudyConfig(Path(out) if out else folder / name, root, quick, num_seeds, quiet)


def draw_figure(result: Result, file: Path) -> None:
    """Writes a study's figure. Raises ModuleNotFoundError without Matplotlib, which training does not need."""
    from fer.plotting import training

    figure = training.grouped_bars(**vars(result.bars)) if result.bars else training.accuracy_curves(result.curves)
    with atomic_write(file) as partial:
        figure.savefig(partial, dpi=120)
