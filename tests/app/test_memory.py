"""thrift: what was freed goes back."""

import ctypes
import platform
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer.app import memory


def resident() -> int:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 // 10**6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that keeps what was freed")
def test_what_a_thread_has_freed_is_given_back():
    """Of 100 MB in blocks of 50 kB, of which every twentieth is still in use, at least 50."""
    kept: list[bytes] = []

    def work() -> None:
        kept.extend([b"x" * 50_000 for _ in range(2000)][::20])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    before = resident()
    assert memory.give_back() is True
    assert before - resident() > 50


def test_where_the_library_cannot_be_asked_nothing_is_done_and_the_thread_ends(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert memory.give_back() is None
    memory._go_on()
