"""The settings of a training, and each network's own: what ``python -m fer train`` does unless told otherwise."""

import math
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

from fer.data.transforms import Augmentation
from fer.models.layers import SIDE
from fer.models.registry import ARCHITECTURES, get_architecture


def training_commands(settings: dict) -> str:
    """The commands of a recipe, as config.json keeps it: one, or one for each stage, each beginning where one ended."""
    flags, earlier = dict(settings), settings.get("previous_stage")
    name, inner = flags.pop("network"), flags.pop("augmentation")
    usual = asdict(default_config(name))
    usual |= usual.pop("augmentation")
    flags, inner = asdict(TrainConfig(name)) | flags, asdict(Augmentation()) | inner  # what it does not name
    del flags["augmentation"]
    if earlier:
        flags |= {key: "EARLIER" for key in ("init_from", "teacher") if flags.get(key) == flags["init_from"]}
    changed = {key: value for key, value in (flags | inner).items() if key in usual and value != usual[key]}
    told = (_flag(key.replace("_", "-"), value) for key, value in changed.items())
    line = " ".join([f"python -m fer train {name}", *told])
    return f"{training_commands(earlier)} --out EARLIER\n{line}" if earlier else line


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {shlex.quote(str(value))}"


def _constant(progress: float) -> float:
    return 1.0


def _one_cycle(progress: float) -> float:
    """Up from a twentieth within the first 15 %, then down a cosine to nothing."""
    if progress < 0.15:
        return 0.05 + 0.95 * progress / 0.15
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.15) / 0.85)


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": _constant, "one-cycle": _one_cycle}


@dataclass(frozen=True)
class TrainConfig:
    """All that a training's result follows from. Stored whole in the checkpoint's config.json."""

    network: str
    """The architecture, as `python -m fer networks` lists it."""
    init_from: str = ""
    """A checkpoint of the same layers, or of fewer or narrower ones, whose weights the training begins with (the last
    layer's only if the labels are the same too); drawn afresh if empty."""
    epochs: int = 60
    """Passes over Training."""
    batch_size: int = 128
    """Faces in one step."""
    optimizer: str = "sgd"
    """sgd (Nesterov, momentum .9), adamw, or adadelta as in Keras."""
    learning_rate: float = 0.1
    """The schedule's highest."""
    schedule: str = "one-cycle"
    """one-cycle or constant."""
    weight_decay: float = 5e-4
    """On the weights of convolutions and dense layers only."""
    label_smoothing: float = 0.1
    """Share of a label spread over all labels."""
    aux_votes_weight: float = 0.0
    """Weight of a second head that learns FER+'s votes of the training faces; it is not shipped."""
    teacher: str = ""
    """A checkpoint whose answers to the training faces are learnt beside the labels (Hinton et al. 2015), or none."""
    distill_weight: float = 0.7
    """The teacher's share in that."""
    ema_decay: float = 0.998
    """Decay of the moving average of the weights, which is what is measured and shipped; 0 for none."""
    clip_grad_norm: float = 2.0
    """Largest norm of the gradient; 0 for no limit."""
    low_res_epochs: int = 0
    """First epochs that train on faces of small_size pixels (progressive resizing), a cheap start."""
    low_res_size: int = 32
    """Side of those faces, in pixels."""
    mirror: bool = False
    """Each epoch holds every face twice, as it is and mirrored."""
    crop_size: int = SIDE
    """Side of the random crops, in pixels of a face of 48, that all epochs but the last whole_epochs train on; they
    are measured on whole faces, at the same scale."""
    full_size_epochs: int = 0
    """Last epochs that train on whole faces."""
    folds: int = 0
    """Parts of Training for out-of-fold distillation: as many teachers are trained, each on the other parts, and each
    answers for its own part over ten views; 0 for none."""
    fold_teacher: str = "compact-small"
    """The network of those teachers, which is trained by its own recipe, without degradation."""
    compile: bool = False
    """Compile the network (torch.compile): a minute's wait, then more faces a second on a GPU."""
    seed: int = 0
    """Of weights, order, dropout and augmentation."""
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
            raise ValueError(f"label_smoothing {self.label_smoothing} and ema {self.ema_decay}: expected 0 to below 1")
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

    def size(self, epoch: int) -> int:
        """Side of the faces that ``epoch``, counted from 0, trains on."""
        return self.low_res_size if epoch < self.low_res_epochs else SIDE

    def kept(self, epoch: int) -> float:
        """The share of a face's side that the crops of ``epoch``, counted from 0, keep."""
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
    settings = {"augmentation": _AUGMENTATION, **get_architecture(network).recipe, **changes}
    inner = settings.pop("augmentation")
    inner = asdict(inner) if isinstance(inner, Augmentation) else dict(inner)
    inner |= {key: settings.pop(key) for key in list(settings) if key in Augmentation.__annotations__}
    if unknown := settings.keys() - TrainConfig.__annotations__.keys():
        raise ValueError(f"no setting {', '.join(sorted(unknown))}: expected fields of TrainConfig or Augmentation")
    return TrainConfig(network, **settings, augmentation=Augmentation(**inner))
