"""Trains a network: ``python -m fer train NETWORK``.

    python -m fer train cnn                 # the report's recipe: Adadelta, 25 epochs, batches of 128, flips
    python -m fer train compact --epochs 90 # any field of TrainConfig and Augmentation is a flag
    torchrun --nproc-per-node=2 -m fer train compact    # every batch is shared out among the processes

The whole set stays in memory as bytes and is augmented by the batch. An epoch's random numbers follow from the seed
and the epoch alone, so a run that is killed goes on from its last finished epoch to the result of an unbroken one.
Epochs are chosen on PublicTest without duplicates; PrivateTest is never handed to this module.
"""

import copy
import ctypes
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from fer.data.dataset import FaceDataset, to_unit, with_mirror_images
from fer.data.ferplus import VOTES
from fer.evaluation.calibration import fit_rejection_threshold, fit_temperature
from fer.evaluation.inference import predict_logits
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.models.layers import SIDE
from fer.models.registry import label_set
from fer.training import history
from fer.training.config import OPTIMIZERS, SCHEDULES, TrainConfig
from fer.training.distributed import DistributedContext, distributed_context
from fer.training.targets import add_teacher_probs, make_batch
from fer.training.weight_transfer import transfer_weights
from fer.utils.io import atomic_write, write_text
from fer.utils.precision import autocast

RESUME_FILE = "resume.pt"


# ------------------------------------------------------------------------------------------------ one run


class ModelWithAuxHead(nn.Module):
    """A network and, where FER+'s votes teach it too, a second head on what its last layer sees.

    Faces (B, 1, S, S) -> logits (B, K) and those of the votes (B, 10), or None.
    """

    def __init__(self, network: FERModel, votes: bool) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(network[-1].in_features, len(VOTES)) if votes else None

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor | None]:
        features = faces
        for layer in self.network[:-1]:
            features = layer(features)  # (B, F) in the end
        return self.network[-1](features), None if self.head is None else self.head(features)


class TrainState:
    """What changes while a network trains, and what has to be kept to go on after a stop."""

    def __init__(self, config: TrainConfig, team: DistributedContext, pixels: Tensor | None = None) -> None:
        torch.manual_seed(config.seed)
        network = _init_model(config, pixels).to(team.device, memory_format=torch.channels_last)
        self.learner = ModelWithAuxHead(network, votes=config.aux_votes_weight > 0).to(team.device)
        self.forward = team.share(torch.compile(self.learner) if config.compile else self.learner)
        self.average = None
        if config.ema_decay:
            self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        groups = _groups(self.learner, config.weight_decay)
        self.optimizer = OPTIMIZERS[config.optimizer](groups, config.learning_rate)
        self.history: list[dict] = []
        self.best: dict[str, Tensor] = {}

    @property
    def measured(self) -> nn.Module:
        """The network that is measured and shipped."""
        return self.learner.network if self.average is None else self.average.module

    def _parts(self) -> dict:
        parts = {"learner": self.learner, "average": self.average, "optimizer": self.optimizer}
        return {name: part for name, part in parts.items() if part is not None}

    def save(self, path: Path, config: TrainConfig) -> None:
        """Written beside and moved into place, so that a kill at any moment leaves a whole file."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"history": self.history, "best": self.best, "config": asdict(config)}
        with atomic_write(path) as partial:
            torch.save(state, partial)

    def restore(self, path: Path, config: TrainConfig) -> None:
        try:
            state = torch.load(path, weights_only=True, map_location=next(self.learner.parameters()).device)
            begun = dict(state["config"])
        except Exception as error:  # torch's reader raises anything on foreign bytes; it unpickles nothing but tensors
            raise ValueError(f"{path} is broken ({type(error).__name__}): --restart begins anew") from error
        if begun != asdict(config):
            changed = [key for key, value in asdict(config).items() if begun.get(key) != value]
            raise ValueError(f"{path} was begun with another {', '.join(changed)}: repeat its settings, or delete it")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.history, self.best = state["history"], state["best"]


def _init_model(config: TrainConfig, pixels: Tensor | None) -> FERModel:
    """The network before its first step, in training mode; one that inherits sees a batch of ``pixels`` for that."""
    network = FERModel(config.network, label_set(config.network))
    if config.init_from:
        transfer_weights(network, checkpoint.load_model(config.init_from), to_unit(pixels[: config.batch_size]))
    return network


def _groups(learner: ModelWithAuxHead, decay: float) -> list[dict]:
    """Weights decay; norms and biases do not."""
    parameters = list(learner.parameters())
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


# ------------------------------------------------------------------------------------------------ the loop


def fit(
    config: TrainConfig, training: FaceDataset, validation: FaceDataset, folder: Path, quiet: bool = False
) -> FERModel | None:
    """Trains, or goes on with a run that was stopped, and writes the best epoch to ``folder``.

    The best epoch is the one with the highest accuracy on the faces of ``validation`` without a duplicate, among those
    trained on whole faces. ``folder`` gets config.json, model.safetensors and history.csv; while the run is under way
    it holds ``resume.pt``. Under torchrun only the first process measures and writes; the others return None.

    Raises:
        ValueError: ``folder`` holds a run begun with other settings, FER+'s votes are wanted and not there, or no face
            of ``validation`` is without a duplicate, or ``folder`` cannot be written to.
    """
    if validation.is_duplicate.all():
        raise ValueError(
            f"all {len(validation)} faces to choose on are in Training as well: put others into validation/<emotion>/"
        )
    if config.aux_votes_weight and training.votes is None:
        raise ValueError(
            f"aux_votes_weight is {config.aux_votes_weight}, but fer2013new.csv is not beside FER-2013: "
            "add it, or --aux-votes-weight 0"
        )
    if config.folds and training.teacher_probs is None:
        raise ValueError(f"folds is {config.folds}, but there are no soft targets: distillation.fit makes them")
    _keep_memory()
    check_writable(folder)
    training = add_teacher_probs(config, training)
    with distributed_context() as team:
        run, state = TrainState(config, team, training.pixels), folder / RESUME_FILE
        _check_batches(run.learner, len(training) * (1 + config.mirror), config.batch_size, team.size)
        if state.exists():
            run.restore(state, config)
        _train(run, config, team, training, validation, state, quiet)
    if not team.leads:
        return None
    network = _finish(run, config, len(training), validation, folder)
    state.unlink(missing_ok=True)
    return network


def is_finished(folder: Path) -> bool:
    """Whether ``folder`` holds a training that has come to its end."""
    return (folder / "config.json").exists() and not (folder / RESUME_FILE).exists()


def check_writable(folder: Path) -> None:
    """Makes ``folder`` and writes to it, before the first epoch. Raises ValueError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{folder} cannot be written to ({error.strerror}): name another --out") from None


