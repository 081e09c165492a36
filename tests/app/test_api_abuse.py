"""What strangers send to the page, by its browser's own ways and by none: a sentence comes back, never a path.

One server for all. The budgets of fuzzing are fixed: `FUZZED` questions for each public endpoint, always the same ones.
"""

import errno
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gradio import processing_utils
from gradio.route_utils import GradioUploadFile
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as some
from PIL import Image

from fer.app import blocks, security
from tests.data.test_image_io import REFUSED
from tests.pages import sealed_off, served, write_face, write_networks

FUZZED = 25
MARKUP = "<img src=http://evil.example/x onerror=alert(1)>"
PATHS = re.compile(r"/(work|root|tmp|usr|home|opt|var|proc)/|site-packages|Traceback|File \"|\.py\b")
FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module", autouse=True)
def uploads(tmp_path_factory) -> Iterator[Path]:
    with sealed_off(tmp_path_factory.mktemp("uploads")) as folder:
        yield folder


@pytest.fixture(scope="module")
def page(tmp_path_factory, uploads) -> Iterator[httpx.Client]:
    with (
        served(write_networks(tmp_path_factory.mktemp("weights"))) as page,
        httpx.Client(base_url=page.url, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def face(page, tmp_path_factory) -> dict:
    """A picture that was uploaded, as a client names it."""
    return upload(page, "face.png", write_face(tmp_path_factory.mktemp("face") / "face.png").read_bytes())


def upload(page: httpx.Client, name: str, content: bytes) -> dict:
    (path,) = page.post("gradio_api/upload", files={"files": (name, content)}).json()
    return FILE | {"path": path}


def ask(page: httpx.Client, endpoint: str, values: list) -> tuple[bool, str]:
    """Whether a public endpoint answered, and what: through the queue, as curl would."""
    started = page.post(f"gradio_api/call/{endpoint}", content=json.dumps({"data": values}), headers=JSON)
    if started.is_error:
        return False, started.text
    answer = page.get(f"gradio_api/call/{endpoint}/{started.json()['event_id']}").text
    return answer.startswith("event: complete"), answer


JSON = {"content-type": "application/json"}


def told(answer: str) -> str:
    """The sentence of an error."""
    return json.loads(answer.split("data: ", 1)[1])["error"]


def is_a_sentence(words: object) -> bool:
    return isinstance(words, str) and len(words) > 10 and words.endswith((".", "]")) and "<" not in words


# ------------------------------------------------------------------------------------------------ the public API

GOOD = {
    "predict": ["FACE", "compact"],
    "confusion": ["compact", "PrivateTest", False, 0.0, ""],
    "saliency": ["FACE", "compact", "gradient", "happy", "sad"],
    "activations": ["FACE", "compact", "dense_1"],
    "ascend": ["compact", "dense_4", "0", 1, 0],
}
ODD = [
    *(None, "", MARKUP, "../../etc/passwd", "http://example.com/face.png", "\0\ud800"),
    *(-1, 10**30, True, [], {}, {"path": 5}, {"path": "/etc/hostname"}, FILE | {"path": "/etc/passwd"}),
]
# What is odd, and yet has its meaning.
MEANT = {("saliency", 3, "None"), ("saliency", 4, "None"), ("confusion", 4, "None"), ("confusion", 4, "''")}
MEANT |= {("confusion", 2, "True"), ("ascend", 3, "True"), ("ascend", 4, "True")}  # the last two as Python's 1


@pytest.mark.parametrize(
    "endpoint, place", [(name, place) for name, values in GOOD.items() for place in range(len(values))]
)
def test_what_no_parameter_can_be_is_told_in_a_sentence(page, face, endpoint: str, place: int):
    """14 odd values in the place of each of 20 parameters."""
    for odd in [odd for odd in ODD if (endpoint, place, repr(odd)) not in MEANT]:
        values = [face if value == "FACE" else value for value in GOOD[endpoint]]
        values[place] = odd
        answered, answer = ask(page, endpoint, values)
        assert not answered, f"{odd!r} was answered with {answer[:200]}"
        if answer.startswith("event"):
            assert is_a_sentence(told(answer)), f"{odd!r}: {answer[:300]}"
        assert not PATHS.search(answer.replace("/etc/passwd", "")), answer[:300]


@pytest.mark.parametrize("endpoint", GOOD)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b'{"data": 5}', b'{"data": {}}', b"{}", b"\xff", b"[" * 10_000]
)
def test_json_of_another_shape_is_refused(page, endpoint: str, body: bytes):
    """With a status of 400 or more, or a sentence."""
    answer = page.post(f"gradio_api/call/{endpoint}", content=body, headers=JSON)
    assert 400 <= answer.status_code < 500 and not PATHS.search(answer.text)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_or_too_many_values_are_told(page, count: int):
    """In the same sentence as any other form that nobody expects."""
    answered, answer = ask(page, "predict", [None] * count)
    assert not answered and is_a_sentence(told(answer))


