"""security: what a request may be. Scopes and bodies as a server hands them on, without one."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from fer.app import security
from fer.app.security import Hosts, Refused, check_json, head_of, own_hosts

HERE = Hosts({"localhost", "127.0.0.1"})
UPLOAD, CALL = "/gradio_api/upload", "/gradio_api/call/predict"
MULTIPART = "multipart/form-data; boundary=x"


def post(path: str = CALL, kind: str | None = "application/json", length: int | None = 2, *more: tuple) -> dict:
    headers = [("host", "localhost:7860"), *more]
    headers += [] if kind is None else [("content-type", kind)]
    headers += [] if length is None else [("content-length", str(length))]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": raw, "client": ("::1", 1)}


def get(path: str, query: str = "", host: str = "localhost", **headers: str) -> dict:
    raw = [
        (b"host", host.encode()),
        *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
    ]
    return {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": raw}


def refused(scope: dict, hosts: Hosts = HERE) -> int | None:
    try:
        head_of(scope, hosts)
    except Refused as error:
        return error.status


# ------------------------------------------------------------------------------------------------ heads


@pytest.mark.parametrize(
    "path, length, kind, status",
    [
        (CALL, 2_000_000, "application/json", None),
        (CALL, 2_000_001, "application/json", 413),
        (UPLOAD, 2_000_001, MULTIPART, None),
        (UPLOAD, 17_000_000, MULTIPART, None),
        (UPLOAD, 17_000_001, MULTIPART, 413),
        (CALL, None, "application/json", 411),
        (UPLOAD, None, MULTIPART, 411),
    ],
)
def test_a_request_says_how_long_it_is_and_is_refused_unread_where_that_is_too_long(path, length, kind, status):
    assert refused(post(path, kind, length)) == status


@pytest.mark.parametrize("length", ["-1", "1e9", "", "\xb2", "+2", "2, 2", "2 2", "0x2"])
def test_a_length_that_is_no_number_is_none(length):
    assert refused(post(CALL, "application/json", None, ("content-length", length))) == 411


@pytest.mark.parametrize(
    "header",
    [
        *(("content-type", "multipart/form-data; boundary=x"), ("Content-Type", "application/json")),
        *(("content-length", "2"), ("host", "localhost"), ("transfer-encoding", "chunked")),
        *(("content-encoding", "gzip"), ("transfer-encoding", "identity")),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_headers_that_two_readers_could_take_differently_are_refused(header, first: bool):
    """A second Content-Type, Content-Length or Host, before the first or after it; a body told in another way."""
    scope = post()
    scope["headers"].insert(0 if first else 99, (header[0].encode(), header[1].encode()))
    assert refused(scope) == 400


@pytest.mark.parametrize(
    "kind",
    [
        *(
            None,
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            MULTIPART,
            "application/geo+json",
            "application/JSONx",
        ),
        *(
            "application/json; charset=utf-16",
            "application/json; charset=utf-7",
            "application/json, multipart/form-data",
        ),
        *("application/json; charset=utf-8; boundary=x", "application/json;", "*/*"),
    ],
)
def test_values_come_as_json_in_utf_8_and_as_nothing_else(kind):
    assert refused(post(CALL, kind)) == 400
    assert refused(post(CALL, "Application/JSON; charset=UTF-8")) is None


@pytest.mark.parametrize("kind", [None, "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_an_upload_comes_in_parts_and_as_nothing_else(kind):
    assert refused(post(UPLOAD, kind)) == 400


@pytest.mark.parametrize("method, status", [("PUT", 405), ("PATCH", 405), ("TRACE", 405), ("FOO", 405), ("GET", 400)])
def test_other_methods_have_no_use_and_only_a_post_has_a_body(method, status):
    assert refused(post() | {"method": method}) == status


def test_uploads_leave_a_gigabyte_free_and_nothing_else_asks_the_disk(monkeypatch, tmp_path):
    """With a byte less, an upload is told to come again, also before there is a folder; values are taken."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(security.shutil, "disk_usage", lambda folder: SimpleNamespace(free=999_999_999))
    assert refused(post(UPLOAD, MULTIPART)) == 507 and refused(post()) is None


