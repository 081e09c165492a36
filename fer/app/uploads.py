"""What the page takes as a picture: a file that Gradio's own upload put on the server, and nothing else.

`gr.Image` alone is not to be trusted with this: as of Gradio 6.31 it opens any picture of the server whose path an
API caller sends without Gradio's `meta` mark, and with the mark it fetches any web address, both before a handler runs.
"""

import base64
import functools
import io
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from gradio import utils
from gradio.route_utils import GradioMultiPartParser
from PIL import Image
from starlette.datastructures import FormData

from fer.data.image_io import ImageError, open_image


def picture_file(payload: dict | None) -> Path:
    """The uploaded file that `gr.Image(...)` of an event with `preprocess=False` speaks of.

    Examples count as uploads: Gradio copies them to the same folder. Whatever lies elsewhere is refused in the same
    words as a file that is gone, so that nobody learns from here what is on the server. Raises PictureError.
    """
    path = payload.get("path") if isinstance(payload, dict) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ImageError("There is no picture yet: upload one, paste one, take one or pick an example.")
    file = Path(path).resolve()
    if not file.is_relative_to(Path(utils.get_upload_folder()).resolve()) or not file.is_file():
        raise ImageError("This picture is not, or no longer, on the server. Please choose it again.")
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
            raise ImageError("This data address is damaged; its base64 part cannot be read.") from None
    _, ours, path = picture.partition("/gradio_api/file=")
    if not ours:
        raise ImageError("A picture must be uploaded, or be sent as a data address: nothing is fetched from the web.")
    return picture_file({"path": unquote(path)})


def small_jpeg(jpeg: bytes, side: int) -> np.ndarray:
    """A camera's frame, RGB uint8 (H, W, 3), whose longer side has ``side`` pixels at most.

    The size is read off its header before anything is decoded, since a few bytes can claim to be a huge picture.
    Raises PictureError.
    """
    try:
        image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    except Exception:  # as in pictures.py: Pillow's readers raise anything on foreign bytes
        raise ImageError("The camera's picture arrived damaged.") from None
    if max(image.size) > side:
        raise ImageError(f"The camera's picture is {image.width} x {image.height} pixels; {side} are enough.")
    return open_image(image)


def discard_broken_uploads() -> None:
    """From now on an upload that fails leaves no file, however it fails.

    Gradio deletes the parts of one that is too large or malformed, but not of one that is broken off, cancelled, or
    for which the disk has no room.
    """
    parse = GradioMultiPartParser.parse
    if getattr(parse, "discards", False):
        return

    @functools.wraps(parse)
    async def parse_or_discard(parser: GradioMultiPartParser) -> FormData:
        try:
            return await parse(parser)
        except BaseException:
            for file in parser._files_to_close_on_error:
                with suppress(OSError):  # what is still to be written finds no room
                    file.close()
                Path(file.name).unlink(missing_ok=True)
            raise

    parse_or_discard.discards = True
    GradioMultiPartParser.parse = parse_or_discard
