"""How the page ends: within five seconds of SIGTERM or Ctrl+C, and with nothing of its visitors left on the disk.

own_uploads()    gives uploads a folder of ours, before the page is built, and empties it of what a killed page left
listen()         from when on SIGTERM and Ctrl+C are heard, before the page answers its first visitor
wait(page, told) until the page is told to end; does not return
"""

import logging
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

import gradio as gr
from gradio.tunneling import CURRENT_TUNNELS

KEPT = 1200  # seconds for which an upload may lie there: twice `delete_cache` of demo.py
GRACE = 1  # seconds for answers that are under way
LIMIT = 4  # seconds for all of the closing


def own_uploads() -> Path:
    """The folder that uploads go to: `$GRADIO_TEMP_DIR`, or one of ours, not that of all Gradio programs.

    Gradio deletes what it remembers, and a page that was killed remembers nothing.
    """
    ours = Path(tempfile.gettempdir(), f"fer-demo-{getattr(os, 'getuid', int)()}")
    folder = Path(os.environ.setdefault("GRADIO_TEMP_DIR", str(ours)))
    if folder == ours:
        forget(folder, time.time())
    return folder


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
    told.wait()
    closing = threading.Thread(target=_close, args=[page], daemon=True)
    closing.start()
    closing.join(LIMIT)
    os._exit(0)


def _close(page: gr.Blocks) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a trace for every answer that is broken off
    page.server.config.timeout_graceful_shutdown = GRACE
    page.close(verbose=False)
    for tunnel in CURRENT_TUNNELS:
        tunnel.kill()
