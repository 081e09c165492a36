"""Visitors without a browser: each does to the page over HTTP what the page's own script would do for a click.

    async with came(address, page) as visitor:
        await visitor.photograph(photo)
        await visitor.act("start", "click")

`served` starts a demo of its own for them, `usage` says what it takes.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
BUSY = re.compile("busy|queue is full", re.IGNORECASE)


class Refused(Exception):
    """What the page said instead of an answer; `busy` where it asks to try again."""

    @property
    def busy(self) -> bool:
        return BUSY.search(str(self)) is not None


# ------------------------------------------------------------------------------------------------ the server


class Served(NamedTuple):
    address: str
    process: subprocess.Popen
    uploads: Path


@contextmanager
def served(nice: int = 0) -> Iterator[Served]:
    """A demo in a process of its own, at a free port, with a folder of its own for uploads; it ends by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["nice", "-n", str(nice), sys.executable, "demo.py", "--port", str(port)]
        environment = os.environ | {"GRADIO_TEMP_DIR": folder}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process)
            yield Served(address, process, Path(folder))
        finally:
            process.terminate()
            process.wait()


def _wait_for(address: str, process: subprocess.Popen) -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"the demo ended with {process.returncode} before it was there")


class Usage(NamedTuple):
    memory: float  # resident MB
    peak: float  # the most it has been
    threads: int
    files: int  # open descriptors


def usage(process: subprocess.Popen) -> Usage:
    """What the demo takes of the machine (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    resident, peak, threads = (int(re.search(rf"{key}:\s+(\d+)", status)[1]) for key in ("VmRSS", "VmHWM", "Threads"))
    return Usage(resident / 1024, peak / 1024, threads, len(os.listdir(f"/proc/{process.pid}/fd")))


# ------------------------------------------------------------------------------------------------ the page


class Page:
    """The page's own description of its components and of what happens on which event."""

    def __init__(self, config: dict):
        self.components = {one["id"]: one for one in config["components"]}
        self.events = {one["id"]: one for one in config["dependencies"]}
        self.names = {
            one["props"]["elem_id"]: key for key, one in self.components.items() if one["props"].get("elem_id")
        }
        self.tabs = {one["props"]["id"]: key for key, one in self.components.items() if one["type"] == "tabitem"}

    def at(self, component: int, happening: str) -> list[dict]:
        """The events that begin when this happens to a component, 0 being the page itself."""
        return [event for event in self.events.values() if [component, happening] in event["targets"]]

    def after(self, event: dict, worked: bool) -> list[dict]:
        """Those that follow an event which worked, or did not."""
        unwanted = "trigger_only_on_failure" if worked else "trigger_only_on_success"
        return [one for one in self.events.values() if one["trigger_after"] == event["id"] and not one[unwanted]]


async def page_of(address: str) -> Page:
    async with httpx.AsyncClient(timeout=60) as client:
        return Page((await client.get(f"{address}/config")).json())


