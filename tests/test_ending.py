"""ending: how the page ends, and what it leaves behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from pages import network_that_says, write_face

from fer.tabs import ending

# As `python demo.py`, but an ascent computes for ever, which no thread of Python can be kept from.
PROGRAM = """import sys, threading
import demo
from fer.tabs import growing
def grow(asked, weights):
    print("growing", flush=True)
    threading.Event().wait()
    yield
growing.grow = grow
demo.main(["--port", sys.argv[1]])"""


@pytest.fixture
def started(tmp_path) -> Iterator[SimpleNamespace]:
    """A page in a process of its own, with a visitor's upload."""
    network_that_says("happy", tmp_path / "weights" / "compact")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uploads = tmp_path / "uploads"
    environment = {
        "FER_WEIGHTS": str(tmp_path / "weights"),
        "GRADIO_TEMP_DIR": str(uploads),
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)], cwd=Path(__file__).parent.parent, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "Running on local URL" in process.stdout.readline(), process.stderr.read()
        yield SimpleNamespace(process=process, api=f"http://127.0.0.1:{port}/gradio_api/", uploads=uploads)
    finally:
        process.kill()
        process.communicate()


def test_it_ends_cleanly_while_an_ascent_computes_and_a_visitor_waits_for_it(started, tmp_path):
    """With status 0, no trace, and no upload left; the thread that computes is not waited for."""
    with httpx.Client(base_url=started.api, timeout=20) as visitor:
        visitor.post("upload", files={"files": write_face(tmp_path / "face.png").read_bytes()})
        assert [path for path in started.uploads.rglob("*") if path.is_file()]
        event = visitor.post("call/ascend", json={"data": ["compact", "dense_1", "0", 8, 0]}).json()["event_id"]
        with visitor.stream("GET", f"call/ascend/{event}") as answer:
            assert answer.status_code == 200
            assert "growing\n" in iter(started.process.stdout.readline, "")
            started.process.send_signal(signal.SIGTERM)
            assert started.process.wait(20) == 0
    assert "Traceback" not in started.process.stderr.read()
    assert not [path for path in started.uploads.rglob("*") if path.is_file()]


def test_what_a_killed_page_left_is_deleted_at_the_next_start_and_what_another_page_uses_is_not(tmp_path):
    """1,201 seconds old, 1,199, and two hours ahead, by a clock that was set back meanwhile."""
    for name, written in (("old", 10_000 - 1201), ("new", 10_000 - 1199), ("ahead", 10_000 + 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "face.png").touch()
        os.utime(tmp_path / name / "face.png", (written, written))
    ending.forget(tmp_path, 10_000)
    assert [path.parent.name for path in tmp_path.rglob("*.png")] == ["new"]


def test_a_folder_that_the_user_has_named_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "mine.png").touch()
    os.utime(tmp_path / "mine.png", (0, 0))
    assert ending.own_uploads() == tmp_path and (tmp_path / "mine.png").exists()


def test_uploads_go_to_a_folder_of_ours_and_not_to_that_of_all_gradio_programs(tmp_path, monkeypatch):
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    monkeypatch.setattr(ending.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = ending.own_uploads()
    assert folder.parent == tmp_path and folder.name.startswith("fer-demo") and os.environ["GRADIO_TEMP_DIR"]
    monkeypatch.undo()
