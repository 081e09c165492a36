"""A picture file, whatever its kind -> RGB uint8 (H, W, 3), or one sentence that says why not.

picture = open_picture("holiday.jpg")
"""

import functools
import io
import warnings
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

SMALLEST = 24  # half the side of a network's input: less is not worth enlarging
MOST_PIXELS = 24_500_000  # 24-megapixel cameras deliver up to 24.4 million
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF")  # of Pillow's, those that are opened
WANTED = "a JPEG, PNG, WebP, BMP, GIF or TIFF picture would be right"
SEEMS = {b"%PDF": "a PDF document", b"PK": "a ZIP archive", b"<": "a text or SVG file", b"\x1aE\xdf\xa3": "a video"}
TURNS = {  # EXIF's orientation -> how to bring the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """A picture that cannot be used; the message is one sentence for the person who sent it."""


class PictureTooSmallError(PictureError):
    """A picture with a side below SMALLEST pixels."""


class PictureTooLargeError(PictureError):
    """A picture of more than MOST_PIXELS pixels."""


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Those of FORMATS that this installation of Pillow opens: AVIF by Pillow 11.3 or later, HEIF by pillow-heif."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@functools.cache
def picture_suffixes() -> frozenset[str]:
    """The suffixes of all readable formats, in lower case: ".jpg", ".png" and so on."""
    formats = readable_formats()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def open_picture(source: str | Path | bytes | BinaryIO | Image.Image) -> np.ndarray:
    """Reads any usual picture as RGB uint8 (H, W, 3): turned as EXIF says, transparency on white, first frame.

    Raises PictureError for what is missing, damaged, no picture, narrower than 24 pixels or above 24 megapixels.
    The size is checked in the header, before anything is decoded.
    """
    if isinstance(source, Image.Image):
        return _decode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read(io.BytesIO(source))
    if isinstance(source, str | Path):
        with _open_file(Path(source)) as stream:
            return _read(stream)
    return _read(source if source.seekable() else io.BytesIO(source.read()))


def _open_file(path: Path) -> BinaryIO:
    name = path.name[:80]  # never the path: it may be the server's own
    try:
        if path.is_dir():
            raise PictureError(f"{name!r} is a folder; {WANTED}.")
        if not path.is_file():  # devices and pipes, which never end, neither
            raise PictureError(f"There is no file {name!r}; {WANTED}.")
        return path.open("rb")
    except OSError as error:
        raise PictureError(f"The file {name!r} cannot be opened ({error.strerror}).") from None


def _read(stream: BinaryIO) -> np.ndarray:
    _hush()
    try:
        image = Image.open(stream, formats=readable_formats())
    except Image.DecompressionBombError:
        raise PictureTooLargeError("The picture has more than 170 megapixels; at most 24 can be read.") from None
    except Exception:  # Pillow's readers raise anything from OSError to struct.error on foreign bytes
        raise PictureError(f"This is {_name(stream)}; {WANTED}.") from None
    return _decode(image)


@functools.lru_cache(maxsize=1)
def _hush() -> None:
    """Pillow warns of large pictures, which are refused here in a sentence of ours."""
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _name(stream: BinaryIO) -> str:
    """What an unreadable file seems to be, in words."""
    length = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    start = stream.read(12)
    for magic, words in SEEMS.items():
        if start.startswith(magic):
            return words
    if start[4:8] == b"ftyp":
        return "a HEIC or AVIF picture" if start[8:11] in (b"hei", b"hev", b"mif", b"avi") else "a video"
    return f"a file of {length:,} bytes that no picture reader knows" if length else "an empty file (0 bytes)"


def _decode(image: Image.Image) -> np.ndarray:
    _check_size(*image.size)
    try:
        image.load()
        turn = TURNS.get(_orientation(image))
        picture = _to_rgb(image)
        return np.array(picture if turn is None else picture.transpose(turn))  # (H, W, 3)
    except Exception:  # as in _read
        what = f"{image.format or 'received'} picture ({image.width} x {image.height} pixels)"
        raise PictureError(f"The {what} is damaged or cut off; a complete file would be right.") from None


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise PictureTooSmallError(f"The picture is {width} x {height} pixels; each side needs at least {SMALLEST}.")
    if width * height > MOST_PIXELS:
        size = f"{width} x {height} pixels ({width * height / 1e6:.0f} megapixels)"
        raise PictureTooLargeError(
            f"The picture is {size}; at most 24 megapixels can be read, so please send a smaller copy."
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":
        return _eight_bits(image).convert("RGB")
    if {"A", "a"} & set(image.getbands()) or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greys (0..65535) and float greys (0..1 or 0..255) as 8 bits; Pillow itself would clip them to white."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    scale = 1 / 257 if image.mode[0] == "I" else 255 if values.max() <= 1 else 1
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # a good picture with a broken EXIF block is still a good picture
        return 1
