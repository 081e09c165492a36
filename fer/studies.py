"""The reports' experiments, repeated: ``python -m fer study NAME``.

    python -m fer study pseudo-labels            # three seeds; goes on where it was stopped
    python -m fer study normalisation --quick    # minutes, not hours: shows that it runs, and nothing about faces

Each study is a function from Settings to a Result and stands in STUDIES. Every number is measured; the reports' own
are constants that are only ever printed beside ours. A training's epoch is chosen on PublicTest without twins, and
PrivateTest is not at hand here: `twins` reads the answers that ``evaluate`` kept of it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

from fer import checkpoint, evaluation, networks, units
from fer.augmentation import Augmentation
from fer.checkpoint import Network
from fer.data import Faces
from fer.pseudo import pseudo_labels
from fer.recipes import TrainConfig, recipe
from fer.shipped import relu_against_selu, seeds, twins
from fer.trials import (
    History,
    Result,
    Settings,
    beside,
    differences,
    right,
    run_folder,
    scores,
    share,
    trained,
    variants,
)
from fer.writing import whole

_PARAMETERS = {"cnn": 3_480_000, "dnn": 3_100_000}  # as report 1 rounds them
# Report 2's figures: "validation" is a part of Training, "public" Kaggle's public score.
_NORMALISATION = {
    "0..255": {"validation": 0.2547},
    "0..1, batch normalisation": {"validation": 0.623, "public": 0.60713},
}
_AUGMENTATION = {
    "none": {"validation": 0.623, "public": 0.60713},
    "rotation, shift, zoom": {"validation": 0.67335, "public": 0.67818},
}


def run(name: str, settings: Settings) -> tuple[str, Result]:
    """What the study ``name`` asks, and what it found. Raises ValueError: no such study, or no data, or no network."""
    function = STUDIES[known(name)]
    with variants():
        return function.__doc__.splitlines()[0], function(settings)


def settings_for(
    name: str, out: str | None = None, root: str | None = None, quick: bool = False, seeds: int | None = None,
    quiet: bool = False,
) -> Settings:  # fmt: skip
    """The study's own settings where none are given.

    Its folder is weights/studies/<name>/, for a quick run runs/quick/<name>/ here; three seeds for pseudo-labels,
    whose differences are small, else one.
    """
    usual = Path("runs/quick") if quick else checkpoint.WEIGHTS / "studies"
    seeds = (3 if known(name) == "pseudo-labels" and not quick else 1) if seeds is None else seeds
    return Settings(Path(out) if out else usual / name, root, quick, seeds, quiet)


def draw(result: Result, file: Path) -> None:
    """Writes a study's figure. Raises ModuleNotFoundError where Matplotlib is not, which trains all the same."""
    from fer import plots

    figure = plots.bars(**vars(result.bars)) if result.bars else plots.accuracies(result.curves)
    with whole(file) as partial:
        figure.savefig(partial, dpi=120)


def known(name: str) -> str:
    """``name``, or a ValueError that lists the studies."""
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}: expected one of {', '.join(STUDIES)}")
    return name


# ------------------------------------------------------------------------------------------------ CNN against DNN


def cnn_against_dnn(settings: Settings) -> Result:
    """Does a network with convolutions read faces better than one of like size without, trained in the same way?

    Both by report 1's recipe; the curves of shipped networks that began with it are used as they are.
    """
    rows, curves = [], {}
    for name in ("cnn", "dnn"):
        runs = [course(settings, recipe(name, seed=seed)) for seed in range(settings.seeds)]
        curves |= {name if seed == 0 else f"{name}, seed {seed}": run.history for seed, run in enumerate(runs)}
        last = {key: mean(run.history[-1][key] for run in runs) for key in runs[0].history[-1]}
        row = {"network": name, "parameters": runs[0].parameters, "report_parameters": _PARAMETERS[name]}
        row |= {"epochs": len(runs[0].history)} | share(last["public_accuracy"], runs[0].faces)
        row |= {"without_twins": last["public_accuracy_without_twins"], "training_accuracy": last["accuracy"]}
        rows.append(row | {"source": "; ".join(dict.fromkeys(run.source for run in runs))})
    notes = [
        "Accuracies are those after the last epoch, on PublicTest; the training accuracy is that of the augmented "
        "faces with dropout on. The moving average of the weights is what is measured.",
        "Report 1 prints no accuracies for the two, only curves: the CNN does better.",
    ]
    return Result(rows, notes, curves)


@dataclass(frozen=True)
class Course:
    """How a training went: its epochs, where they are from, its network's parameters, how many faces judged it."""

    history: History
    source: str
    parameters: int
    faces: int


def course(settings: Settings, config: TrainConfig) -> Course:
    """The training by ``config``: the shipped network's if it began with just that, else one of the study's own."""
    if found := shipped_course(config):
        return found
    run = f"{config.network}-{config.seed}"
    network = trained(settings, run, settings.config(config.network, seed=config.seed), settings.splits[0])
    history = checkpoint.read_history(run_folder(settings, run))
    return Course(history, f"trained here as runs/{run}", networks.count(network), len(settings.splits[1]))


def shipped_course(config: TrainConfig) -> Course | None:
    """What ``weights/`` keeps of a training by ``config``; None where its first stage was another, or not measured."""
    name = config.network
    if name not in checkpoint.available():
        return None
    shipped, history = checkpoint.load(name), checkpoint.read_history(checkpoint.WEIGHTS / name)[: config.epochs]
    if (
        differences(first_stage(shipped.recipe), config)
        or len(history) < config.epochs
        or "public_test" not in shipped.figures
    ):
        return None
    source = f"weights/{name}/history.csv, epochs 1 to {config.epochs}"
    return Course(history, source, networks.count(shipped), shipped.figures["public_test"]["n"])