def claim(folder: Path, faces: dict[str, str]) -> None:
    """Notes in ``folder`` which faces its run is of, by their fingerprints, or stops where it is of others."""
    path = folder / "faces.json"
    if path.exists() and (known := json.loads(path.read_text())) != faces:
        raise ValueError(f"{folder} holds a run on {known}, not {faces}: delete it, or name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(faces) + "\n")


def _train(
    run: TrainState,
    config: TrainConfig,
    team: DistributedContext,
    training: FaceDataset,
    validation: FaceDataset,
    state: Path,
    quiet: bool,
) -> None:
    """The epochs that are left, each measured and kept."""
    faces = FaceDataset(*(None if part is None else part.to(team.device) for part in vars(training).values()))
    faces = with_mirror_images(faces) if config.mirror else faces
    done, total = len(run.history) * len(faces), config.epochs * len(faces)
    hidden = quiet or not team.leads
    with tqdm(total=total, initial=done, unit=" faces", unit_scale=True, disable=hidden, smoothing=0.05) as bar:
        for epoch in range(len(run.history), config.epochs):
            row = _train_epoch(run, config, team, epoch, faces, bar)
            if team.leads:
                row |= eval_model(run.measured, validation, config.size(epoch))
                _keep_best(run, config, epoch, row)
                run.save(state, config)
            if not hidden:
                bar.write(_line(row), file=sys.stderr)


def _train_epoch(
    run: TrainState, config: TrainConfig, team: DistributedContext, epoch: int, faces: FaceDataset, bar: tqdm
) -> dict:
    """One pass over ``faces``; the epoch's row of the history, as far as training goes."""
    seed = config.seed * 100_003 + epoch
    torch.manual_seed(seed + 10_007 * team.rank)  # dropout
    generator = Generator(team.device).manual_seed(seed)  # order and augmentation: the same in every process
    run.learner.train()
    steps = len(_batch_sizes(len(faces), config.batch_size, team.size))
    sums = torch.zeros(2, device=team.device)  # loss, right answers
    for step, batch in enumerate(_batches(faces, config.batch_size, generator, team.size)):
        rate = _set_rate(run.optimizer, config, (epoch + step / steps) / config.epochs)
        sums += train_step(run, config, team, batch, epoch, generator)
        if step % 10 == 9 and not bar.disable:
            loss, accuracy = (sums * team.size / (config.batch_size * (step + 1))).tolist()
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}")
        bar.update(len(batch))
    loss, accuracy = (team.total(sums) / len(faces)).tolist()
    if not math.isfinite(loss):
        raise ValueError(f"the loss of epoch {epoch + 1} is {loss}: begin anew with a lower --learning-rate")
    return {"epoch": epoch + 1, "size": config.size(epoch), "lr": rate, "loss": loss, "accuracy": accuracy}


def _batches(faces: FaceDataset, size: int, generator: Generator, processes: int = 1) -> Iterator[FaceDataset]:
    order = torch.randperm(len(faces), generator=generator, device=generator.device)
    return (faces[index] for index in order.split(_batch_sizes(len(faces), size, processes)))


def _batch_sizes(faces: int, size: int, processes: int = 1) -> list[int]:
    """How many faces each batch of an epoch has. A last one that would give a process fewer than two faces is added to
    the one before it: batch normalisation has no variance of a single face.
    """
    whole_batches, rest = divmod(faces, size)
    sizes = [size] * whole_batches + ([rest] if rest else [])
    if len(sizes) > 1 and sizes[-1] < min(2 * processes, size):
        sizes[-2:] = [sum(sizes[-2:])]
    return sizes


