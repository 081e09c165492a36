"""How the page ends: within five seconds of SIGTERM or Ctrl+C, and with nothing of its visitors left on the disk.

own_uploads()    gives uploads a folder of ours, before the page is built, and empties it of what a killed page left
listen()         from when on SIGTERM and Ctrl+C are heard, before the page answers its first visitor
wait(page, told) until the page is told to end; does not return
"""

import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

import gradio as gr
from gradio.tunneling import CURRENT_TUNNELS

try:
    import fcntl
except ImportError:  # Windows: then a folder counts as in use
    fcntl = None

KEPT = 1200  # seconds for which an upload may lie there: twice `delete_cache` of demo.py
BROKEN = 45  # seconds after which a part of an upload, to which nothing was added, is of one that broke off
EVERY = 10  # seconds between two looks for them
GRACE = 1  # seconds for answers that are under way
LIMIT = 4  # seconds for all of the closing
WORK = "work"  # where in the folder of uploads other files go that are written meanwhile
_PART = re.compile(r"tmp[a-z0-9_]{8}")  # as Gradio names an upload that is still coming


def own_uploads() -> Path:
    """The folder that uploads go to: one of ours in `$GRADIO_TEMP_DIR`, by default in that of temporary files.

    Gradio deletes what it remembers, and a page that was killed remembers nothing. What lies in our folder while no
    page uses it is deleted at once; while another page does, what is older than `KEPT` seconds.
    """
    ours = f"fer-demo-{getattr(os, 'getuid', int)()}"
    named = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()).absolute()
    folder = named if named.name == ours else named / ours
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _alone_in(folder):
        empty(folder)
    else:
        forget(folder, time.time())
    (folder / WORK).mkdir(exist_ok=True)
    threading.Thread(target=_sweep, args=[folder], name="uploads", daemon=True).start()
    return folder


_locks: dict[Path, int] = {}  # folders held open, whose lock says that this process uses them


def _alone_in(folder: Path) -> bool:
    """Whether no other process uses the folder; from now on this one does."""
    if fcntl is None:
        return False
    if folder not in _locks:
        _locks[folder] = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(_locks[folder], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        fcntl.flock(_locks[folder], fcntl.LOCK_SH)


def empty(folder: Path) -> None:
    """Deletes all that lies in it."""
    for path in list(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    while folder.exists():
        discard_parts(folder, time.time())
        time.sleep(EVERY)


def discard_parts(folder: Path, now: float) -> None:
    """Deletes parts of uploads that nothing was added to for `BROKEN` seconds."""
    for file in [path for path in folder.iterdir() if _PART.fullmatch(path.name) and path.is_file()]:
        try:
            if not 0 <= now - file.stat().st_mtime <= BROKEN:
                file.unlink()
        except FileNotFoundError:
            continue  # it has come to its end meanwhile


def forget(folder: Path, now: float) -> None:
    """Deletes what was written more than `KEPT` seconds before `now`, or, by a clock that was set back, after it."""
    for file in (path for path in folder.rglob("*") if path.is_file() or path.is_symlink()):
        if not 0 <= now - file.lstat().st_mtime <= KEPT:
            file.unlink(missing_ok=True)


def listen() -> threading.Event:
    """What SIGTERM or SIGINT sets from now on, in place of ending the process; call in the main thread."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    return told


def wait(page: gr.Blocks, told: threading.Event) -> NoReturn:
    """Until ``told`` is set; then answers under way get a second, and the process ends with 0.

    A thread in the midst of an ascent cannot be stopped, and Python would wait for it; it writes nothing, and so is
    left alone.
    """
    while not told.wait(1):  # in parts, as Windows hears no signal in a wait without an end
        pass
    closing = threading.Thread(target=_close, args=[page], daemon=True)
    closing.start()
    closing.join(LIMIT)
    for folder in _locks:
        if _alone_in(folder):
            empty(folder)
    os._exit(0)


def _close(page: gr.Blocks) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a trace for every answer that is broken off
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # and those that Gradio prints itself
    page.server.config.timeout_graceful_shutdown = GRACE
    page.close(verbose=False)
    for tunnel in CURRENT_TUNNELS:
        tunnel.kill()
