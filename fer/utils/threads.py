"""How many threads torch and OpenCV use, put back afterwards; and processes that are forked after a model was loaded.

A forked child has none of its parent's threads. torch (OpenMP) would wait for them for ever in its first larger
operation, OpenCV when its number of threads is next set.
"""

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch and, where it is imported, for OpenCV; as before when the block is left, however it is.

    The numbers belong to the calling thread (torch) and to the process (OpenCV).
    """
    cv2, before = _opencv(), torch.get_num_threads()
    opencv = cv2.getNumThreads() if cv2 else 0
    torch.set_num_threads(1)
    if cv2:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if cv2:
            cv2.setNumThreads(opencv)


@functools.cache
def allow_fork() -> None:
    """From now on, children of ``os.fork`` can compute: torch on one thread, as in a DataLoader's workers.

    Covers multiprocessing's "fork", Celery, and ``gunicorn --preload``. Gradients after a fork remain torch's own
    restriction: autograd refuses them in a child whose parent computed some on a GPU.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(before=_stop_opencv, after_in_parent=_resume_opencv, after_in_child=_in_child)


_opencv_threads: list[int] = []


def _stop_opencv() -> None:
    """Ends OpenCV's worker threads, so that a child has no pool that it would wait for."""
    if cv2 := _opencv():
        _opencv_threads.append(cv2.getNumThreads())
        cv2.setNumThreads(1)


def _resume_opencv() -> None:
    if _opencv_threads:
        _opencv().setNumThreads(_opencv_threads.pop())


def _in_child() -> None:
    _resume_opencv()
    torch.set_num_threads(1)


def _opencv():
    cv2 = sys.modules.get("cv2")
    return cv2 if hasattr(cv2, "setNumThreads") else None  # it may be half imported, by another thread