class Visitor:
    """One open page. Its actions return once all that they set off is done, and raise Refused."""

    def __init__(self, address: str, page: Page, client: httpx.AsyncClient):
        self.page, self._client, self._api = page, client, f"{address}/gradio_api"
        self.session = uuid.uuid4().hex[:11]
        self.values = {key: one["props"].get("value") for key, one in page.components.items()}
        self._answers: dict[str, asyncio.Queue] = {}  # event's id -> its messages
        self._listening: asyncio.Task | None = None
        self.frames = 0  # of pictures that moved

    async def arrive(self) -> None:
        """Loads the page as a browser does."""
        await self._client.get(self._api.removesuffix("gradio_api"))
        await self._happen(self.page.at(0, "load"))

    async def photograph(self, file: Path) -> None:
        """Uploads a picture and has it read."""
        files = {"files": (file.name, file.read_bytes(), "image/jpeg")}
        (path,) = await self._post("upload", files=files)
        picture = self.page.names["picture"]
        self.values[picture] = {"path": path, "meta": {"_type": "gradio.FileData"}}
        await self._happen(self.page.at(picture, "change"))

    async def turn_to(self, tab: str) -> None:
        await self._happen(self.page.at(self.page.tabs[tab], "select"), {"value": tab, "selected": True})

    async def act(self, elem_id: str, happening: str, **data) -> None:
        """What happens to a component, by its `elem_id`, with the data of the event."""
        await self._happen(self.page.at(self.page.names[elem_id], happening), data or None)

    async def look(self, frame: str) -> dict:
        """Sends a frame of the Live view, a JPEG's data address, and gets what is drawn."""
        face = {"visitor": str(uuid.UUID(int=int(self.session, 16))), "frame": frame, "network": self.shown("network")}
        asked = {"data": face | {"at": time.monotonic() % 1e9, "smoothing": 0.5}, "fn_name": "look"}
        where = {"component_id": self.page.names["camera"], "session_hash": self.session}
        return await self._post("component_server/", json=asked | where)

    def fill(self, elem_id: str, value: object) -> None:
        """Puts a value into a field, without its event."""
        self.values[self.page.names[elem_id]] = value

    def shown(self, elem_id: str, key: str = "value") -> object:
        """What a component shows."""
        number = self.page.names[elem_id]
        return self.values[number] if key == "value" else self.page.components[number]["props"].get(key)

    # ---- as the page's script does it

    async def _happen(self, events: list[dict], data: dict | None = None) -> None:
        done = await asyncio.gather(*(self._run(event, data) for event in events), return_exceptions=True)
        for failed in (one for one in done if isinstance(one, BaseException)):
            raise failed

    async def _run(self, event: dict, data: dict | None = None) -> None:
        if not event["backend_fn"]:
            return
        try:
            output = await (self._queued if event["queue"] else self._at_once)(self._asked(event, data))
        except Refused:
            await self._happen(self.page.after(event, worked=False))
            raise
        self._take(event, output.get("data") or [])
        changed = [one for state in output.get("changed_state_ids") or () for one in self.page.at(state, "change")]
        await self._happen([*self.page.after(event, worked=True), *changed])

    def _asked(self, event: dict, data: dict | None) -> dict:
        inputs = [None if self._is_state(key) else self.values[key] for key in event["inputs"]]
        return {"data": inputs, "event_data": data, "fn_index": event["id"], "session_hash": self.session}

    def _is_state(self, key: int) -> bool:
        return self.page.components[key]["type"] == "state"

    def _take(self, event: dict, outputs: list) -> None:
        for key, value in zip(event["outputs"] if outputs else (), outputs, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" in value:
                    self.values[key] = value["value"]
            else:
                self.values[key] = value

    async def _at_once(self, asked: dict) -> dict:
        return await self._post("run/predict", json=asked)

    async def _queued(self, asked: dict) -> dict:
        number = (await self._post("queue/join", json=asked))["event_id"]
        messages = self._answers.setdefault(number, asyncio.Queue())
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        while True:
            message = await messages.get()
            if message["msg"] == "process_generating":
                self.frames += 1
            elif message["msg"] == "process_completed":
                del self._answers[number]
                if not message["success"]:
                    raise Refused(message["output"].get("error") or "Error")
                return message["output"]
            elif message["msg"] in ("unexpected_error", "broken"):
                raise Refused(message.get("message") or "broken off")

    async def _listen(self) -> None:
        """Hands every message of the session to whom it is for, until the server has no more."""
        try:
            async with self._client.stream("GET", f"{self._api}/queue/data?session_hash={self.session}") as lines:
                async for line in lines.aiter_lines():
                    message = json.loads(line.removeprefix("data: ")) if line else {"msg": "heartbeat"}
                    if message["msg"] == "close_stream":
                        break
                    if number := message.get("event_id"):
                        self._answers.setdefault(number, asyncio.Queue()).put_nowait(message)
            lost = None
        except httpx.HTTPError as error:
            lost = str(error) or type(error).__name__
        self._listening = None
        if lost:
            for messages in self._answers.values():
                messages.put_nowait({"msg": "broken", "message": f"connection lost: {lost}"})
        elif self._answers:  # joined while the server was closing the stream
            self._listening = asyncio.create_task(self._listen())

    async def _post(self, place: str, **content) -> dict | list:
        try:
            answer = await self._client.post(f"{self._api}/{place}", **content)
        except httpx.HTTPError as error:
            raise Refused(f"connection lost: {error!r}") from None
        if answer.is_error:
            raise Refused(f"{answer.status_code} {answer.text[:200]}")
        return answer.json()


@asynccontextmanager
async def came(address: str, page: Page) -> AsyncIterator[Visitor]:
    """A visitor who leaves at the end, as when a browser's tab is closed."""
    # The server closes what lies idle, at times just when it would be used again; a browser then asks once more.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=httpx.Timeout(900, connect=60), limits=limits) as client:
        visitor = Visitor(address, page, client)
        open_page = asyncio.create_task(_beat(client, f"{address}/gradio_api/heartbeat/{visitor.session}"))
        try:
            yield visitor
        finally:
            for task in (open_page, visitor._listening):
                if task is not None:
                    task.cancel()
            await asyncio.gather(open_page, return_exceptions=True)


async def _beat(client: httpx.AsyncClient, address: str) -> None:
    async with client.stream("GET", address) as alive:
        async for _ in alive.aiter_lines():
            pass
