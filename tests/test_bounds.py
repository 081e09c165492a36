"""bounds: how large a request may be."""

import asyncio
from types import SimpleNamespace

import pytest

from fer.tabs import bounds


def post(length: int | None, content: str = "application/json") -> dict:
    lengths = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http", "method": "POST", "headers": [*lengths, (b"content-type", content.encode())]}


@pytest.mark.parametrize(
    "length, content, status",
    [
        (2_000_000, "application/json", None),
        (2_000_001, "application/json", 413),
        (2_000_001, "multipart/form-data; boundary=x", None),
        (17_000_000, "multipart/form-data; boundary=x", None),
        (17_000_001, "multipart/form-data; boundary=x", 413),
        (None, "application/json", 411),
        (None, "multipart/form-data; boundary=x", 411),
    ],
)
def test_a_request_says_how_long_it_is_and_is_refused_unread_where_that_is_too_long(length, content, status):
    assert (bounds.refused(post(length, content)) or [None])[0] == status


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"", b"\xb2"])
def test_a_length_that_is_no_number_is_none(length):
    assert bounds.refused({"headers": [(b"content-length", length)]})[0] == 411


def test_uploads_leave_a_gigabyte_free_and_nothing_else_asks_the_disk(monkeypatch):
    """With a byte less, an upload is told to come again, and values are taken as ever."""
    monkeypatch.setattr(bounds.shutil, "disk_usage", lambda folder: SimpleNamespace(free=999_999_999))
    assert bounds.refused(post(10, "multipart/form-data"))[0] == 507
    assert "try again" in bounds.refused(post(10, "multipart/form-data"))[1]
    assert bounds.refused(post(10)) is None


def test_what_is_refused_never_reaches_the_page_and_what_is_not_does():
    reached, sent = [], []

    async def page(scope, receive, send):
        reached.append(scope["method"])

    async def send(message):
        sent.append(message)

    bound = bounds.BoundRequests(page)
    for scope in (post(10**9), post(10), {"type": "http", "method": "GET", "headers": []}):
        asyncio.run(bound(scope, None, send))
    assert reached == ["POST", "GET"] and sent[0]["status"] == 413 and b"16 MB at most" in sent[1]["body"]