@pytest.mark.parametrize(
    "path", ["deep_link", "monitoring", "monitoring/summary", "vibe-edit", "run-history/connect", "login"]
)
def test_what_the_page_has_no_use_for_is_not_there(path):
    """Gradio's deep links keep visitors' pictures for ever; its monitoring counts them."""
    assert refused(get(f"/{path}")) == refused(get(f"/gradio_api/{path}", "session_hash=a")) == 404
    assert refused(post(f"/gradio_api/{path}/")) == 404
    assert refused(get("/", "deep_link=abc")) == 404


def test_pictures_of_visitors_whose_names_are_those_of_closed_routes_are_served():
    assert refused(get("/gradio_api/file=/tmp/x/monitoring/login")) is None


@pytest.mark.parametrize("value", ["a" * 65, "", "a b", "../x", "a" * 1_900_000])
def test_a_session_has_a_short_plain_name(value):
    """In the query, in the path and in JSON."""
    asked = [get("/gradio_api/queue/data", f"session_hash={value}"), get(f"/gradio_api/heartbeat/{value}")]
    assert all(refused(scope) in (400, 414) for scope in asked)
    with pytest.raises(Refused):
        check_json(json.dumps({"data": [], "session_hash": value}).encode())


# ------------------------------------------------------------------------------------------------ hosts, other sites


@pytest.mark.parametrize(
    "host, own",
    [
        *(("localhost", True), ("LOCALHOST.:7860", True), ("127.0.0.1:7860", True), ("[::1]:7860", True)),
        *(("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.nip.io", False), ("", False)),
        *(
            ("10.0.0.5", False),
            ("localhost@evil.example", False),
            ("localhost, evil.example", False),
            ("a" * 300, False),
        ),
    ],
)
def test_the_page_answers_to_its_own_names(host: str, own: bool):
    assert (refused(get("/", host=host), own_hosts("127.0.0.1")) is None) == own


def test_further_names_are_those_listened_on_the_spaces_and_those_allowed(monkeypatch):
    """An IP address, which cannot be rebound, where the page listens on all; any name only where that was asked for."""
    assert own_hosts("lab.example").own("lab.example") and own_hosts("0.0.0.0").own("10.0.0.5")
    assert not own_hosts("0.0.0.0").own("evil.example") and not own_hosts("127.0.0.1").own("10.0.0.5")
    assert own_hosts("127.0.0.1", ["Lab.Example"]).own("lab.example") and own_hosts("127.0.0.1", ["*"]).own(
        "any.example"
    )
    monkeypatch.setenv("SPACE_HOST", "someone-faces.hf.space")
    assert own_hosts("0.0.0.0").own("someone-faces.hf.space") and not own_hosts("0.0.0.0").own("else.hf.space")


@pytest.mark.parametrize(
    "header, status",
    [
        *(
            (("origin", "https://evil.example"), 403),
            (("origin", "null"), 403),
            (("sec-fetch-site", "cross-site"), 403),
        ),
        *(
            (("origin", "http://localhost:7860"), None),
            (("sec-fetch-site", "same-origin"), None),
            (("origin", "http://["), 403),
        ),
    ],
)
def test_pages_of_other_sites_send_nothing(header, status):
    """Neither uploads nor values."""
    assert refused(post(UPLOAD, MULTIPART, 2, header)) == refused(post(CALL, "application/json", 2, header)) == status


def test_where_every_host_is_allowed_only_the_pages_own_origin_sends():
    hosts = own_hosts("127.0.0.1", ["*"])
    assert refused(post(CALL, "application/json", 2, ("origin", "http://localhost")), hosts) is None
    assert refused(post(CALL, "application/json", 2, ("origin", "http://evil.example")), hosts) == 403


# ------------------------------------------------------------------------------------------------ bodies

