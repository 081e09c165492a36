"""What the page takes as a picture: a file that Gradio's own upload put on the server, and nothing else.

`gr.Image` alone is not to be trusted with this: as of Gradio 6.31 it opens any picture of the server whose path an
API caller sends without Gradio's `meta` mark, and with the mark it fetches any web address, both before a handler runs.
"""

import base64
import json
import re
from pathlib import Path
from urllib.parse import unquote

from gradio import utils

from fer.faces import PictureError


def picture_file(payload: dict | None) -> Path:
    """The uploaded file that `gr.Image(...)` of an event with `preprocess=False` speaks of.

    Examples count as uploads: Gradio copies them to the same folder. Whatever lies elsewhere is refused in the same
    words as a file that is gone, so that nobody learns from here what is on the server. Raises PictureError.
    """
    path = payload.get("path") if isinstance(payload, dict) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise PictureError("There is no picture yet: upload one, paste one, take one or pick an example.")
    file = Path(path).resolve()
    if not file.is_relative_to(Path(utils.get_upload_folder()).resolve()) or not file.is_file():
        raise PictureError("This picture is not, or no longer, on the server. Please choose it again.")
    return file


def picture_sent(picture: dict | str | None) -> Path | bytes:
    """The picture that a program sends: an upload as above, its address in the page's own words, or a data address.

    A data address is read in memory; no other address is ever fetched. Raises PictureError.
    """
    if not isinstance(picture, str):
        return picture_file(picture)
    if picture.startswith("data:image/"):
        try:
            return base64.b64decode(picture.partition(",")[2], validate=True)
        except ValueError:
            raise PictureError("This data address is damaged; its base64 part cannot be read.") from None
    _, ours, path = picture.partition("/gradio_api/file=")
    if not ours:
        raise PictureError("A picture must be uploaded, or be sent as a data address: nothing is fetched from the web.")
    return picture_file({"path": unquote(path)})


_FETCH = re.compile(r"/(file[=/]|proxy=)\s*https?:", re.IGNORECASE)


class RefuseAddresses:
    """ASGI middleware: 400 for a request that names a file by its web address, which Gradio would go and fetch."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and _FETCH.search(scope["path"]):
            return await answer(send, 400, {"detail": "This page hands on no files of other addresses."})
        if scope["type"] != "http" or scope["method"] != "POST" or _is_upload(scope):
            return await self.app(scope, receive, send)
        body = await _whole_body(receive)
        if names_an_address(body):
            return await answer(send, 400, {"detail": "A picture must be uploaded; its web address is not enough."})
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay():
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)


def names_an_address(body: bytes) -> bool:
    """Whether some object in this JSON has a `path` that Gradio takes for a web address. What is no JSON has none."""

    def look(entry: dict) -> dict:
        if str(entry.get("path", "")).startswith(("http://", "https://")):
            raise _AddressFound
        return entry

    try:
        json.loads(body, object_hook=look)
    except _AddressFound:
        return True
    except (ValueError, RecursionError):
        return False  # Gradio refuses it with words of its own
    return False


class _AddressFound(Exception):
    pass


def _is_upload(scope) -> bool:
    return dict(scope["headers"]).get(b"content-type", b"").startswith(b"multipart/")


async def _whole_body(receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def answer(send, status: int, content: dict) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
