"""lines: how many may wait, whose turn it is, and what ends when nobody waits any more."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest

from fer.app import page as app_page
from fer.app import queue

SLOW, QUICK, ENDLESS, PATIENT = range(4)  # the events of the page


class Slow:
    """A handler that answers once the test lets it."""

    def __init__(self) -> None:
        self.begun, self.go, self.closed, self.unwanted = (threading.Event() for _ in range(4))
        self.order: list[str] = []  # sessions, as they were served

    def __call__(self, request: gr.Request) -> str:
        self.order.append(request.session_hash)
        self.begun.set()
        assert self.go.wait(20)
        return "grown"

    def endless(self) -> Iterator[str]:
        try:
            while not self.go.wait(0.01):
                yield "growing"
        finally:
            self.closed.set()

    def patient(self) -> str:
        """Work in one piece, which asks now and then whether it is wanted."""
        self.begun.set()
        while queue.wanted() and not self.go.wait(0.01):
            pass
        self.unwanted.set()
        return "done"


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go.set()


@pytest.fixture
def page(slow, tmp_path, monkeypatch) -> Iterator[SimpleNamespace]:
    """Four events: SLOW is slow, and only one of it runs at once; QUICK is quick; ENDLESS and PATIENT have no end."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks() as page:
        box = gr.Textbox()
        gr.Button().click(slow.__call__, None, box, concurrency_limit=1)
        gr.Button().click(lambda: "read", None, box)
        gr.Button().click(lambda: (yield from slow.endless()), None, box)
        gr.Button().click(lambda: slow.patient(), None, box)
    queue.bound(page.queue(max_size=queue.MOST, default_concurrency_limit=2))
    _, url, _ = app_page.launch(page, server_name="127.0.0.1", quiet=True)
    yield SimpleNamespace(
        url=url + "gradio_api/", queue=page._queue, listening=page.listening, sessions=page.app.state_holder
    )
    slow.go.set()
    page.close(verbose=False)


def join(page: SimpleNamespace, event: int, session: str) -> None:
    asked = {"data": [], "fn_index": event, "session_hash": session}
    assert httpx.post(page.url + "queue/join", json=asked).status_code == 200


def answer(page: SimpleNamespace, session: str) -> dict:
    """The last message of a session."""
    with httpx.stream("GET", f"{page.url}queue/data?session_hash={session}", timeout=20) as answer:
        for line in answer.iter_lines():
            if line and (message := json.loads(line.removeprefix("data: ")))["msg"] == "process_completed":
                return message["output"]
    raise AssertionError("no answer")


@contextmanager
def heard(page: SimpleNamespace, event: int, session: str) -> Iterator[None]:
    """Something is asked for, and somebody listens."""
    join(page, event, session)
    with httpx.stream("GET", f"{page.url}queue/data?session_hash={session}", timeout=20):
        until(lambda: session in page.listening.open)
        yield


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_one_too_many_is_told_so_at_once_and_keeps_nobody_in_another_line_waiting(page, slow, monkeypatch):
    """One runs, one waits, and a line of one is full; something else is answered all the same, and so is who waits."""
    monkeypatch.setattr(queue, "LONGEST", 1)
    with heard(page, SLOW, "runs"), ThreadPoolExecutor(1) as others:
        assert slow.begun.wait(20)
        join(page, SLOW, "waits")
        waiting = others.submit(answer, page, "waits")
        until(lambda: "waits" in page.listening.open)
        join(page, SLOW, "third")
        refused = answer(page, "third")
        assert refused["title"] == "That did not work" and refused["error"] == queue.FULL.format(1)
        join(page, QUICK, "quick")
        assert answer(page, "quick")["data"] == ["read"]
        slow.go.set()
        assert waiting.result()["data"] == ["grown"]


def test_what_nobody_listens_to_is_never_begun_and_keeps_nobody_waiting(page, slow):
    """40 of one kind, more than a line is long, each of a session of its own; then one of a visitor who listens."""
    for number in range(40):
        join(page, SLOW, f"unread{number}")
    slow.go.set()
    join(page, SLOW, "visitor")
    assert page.sessions.clients["visitor"] == "127.0.0.1"
    assert answer(page, "visitor")["data"] == ["grown"] and slow.order == ["visitor"]


def test_what_nobody_listens_to_is_forgotten_after_some_seconds(page, slow, monkeypatch):
    """With all that was kept for its session."""
    monkeypatch.setattr(queue, "UNHEARD", 0.1)
    join(page, SLOW, "unread")
    until(lambda: not len(page.queue))
    assert not page.queue.event_ids_to_events and not slow.order
    assert "unread" not in page.queue.pending_messages_per_session
    assert "unread" not in page.queue.pending_event_ids_session


def test_what_waits_too_long_is_told_so(page, slow, monkeypatch):
    monkeypatch.setattr(queue, "DEADLINE", 0.1)
    with heard(page, SLOW, "runs"):
        assert slow.begun.wait(20)
        join(page, SLOW, "waits")
        assert answer(page, "waits")["error"] == queue.LATE


@pytest.mark.parametrize("bound, sessions", [("SESSION", ["one"] * 3), ("SHARE", ["one", "two", "three"])])
def test_no_session_and_no_client_has_more_than_its_share_of_a_line(page, slow, monkeypatch, bound, sessions):
    """Of two places: the third is told that two wait, and its client is answered in other lines."""
    monkeypatch.setattr(queue, bound, 2)
    with heard(page, SLOW, "runs"), ExitStack() as stack:
        assert slow.begun.wait(20)
        for session in sessions[:2]:
            stack.enter_context(heard(page, SLOW, session))
        last = sessions[2]
        join(page, SLOW, last)
        if bound == "SHARE":
            assert answer(page, last)["error"] == queue.ENOUGH.format(2)
        until(lambda: len(page.queue) == 2)
        join(page, QUICK, "other")
        assert answer(page, "other")["data"] == ["read"]


def test_turns_go_round_among_those_who_wait(page, slow):
    """A session that has six of one kind in line leaves the second turn to another, which came last."""
    with heard(page, SLOW, "many"):
        assert slow.begun.wait(20)
        for _ in range(6):
            join(page, SLOW, "many")
        with heard(page, SLOW, "visitor"):
            slow.go.set()
            until(lambda: len(slow.order) == 8)
    assert slow.order[:3] == ["many", "visitor", "many"]


def test_what_works_for_a_visitor_ends_when_they_have_gone_away_in_the_midst_of_it(page, slow):
    """As soon as the connection that its pictures go over is closed: no cancel is ever sent."""
    join(page, ENDLESS, "visitor")
    with httpx.stream("GET", f"{page.url}queue/data?session_hash=visitor", timeout=20) as answer:
        assert any("growing" in line for line in answer.iter_lines())
    assert slow.closed.wait(20) and not slow.go.is_set()


def test_work_in_one_piece_is_told_when_nobody_waits_for_it_any_more(page, slow):
    with heard(page, PATIENT, "visitor"):
        assert slow.begun.wait(20) and not slow.unwanted.is_set()
    assert slow.unwanted.wait(20) and not slow.go.is_set()


def test_outside_of_the_page_work_is_always_wanted():
    assert queue.wanted()
