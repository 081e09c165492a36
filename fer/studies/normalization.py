from dataclasses import asdict, dataclass, replace
from statistics import mean

from fer.data.dataset import FaceDataset
from fer.data.transforms import Augmentation
from fer.evaluation import inference
from fer.features import redundancy
from fer.models import checkpoint, summary
from fer.models.checkpoint import FERModel
from fer.studies.runner import History, Result, StudyConfig, differences, right, run_folder, scores, train_or_load
from fer.training.config import TrainConfig
from fer.training.history import read_history

# Report 2's figures: "validation" is a part of Training, "public" Kaggle's public score.
_NORMALISATION = {
    "0..255": {"validation": 0.2547},
    "0..1, batch normalisation": {"validation": 0.623, "public": 0.60713},
}


@dataclass(frozen=True)
class Course:
    """How a training went: its epochs, where they are from, its network's parameters, how many faces judged it."""

    history: History
    source: str
    parameters: int
    faces: int


def course(settings: StudyConfig, config: TrainConfig) -> Course:
    """The training by ``config``: the shipped network's if it began with just that, else one of the study's own."""
    if found := shipped_course(config):
        return found
    run = f"{config.network}-{config.seed}"
    network = train_or_load(settings, run, settings.config(config.network, seed=config.seed), settings.splits[0])
    history = read_history(run_folder(settings, run))
    return Course(history, f"trained here as runs/{run}", summary.count_parameters(network), len(settings.splits[1]))


def shipped_course(config: TrainConfig) -> Course | None:
    """What ``weights/`` keeps of a training by ``config``; None where its first stage was another, or not measured."""
    name = config.network
    if name not in checkpoint.list_checkpoints():
        return None
    shipped, history = checkpoint.load_model(name), read_history(checkpoint.WEIGHTS / name)[: config.epochs]
    if (
        differences(first_stage(shipped.train_config), config)
        or len(history) < config.epochs
        or "public_test" not in shipped.metrics
    ):
        return None
    source = f"weights/{name}/history.csv, epochs 1 to {config.epochs}"
    return Course(history, source, summary.count_parameters(shipped), shipped.metrics["public_test"]["n"])


def first_stage(stored: dict) -> dict:
    """The recipe that a training of one or several stages began with."""
    while "previous_stage" in stored:
        stored = stored["previous_stage"]
    return stored


# ------------------------------------------------------------------------------------------------ normalisation

# What Keras does unless told otherwise, as report 2 names no optimiser; nothing that would rescue a bad scale.
_KERAS = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "weight_decay": 0.0,
    "clip_grad_norm": 0.0,
}
_KERAS |= {"label_smoothing": 0.0, "epochs": 8, "low_res_epochs": 0, "aux_votes_weight": 0.0, "init_from": ""}
# At a constant rate the average of normalised weights is shorter than each: it answers one label for epochs on end.
_KERAS |= {"ema_decay": 0.0}
_NONE = Augmentation(hflip_prob=0.0)
# All of them at full size: what is not augmented is best long before the last of them, where a recipe's few lie.
_FRESH = {"aux_votes_weight": 0.0, "epochs": 24, "low_res_epochs": 0}


def normalisation(settings: StudyConfig) -> Result:
    """Does VGG16 with ReLU stick at one answer unless pixels and layers are normalised, and do its units die?"""
    arms = {"0..255": "vgg16-relu-raw", "0..1": "vgg16-relu-plain", "0..1, batch normalisation": "vgg16-relu"}
    rows, curves = [], {}
    for arm, architecture in arms.items():
        config = settings.config(architecture, **_KERAS, **asdict(_NONE))
        row, history, nets = _arm(settings, architecture, config)
        dead = [redundancy.total(redundancy.count_dead(network, settings.splits[1].pixels)) for network in nets]
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


def _arm(settings: StudyConfig, name: str, config: TrainConfig) -> tuple[dict, History, list[FERModel]]:
    """One setting trained with every seed: its scores on PublicTest, the first seed's history, and the networks."""
    public = settings.splits[1]
    nets = [
        train_or_load(settings, f"{name}-{seed}", replace(config, seed=seed), settings.splits[0])
        for seed in range(settings.seeds)
    ]
    row = scores([right(network, public) for network in nets], [public.is_duplicate] * len(nets))
    return row, read_history(run_folder(settings, f"{name}-0")), nets


def _answers(network: FERModel, faces: FaceDataset) -> int:
    """How many different labels the network gives to ``faces``."""
    return len(inference.predict_logits(network, faces.pixels).argmax(1).unique())


def _theirs(report: dict[str, dict[str, float]], arm: str) -> dict:
    """Report 2's two figures for a setting, None where it prints none."""
    figures = report.get(arm, {})
    return {f"report_{key}": figures.get(key) for key in ("validation", "public")}
