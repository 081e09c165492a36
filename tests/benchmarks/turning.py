"""How long a visitor waits for the Confusion tab: its opening, and a change of network, in headless Chromium.

    python -m tests.benchmarks.turning [--changes 12] [--address URL]

From the press of the mouse to the frame that shows the new accuracy, server and browser on this machine; beside it,
what the answer took on the server's side, and the requests that each change sent. Aim: 0.3 s. Another address, as that
of an older page, is measured for comparison.
"""

import argparse
import shutil
from contextlib import nullcontext
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, Request, sync_playwright

from fer.app.confusion import handlers as confusion_handlers
from fer.app.confusion import matrix
from fer.app.confusion.request import ConfusionRequest
from fer.models import checkpoint
from tests.benchmarks.page import QUIET, arrive, served
from tests.benchmarks.speed import milliseconds

# The first frame after a press in which the figures have the wanted text.
WATCH = """() => {
  addEventListener('pointerdown', () => { window.pressed = performance.now(); window.seen = 0; }, true);
  const look = () => {
    const figures = document.querySelector('#figures');
    if (window.pressed && !window.seen && figures?.offsetParent && figures.textContent.includes(window.wanted))
      window.seen = performance.now();
    requestAnimationFrame(look);
  };
  look();
}"""


def waited(page: Page, wanted: str, press) -> float:
    """Milliseconds from what ``press`` does with the mouse until the wanted text is seen."""
    page.evaluate("wanted => { window.wanted = wanted; window.pressed = window.seen = 0; }", wanted)
    press()
    page.wait_for_function("window.seen > 0")
    return page.evaluate("window.seen - window.pressed")


def change(page: Page, name: str, accuracy: str) -> tuple[float, int]:
    """How long the change took, and how many requests it sent until all was quiet again."""
    page.locator("#model input").click()
    option = page.get_by_role("option", name=name, exact=True)
    option.wait_for()
    sent = []

    def note(request: Request) -> None:
        sent.append(request.method)

    page.on("request", note)
    took = waited(page, accuracy, option.click)
    page.wait_for_timeout(2500)  # what follows must not meet the next change
    page.remove_listener("request", note)
    return took, sent.count("POST")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=12)
    parser.add_argument("--address", metavar="URL", help="of a page that runs already, in place of this one")
    arguments = parser.parse_args()
    networks = [checkpoint.load_meta(name) for name in checkpoint.list_checkpoints()]
    figures = {network.name: f"{network.metrics['private_test']['accuracy']:.4f}" for network in networks}
    serving = nullcontext(arguments.address) if arguments.address else served()
    with serving as address, sync_playwright() as manager:
        browser = manager.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        arrive(page, address)
        page.wait_for_timeout(3000)
        page.evaluate(WATCH)
        first, *others = figures
        tab = page.get_by_role("tab", name="Confusion", exact=True)
        print(f"opening the tab: {waited(page, figures[first], tab.click):.0f} ms")
        page.wait_for_timeout(3000)
        names = islice(cycle([*others, first]), arguments.changes)
        took, sent = zip(*(change(page, name, figures[name]) for name in names), strict=True)
        browser.close()
    told = ", ".join(f"{time:.0f}" for time in sorted(took))
    print(f"a change of network: median {median(took):.0f} ms of {len(took)} ({told}); {median(sent):.0f} requests")
    request = ConfusionRequest(first, "PrivateTest", matrix.COUNTS)
    server = milliseconds(lambda: confusion_handlers.render(request, None, Path(checkpoint.WEIGHTS)), 10)
    print(f"of which the answer took {server:.0f} ms on the server's side")


if __name__ == "__main__":
    main()
