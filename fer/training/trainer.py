"""Trains a network: ``python -m fer train NETWORK``.

    python -m fer train cnn                 # the report's recipe: Adadelta, 25 epochs, batches of 128, flips
    python -m fer train compact --epochs 90 # any field of TrainConfig and Augmentation is a flag
    torchrun --nproc-per-node=2 -m fer train compact    # every batch is split among the processes

The data set stays in memory as uint8 and is augmented by batches. The random numbers of an epoch depend on the seed and
the epoch alone, so a run that is killed resumes after its last finished epoch and gives the result of an unbroken one.
The best epoch is chosen on PublicTest without duplicates; this module never sees PrivateTest.
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
from fer.utils.precision import autocast, use_bf16

RESUME_FILE = "resume.pt"


class ModelWithAuxHead(nn.Module):
    """A network and, with auxiliary targets from FER+'s votes, a second linear head on the input of its last layer.

    Faces (B, 1, S, S) -> logits (B, K), and logits of the votes (B, 10) or None.
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
    """What changes in a training, and what ``resume.pt`` stores: the number format too, which is timed at the start."""

    def __init__(self, config: TrainConfig, context: DistributedContext, pixels: Tensor | None = None) -> None:
        torch.manual_seed(config.seed)
        network = _init_model(config, pixels).to(context.device).to(memory_format=torch.channels_last)
        self.model = ModelWithAuxHead(network, votes=config.aux_votes_weight > 0).to(context.device)
        self.forward = context.wrap_ddp(torch.compile(self.model) if config.compile else self.model)
        self.ema: AveragedModel | None = None
        if config.ema_decay:
            self.ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        groups = _parameter_groups(self.model, config.weight_decay)
        self.optimizer = OPTIMIZERS[config.optimizer](groups, config.learning_rate)
        self.bf16 = use_bf16(context.device)
        self.history: list[dict] = []
        self.best: dict[str, Tensor] = {}

    @property
    def eval_network(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average of the weights if there is one."""
        return self.model.network if self.ema is None else self.ema.module

    def _parts(self) -> dict:
        parts = {"model": self.model, "ema": self.ema, "optimizer": self.optimizer}
        return {name: part for name, part in parts.items() if part is not None}

    def save(self, path: Path, config: TrainConfig) -> None:
        """Writes ``resume.pt`` atomically, so that a kill at any moment leaves a complete file."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"history": self.history, "best": self.best, "config": asdict(config), "bf16": self.bf16}
        with atomic_write(path) as partial:
            torch.save(state, partial)

    def restore(self, path: Path, config: TrainConfig) -> None:
        try:
            state = torch.load(path, weights_only=True, map_location=next(self.model.parameters()).device)
            begun = dict(state["config"])
        except Exception as error:  # torch's reader raises anything on foreign bytes; it unpickles nothing but tensors
            raise ValueError(f"{path} is broken ({type(error).__name__}): --restart begins anew") from error
        if begun != asdict(config):
            changed = [key for key, value in asdict(config).items() if begun.get(key) != value]
            raise ValueError(f"{path} was begun with another {', '.join(changed)}: repeat its settings, or delete it")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.history, self.best, self.bf16 = state["history"], state["best"], state["bf16"]


def _init_model(config: TrainConfig, pixels: Tensor | None) -> FERModel:
    """The network before its first step; weight transfer calibrates batch normalisation on a batch of ``pixels``."""
    network = FERModel(config.network, label_set(config.network))
    if config.init_from and pixels is not None:
        transfer_weights(network, checkpoint.load_network(config.init_from), to_unit(pixels[: config.batch_size]))
    return network


def _parameter_groups(model: ModelWithAuxHead, decay: float) -> list[dict]:
    """Weight decay applies to weights, not to normalisation and biases."""
    parameters = list(model.parameters())
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def fit(
    config: TrainConfig, training: FaceDataset, validation: FaceDataset, folder: Path, quiet: bool = False
) -> FERModel | None:
    """Trains, or resumes a run that was stopped, and writes the best epoch to ``folder``.

    The best epoch has the highest accuracy on the faces of ``validation`` without duplicates, among epochs at full
    resolution. ``folder`` gets config.json, model.safetensors and history.csv, and holds ``resume.pt`` until the end.

    Returns:
        The best network, in eval mode; None under torchrun in all processes but the first, which alone evaluates.

    Raises:
        ValueError: ``folder`` holds a run with other settings or is not writable, FER+'s votes are missing, or all
            validation faces are duplicates of training faces.
    """
    if validation.is_duplicate.all():
        raise ValueError(
            f"all {len(validation)} validation faces are also in Training: put others into validation/<emotion>/"
        )
    if config.aux_votes_weight and training.votes is None:
        raise ValueError(
            f"aux_votes_weight is {config.aux_votes_weight}, but fer2013new.csv is not beside FER-2013: "
            "add it, or --aux-votes-weight 0"
        )
    if config.folds and training.teacher_probs is None:
        raise ValueError(f"folds is {config.folds}, but there are no soft targets: distillation.fit makes them")
    _keep_freed_memory()
    check_writable(folder)
    training = add_teacher_probs(config, training)
    with distributed_context() as context:
        state, resume_file = TrainState(config, context, training.pixels), folder / RESUME_FILE
        _check_batch_size(state.model, len(training) * (1 + config.mirror), config.batch_size, context.world_size)
        if resume_file.exists():
            state.restore(resume_file, config)
        _train(state, config, context, training, validation, resume_file, quiet)
    if not context.is_main:
        return None
    network = _save_best(state, config, len(training), validation, folder)
    resume_file.unlink(missing_ok=True)
    return network


def is_finished(folder: Path) -> bool:
    """Whether ``folder`` holds a finished training."""
    return (folder / "config.json").exists() and not (folder / RESUME_FILE).exists()


def check_writable(folder: Path) -> None:
    """Makes ``folder`` and writes to it, before the first epoch. Raises ValueError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{folder} cannot be written to ({error.strerror}): name another --out") from None


def check_same_data(folder: Path, faces: dict[str, str]) -> None:
    """Records the fingerprints of a run's data in ``folder``. Raises ValueError if the run there used other data."""
    path = folder / "faces.json"
    if path.exists() and (known := json.loads(path.read_text(encoding="utf-8"))) != faces:
        raise ValueError(f"{folder} holds a run on {known}, not {faces}: delete it, or name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(faces) + "\n")


def _train(
    state: TrainState,
    config: TrainConfig,
    context: DistributedContext,
    training: FaceDataset,
    validation: FaceDataset,
    resume_file: Path,
    quiet: bool,
) -> None:
    """Trains the remaining epochs; evaluates and saves after each."""
    faces = training.map(lambda part: part.to(context.device))
    faces = with_mirror_images(faces) if config.mirror else faces
    done, total = len(state.history) * len(faces), config.epochs * len(faces)
    hidden = quiet or not context.is_main
    with tqdm(total=total, initial=done, unit=" faces", unit_scale=True, disable=hidden, smoothing=0.05) as bar:
        for epoch in range(len(state.history), config.epochs):
            row = _train_epoch(state, config, context, epoch, faces, bar)
            if context.is_main:
                row |= eval_model(state.eval_network, validation, config.input_size(epoch))
                _keep_best(state, config, epoch, row)
                state.save(resume_file, config)
            if not hidden:
                bar.write(_epoch_line(row), file=sys.stderr)


def _train_epoch(
    state: TrainState, config: TrainConfig, context: DistributedContext, epoch: int, faces: FaceDataset, bar: tqdm
) -> dict:
    """One pass over ``faces``; the training columns of the epoch's row of the history."""
    seed = config.seed * 100_003 + epoch
    torch.manual_seed(seed + 10_007 * context.rank)  # dropout
    generator = Generator(context.device).manual_seed(seed)  # order and augmentation: the same in every process
    state.model.train()
    steps = len(_batch_sizes(len(faces), config.batch_size, context.world_size))
    sums = torch.zeros(2, device=context.device)  # loss, correct predictions
    for step, batch in enumerate(_batches(faces, config.batch_size, generator, context.world_size)):
        rate = _set_learning_rate(state.optimizer, config, (epoch + step / steps) / config.epochs)
        sums += train_step(state, config, context, batch, epoch, generator)
        if step % 10 == 9 and not bar.disable:
            loss, accuracy = (sums * context.world_size / (config.batch_size * (step + 1))).tolist()
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}")
        bar.update(len(batch))
    loss, accuracy = (context.all_reduce_sum(sums) / len(faces)).tolist()
    if not math.isfinite(loss):
        raise ValueError(f"the loss of epoch {epoch + 1} is {loss}: begin anew with a lower --learning-rate")
    return {"epoch": epoch + 1, "size": config.input_size(epoch), "lr": rate, "loss": loss, "accuracy": accuracy}


def _batches(faces: FaceDataset, size: int, generator: Generator, processes: int = 1) -> Iterator[FaceDataset]:
    order = torch.randperm(len(faces), generator=generator, device=generator.device)
    return (faces[index] for index in order.split(_batch_sizes(len(faces), size, processes)))


def _batch_sizes(faces: int, size: int, processes: int = 1) -> list[int]:
    """The number of faces in each batch of an epoch. A last batch that leaves a process fewer than two faces is merged
    into the one before: batch normalisation cannot use a single face.
    """
    full_batches, rest = divmod(faces, size)
    sizes = [size] * full_batches + ([rest] if rest else [])
    if len(sizes) > 1 and sizes[-1] < min(2 * processes, size):
        sizes[-2:] = [sum(sizes[-2:])]
    return sizes


def _check_batch_size(model: ModelWithAuxHead, faces: int, size: int, processes: int) -> None:
    """Raises ValueError where a batch gives a process a single face, which batch normalisation of vectors refuses."""
    smallest = min(_batch_sizes(faces, size, processes)) // processes
    if smallest < 2 and any(isinstance(part, nn.BatchNorm1d) for part in model.modules()):
        raise ValueError(
            f"batch_size is {size} for {faces} faces and {processes} processes: batch normalisation needs two faces "
            "in each process's share"
        )


def train_step(
    state: TrainState,
    config: TrainConfig,
    context: DistributedContext,
    batch: FaceDataset,
    epoch: int,
    generator: Generator,
) -> Tensor:
    """One step on this process's part of ``batch``: the sums of its losses and of its correct predictions, (2,).

    A face blended by mixup is correct if it is classified as the face with the larger weight.
    """
    faces, targets, votes = make_batch(config, batch, epoch, generator)
    mine = slice(context.rank, None, context.world_size)
    faces, targets, votes, labels = (part[mine] for part in (faces, targets, votes, batch.labels))
    with autocast(faces.device, state.bf16):
        logits, aux_logits = state.forward(faces)  # (B, K), (B, 10)
    loss = functional.cross_entropy(logits.float(), targets, reduction="sum")
    total = loss
    if aux_logits is not None:
        total = loss + config.aux_votes_weight * functional.cross_entropy(aux_logits.float(), votes, reduction="sum")
    state.optimizer.zero_grad()
    (total * context.world_size / len(batch)).backward()  # the processes' gradients are averaged
    if config.clip_grad_norm:
        nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_grad_norm)
    state.optimizer.step()
    if state.ema is not None:
        state.ema.update_parameters(state.model.network)
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


