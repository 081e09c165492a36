"""How fast the Live view is, and whether it stays so: headless Chromium with a camera that shows a photograph.

    python -m tests.benchmarks.live --photo PHOTO                  # half a minute each: read, empty, four visitors
    python -m tests.benchmarks.live --photo PHOTO --seconds 300    # the five minutes of the record
    python -m tests.benchmarks.live --photo ONE TWO THREE FOUR     # each of the four visitors has a face of its own

Server and browser share the machine, so the rate is given beside that of the same page whose server answers at once
that it sees nobody. Aims: 12 answers a second, .7 of the empty page's, 100 ms from camera to box, no growth of delay
or of memory (30 MB), no file; with four visitors 3 answers a second for each.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from fer.data.image_io import open_image

PORT = 7889
ROOT = Path(__file__).parent.parent.parent
EMPTY = "live.answer = lambda *_: {'size': (320, 240), 'faces': [], 'milliseconds': 0.0}; "
QUIET = "--no-sandbox --disable-gpu --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
LISTEN = """window.readings = []; document.querySelector('#camera .view').parentElement.addEventListener('reading',
  event => readings.push([performance.now() / 1000, event.detail.delay,
    event.detail.faces.map(face => face.emotion ?? 'unsure').join(' and ') || 'nobody']))"""


@contextmanager
def served(uploads: str, change: str = "") -> Iterator[subprocess.Popen]:
    program = f"from fer.app.predict import live; {change}from fer.app import page; page.main(['--port', '{PORT}'])"
    environment = os.environ | {"GRADIO_TEMP_DIR": uploads}
    server = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield server
    finally:
        server.terminate()
        server.wait()


def memory(server: subprocess.Popen) -> float:
    """Resident MB of the server."""
    (line,) = [
        line for line in Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8").splitlines() if "VmRSS" in line
    ]
    return int(line.split()[1]) / 1024


def watched(browsers: list, seconds: float, server: subprocess.Popen) -> tuple[list[list], float]:
    """The readings of each browser's visitor, (second, delay in ms, who), and the growth of memory from 20 s on."""
    pages = []
    for browser in browsers:
        page = browser.new_context(permissions=["camera"]).new_page()
        page.goto(f"http://127.0.0.1:{PORT}")
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").click()
        page.locator("#camera .pace").filter(has_text="readings").wait_for()
        page.evaluate(LISTEN)
        pages.append(page)
    time.sleep(min(20, seconds / 3))
    before = memory(server)
    time.sleep(seconds - min(20, seconds / 3))
    readings = [page.evaluate("readings") for page in pages]
    grown = memory(server) - before
    for page in pages:
        page.get_by_role("button", name="Stop").click()
        page.context.close()
    return readings, grown


def told(readings: list, seconds: float) -> str:
    delays, third = [delay for _, delay, _ in readings], max(len(readings) // 3, 1)
    first, last = statistics.median(delays[:third]), statistics.median(delays[-third:])
    return (
        f"{len(readings) / (readings[-1][0] - readings[0][0]):5.1f} a second, median delay "
        f"{statistics.median(delays):.0f} ms (first third {first:.0f}, last {last:.0f}), "
        f"seen: {', '.join(sorted({who for *_, who in readings}))}"
    )


def camera(photo: str, file: Path) -> Path:
    """A second of the photograph as a webcam shows it."""
    picture = open_image(photo)
    scale = min(640 / picture.shape[1], 480 / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1]
    frame = np.full((480, 640, 3), 128, np.uint8)
    top, left = (480 - small.shape[0]) // 2, (640 - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    file.write_bytes(cv2.imencode(".jpg", frame)[1].tobytes() * 30)
    return file


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", required=True, nargs="+", help="photographs of one face each")
    parser.add_argument("--seconds", type=float, default=30, help="of the page that reads; the others take 30")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    short = min(arguments.seconds, 30)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as manager:
        uploads = Path(folder, "uploads")
        seen = [camera(photo, Path(folder, f"{place}.mjpeg")) for place, photo in enumerate(arguments.photo)]
        flags = [[*QUIET.split(), f"--use-file-for-fake-video-capture={file}"] for file in seen]
        browsers = [manager.chromium.launch(executable_path=arguments.chromium, args=each) for each in flags]
        for name, change, visitors, seconds in (
            ("empty handler", EMPTY, browsers[:1], short),
            ("reading", "", browsers[:1], arguments.seconds),
            ("four visitors", "", (4 * browsers)[:4], short),
        ):
            with served(str(uploads), change) as server:
                readings, grown = watched(visitors, seconds, server)
            for one in readings:
                print(f"{name:14} {told(one, seconds)}", flush=True)
            left = [str(file) for file in uploads.rglob("*") if file.is_file()]
            print(f"{'':14} memory {grown:+.1f} MB, files left: {left or 'none'}", flush=True)


if __name__ == "__main__":
    main()