@pytest.mark.parametrize("kind", REFUSED)
def test_a_picture_that_cannot_be_read_is_told_through_the_api(page, kind: str):
    """The sentence of `open_picture`, as a visitor gets it."""
    content, words = REFUSED[kind]
    answered, answer = ask(page, "predict", [upload(page, "face.png", content), "compact"])
    assert not answered and words in told(answer) and not PATHS.search(answer)


STRIPS = [(48, 20_000), (20_000, 48)]


@pytest.mark.parametrize("size", STRIPS)
def test_a_strip_of_a_picture_has_no_face_and_does_no_harm(page, tmp_path: Path, size: tuple[int, int]):
    """48 x 20,000 pixels."""
    Image.new("L", size, 99).save(tmp_path / "strip.png")
    answered, answer = ask(
        page, "predict", [upload(page, "strip.png", (tmp_path / "strip.png").read_bytes()), "compact"]
    )
    assert answered and '"faces": []' in answer


def from_schema(parameter: dict) -> some.SearchStrategy:
    """Values of the type that the API's own description gives a parameter, and now and then of another one."""
    kind = parameter["type"].get("type")
    words = some.text(max_size=30) | some.sampled_from(["compact", "dense_4", "0-3", "happy", "PublicTest", MARKUP])
    of_type = {
        "string": words,
        "number": some.floats(allow_nan=False) | some.integers(-5, 300),
        "integer": some.integers(-5, 300) | some.integers(),
        "boolean": some.booleans(),
        "object": some.just("FACE") | some.dictionaries(words, words | some.integers(), max_size=3),
    }.get(kind, some.just("FACE"))
    leaf = some.none() | some.booleans() | some.floats(allow_nan=False) | some.text(max_size=9)
    nested = some.recursive(
        leaf, lambda part: some.lists(part, max_size=3) | some.dictionaries(words, part, max_size=3)
    )
    return some.one_of(of_type, of_type, of_type, nested)