def _keep_best(state: TrainState, config: TrainConfig, epoch: int, row: dict) -> None:
    candidates = [old for old in state.history if old["size"] == SIDE]
    key = "public_accuracy_deduplicated"
    if config.input_size(epoch) == SIDE and all(row[key] > old[key] for old in candidates):
        state.best = copy.deepcopy(state.eval_network.state_dict())
    state.history.append(row)


def _save_best(state: TrainState, config: TrainConfig, faces: int, validation: FaceDataset, folder: Path) -> FERModel:
    """Writes the best epoch, calibrated, and the history; ``faces`` is the number of training faces."""
    recipe, name = _train_config_record(config, faces), folder.absolute().name  # by which weights/ knows it
    network = FERModel(config.network, label_set(config.network), name, train_config=recipe)
    network.load_state_dict(state.best)
    network.eval()
    alone = validation[~validation.is_duplicate]
    logits = predict_logits(network, alone.pixels)
    network.temperature = fit_temperature(logits, alone.labels)
    network.confidence_threshold = fit_rejection_threshold((logits / network.temperature).softmax(1), alone.labels)
    _write_history(state.history, config.init_from, folder)
    checkpoint.save_model(network, folder)
    return network


def _train_config_record(config: TrainConfig, faces: int) -> dict:
    """What config.json stores: the settings, the number of training faces, and the settings of a previous stage."""
    earlier = {"previous_stage": checkpoint.load_network(config.init_from).train_config} if config.init_from else {}
    return asdict(config) | {"num_train_images": faces} | earlier


def _write_history(rows: list[dict], start: str, folder: Path) -> None:
    """history.csv: the rows of the checkpoint in ``init_from``, then those of this run with epochs counted on."""
    begun = checkpoint.resolve_path(start) if start else None
    earlier = history.read_history(begun) if begun else []
    rows = earlier + [row | {"epoch": len(earlier) + row["epoch"]} for row in rows]
    history.write_rows(rows, folder / "history.csv")


def _set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, progress: float) -> float:
    rate = config.learning_rate * SCHEDULES[config.schedule](progress)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _keep_freed_memory() -> None:
    """Makes glibc keep freed memory for the next step: returning it costs a page fault for every 4 kB."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for setting, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(setting, value)
    except (OSError, AttributeError):
        pass  # not glibc: only slower


def _epoch_line(row: dict) -> str:
    public = f"{row['public_accuracy']:.4f}, without duplicates {row['public_accuracy_deduplicated']:.4f}"
    return f"epoch {row['epoch']:3}: loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}; PublicTest {public}"