DEEP = b'{"data": ' + b"[" * 70 + b"]" * 70 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\xff", b"\xef\xbb\xbf{}", '{"data": []}'.encode("utf-16"), b"[" * 100_000, DEEP),
        *(b'{"a": 1, "a": 2}', b'{"x": NaN}', b'{"x": Infinity}', b"{}{}", b"{'a': 1}", b'{"session_hash": ["a"]}'),
    ],
)
def test_json_that_two_readers_could_take_differently_is_refused(body: bytes):
    with pytest.raises(Refused) as error:
        check_json(body)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "address", ["http://x/a.png", "HTTPS://x", " https://x", "ftp://x", "gs://x", "HF://x", "hf://x"]
)
def test_no_file_is_named_by_a_web_address_however_deep_it_is(address: str):
    with pytest.raises(Refused, match="must be uploaded"):
        check_json(json.dumps({"data": [[{"value": {"path": address, "meta": {}}}]]}).encode())
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in address)
    with pytest.raises(Refused, match="must be uploaded"):
        check_json(f'{{"data": [{{"\\u0070ath": "{escaped}"}}]}}'.encode())


def test_what_pages_and_programs_send_is_taken():
    """An upload's path beside its address on the page; a drive of Windows; ten levels."""
    file = {"path": "/tmp/x/a.png", "url": "http://localhost:7860/gradio_api/file=/tmp/x/a.png"}
    values = {
        "data": [file, {"path": "C:\\x\\a.png"}, [[[[[[1]]]]]], "http://x"],
        "session_hash": "abc123",
        "event_data": None,
    }
    assert check_json(json.dumps(values).encode()) == values


# ------------------------------------------------------------------------------------------------ the middleware


def sent_through(scope: dict, *messages: dict, hosts: Hosts = HERE) -> tuple[list[bytes], list[dict]]:
    """The bodies that reached the page, and what was answered."""
    reached, sent, pending = [], [], list(messages)

    async def page(scope, receive, send):
        reached.append((await receive()).get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"access-control-allow-origin", b"*")]})

    async def receive():
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(security.Secured(page, hosts)(scope, receive, send))
    return reached, sent


def test_what_is_refused_never_reaches_the_page_and_what_is_not_comes_as_it_was_sent():
    part = {"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.request", "body": b"}"}
    assert sent_through(post(), *part)[0] == [b"{}"]
    reached, (start, body) = sent_through(post(length=10**9), *part)
    assert not reached and start["status"] == 413 and b"16 MB at most" in body["body"]
    assert not sent_through(post(length=3), *part)[0]
    assert sent_through(post(), part[0])[1][0]["status"] == 408


def test_answers_are_for_our_own_pages_and_have_the_strict_headers():
    """Gradio lets every site read answers where the page has a public name."""
    for origin, allowed in (("http://evil.example", False), ("http://localhost:1", True)):
        _, (start,) = sent_through(get("/config", origin=origin))
        headers = dict(start["headers"])
        assert (b"access-control-allow-origin" in headers) == allowed and headers[b"referrer-policy"] == b"no-referrer"


def test_one_client_sends_eight_uploads_at_a_time():
    """The ninth is told to wait."""

    async def all_of_them() -> list[int]:
        go, statuses = asyncio.Event(), []

        async def page(scope, receive, send):
            await go.wait()
            await send({"type": "http.response.start", "status": 200})

        async def send(message):
            statuses.append(message.get("status"))

        secured = security.Secured(page, HERE)
        tasks = [asyncio.create_task(secured(post(UPLOAD, MULTIPART), None, send)) for _ in range(9)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*tasks)
        return [status for status in statuses if status]

    assert sorted(asyncio.run(all_of_them())) == [200] * 8 + [429]


def test_a_body_that_stops_coming_is_broken_off(monkeypatch):
    monkeypatch.setattr(security, "IDLE", 0.01)

    async def never():
        await asyncio.Event().wait()

    assert asyncio.run(security._Body(never)())["type"] == "http.disconnect"
