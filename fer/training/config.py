"""The settings of a training, checked, and the default recipe of each architecture."""

import math
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from fer.data.transforms import Augmentation
from fer.models.layers import SIDE
from fer.models.registry import ARCHITECTURES, get_architecture


def training_commands(settings: dict) -> str:
    """The commands that repeat a stored training: one, or one for each stage, each continuing the one before."""
    flags, previous = dict(settings), settings.get("previous_stage")
    name, augmentation = flags.pop("network"), flags.pop("augmentation")
    default = asdict(default_config(name))
    default |= default.pop("augmentation")
    flags = asdict(TrainConfig(name)) | flags | asdict(Augmentation()) | augmentation
    del flags["augmentation"]
    if previous:
        flags |= {key: "EARLIER" for key in ("init_from", "teacher") if flags.get(key) == flags["init_from"]}
    changed = {key: value for key, value in flags.items() if key in default and value != default[key]}
    line = " ".join([f"python -m fer train {name}", *(_flag(key, value) for key, value in changed.items())])
    return f"{training_commands(previous)} --out EARLIER\n{line}" if previous else line


def _flag(key: str, value: object) -> str:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {shlex.quote(str(value))}"


def _constant(progress: float) -> float:
    return 1.0


def _one_cycle(progress: float) -> float:
    """Linear warm-up from a twentieth within the first 15 %, then a cosine to 0 (Smith and Topin 2017)."""
    if progress < 0.15:
        return 0.05 + 0.95 * progress / 0.15
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.15) / 0.85)


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": _constant, "one-cycle": _one_cycle}


@dataclass(frozen=True)
class TrainConfig:
    """The settings that determine a training's result. Stored in the checkpoint's config.json."""

    network: str
    """The architecture, as it is registered."""
    init_from: str = ""
    """A checkpoint with the same layers, or fewer or narrower ones, whose weights are transferred (Net2Net; the last
    layer's only if the labels are the same); fresh weights if empty."""
    epochs: int = 60
    """Passes over Training."""
    batch_size: int = 128
    """Faces in one step."""
    optimizer: str = "sgd"
    """sgd (Nesterov, momentum .9), adamw, or adadelta as in Keras."""
    learning_rate: float = 0.1
    """The highest of the schedule."""
    schedule: str = "one-cycle"
    """one-cycle or constant."""
    weight_decay: float = 5e-4
    """On the weights of convolutions and dense layers only."""
    label_smoothing: float = 0.1
    """Probability mass that is spread over all labels."""
    aux_votes_weight: float = 0.0
    """Weight of an auxiliary loss: a second head, not saved, predicts FER+'s votes on the training faces."""
    teacher: str = ""
    """A checkpoint whose predictions on the training faces are soft targets (distillation, Hinton et al. 2015)."""
    distill_weight: float = 0.7
    """Weight of the teacher's soft targets against the labels, 0 to 1."""
    ema_decay: float = 0.998
    """Decay of the moving average of the weights, which is evaluated and saved; 0 for none."""
    clip_grad_norm: float = 2.0
    """Largest norm of the gradient; 0 for no limit."""
    low_res_epochs: int = 0
    """First epochs that train on faces of low_res_size pixels (progressive resizing), which is cheap."""
    low_res_size: int = 32
    """Side of those faces, in pixels."""
    mirror: bool = False
    """Every epoch has each face twice, as it is and mirrored."""
    crop_size: int = SIDE
    """Side in pixels of the random crops of all epochs but the last full_size_epochs; 48 for none. Evaluation is on
    whole faces at the same scale."""
    full_size_epochs: int = 0
    """Last epochs that train on whole faces."""
    folds: int = 0
    """Folds for out-of-fold distillation: each fold's soft targets come from a teacher trained on the other folds, with
    ten-crop TTA; 0 for none."""
    fold_teacher: str = "compact-small"
    """The architecture of those teachers, trained with its default recipe without degradation."""
    compile: bool = False
    """Compile the network with torch.compile: slower to start, faster on a GPU."""
    seed: int = 0
    """Random seed of weights, order, dropout and augmentation."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, known in (("network", ARCHITECTURES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected one of {', '.join(known)}")
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value}: expected a number")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed is {self.seed}: expected 0 to {2**31 - 1}")
        for name in ("epochs", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected more than 0")
        if not (0 <= self.label_smoothing < 1 and 0 <= self.ema_decay < 1):
            raise ValueError(
                f"label_smoothing {self.label_smoothing} and ema_decay {self.ema_decay}: expected 0 to below 1"
            )
        if not 0 <= self.distill_weight <= 1:
            raise ValueError(f"distill_weight is {self.distill_weight}: expected a share, 0 to 1")
        if not 16 <= self.low_res_size <= SIDE or not 0 <= self.low_res_epochs < self.epochs:
            raise ValueError(
                f"low_res_size {self.low_res_size}, low_res_epochs {self.low_res_epochs}: expected 16..48, < epochs"
            )
        if not 32 <= self.crop_size <= SIDE or not 0 <= self.full_size_epochs <= self.epochs:
            raise ValueError(
                f"crop_size {self.crop_size}, full_size_epochs {self.full_size_epochs}: expected 32..48, 0..epochs"
            )
        if self.folds == 1 or self.folds < 0 or (self.folds and self.teacher):
            raise ValueError(
                f"folds is {self.folds}, teacher {self.teacher!r}: expected 0, or 2 or more and no teacher"
            )

    def input_size(self, epoch: int) -> int:
        """Side in pixels of the faces that ``epoch``, counted from 0, trains on."""
        return self.low_res_size if epoch < self.low_res_epochs else SIDE

    def crop_fraction(self, epoch: int) -> float:
        """Side of the random crops of ``epoch``, counted from 0, as a fraction of the face's side."""
        return 1.0 if epoch >= self.epochs - self.full_size_epochs else self.crop_size / SIDE


def _sgd(groups: list[dict], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)


def _adadelta(groups: list[dict], rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(groups, lr=rate, rho=0.95, eps=1e-7)


OPTIMIZERS: dict[str, Callable[[list[dict], float], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adamw": torch.optim.AdamW,
    "adadelta": _adadelta,
}

# What is not said by an architecture's own recipe.
_AUGMENTATION = {"degrees": 10, "translate": 0.06, "scale": 0.1, "jitter": 0.2, "erase_prob": 0.2}


def default_config(network: str, **changes: object) -> TrainConfig:
    """The recipe that ``network`` is registered with, with ``changes``; both may name fields of Augmentation.

    Raises:
        ValueError: no such network or field, or a value that makes no sense.
    """
    settings: dict[str, Any] = {"augmentation": _AUGMENTATION, **get_architecture(network).recipe, **changes}
    inner = settings.pop("augmentation")
    inner = asdict(inner) if isinstance(inner, Augmentation) else dict(inner)
    inner |= {key: settings.pop(key) for key in list(settings) if key in Augmentation.__annotations__}
    if unknown := settings.keys() - TrainConfig.__annotations__.keys():
        raise ValueError(f"no setting {', '.join(sorted(unknown))}: expected fields of TrainConfig or Augmentation")
    return TrainConfig(network, **settings, augmentation=Augmentation(**inner))
