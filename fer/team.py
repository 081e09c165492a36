"""Who trains one network together, and how exactly: one process or as many as torchrun starts, and their numbers."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """This process's place among ``size`` processes, and the device it works on."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one process that measures and writes."""
        return self.rank == 0

    def share(self, module: nn.Module) -> nn.Module:
        """The module as the team trains it: every backward pass averages the processes' gradients."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device.index] if self.device.type == "cuda" else None)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def total(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value


@contextmanager
def assembled() -> Iterator[Team]:
    """The team that this process belongs to: under torchrun joined for as long as the block lasts, else a team of one.

    NCCL connects GPUs, Gloo CPUs. Blocks may be nested: the outermost one joins and leaves.
    """
    cuda, rank, size = torch.cuda.is_available(), int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if size == 1 or distributed.is_initialized():
        yield Team(device, rank, size)
        return
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Team(device, rank, size)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def precision(device: torch.device, same: bool = False) -> torch.autocast:
    """bfloat16 where this machine computes faster in it, else float32.

    same: only where what comes out of a face is the same whatever others are in the batch, as with AMX.
    """
    fast = torch.cpu._is_amx_tile_supported() if same else halves_pay()
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or fast)


@cache
def halves_pay() -> bool:
    """Whether this processor convolves faster in bfloat16 than in float32.

    With AMX it does; by AVX512's instructions alone some take half the time (AMD's) and some longer than in float32,
    so that those are timed, once a process. The two lie far apart, so that every process finds the same.
    """
    if torch.cpu._is_amx_tile_supported() or not torch.cpu._is_avx512_bf16_supported():
        return torch.cpu._is_amx_tile_supported()
    kinds = (torch.bfloat16, torch.float32)
    times = [[_seconds(kind) for kind in kinds] for _ in range(3)]  # in turns, as a processor's speed changes
    halves, whole = map(min, zip(*times, strict=True))
    return halves < 0.85 * whole


@torch.inference_mode(False)
@torch.enable_grad()
def _seconds(kind: torch.dtype, repeats: int = 5) -> float:
    """The shortest time that this thread works on a convolution, forward and back, whatever others do meanwhile.

    It draws no random number, as a training counts them.
    """
    faces = torch.ones(16, 64, 24, 24).to(kind, memory_format=torch.channels_last)
    weight = torch.ones(64, 64, 3, 3).to(kind, memory_format=torch.channels_last).requires_grad_()
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        functional.conv2d(faces, weight, padding=1).sum().backward()
        times.append(time.thread_time() - began)
    return min(times)