def first_stage(stored: dict) -> dict:
    """The recipe that a training of one or several stages began with."""
    while "earlier" in stored:
        stored = stored["earlier"]
    return stored


# ------------------------------------------------------------------------------------------------ normalisation

# What Keras does unless told otherwise, as report 2 names no optimiser; nothing that would rescue a bad scale.
_KERAS = {"optimizer": "adamw", "learning_rate": 1e-3, "schedule": "constant", "weight_decay": 0.0, "clip": 0.0}
_KERAS |= {"label_smoothing": 0.0, "epochs": 8, "small_epochs": 0, "votes": 0.0, "start": ""}
# At a constant rate the average of normalised weights is shorter than each: it answers one label for epochs on end.
_KERAS |= {"ema": 0.0}
_NONE = Augmentation(flip=0.0)
# All of them at full size: what is not augmented is best long before the last of them, where a recipe's few lie.
_FRESH = {"votes": 0.0, "epochs": 24, "small_epochs": 0}


def normalisation(settings: Settings) -> Result:
    """Does VGG16 with ReLU stick at one answer unless pixels and layers are normalised, and do its units die?"""
    arms = {"0..255": "vgg16-relu-raw", "0..1": "vgg16-relu-plain", "0..1, batch normalisation": "vgg16-relu"}
    rows, curves = [], {}
    for arm, architecture in arms.items():
        config = settings.config(architecture, **_KERAS, **asdict(_NONE))
        row, history, nets = _arm(settings, architecture, config)
        dead = [units.total(units.count_dead(network, settings.splits[1].pixels)) for network in nets]
        row |= {"answers": max(_answers(network, settings.splits[1]) for network in nets), "units": dead[0]["units"]}
        row |= {key: mean(each[key] for each in dead) for key in ("dead", "changeless")}
        rows.append({"pixels": arm} | row | _theirs(_NORMALISATION, arm))
        curves[arm] = history
    most = settings.splits[1].labels.bincount().max().item() / len(settings.splits[1])
    notes = [
        f'The commonest label has {most:.4f} of PublicTest: a network that gives one answer ("answers" 1) gets no '
        f"more. {_KERAS['epochs']} epochs without augmentation (report 2: 25); the best one is measured.",
        "A unit is an output channel of an activation layer. It is dead if it is 0 for every face of PublicTest, and "
        "changeless if it varies by less than 0.001 (the dead ones included); means over seeds.",
    ]
    return Result(rows, notes, curves)


def _arm(settings: Settings, name: str, config: TrainConfig) -> tuple[dict, History, list[Network]]:
    """One setting trained with every seed: its scores on PublicTest, the first seed's history, and the networks."""
    public = settings.splits[1]
    nets = [
        trained(settings, f"{name}-{seed}", replace(config, seed=seed), settings.splits[0])
        for seed in range(settings.seeds)
    ]
    row = scores([right(network, public) for network in nets], [public.twin] * len(nets))
    return row, checkpoint.read_history(run_folder(settings, f"{name}-0")), nets


def _answers(network: Network, faces: Faces) -> int:
    """How many different labels the network gives to ``faces``."""
    return len(evaluation.predict_logits(network, faces.pixels).argmax(1).unique())


def _theirs(report: dict[str, dict[str, float]], arm: str) -> dict:
    """Report 2's two figures for a setting, None where it prints none."""
    figures = report.get(arm, {})
    return {f"report_{key}": figures.get(key) for key in ("validation", "public")}


# ------------------------------------------------------------------------------------------------ augmentation


def augmentation(settings: Settings) -> Result:
    """How much does each kind of augmentation gain a network that begins with fresh weights?"""
    rows, curves = [], {}
    for number, (arm, changes) in enumerate(augmentations(recipe("compact-small").augmentation).items()):
        config = settings.config("compact-small", **_FRESH, **asdict(changes))
        row, curves[arm], _ = _arm(settings, f"{number}-{arm.replace(', ', '-').replace(' ', '-')}", config)
        amounts = ", ".join(f"{key} {value:g}" for key, value in vars(changes).items() if value) or "none"
        rows.append({"augmentation": arm, "amounts": amounts} | row | _theirs(_AUGMENTATION, arm))
    notes = [
        f"compact-small, {_FRESH['epochs']} epochs from fresh weights; everything but the augmentation is the same. "
        "Accuracies are on PublicTest, at the best epoch. Report 2 augmented VGG16 by Keras's rotation, shift and "
        "zoom; VGG16 from fresh weights takes ten times as long, and the shipped one begins with a network that has "
        "seen all augmentation.",
    ]
    return Result(rows, notes, curves, beside("augmentation", rows, "report_public"))


def augmentations(full: Augmentation) -> dict[str, Augmentation]:
    """The four settings that are compared, the last of them ``full``."""
    moved = Augmentation(flip=0.0, rotate=full.rotate, shift=full.shift, zoom=full.zoom)
    return {"none": _NONE, "flips": Augmentation(flip=full.flip), "rotation, shift, zoom": moved, "full": full}


STUDIES: dict[str, Callable[[Settings], Result]] = {
    "cnn-against-dnn": cnn_against_dnn,
    "pseudo-labels": pseudo_labels,
    "normalisation": normalisation,
    "augmentation": augmentation,
    "relu-against-selu": relu_against_selu,
    "twins": twins,
    "seeds": seeds,
}
