"""Distributed training: one process, or as many as torchrun starts (DistributedDataParallel)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class DistributedContext:
    """This process's device and its rank among ``world_size`` processes."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that evaluates and writes."""
        return self.rank == 0

    def wrap_ddp(self, module: Any) -> Any:
        """The module with gradients averaged over the processes in every backward pass."""
        if self.world_size == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device.index] if self.device.type == "cuda" else None)

    def barrier(self) -> None:
        """Waits until all processes are here."""
        if self.world_size > 1:
            distributed.barrier()

    def all_reduce_sum(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over all processes."""
        if self.world_size > 1:
            distributed.all_reduce(value)
        return value


@contextmanager
def distributed_context() -> Iterator[DistributedContext]:
    """Joins the process group under torchrun for as long as the block lasts; else a context of one process.

    NCCL connects GPUs, Gloo CPUs. Blocks may be nested: the outermost one joins and leaves.
    """
    cuda, rank = torch.cuda.is_available(), int(os.environ.get("RANK", 0))
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if world_size == 1 or distributed.is_initialized():
        yield DistributedContext(device, rank, world_size)
        return
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield DistributedContext(device, rank, world_size)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
