"""The one computation that a ZeroGPU Space runs on its GPU; anywhere else these do nothing.

    @on_gpu(duration=lambda asked, weights: 20)
    def climb(asked, weights):
        chain = load_network(weights, asked.network)
        frames = ascend(placed(chain), ...)

A Space lends its GPU by the call: Hugging Face's `spaces` forks the server, runs the generator there and sends back
what it yields. What is decorated must therefore take and give only what can be pickled, on the CPU.
"""

import copy
import os
from collections.abc import Callable
from typing import TypeVar

from torch import nn

Work = TypeVar("Work", bound=Callable)
Module = TypeVar("Module", bound=nn.Module)


def on_gpu(duration: Callable[..., int]) -> Callable[[Work], Work]:
    """Lends the GPU for at most so many seconds, counted from the call's own arguments."""
    if not _lent():
        return lambda work: work
    import spaces  # Hugging Face's own, there and nowhere else

    return spaces.GPU(duration=duration)


def placed(network: Module) -> Module:
    """The network itself, or within a lent GPU a copy that lies on it."""
    return copy.deepcopy(network).to("cuda") if _lent() else network


def _lent() -> bool:
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true")
