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

from fer.app import lifecycle
from tests.pages import network_that_says, write_face

ROOT = Path(__file__).parents[2]
# As `python demo.py`, but an ascent computes for ever, which no thread of Python can be kept from.
PROGRAM = """import sys, threading
from fer.app import page as app_page
from fer.app.filters import job
def run(request, weights):
    print("growing", flush=True)
    threading.Event().wait()
    yield
job.run = run
app_page.main(["--port", sys.argv[1]])"""


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
        [sys.executable, "-c", PROGRAM, str(port)], cwd=ROOT, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "Running on local URL" in process.stdout.readline(), process.stderr.read()
        yield SimpleNamespace(process=process, api=f"http://127.0.0.1:{port}/gradio_api/", uploads=uploads)
    finally:
        process.kill()
        process.communicate()


def broken_off_upload(api: str) -> socket.socket:
    """A connection over which a part of an upload has come, and over which no more comes."""
    address = httpx.URL(api)
    line = socket.create_connection((address.host, address.port))
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.host}\r\nContent-Length: 9999\r\n"
    part = 'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; name="files"; '
    line.sendall((head + part + 'filename="a.png"\r\n\r\nxxx').encode())
    return line


def test_it_ends_cleanly_while_an_ascent_computes_and_a_visitor_waits_for_it(started, tmp_path):
    """With status 0, no trace, and no upload left; the thread that computes is not waited for."""
    with httpx.Client(base_url=started.api, timeout=20) as visitor:
        visitor.post("upload", files={"files": write_face(tmp_path / "face.png").read_bytes()})
        assert [path for path in started.uploads.rglob("*") if path.is_file()]
        event = visitor.post("call/ascend", json={"data": ["compact", "dense_1", "0", 8, 0]}).json()["event_id"]
        with visitor.stream("GET", f"call/ascend/{event}") as answer:
            assert answer.status_code == 200
            assert "growing\n" in iter(started.process.stdout.readline, "")
            broken_off_upload(started.api)
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
    lifecycle.forget(tmp_path, 10_000)
    assert [path.parent.name for path in tmp_path.rglob("*.png")] == ["new"]


def own_folder(monkeypatch, named: Path) -> Path:
    """The folder of ours in the one that GRADIO_TEMP_DIR names, as a page that starts finds it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(named))
    for opened in lifecycle._locks.values():
        os.close(opened)
    monkeypatch.setattr(lifecycle, "_locks", {})
    return lifecycle.own_uploads()


def test_uploads_go_to_a_folder_of_ours_in_the_one_that_the_user_has_named_and_that_is_left_as_it_is(
    tmp_path, monkeypatch
):
    """Named again, by a page that another one starts, it is the same folder."""
    (tmp_path / "tmpabcd1234").touch()
    os.utime(tmp_path / "tmpabcd1234", (0, 0))
    folder = own_folder(monkeypatch, tmp_path)
    assert folder.parent == tmp_path and os.environ["GRADIO_TEMP_DIR"] == str(folder)
    assert lifecycle.own_uploads() == folder and (tmp_path / "tmpabcd1234").exists()


@pytest.mark.parametrize("named", [None, ""])
def test_where_none_is_named_they_go_to_one_that_no_other_gradio_program_uses(tmp_path, monkeypatch, named):
    """An empty name is none."""
    monkeypatch.setattr(lifecycle, "_locks", {})
    monkeypatch.setenv("GRADIO_TEMP_DIR", "kept, so that it is put back")
    monkeypatch.delenv("GRADIO_TEMP_DIR") if named is None else monkeypatch.setenv("GRADIO_TEMP_DIR", named)
    monkeypatch.setattr(lifecycle.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = lifecycle.own_uploads()
    assert folder.parent == tmp_path and folder.name.startswith("fer-demo")
    assert os.environ["GRADIO_TEMP_DIR"] == str(folder)


def test_what_a_killed_page_left_is_deleted_at_the_next_start_unless_another_page_is_there(tmp_path, monkeypatch):
    """A part of an upload, an upload, a film half written; the other page holds a lock that ends with its process."""
    folder = own_folder(monkeypatch, tmp_path)
    left = [folder / "tmpabcd1234", folder / "sha" / "face.png", folder / lifecycle.WORK / "tmp1" / "film.mp4"]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    own_folder(monkeypatch, tmp_path)
    assert not any(file.exists() for file in left) or not lifecycle.fcntl
    left[0].touch()
    ready, program = "there", "from fer.app import lifecycle; lifecycle.own_uploads(); print('there'); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline().strip() == ready
        left[0].touch()
        own_folder(monkeypatch, tmp_path)
        assert left[0].exists()
        other.kill()


def test_a_part_to_which_nothing_is_added_for_45_seconds_is_deleted(tmp_path):
    """44 is not enough; other files are left alone."""
    for name, written in (("tmpabcd1234", 954), ("tmpabcd5678", 956), ("face.png", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (written, written))
    lifecycle.discard_parts(tmp_path, 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.png", "tmpabcd5678"]
