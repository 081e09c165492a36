"""Who trains one network together, and how exactly: one process or as many as torchrun starts, and their numbers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class DistributedContext:
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
def distributed_context() -> Iterator[DistributedContext]:
    """The team that this process belongs to: under torchrun joined for as long as the block lasts, else a team of one.

    NCCL connects GPUs, Gloo CPUs. Blocks may be nested: the outermost one joins and leaves.
    """
    cuda, rank, size = torch.cuda.is_available(), int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if size == 1 or distributed.is_initialized():
        yield DistributedContext(device, rank, size)
        return
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield DistributedContext(device, rank, size)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
