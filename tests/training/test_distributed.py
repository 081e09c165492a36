"""Distributed training: several processes learn what one learns."""

import itertools
import os
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Generator, multiprocessing, nn

from fer.data import dataset
from fer.training import trainer
from fer.training.config import default_config
from fer.training.distributed import DistributedContext, distributed_context
from fer.utils.precision import _seconds, autocast, bf16_is_faster


def one_of_two(rank: int, port: int, out: Path) -> None:
    """The three steps as process ``rank`` of two."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    three_steps(out)


def three_steps(out: Path) -> None:
    """Three steps of dnn without dropout, in float32; the main process writes the weights."""
    config = default_config(
        "dnn", aux_votes_weight=1.0, optimizer="sgd", learning_rate=0.05, degrees=10.0, erase_prob=0.5, mixup_alpha=0.2
    )
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (30, 48, 48), dtype=torch.uint8, generator=generator)
    votes = torch.randint(0, 10, (30, 10), dtype=torch.uint8, generator=generator)
    batch = dataset.FaceDataset(pixels, torch.arange(30) % 7, votes, torch.zeros(30).bool())
    with (
        distributed_context() as context,
        patch.object(trainer, "autocast", lambda *_: nullcontext()),
    ):  # bfloat16 rounds with the batch
        state = trainer.TrainState(config, context)
        for layer in state.model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        sums = [
            trainer.train_step(state, config, context, batch, 0, Generator().manual_seed(step)) for step in range(3)
        ]
        totals = [context.all_reduce_sum(value).tolist() for value in sums]
        if context.is_main:
            torch.save({"weights": state.eval_network.state_dict(), "totals": totals}, out)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_take_the_steps_of_one(tmp_path: Path):
    """After three steps on the same batches of 30, weights agree to a millionth, and so do loss and right answers."""
    three_steps(tmp_path / "one.pt")
    multiprocessing.spawn(one_of_two, (free_port(), tmp_path / "two.pt"), nprocs=2)
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt"))
    start = trainer.TrainState(
        default_config("dnn", aux_votes_weight=1.0), DistributedContext(torch.device("cpu"))
    ).eval_network.state_dict()
    for key, value in one["weights"].items():
        assert torch.allclose(value, two["weights"][key], atol=1e-6)
    assert not torch.allclose(one["weights"]["dense_4.weight"], start["dense_4.weight"], atol=1e-5)
    assert torch.allclose(torch.tensor(one["totals"]), torch.tensor(two["totals"]), rtol=1e-5)


def test_torchrun_trains_and_one_process_writes(folder_data: Path, tmp_path: Path):
    """Two processes, one folder: two teachers, a history of two epochs, and one JSON value on standard output."""
    flags = ["--data", str(folder_data), "--out", str(tmp_path), "--epochs", "2", "--batch-size", "32", "--json"]
    flags += ["--folds", "2", "--fold-teacher", "dnn"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*launcher, "-m", "fer", "train", "dnn", *flags], check=True, capture_output=True, text=True, env=environment
    )
    assert run.stdout.count('"accuracy"') == 1
    assert len((tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert len(list((tmp_path / "teachers").glob("?/soft_targets.npz"))) == 2
    assert not (tmp_path / trainer.RESUME_FILE).exists()


def test_the_choice_of_precision_draws_no_random_number_and_may_be_made_where_nothing_learns():
    """A seed gives the same weights whichever processor chooses; a network's first use may be a reading."""
    bf16_is_faster.cache_clear()
    torch.manual_seed(0)
    with torch.inference_mode(), autocast(torch.device("cpu")):
        drawn = torch.rand(())
    torch.manual_seed(0)
    assert drawn == torch.rand(())


def test_the_choice_of_precision_is_not_that_of_a_busy_moment(monkeypatch: pytest.MonkeyPatch):
    """A run that goes on would compute otherwise than it began; here every reading of the clock takes a second."""
    monkeypatch.setattr(time, "perf_counter", itertools.count().__next__)
    assert _seconds(torch.float32) < 1
