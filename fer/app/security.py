"""What a request to the page may be. One parser decides, before anything reads the body; the rest is refused.

Secured(app, hosts)    ASGI middleware around everything else, Gradio's own middleware included
own_hosts(...)         the names that the page answers to

Refused are: headers that two readers could take differently (twice, or of an odd form), hosts that are not ours (DNS
rebinding), POSTs of other sites' pages, bodies that are too long or no plain JSON, web addresses in the place of
files, which Gradio would fetch for anybody, and Gradio's routes that this page has no use for.
"""

import asyncio
import ipaddress
import json
import logging
import os
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from gradio import utils
from starlette.requests import ClientDisconnect

from fer.app.clients import client_of

log = logging.getLogger(__name__)

UPLOAD = 17_000_000  # bytes: one file of `max_file_size`, and its frame
OTHER = 2_000_000  # of values and pictures of the camera
FREE = 1_000_000_000  # bytes that uploads leave free on the disk
DEPTH = 64  # of JSON
HASH = re.compile(r"[\w-]{1,64}")  # a session's
ADDRESS_LINE = 4096  # bytes of a path and its query
IDLE, WHOLE = 20, 300  # seconds for the next part of a body, and for all of it
UPLOADS = 8  # that one client sends at a time

LARGE = "This is too large: uploads have 16 MB at most, all other requests 2 MB."
UNKNOWN = "Requests must say how long they are, by Content-Length."
FULL = "The page is busy and has no room for uploads just now. Please try again in twenty minutes."
WEB_ADDRESS = "A picture must be uploaded; its web address is not enough."

_ONCE = {
    "content-type", "content-length", "content-encoding", "transfer-encoding", "host", "origin", "sec-fetch-site",
}  # fmt: skip
_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_MULTIPART = re.compile(
    r"multipart/form-data\s*;\s*boundary=(\"[\w'()+,./:=? -]{1,70}\"|[\w'+./-]{1,70})", re.IGNORECASE
)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?", re.IGNORECASE)
_SCHEME = re.compile(r"\s*(?!file:|data:)[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # one letter is a drive of Windows
_FETCH = re.compile(r"/(file[=/]\s*[a-z][a-z0-9+.-]+:|proxy=)", re.IGNORECASE)
_CLOSED = re.compile(
    r"/(gradio_api/)?(deep_link|monitoring|login|token|vibe-[a-z-]+|undo-vibe-edit|run-history|runs|profiling|dev|"
    r"process_recording)(/|$)"
)
_POSTED = re.compile(r"/gradio_api/(call|queue/join|run|api|component_server|upload|cancel|reset|mcp)(/|$)")

RULES = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's own scripts and templates need both
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
HUB = "https://huggingface.co https://*.hf.space"  # a Space's page has its header from there, and is framed by it


def policy(on_space: bool) -> str:
    """The Content-Security-Policy: a page loads from its own host alone."""
    rules = {name: f"{what} {HUB}" if on_space and "'none'" not in what else what for name, what in RULES.items()}
    rules["frame-ancestors"] = f"'self' {HUB}" if on_space else "'self'"
    return "; ".join(f"{name} {what}" for name, what in rules.items())


class Refused(Exception):
    """A request that is not taken: its status and the sentence of the answer."""

    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status, self.words = status, words


# ------------------------------------------------------------------------------------------------ hosts


@dataclass
class Hosts:
    """The names that the page answers to; a name may be added while it runs."""

    names: set[str]
    addresses: bool = False  # every IP address: it listens on all, and an address cannot be rebound as a name can
    every: bool = False  # no check at all, which has to be asked for

    def own(self, name: str) -> bool:
        return self.every or name in self.names or (self.addresses and _is_address(name))

    def add(self, name: str) -> None:
        self.names.add(_plain(name))


def own_hosts(listens_on: str, allowed: Iterable[str] = ()) -> Hosts:
    """Loopback, the name or address listened on, the Space's own, and those that the user allows; "*" is every host."""
    names = {"localhost", "127.0.0.1", "::1", listens_on, *os.environ.get("SPACE_HOST", "").split(","), *allowed}
    everywhere = listens_on in ("", "0.0.0.0", "::", "[::]")
    if everywhere:
        machine = socket.gethostname()
        names |= {machine, f"{machine.partition('.')[0]}.local"}
    plain = {_plain(name) for name in names} - {""}
    return Hosts(plain, addresses=everywhere, every="*" in plain)


def _plain(name: str) -> str:
    return name.strip().strip("[]").rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------------ the head


@dataclass(frozen=True)
class Head:
    """A request as everything that comes after will read it."""

    method: str
    path: str  # without the prefix of a proxy
    length: int  # bytes of the body
    upload: bool
    own_origin: bool  # no page of another site has sent it, as far as its headers tell


def head_of(scope: dict, hosts: Hosts) -> Head:
    """Reads a request's head. Raises Refused for one that could be read in two ways, or is not for us."""
    headers = _headers(scope)
    method, path = scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))
    if method not in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
        raise Refused(405, f"The method {method[:20]} has no use here.")
    host = _host(headers.get("host", ""), hosts)
    _check_target(path, scope.get("query_string", b""))
    length = _length(method, headers)
    upload = method == "POST" and path.rstrip("/") == "/gradio_api/upload"
    own_origin = _own_origin(headers, host, hosts)
    if method in ("POST", "DELETE"):
        if not own_origin:
            raise Refused(403, "Pages of other sites may send nothing here.")
        if not _POSTED.match(path):
            raise Refused(404, "There is nothing of this name here.")
    if method == "POST":
        _check_content(headers, length, upload)
    return Head(method, path, length, upload, own_origin)


