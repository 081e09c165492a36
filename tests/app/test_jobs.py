"""patience: work that tells how far it is, and that ends when nobody waits for it any more."""

import threading

import pytest

from fer.app.jobs import JobResult, run_with_progress


class Work:
    """Reads a face whenever the test lets it; knows whether it came to its end."""

    def __init__(self, faces: int = 1000) -> None:
        self.faces, self.turn, self.over = faces, threading.Semaphore(0), threading.Event()
        self.whole = False

    def __call__(self, watch) -> str:
        try:
            for _ in range(self.faces):
                watch(1)
                assert self.turn.acquire(timeout=20)
            self.whole = True
            return "map"
        finally:
            self.over.set()


def test_quick_work_shows_no_progress():
    """Nothing but its result."""
    assert list(run_with_progress(lambda watch: "map", every=20)) == [JobResult("map")]


def test_slow_work_tells_how_many_faces_it_has_read():
    """One, then two, then the result."""
    work = Work(faces=2)
    found = run_with_progress(work, every=0.01)
    assert next(found) in (0, 1)
    work.turn.release()
    assert next(step for step in found if step == 2) == 2
    work.turn.release()
    assert [step for step in found if isinstance(step, JobResult)] == [JobResult("map")]


def test_work_ends_when_its_generator_is_closed():
    """At its next face."""
    work = Work()
    found = run_with_progress(work, every=0.01)
    next(found)
    found.close()
    work.turn.release()
    assert work.over.wait(20) and not work.whole


def test_work_ends_as_soon_as_something_else_is_wanted():
    """Without a result."""
    work, wanted = Work(), [True, True, False]
    found = list(run_with_progress(work, lambda: wanted.pop(0), every=0.01))
    work.turn.release()
    assert len(found) == 2 and work.over.wait(20) and not work.whole


def test_what_the_work_raises_is_raised():
    with pytest.raises(ValueError, match="no such layer"):
        list(run_with_progress(lambda watch: (_ for _ in ()).throw(ValueError("no such layer"))))