@pytest.mark.parametrize("endpoint", GOOD)
def test_the_api_fuzzed_by_its_own_schema_answers_or_says_why_not(page, face, endpoint: str):
    """25 questions each: an answer, or a sentence without markup or a path; and the server still answers at the end."""
    described = page.get("gradio_api/info").json()["named_endpoints"][f"/{endpoint}"]["parameters"]

    @seed(0)
    @settings(max_examples=FUZZED, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(some.tuples(*map(from_schema, described)))
    def asked(values: tuple) -> None:
        answered, answer = ask(page, endpoint, [face if value == "FACE" else value for value in values])
        if not answered and answer.startswith("event"):
            assert is_a_sentence(told(answer)), answer[:300]
        assert answered or not PATHS.search(answer), answer[:300]

    asked()
    assert ask(page, "predict", [face, "compact"])[0]


# ------------------------------------------------------------------------------------------------ what is not public

GARBAGE = {
    "nothing": None,
    "words": MARKUP,
    "a file of the server": FILE | {"path": "/etc/passwd"},
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_functions_that_are_not_meant_for_others_say_so_in_sentences(page, garbage: object):
    """Each event of the page, called past the queue by its number with garbage for every input and for the event."""
    config = page.get("config").json()
    for number in [event["id"] for event in config["dependencies"] if event["backend_fn"]]:
        inputs = next(event["inputs"] for event in config["dependencies"] if event["id"] == number)
        body = {"fn_index": number, "data": [garbage] * len(inputs), "session_hash": "stranger", "event_data": garbage}
        body["event_data"] = garbage if isinstance(garbage, dict) else None
        answer = page.post("gradio_api/run/predict", content=json.dumps(body), headers=JSON)
        assert answer.status_code < 500 or is_a_sentence(answer.json()["error"]), f"{number}: {answer.text[:300]}"
        assert not PATHS.search(answer.text.replace("/etc/passwd", "")), f"{number}: {answer.text[:300]}"


def test_the_servers_settings_name_no_path(page):
    """Neither the page nor what it is built from."""
    for address in ("", "config", "gradio_api/info", "gradio_api/openapi.json", "theme.css", "manifest.json"):
        assert not re.search(r"/(work|root|home|tmp)/|site-packages", page.get(address).text), address


@pytest.mark.parametrize(
    "address",
    [
        *("file=/etc/passwd", "file=../../../etc/passwd", "file=demo.py", "file=fer/data/assets/examples/happy.png"),
        *(
            "file=http://127.0.0.1/",
            "file=https://example.com/",
            "file/https://example.com/",
            "file=HTTPS://example.com",
        ),
        *("proxy=https://example.com/", "proxy=http://127.0.0.1/", "vibe-code", "profiling/summary"),
        "custom_component/1/client/component/..%2f..%2fx",
    ],
)
def test_no_file_of_the_server_nor_of_another_host_is_handed_on(page, address: str):
    """403, 404 or 400 by Gradio, and 400 by us for web addresses, which Gradio would fetch for anybody."""
    answer = page.get(f"gradio_api/{address}")
    assert answer.status_code in (400, 403, 404) and "root:" not in answer.text
    assert "http" not in address.lower() or answer.status_code == 400


@pytest.mark.parametrize(
    "name", ["../../../evil.png", "/etc/evil.png", MARKUP, "a\nb.png", "-rf", "$(id).png", "a" * 300]
)
def test_an_upload_stays_in_its_folder_whatever_it_is_called(page, uploads: Path, name: str):
    """Its path is below the folder of uploads, two folders down, and the file is there."""
    path = Path(upload(page, name, b"x" * 9 + name.encode())["path"])
    assert path.resolve().parent.parent == uploads.resolve() and path.is_file()


# ------------------------------------------------------------------------------------------------ headers, markup


def test_every_answer_forbids_other_hosts(page):
    """A policy that lets a page load from its own host alone, on pages, data and refusals alike."""
    for address in ("", "config", "gradio_api/file=/etc/passwd", "nothing"):
        answer = page.get(address)
        assert answer.headers["content-security-policy"] == security.policy(on_space=False)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert "http" not in security.policy(on_space=False) and "huggingface.co" in security.policy(on_space=True)


@pytest.mark.parametrize(
    "origin, allowed", [("http://localhost:1", True), ("https://evil.example", False), ("null", False)]
)
def test_pages_of_other_hosts_may_not_read_answers(page, origin: str, allowed: bool):
    """Asked before, and at the question itself."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    for answer in (
        page.options("gradio_api/call/predict", headers=asked),
        page.get("config", headers={"origin": origin}),
    ):
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)


def test_a_message_brings_no_markup_into_the_page(page, face):
    """Gradio draws messages as markup; ours come escaped, so that a link cannot make the page ask another host."""
    answered, answer = ask(page, "predict", [face, MARKUP])
    assert not answered and "&lt;img src=http://evil" in told(answer) and "<" not in told(answer)


def test_what_nobody_foresaw_is_logged_and_told(page, face, monkeypatch, caplog):
    """An exception within a handler: the trace in the log, a sentence for the visitor."""
    from fer.app import api

    def broken(*_, **__):
        raise RuntimeError("/home/secret")

    monkeypatch.setattr(api, "read", broken)
    answered, answer = ask(page, "predict", [face, "compact"])
    assert not answered and "Something went wrong on the server" in told(answer) and "secret" not in answer
    assert "/home/secret" in caplog.text and "Something went wrong" in blocks.UNFORESEEN


# ------------------------------------------------------------------------------------------------ requests that lie


def raw(page: httpx.Client, head: list[str], body: bytes = b"") -> bytes:
    """Sends a request as it stands, and gives the answer's first line."""
    with opened(page, head, body) as line:
        return line.recv(200).partition(b"\r\n")[0]


def opened(page: httpx.Client, head: list[str], body: bytes) -> socket.socket:
    """A connection over which a request has been sent as it stands."""
    line = socket.create_connection((page.base_url.host, page.base_url.port), timeout=20)
    line.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return line


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """The web addresses that Gradio tries to fetch."""
    found: list[str] = []

    async def fetch(url: str, *_, **__) -> str:
        found.append(url)
        raise RuntimeError("fetched")

    for name in ("async_ssrf_protected_download", "ssrf_protected_download", "save_url_to_cache"):
        monkeypatch.setattr(processing_utils, name, fetch)
    return found


KINDS = [
    ["application/json", "multipart/form-data; boundary=x"],
    ["multipart/form-data; boundary=x", "application/json"],
    ["application/json, multipart/form-data; boundary=x"],
    ["multipart/form-data; boundary=x"],
    ["text/plain"],
    [],
    ["application/json"],
]


@pytest.mark.parametrize("kinds", KINDS, ids=str)
def test_no_request_makes_the_page_fetch_an_address_whatever_it_says_it_is(page, fetched, kinds: list[str]):
    """Each event of the page, asked in three ways with an address for every value: 400 or 404, and 0 fetches."""
    file = FILE | {"path": "http://127.0.0.1:9/a.png"}
    for event in page.get("config").json()["dependencies"]:
        body = {"data": [file] * (len(event["inputs"]) or 1), "fn_index": event["id"], "session_hash": "stranger"}
        content = json.dumps(body).encode()
        for path in ("run/predict", "queue/join", f"call/{event['api_name']}"):
            head = [f"POST /gradio_api/{path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
            first = raw(page, [*head, *(f"Content-Type: {kind}" for kind in kinds)], content)
            assert b" 400 " in first or b" 404 " in first, (path, event["id"], first)
    assert fetched == []


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_uploads_that_are_broken_off_leave_nothing(page, uploads: Path):
    """20 of them after a part of 100 kB each, which lies there until then: no byte more than before."""
    before = files_in(uploads)
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"x" * 100_000
    head = ["POST /gradio_api/upload HTTP/1.1", "Host: localhost", "Content-Length: 9000000"]
    for _ in range(20):
        with opened(page, [*head, "Content-Type: multipart/form-data; boundary=x"], start):
            until(lambda: files_in(uploads) != before)
        until(lambda: files_in(uploads) == before)


def test_an_upload_for_which_there_is_no_room_is_told_so_and_leaves_nothing(page, uploads: Path, monkeypatch):
    """507 where the disk is full, and where it takes no file of that size."""
    before = files_in(uploads)
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):

        async def no_room(*_, number=number):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(GradioUploadFile, "write", no_room)
            assert page.post("gradio_api/upload", files={"files": ("a.png", b"x" * 1000)}).status_code == 507
    assert files_in(uploads) == before


def test_answers_hold_no_address_in_memory(page):
    for address in ("config", "gradio_api/info", "gradio_api/openapi.json"):
        assert " at 0x" not in page.get(address).text
