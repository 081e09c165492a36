"""Makes the README's pictures of the page: a photograph of every tab, with the happy example as the face.

    python -m tests.benchmarks.page [--dark]

Needs Playwright and a Chromium, as the browser tests do. They go to tests/pictures/, as JPEGs of 1,100 pixels.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).resolve().parent.parent / "pictures"
TABS = ("Predict", "Saliency", "Activations", "Filters", "Confusion", "Networks")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def served() -> Iterator[str]:
    """The page in a process of its own, at a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "demo.py", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def arrive(page: Page, address: str) -> None:
    """Opens the page as soon as it is there, and chooses the happy example."""
    for _ in range(200):
        try:
            urllib.request.urlopen(address, timeout=5)
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    page.goto(address)
    page.locator("#examples [data-choice]", has_text="happy").click()
    page.locator("#answer", has_text="Happy").wait_for()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    scheme = "dark" if parser.parse_args().dark else "light"
    with served() as address, sync_playwright() as manager:
        browser = manager.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page(viewport={"width": 1100, "height": 820}, color_scheme=scheme)
        arrive(page, address)
        for tab in TABS:
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(7000)  # the page is never idle: pictures and scores follow one another
            page.screenshot(path=PICTURES / f"page-{tab.lower()}.jpg", quality=82)
        browser.close()


if __name__ == "__main__":
    main()
