"""Slow work that shows how far it is and can be stopped, for a handler that is a generator.

for step in steps(lambda watch: reasons.of(network, face, "occlusion", watch=watch)):
    ...  # how many faces went through the network so far, several times; at last Done(what the work returned)
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from fer.app.queue import wanted

EVERY = 0.4  # seconds between two steps: what is quicker shows no progress, and nothing flickers


@dataclass(frozen=True)
class JobResult:
    """What the work returned."""

    result: Any


class _Stopped(Exception):
    pass


def run_with_progress(
    work: Callable[[Callable[[int], None]], Any], wanted: Callable[[], bool] = wanted, every: float = EVERY
) -> Iterator[int | JobResult]:
    """Runs work(watch) in a thread of its own, where `watch(count)` counts, or ends the work that nobody waits for.

    That is when the generator is closed, as when a visitor presses Stop or leaves, or as soon as `wanted()` is False;
    then no Done comes. What the work raises is raised here.
    """
    read, left = 0, threading.Event()

    def watch(count: int) -> None:
        nonlocal read
        if left.is_set():
            raise _Stopped
        read += count

    pool = ThreadPoolExecutor(1, thread_name_prefix="patience")
    try:
        future = pool.submit(work, watch)
        while not wait([future], every).done:
            if not wanted():
                return
            yield read
        yield JobResult(future.result())
    finally:
        left.set()
        pool.shutdown(wait=False)
