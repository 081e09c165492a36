"""A picture file, whatever its kind -> RGB uint8 (H, W, 3), or one sentence that says why not.

picture = open_picture("holiday.jpg")
opened = open_scaled("holiday.jpg")                        # .pixels, .scale of a large JPEG, .note in words
"""

import functools
import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

SMALLEST = 24  # half the side of a network's input: less is not worth enlarging
ENOUGH = 48  # the side of a network's input: less is enlarged
MOST_PIXELS = 24_500_000  # 24-megapixel cameras deliver up to 24.4 million
# libjpeg decodes at 1/2, 1/4 or 1/8 without ever holding the whole picture; of a progressive one it holds all
# coefficients, up to 6 bytes a pixel, whatever the scale.
MOST_JPEG_PIXELS, MOST_PROGRESSIVE_PIXELS = 120_000_000, 56_000_000
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


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence for the person who sent it."""


class PictureTooSmallError(ImageError):
    """A picture with a side below SMALLEST pixels."""


class PictureTooLargeError(ImageError):
    """A picture of more pixels than are read of its kind."""


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


@dataclass(frozen=True)
class Opened:
    """A picture, RGB uint8 (H, W, 3); `scale` times its coordinates are the file's own; `note`: what is unusual."""

    pixels: np.ndarray
    scale: float = 1.0
    note: str | None = None


def open_image(source: str | Path | bytes | BinaryIO | Image.Image) -> np.ndarray:
    """Reads any usual picture as RGB uint8 (H, W, 3): turned as EXIF says, transparency on white, first frame.

    A JPEG above 24 megapixels is decoded at 1/2, 1/4 or 1/8 of its size; `open_scaled` says at which.

    Raises PictureError for what is missing, damaged, no picture, narrower than 24 pixels or above 24 megapixels (a JPEG
    above 120, a progressive one above 56). The size is checked in the header, before anything is decoded.
    """
    return open_scaled(source).pixels


def open_scaled(source: str | Path | bytes | BinaryIO | Image.Image) -> Opened:
    """The same with the scale at which it was decoded, and a note where it is small or was reduced."""
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
            raise ImageError(f"{name!r} is a folder; {WANTED}.")
        if not path.is_file():  # devices and pipes, which never end, neither
            raise ImageError(f"There is no file {name!r}; {WANTED}.")
        return path.open("rb")
    except OSError as error:
        raise ImageError(f"The file {name!r} cannot be opened ({error.strerror}).") from None


def _read(stream: BinaryIO) -> Opened:
    _hush()
    try:
        image = Image.open(stream, formats=readable_formats())
    except Image.DecompressionBombError:
        raise PictureTooLargeError("The picture has more than 170 megapixels; at most 24 can be read.") from None
    except Exception:  # Pillow's readers raise anything from OSError to struct.error on foreign bytes
        raise ImageError(f"This is {_name(stream)}; {WANTED}.") from None
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


def _decode(image: Image.Image) -> Opened:
    width, height = image.size
    _check_size(image)
    factor = _reduce(image)
    try:
        image.load()
        turn = TURNS.get(_orientation(image))
        picture = _to_rgb(image)
        pixels = np.array(picture if turn is None else picture.transpose(turn))  # (H, W, 3)
    except Exception:  # as in _read
        what = f"{image.format or 'received'} picture ({width} x {height} pixels)"
        raise ImageError(f"The {what} is damaged or cut off; a complete file would be right.") from None
    return Opened(pixels, max(width, height) / max(pixels.shape[:2]), _note(width, height, factor))


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if min(width, height) < SMALLEST:
        raise PictureTooSmallError(f"The picture is {width} x {height} pixels; each side needs at least {SMALLEST}.")
    most = MOST_PIXELS
    if _is_undecoded_jpeg(image):
        most = MOST_PROGRESSIVE_PIXELS if image.info.get("progressive") else MOST_JPEG_PIXELS
    if width * height > most:
        size = f"{width} x {height} pixels ({width * height / 1e6:.0f} megapixels)"
        bound = f"at most {most // 1_000_000} megapixels can be read"
        raise PictureTooLargeError(f"The picture is {size}; {bound}, so please send a smaller copy.")


def _reduce(image: Image.Image) -> int:
    """Has a JPEG above 24 megapixels decoded at 1/2, 1/4 or 1/8 of its size; the divisor, 1 for none."""
    width, height = image.size
    if width * height <= MOST_PIXELS or not _is_undecoded_jpeg(image):
        return 1
    factor = next(k for k in (2, 4, 8) if width * height <= k * k * MOST_PIXELS)
    image.draft(None, (width // factor, height // factor))
    return factor


def _is_undecoded_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") and bool(getattr(image, "tile", None))


def _note(width: int, height: int, factor: int) -> str | None:
    if factor > 1:
        return f"The picture has {width * height / 1e6:.0f} megapixels; it was read at 1/{factor} of its size."
    if min(width, height) < ENOUGH:
        return f"The picture has only {width} x {height} pixels: it was enlarged, so the answer is less certain."
    return None


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
