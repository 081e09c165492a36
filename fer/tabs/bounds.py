"""How large a request may be, before any of it is read into memory or written to disk.

ASGI middleware: 413 for one that is larger, 411 for one that does not say, 507 for an upload where the disk is full.
"""

import shutil
from collections.abc import Callable

from gradio import utils

from fer.tabs.uploads import answer

UPLOAD = 17_000_000  # bytes: one file of `max_file_size`, and its frame
OTHER = 2_000_000  # of values and pictures of the camera
FREE = 1_000_000_000  # bytes that uploads leave free on the disk

LARGE = "This is too large: uploads have 16 MB at most, all other requests 2 MB."
UNKNOWN = "Requests must say how long they are, by Content-Length."
FULL = "The page is busy and has no room for uploads just now. Please try again in twenty minutes."


class BoundRequests:
    def __init__(self, app: Callable):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        wrong = refused(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if wrong is None:
            return await self.app(scope, receive, send)
        status, words = wrong
        await answer(send, status, {"detail": words})


def refused(scope: dict) -> tuple[int, str] | None:
    """The status and the words for a POST that is not taken; None for one that is."""
    headers = dict(scope["headers"])
    length, uploads = headers.get(b"content-length", b""), headers.get(b"content-type", b"").startswith(b"multipart/")
    if not length.isdigit():
        return 411, UNKNOWN
    if int(length) > (UPLOAD if uploads else OTHER):
        return 413, LARGE
    if uploads and _free() < FREE:
        return 507, FULL
    return None


def _free() -> int:
    """Bytes that are free where uploads go; the folder itself is made with the first of them."""
    folder = utils.get_upload_folder()
    try:
        return shutil.disk_usage(folder).free
    except FileNotFoundError:
        return FREE
