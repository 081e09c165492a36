"""The reports' experiments, repeated: ``python -m fer study NAME``.

    python -m fer study pseudo-labels            # three seeds; goes on where it was stopped
    python -m fer study normalisation --quick    # minutes, not hours: shows that it runs, and nothing about faces

Each study is a function from Settings to a Result and stands in STUDIES. Every number is measured; the reports' own
are constants that are only ever printed beside ours. A training's epoch is chosen on PublicTest without duplicates, and
PrivateTest is not at hand here: `duplicates` reads the answers that ``evaluate`` kept of it.
"""

from collections.abc import Callable
from pathlib import Path

from fer.models import checkpoint
from fer.studies.architecture import cnn_against_dnn
from fer.studies.augmentation import augmentation
from fer.studies.dead_units import relu_against_selu
from fer.studies.duplicates import duplicates
from fer.studies.normalization import normalisation
from fer.studies.pseudo_labels import pseudo_labels
from fer.studies.runner import Result, StudyConfig, variants
from fer.studies.seeds import seeds
from fer.utils.io import atomic_write


def run(name: str, settings: StudyConfig) -> tuple[str, Result]:
    """What the study ``name`` asks, and what it found. Raises ValueError: no such study, or no data, or no network."""
    function = STUDIES[known(name)]
    with variants():
        return function.__doc__.splitlines()[0], function(settings)


def settings_for(
    name: str, out: str | None = None, root: str | None = None, quick: bool = False, seeds: int | None = None,
    quiet: bool = False,
) -> StudyConfig:  # fmt: skip
    """The study's own settings where none are given.

    Its folder is weights/studies/<name>/, for a quick run runs/quick/<name>/ here; three seeds for pseudo-labels,
    whose differences are small, else one.
    """
    usual = Path("runs/quick") if quick else checkpoint.WEIGHTS / "studies"
    seeds = (3 if known(name) == "pseudo-labels" and not quick else 1) if seeds is None else seeds
    return StudyConfig(Path(out) if out else usual / name, root, quick, seeds, quiet)


def draw(result: Result, file: Path) -> None:
    """Writes a study's figure. Raises ModuleNotFoundError where Matplotlib is not, which trains all the same."""
    from fer.plotting import training

    figure = training.grouped_bars(**vars(result.bars)) if result.bars else training.accuracy_curves(result.curves)
    with atomic_write(file) as partial:
        figure.savefig(partial, dpi=120)


def known(name: str) -> str:
    """``name``, or a ValueError that lists the studies."""
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}: expected one of {', '.join(STUDIES)}")
    return name


STUDIES: dict[str, Callable[[StudyConfig], Result]] = {
    "cnn-against-dnn": cnn_against_dnn,
    "pseudo-labels": pseudo_labels,
    "normalisation": normalisation,
    "augmentation": augmentation,
    "relu-against-selu": relu_against_selu,
    "duplicates": duplicates,
    "seeds": seeds,
}
