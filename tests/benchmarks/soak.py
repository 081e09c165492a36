"""Whether the page stays as it is: visitors at a low rate for an hour, one after another.

    python -m tests.benchmarks.soak --minutes 60 [--every 12] [--nice 10] [--photo PHOTO]

Every twelve seconds somebody opens the page, looks at all of its tabs and at a few frames of the Live view, and leaves,
one in four in the midst of an ascent. Every minute says what the demo takes; at the end stand the medians of the
second third and of the last one. (The first third fills what is bounded: caches, and the states of 100 visitors.)
Aims: none fails, threads and open files stay the same, and memory grows by less than 5 %.
"""

import argparse
import asyncio
import base64
import io
import itertools
import statistics
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from tests.benchmarks.load import PHOTO
from tests.benchmarks.visitors import Page, Refused, Served, Usage, Visitor, came, page_of, served, usage

AT_ONCE = 4  # visits; where the machine is too slow for the rate, some are left out


async def visit(server: Served, page: Page, photo: Path, frame: str, number: int, outcomes: Counter) -> None:
    """One visit; every fourth ends while filters grow."""
    async with came(server.address, page) as visitor:
        visitor.fill("seed", number)  # not out of the atlas
        visitor.fill("which", "0-3")
        for act in (
            visitor.arrive(),
            visitor.photograph(photo),
            visitor.turn_to("Saliency"),
            visitor.turn_to("Activations"),
            visitor.act("matrix", "choice", index=number % 49),
            visitor.turn_to("Confusion"),
            visitor.turn_to("Networks"),
            _camera(visitor, frame),
            _cut_short(visitor) if number % 4 == 0 else visitor.act("start", "click"),
        ):
            await _counted(act, outcomes)


async def _camera(visitor: Visitor, frame: str) -> None:
    for _ in range(5):
        await visitor.look(frame)


async def _cut_short(visitor: Visitor) -> None:
    """Goes away once the first picture has moved."""
    visitor.fill("which", "0-63")
    climbing = asyncio.create_task(visitor.act("start", "click"))
    before = visitor.frames
    while visitor.frames < before + 2 and not climbing.done():
        await asyncio.sleep(0.1)
    climbing.cancel()


async def _counted(act, outcomes: Counter) -> None:
    try:
        await act
        outcomes["answered"] += 1
    except Refused as refused:
        outcomes["busy" if refused.busy else f"failed: {refused}"] += 1


def data_address(photo: Path) -> str:
    """The photograph as a frame of the Live view."""
    image = Image.open(photo).convert("RGB")
    image.thumbnail((320, 320))
    image.save(stream := io.BytesIO(), "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


async def soak(server: Served, minutes: float, every: float, photo: Path) -> tuple[list[Usage], Counter]:
    """What the demo took at each minute, and what became of all that was asked of it."""
    page, frame, outcomes, found = await page_of(server.address), data_address(photo), Counter(), []
    began, visits = time.monotonic(), set()
    print(f"{'minute':>6} {'visits':>6} {'memory':>7} {'threads':>7} {'files':>5} {'uploads':>7}", flush=True)
    for number in itertools.count():
        passed = (time.monotonic() - began) / 60
        if passed >= len(found):
            found.append(usage(server.process))
            memory, _, threads, files = found[-1]
            uploads = sum(path.is_file() for path in server.uploads.rglob("*"))
            print(f"{passed:6.1f} {number:6} {memory:7.0f} {threads:7} {files:5} {uploads:7}", flush=True)
        if passed >= minutes:
            break
        if len(visits) < AT_ONCE:
            visits.add(task := asyncio.create_task(visit(server, page, photo, frame, number, outcomes)))
            task.add_done_callback(visits.discard)
        else:
            outcomes["left out"] += 1
        await asyncio.sleep(every)
    await asyncio.gather(*visits)
    return found, outcomes


def told(found: list[Usage], outcomes: Counter) -> str:
    third = max(1, len(found) // 3)
    rows = zip(*found, strict=True)
    parts = [(statistics.median(row[-2 * third : -third or None]), statistics.median(row[-third:])) for row in rows]
    (memory, _, threads, files), words = parts, ", ".join(f"{count} {what}" for what, count in outcomes.items())
    return (
        f"second and last third: memory {memory[0]:.0f} and {memory[1]:.0f} MB, threads {threads[0]:.0f} and "
        f"{threads[1]:.0f}, open files {files[0]:.0f} and {files[1]:.0f}; peak {found[-1].peak:.0f} MB\n{words}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=12, help="seconds between two visits")
    parser.add_argument("--nice", type=int, default=10, help="of the demo")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    arguments = parser.parse_args()
    with served(arguments.nice) as server:
        found, outcomes = asyncio.run(soak(server, arguments.minutes, arguments.every, arguments.photo))
        print(told(found, outcomes))
    if any(what.startswith("failed") for what in outcomes):
        raise SystemExit("some failed")


if __name__ == "__main__":
    main()
