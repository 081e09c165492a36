"""lines: how many may wait, and what ends when nobody waits any more."""

import json
import threading
from collections.abc import Iterator

import gradio as gr
import httpx
import pytest

import demo
from fer.tabs import lines


class Slow:
    """A handler that answers once the test lets it."""

    def __init__(self) -> None:
        self.begun, self.go, self.closed = (threading.Event() for _ in range(3))

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(20)
        return "grown"


def page_of(slow: Slow) -> gr.Blocks:
    """A page of three events: 0 is slow, and only one of it runs at once; 1 is quick; 2 has no end."""

    def endless() -> Iterator[str]:
        try:
            while not slow.go.wait(0.01):
                yield "growing"
        finally:
            slow.closed.set()

    with gr.Blocks() as page:
        box = gr.Textbox()
        gr.Button().click(lambda: slow(), None, box, concurrency_limit=1)
        gr.Button().click(lambda: "read", None, box)
        gr.Button().click(endless, None, box)
    return lines.bound(page.queue(max_size=lines.MOST, default_concurrency_limit=2))


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go.set()


@pytest.fixture
def page(slow, tmp_path, monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = page_of(slow)
    _, url, _ = demo.launch(page, server_name="127.0.0.1", quiet=True)
    yield url + "gradio_api/"
    slow.go.set()
    page.close(verbose=False)


def join(url: str, event: int, session: str) -> None:
    asked = {"data": [], "fn_index": event, "session_hash": session}
    assert httpx.post(url + "queue/join", json=asked).status_code == 200


def answer(url: str, session: str) -> dict:
    """The last message of a session."""
    with httpx.stream("GET", f"{url}queue/data?session_hash={session}", timeout=20) as answer:
        for line in answer.iter_lines():
            if line and (message := json.loads(line.removeprefix("data: ")))["msg"] == "process_completed":
                return message
    raise AssertionError("no answer")


def test_one_too_many_is_told_so_at_once_and_keeps_nobody_in_another_line_waiting(page, slow, monkeypatch):
    """One runs, one waits, and a line of one is full; something else is answered all the same, and so is who waits."""
    monkeypatch.setattr(lines, "LONGEST", 1)
    join(page, 0, "runs")
    assert slow.begun.wait(20)
    join(page, 0, "waits")
    join(page, 0, "third")
    refused = answer(page, "third")
    assert not refused["success"] and refused["output"]["title"] == "That did not work"
    assert refused["output"]["error"] == lines.FULL.format(1) and "try again" in refused["output"]["error"]
    join(page, 1, "quick")
    assert answer(page, "quick")["output"]["data"] == ["read"]
    slow.go.set()
    assert answer(page, "waits")["output"]["data"] == ["grown"]


def test_what_works_for_a_visitor_ends_when_they_have_gone_away_in_the_midst_of_it(page, slow):
    """As soon as the connection that its pictures go over is closed: no cancel is ever sent."""
    join(page, 2, "visitor")
    with httpx.stream("GET", f"{page}queue/data?session_hash=visitor", timeout=20) as answer:
        assert any("growing" in line for line in answer.iter_lines())
    assert slow.closed.wait(20) and not slow.go.is_set()
