"""Whether the page holds up: fifty visitors at once, and one photograph while somebody's filters grow.

    python -m tests.benchmarks.load [--visitors 50] [--photo PHOTO]

Every visitor opens the page, has a photograph read, its answer explained, sixteen filters grown and a cell of the
confusion matrix opened, all against a demo in a process of its own. Who is told to try again does so, up to ten times.
Aims: none fails; the photograph takes less than two seconds.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks.visitors import ROOT, Page, Refused, Served, Usage, Visitor, came, page_of, served, usage

PHOTO = ROOT / "fer" / "data" / "assets" / "examples" / "happy.png"
TRIES = 10
ACTS: dict[str, Callable[[Visitor, Path], Awaitable]] = {
    "arrive": lambda visitor, photo: visitor.arrive(),
    "predict": lambda visitor, photo: visitor.photograph(photo),
    "saliency": lambda visitor, photo: visitor.turn_to("Saliency"),
    "ascent": lambda visitor, photo: visitor.act("start", "click"),
    "matrix": lambda visitor, photo: visitor.act("matrix", "choice", index=3),
}


class Record:
    """What became of every act."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)  # of those that were answered
        self.outcomes: dict[str, Counter] = defaultdict(Counter)
        self.words: Counter = Counter()  # what the page said instead of an answer

    async def of(self, act: str, work: Callable[[], Awaitable]) -> None:
        """Does it, and again where the page is busy; the time is that of the try that was answered."""
        for _ in range(TRIES):
            began = time.perf_counter()
            try:
                await work()
            except Refused as refused:
                self.words[str(refused)[:120]] += 1
                self.outcomes[act]["busy" if refused.busy else "failed"] += 1
                if not refused.busy:
                    return
                await asyncio.sleep(2)
            else:
                self.seconds[act].append(time.perf_counter() - began)
                self.outcomes[act]["answered"] += 1
                return
        self.outcomes[act]["gave up"] += 1

    def told(self) -> str:
        lines = [f"{'':9}{'answered':>9}{'busy':>6}{'gave up':>9}{'failed':>8}{'p50':>8}{'p95':>8}"]
        for act, outcomes in self.outcomes.items():
            counts = "".join(f"{outcomes[key]:{width}}" for key, width in zip(KINDS, (9, 6, 9, 8), strict=True))
            lines.append(f"{act:9}{counts}{_at(self.seconds[act], 50):7.2f}s{_at(self.seconds[act], 95):7.2f}s")
        return "\n".join([*lines, *(f"{count:4} times: {words}" for words, count in self.words.most_common())])


KINDS = ("answered", "busy", "gave up", "failed")


def _at(values: list[float], percent: int) -> float:
    """A percentile."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def visit(address: str, page: Page, photo: Path, record: Record) -> None:
    async with came(address, page) as visitor:
        visitor.fill("which", "0-15")
        for act, do in ACTS.items():
            await record.of(act, lambda do=do: do(visitor, photo))


async def crowd(server: Served, visitors: int, photo: Path) -> tuple[Record, Usage]:
    """All of them at once; what became of their acts, and the most that the demo took."""
    record, page, most = Record(), await page_of(server.address), [usage(server.process)]
    watching = asyncio.create_task(_watch(server, most))
    await asyncio.gather(*(visit(server.address, page, photo, record) for _ in range(visitors)))
    watching.cancel()
    return record, Usage(*map(max, zip(*most, strict=True)))


async def _watch(server: Served, found: list[Usage]) -> None:
    while True:
        found.append(usage(server.process))
        await asyncio.sleep(0.5)


async def alone(server: Served, photo: Path, growing: bool, times: int = 10) -> list[float]:
    """How long one visitor's photographs take, while another one's filters grow or not."""
    page = await page_of(server.address)
    async with came(server.address, page) as climber, came(server.address, page) as visitor:
        await visitor.photograph(photo)
        climber.fill("which", "0-63")
        climber.fill("steps", 128)
        climbing = asyncio.create_task(climber.act("start", "click")) if growing else None
        while growing and not climber.frames:
            await asyncio.sleep(0.1)
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            await visitor.photograph(photo)
            taken.append(time.perf_counter() - began)
        if climbing and climbing.done():
            raise SystemExit("the ascent was over before the photographs were: let it take more steps")
        if climbing:
            await climber.act("stop", "click")
            climbing.cancel()
    return taken


async def run(visitors: int, photo: Path) -> int:
    with served() as server:
        before = usage(server.process)
        for words, growing in (("alone", False), ("while an ascent runs", True)):
            taken = await alone(server, photo, growing)
            print(
                f"a photograph {words}: median {statistics.median(taken):.2f} s, at most {max(taken):.2f} s", flush=True
            )
        began = time.perf_counter()
        record, most = await crowd(server, visitors, photo)
        print(f"{visitors} visitors in {time.perf_counter() - began:.0f} s:\n{record.told()}")
        print(
            f"memory {before.memory:.0f} MB before, {most.peak:.0f} at most, {usage(server.process).memory:.0f} after; "
            f"threads {before.threads} before, {most.threads} at most; open files {most.files} at most"
        )
    return sum(outcomes["failed"] for outcomes in record.outcomes.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--photo", type=Path, default=PHOTO)
    arguments = parser.parse_args()
    if failed := asyncio.run(run(arguments.visitors, arguments.photo)):
        raise SystemExit(f"{failed} failed")


if __name__ == "__main__":
    main()