def _headers(scope: dict) -> dict[str, str]:
    """By name. Those that decide what the body is, and whose request it is, may come once at most."""
    count = Counter(name.decode("latin-1").lower() for name, _ in scope["headers"])
    if twice := [name for name in sorted(_ONCE) if count[name] > 1]:
        raise Refused(400, f"The header {twice[0]} is there twice.")
    return {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in scope["headers"]}


def _host(value: str, hosts: Hosts) -> str:
    found = _HOST.fullmatch(value)
    name = _plain(found[1]) if found else ""
    if not name or not hosts.own(name):
        raise Refused(400, "This page does not answer to that host name; `--allow-host NAME` makes it.")
    return name


def _own_origin(headers: dict[str, str], host: str, hosts: Hosts) -> bool:
    """Whether the page that sent it, if a page did, is ours."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none").lower() != "cross-site"
    try:
        name = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return name == host or (not hosts.every and hosts.own(name))


def _check_target(path: str, query: bytes) -> None:
    """The path and the query: what Gradio would fetch, what is closed, and what is too long."""
    if len(path) + len(query) > ADDRESS_LINE:
        raise Refused(414, "This address is too long.")
    if _FETCH.search(path):
        raise Refused(400, "This page hands on no files of other addresses.")
    asked = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if _CLOSED.match(path) or any(name == "deep_link" for name, _ in asked):
        raise Refused(404, "There is nothing of this name here.")
    named = [value for name, value in asked if name in ("session_hash", "upload_id", "event_id")]
    if (found := re.match(r"/gradio_api/(heartbeat|stream)/([^/]*)", path)) is not None:
        named.append(found[2])
    if not all(HASH.fullmatch(value) for value in named):
        raise Refused(400, "A session's name has 1 to 64 letters, digits and hyphens.")


def _length(method: str, headers: dict[str, str]) -> int:
    """Bytes of the body, as Content-Length has it; no other way of telling is taken."""
    told = headers.get("content-length")
    if "transfer-encoding" in headers:
        raise Refused(411 if told is None else 400, UNKNOWN)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(400, "A body must be sent as it is, not compressed.")
    if told is None and method != "POST":
        return 0
    if told is None or not re.fullmatch(r"[0-9]{1,15}", told):
        raise Refused(411, UNKNOWN)
    if int(told) and method != "POST":
        raise Refused(400, f"A {method} has no body.")
    return int(told)


def _check_content(headers: dict[str, str], length: int, upload: bool) -> None:
    """The content type that the path asks for, and no other; and the length."""
    kind = headers.get("content-type", "")
    if not (_MULTIPART if upload else _JSON).fullmatch(kind):
        right = "multipart/form-data with its boundary" if upload else "application/json in UTF-8"
        raise Refused(400, f"The content type must be {right}.")
    if length > (UPLOAD if upload else OTHER):
        raise Refused(413, LARGE)
    if upload and _free() < FREE:
        raise Refused(507, FULL)


def _free() -> int:
    """Bytes that are free where uploads go, or would go once their folder is made."""
    folder = Path(utils.get_upload_folder()).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


# ------------------------------------------------------------------------------------------------ the body


def check_json(body: bytes) -> object:
    """The values of a body, all of it read as Gradio will read it. Raises Refused for what is no plain JSON.

    That is: UTF-8 without a mark, no name twice in an object, no NaN, and no deeper than `DEPTH`. No file may be named
    by a web address, and no session by more than 64 characters.
    """
    try:
        values = json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(400, "This is no JSON, or JSON of an unusual form.") from None
    _check_depth(values)
    return values


def _object(pairs: list[tuple[str, object]]) -> dict:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        raise Refused(400, "A name is there twice in one object.")
    if _SCHEME.match(str(entry.get("path", ""))):
        raise Refused(400, WEB_ADDRESS)
    session = entry.get("session_hash")
    if session is not None and not (isinstance(session, str) and HASH.fullmatch(session)):
        raise Refused(400, "A session's name has 1 to 64 letters, digits and hyphens.")
    return entry


def _no_number(word: str) -> None:
    raise ValueError(word)


def _check_depth(values: object) -> None:
    level = [values]
    for _ in range(DEPTH):
        level = [
            part
            for entry in level
            if isinstance(entry, dict | list)
            for part in (entry.values() if isinstance(entry, dict) else entry)
        ]
        if not level:
            return
    raise Refused(400, f"This is nested deeper than {DEPTH} levels.")


class _Body:
    """What is received, within its time: a body that stops coming, or comes for ever, is broken off."""

    def __init__(self, receive: Callable[[], Awaitable[dict]]):
        self.receive, self.ends, self.whole = receive, time.monotonic() + WHOLE, False

    async def __call__(self) -> dict:
        if self.whole:
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), min(IDLE, max(self.ends - time.monotonic(), 0.001)))
        except TimeoutError:
            return {"type": "http.disconnect"}
        self.whole = not message.get("more_body", False)
        return message

    async def read(self, length: int) -> bytes:
        """All of it. Raises Refused where it is not as long as was said."""
        parts: list[bytes] = []
        while not self.whole:
            message = await self()
            if message["type"] != "http.request":
                raise Refused(408, "The request broke off.")
            parts.append(message.get("body", b""))
        body = b"".join(parts)
        if len(body) != length:
            raise Refused(400, "The body is not as long as Content-Length says.")
        return body


# ------------------------------------------------------------------------------------------------ the middleware


@dataclass
class Secured:
    """ASGI middleware: refuses what `head_of` and `check_json` refuse, and adds the headers to every answer."""

    app: Callable
    hosts: Hosts
    told_session: Callable[[str, str], None] = lambda session, client: None  # of every session in a body of JSON
    uploading: Counter[str] = field(default_factory=Counter)  # uploads under way, by client

    def __post_init__(self):
        self.headers = [
            (b"content-security-policy", policy("SPACE_ID" in os.environ).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})  # the page uses none
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            head = head_of(scope, self.hosts)
            await self._handle(scope, head, receive, self._strictly(send, head.own_origin))
        except Refused as refused:
            await answer(self._strictly(send, False), refused.status, {"detail": refused.words})

    async def _handle(self, scope: dict, head: Head, receive: Callable, send: Callable) -> None:
        if head.method != "POST":
            return await self.app(scope, receive, send)
        client, body = client_of(scope), _Body(receive)
        if head.upload:
            return await self._upload(scope, client, body, send)
        content = await body.read(head.length)
        values = check_json(content)
        if isinstance(values, dict) and (session := values.get("session_hash")):
            self.told_session(session, client)
        pending = [{"type": "http.request", "body": content, "more_body": False}]

        async def replay():
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    async def _upload(self, scope: dict, client: str, body: _Body, send: Callable) -> None:
        if self.uploading[client] >= UPLOADS:
            raise Refused(429, f"{UPLOADS} uploads at a time are the most. Please wait for one of them.")
        self.uploading[client] += 1
        try:
            await self.app(scope, body, send)
        except ClientDisconnect:
            log.info("An upload broke off")
        finally:
            self.uploading[client] -= 1
            self.uploading += Counter()  # drops those at 0

    def _strictly(self, send: Callable, own_origin: bool) -> Callable:
        """Adds the headers; takes Gradio's leave for other sites to read an answer back."""

        async def strictly(message):
            if message["type"] == "http.response.start":
                kept = [
                    (name, value)
                    for name, value in message.get("headers", ())
                    if own_origin or not name.lower().startswith(b"access-control-allow-")
                ]
                message = message | {"headers": [*kept, *self.headers]}
            await send(message)

        return strictly


async def answer(send: Callable, status: int, content: dict) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