def _check_batches(learner: ModelWithAuxHead, faces: int, size: int, processes: int) -> None:
    """Raises ValueError where a batch gives a process a single face, which batch normalisation of vectors refuses."""
    smallest = min(_batch_sizes(faces, size, processes)) // processes
    if smallest < 2 and any(isinstance(part, nn.BatchNorm1d) for part in learner.modules()):
        raise ValueError(
            f"batch_size is {size} for {faces} faces and {processes} processes: batch normalisation needs two faces "
            "in each process's share"
        )


def train_step(
    run: TrainState, config: TrainConfig, team: DistributedContext, batch: FaceDataset, epoch: int, generator: Generator
) -> Tensor:
    """One step on this process's share of ``batch``: the sum of its losses, and of its right answers, (2,).

    A blended face counts as right if it is read as the one that has the larger share in it.
    """
    faces, targets, votes = make_batch(config, batch, epoch, generator)
    mine = slice(team.rank, None, team.size)
    faces, targets, votes, labels = (part[mine] for part in (faces, targets, votes, batch.labels))
    with autocast(faces.device):
        logits, guesses = run.forward(faces)  # (B, K), (B, 10)
    loss = functional.cross_entropy(logits.float(), targets, reduction="sum")
    total = loss
    if guesses is not None:
        total = loss + config.aux_votes_weight * functional.cross_entropy(guesses.float(), votes, reduction="sum")
    run.optimizer.zero_grad()
    (total * team.size / len(batch)).backward()  # the processes' gradients are averaged
    if config.clip_grad_norm:
        nn.utils.clip_grad_norm_(run.learner.parameters(), config.clip_grad_norm)
    run.optimizer.step()
    if run.average is not None:
        run.average.update_parameters(run.learner.network)
    return torch.stack([loss.detach(), (logits.argmax(1) == labels).sum()])


def eval_model(network: nn.Module, faces: FaceDataset, size: int = SIDE) -> dict:
    """Loss and accuracy on ``faces``, and accuracy on those without a duplicate."""
    logits = predict_logits(network, faces.pixels, size)
    right = logits.argmax(1) == faces.labels
    return {
        "public_loss": functional.cross_entropy(logits, faces.labels).item(),
        "public_accuracy": right.float().mean().item(),
        "public_accuracy_deduplicated": right[~faces.is_duplicate].float().mean().item(),
    }


def _keep_best(run: TrainState, config: TrainConfig, epoch: int, row: dict) -> None:
    candidates = [old for old in run.history if old["size"] == SIDE]
    key = "public_accuracy_deduplicated"
    if config.size(epoch) == SIDE and all(row[key] > old[key] for old in candidates):
        run.best = copy.deepcopy(run.measured.state_dict())
    run.history.append(row)


def _finish(run: TrainState, config: TrainConfig, faces: int, validation: FaceDataset, folder: Path) -> FERModel:
    """Writes the best epoch, calibrated, and the history; ``faces`` is how many were trained on."""
    recipe, name = _whole_recipe(config, faces), folder.absolute().name  # by which weights/ knows it
    network = FERModel(config.network, label_set(config.network), name, train_config=recipe)
    network.load_state_dict(run.best)
    network.eval()
    alone = validation[~validation.is_duplicate]
    logits = predict_logits(network, alone.pixels)
    network.temperature = fit_temperature(logits, alone.labels)
    network.confidence_threshold = fit_rejection_threshold((logits / network.temperature).softmax(1), alone.labels)
    _write_history(run.history, config.init_from, folder)
    checkpoint.save_model(network, folder)
    return network


def _whole_recipe(config: TrainConfig, faces: int) -> dict:
    """The settings, how many faces they were put to, and those of the checkpoint that the training began with."""
    earlier = {"previous_stage": checkpoint.load_model(config.init_from).train_config} if config.init_from else {}
    return asdict(config) | {"num_train_images": faces} | earlier


def _write_history(rows: list[dict], start: str, folder: Path) -> None:
    """history.csv of this run, below that of the checkpoint it began with, whose epochs it goes on counting."""
    begun = checkpoint.resolve_path(start) if start else None
    earlier = history.read_history(begun) if begun else []
    rows = earlier + [row | {"epoch": len(earlier) + row["epoch"]} for row in rows]
    history.write_rows(rows, folder / "history.csv")


def _set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, progress: float) -> float:
    rate = config.learning_rate * SCHEDULES[config.schedule](progress)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _keep_memory() -> None:
    """Has glibc keep freed memory for the next step: to give it back costs a page fault for every 4 kB of a layer."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for setting, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(setting, value)
    except (OSError, AttributeError):
        pass  # not glibc: only slower


def _line(row: dict) -> str:
    public = f"{row['public_accuracy']:.4f}, without duplicates {row['public_accuracy_deduplicated']:.4f}"
    return f"epoch {row['epoch']:3}: loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}; PublicTest {public}"
