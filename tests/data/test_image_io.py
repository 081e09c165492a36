"""Any usual picture becomes RGB; anything else becomes one sentence."""

import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from fer.data.image_io import MOST_PIXELS, ImageError, open_image, open_scaled, picture_suffixes


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def declared_png(width: int, height: int) -> bytes:
    """A PNG that declares its size and holds no pixel."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT" + bytes(9)


def sixteen_bits(value: int) -> Image.Image:
    return Image.fromarray(np.full((50, 60), value, np.uint16))


def palette(**options) -> bytes:
    image = Image.new("P", (60, 50), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return saved(image, "PNG", **options)


PICTURES = {
    "colour": (saved(Image.new("RGB", (60, 50), (10, 20, 30)), "PNG"), (10, 20, 30)),
    "grey": (saved(Image.new("L", (60, 50), 77), "BMP"), (77, 77, 77)),
    "two tones": (saved(Image.new("1", (60, 50), 1), "TIFF"), (255, 255, 255)),
    "transparent": (saved(Image.new("RGBA", (60, 50), (10, 20, 30, 0)), "PNG"), (255, 255, 255)),
    "half transparent": (saved(Image.new("RGBA", (60, 50), (0, 0, 0, 51)), "PNG"), (204, 204, 204)),
    "transparent grey": (saved(Image.new("LA", (60, 50), (9, 0)), "PNG"), (255, 255, 255)),
    "palette": (palette(), (10, 20, 30)),
    "palette with transparency": (palette(transparency=1), (255, 255, 255)),
    "16 bits, white": (saved(sixteen_bits(65535), "PNG"), (255, 255, 255)),
    "16 bits, middle": (saved(sixteen_bits(128 * 257), "PNG"), (128, 128, 128)),
    "16 bits in TIFF": (saved(sixteen_bits(10 * 257), "TIFF"), (10, 10, 10)),
    "floats in 0..1": (saved(Image.new("F", (60, 50), 0.2), "TIFF"), (51, 51, 51)),
    "CMYK": (saved(Image.new("CMYK", (60, 50), (0, 0, 0, 255)), "TIFF"), (0, 0, 0)),
    "GIF": (saved(Image.new("L", (60, 50), 77), "GIF"), (77, 77, 77)),
    "WebP": (saved(Image.new("RGB", (60, 50), (10, 20, 30)), "WEBP", lossless=True), (10, 20, 30)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_every_kind_of_picture_becomes_rgb_bytes(kind):
    """50 x 60 pixels of one colour, on white where they are transparent."""
    data, colour = PICTURES[kind]
    picture = open_image(data)
    assert picture.shape == (50, 60, 3) and picture.dtype == np.uint8
    assert (picture == colour).all()


def test_cmyk_jpegs_keep_their_colour():
    """Cyan ink alone is near (0, 255, 255)."""
    picture = open_image(saved(Image.new("CMYK", (60, 50), (255, 0, 0, 0)), "JPEG", quality=95))
    assert np.abs(picture.mean((0, 1)) - (0, 255, 255)).max() < 8


@pytest.mark.parametrize("orientation, corner", list(zip(range(1, 9), ("tl", "tr", "br", "bl") * 2, strict=True)))
def test_exif_turns_the_picture(orientation, corner):
    """A white patch stored at the top left is seen where EXIF's orientation puts it; 5 to 8 swap width and height."""
    stored = np.zeros((60, 80, 3), np.uint8)
    stored[:20, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = open_image(saved(Image.fromarray(stored), "PNG", exif=exif))
    assert picture.shape[:2] == ((60, 80) if orientation < 5 else (80, 60))
    rows = slice(0, 20) if corner[0] == "t" else slice(-20, None)
    columns = slice(0, 20) if corner[1] == "l" else slice(-20, None)
    assert (picture[rows, columns] == 255).all() and picture.sum() == 255 * 20 * 20 * 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_is_no_reason_to_refuse():
    image = Image.new("RGB", (60, 50), (10, 20, 30))
    assert (open_image(saved(image, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")) == (10, 20, 30)).all()


def test_an_animation_shows_its_first_frame():
    frames = [Image.new("L", (60, 50), grey) for grey in (10, 200)]
    assert (open_image(saved(frames[0], "GIF", save_all=True, append_images=frames[1:])) == 10).all()


def test_all_kinds_of_sources_give_the_same_picture(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    with path.open("rb") as file, Image.open(path) as image:
        for source in (path, str(path), path.read_bytes(), file, image):
            assert np.array_equal(open_image(source), noise)


def test_sizes_from_24_pixels_to_24_megapixels():
    assert open_image(Image.new("L", (24, 30))).shape == (30, 24, 3)
    assert open_image(Image.new("L", (6000, 4000))).shape == (4000, 6000, 3)


REFUSED = {
    "empty": (b"", "empty file (0 bytes)"),
    "text": (b"<html>no picture</html>", "text or SVG"),
    "pdf": (b"%PDF-1.7 and so on", "PDF document"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
    "video": (b"\0\0\0\x18ftypisom" + bytes(40), "video"),
    "noise": (bytes(range(1, 101)), "file of 100 bytes"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 50\n", "file of 49 bytes"),
    "too narrow": (saved(Image.new("L", (23, 90)), "PNG"), "23 x 90 pixels; each side needs at least 24"),
    "too large": (declared_png(6000, 5000), "6000 x 5000 pixels (30 megapixels); at most 24"),
    "bomb": (declared_png(60000, 50000), "more than 170 megapixels; at most 24"),
    "cut off": (saved(Image.effect_noise((90, 90), 50), "PNG")[:-2000], "PNG picture (90 x 90 pixels) is damaged"),
    "cut JPEG": (saved(Image.effect_noise((90, 90), 50), "JPEG")[:-2000], "JPEG picture (90 x 90 pixels) is damaged"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(kind, tmp_path):
    """The sentence names what came and what would be right, and never where it lies on this machine."""
    data, words = REFUSED[kind]
    path = tmp_path / "upload"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(ImageError) as refusal:
            open_image(source)
        sentence = str(refusal.value)
        assert words in sentence and str(tmp_path) not in sentence
        assert sentence.endswith(".") and "\n" not in sentence


def test_the_suffixes_of_pictures_are_those_that_pillow_opens():
    """AVIF where this Pillow has it, HEIC where pillow-heif is; PostScript never, though Pillow opens it."""
    assert {".jpg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm"} <= picture_suffixes()
    assert (".avif" in picture_suffixes()) == features.check("avif")
    assert (".heic" in picture_suffixes()) == (importlib.util.find_spec("pillow_heif") is not None)
    assert not {".eps", ".psd", ".pdf", ".mpg"} & picture_suffixes()


def test_missing_files_folders_and_devices_are_refused(tmp_path):
    """Each by its own name, without the folders that lead to it."""
    for path, words in (
        (tmp_path / "gone.jpg", "no file 'gone.jpg'"),
        (tmp_path, "a folder"),
        ("/dev/zero", "no file"),
    ):
        with pytest.raises(ImageError, match=words) as refusal:
            open_image(path)
        assert "/" not in str(refusal.value)


def test_refusing_a_bomb_leaves_pillows_own_guard_as_it_was():
    with pytest.raises(ImageError):
        open_image(declared_png(60000, 50000))
    assert Image.MAX_IMAGE_PIXELS == 89478485


@pytest.mark.parametrize(
    "size, factor, kind", [((8000, 6000), 2, "JPEG"), ((9000, 6000), 2, "MPO"), ((12000, 9000), 4, "JPEG")]
)
def test_large_jpegs_are_read_at_a_reduced_scale(size, factor, kind):
    """48, 54 and 108 megapixels, as phones deliver them: within 24, and the scale is said."""
    more = {"save_all": True, "append_images": [Image.new("L", (60, 50))]} if kind == "MPO" else {}
    opened = open_scaled(saved(Image.new("L", size, 77), kind, **more))
    assert opened.pixels.shape[:2] == (size[1] // factor, size[0] // factor) and (opened.pixels == 77).all()
    assert opened.pixels.shape[0] * opened.pixels.shape[1] <= MOST_PIXELS
    assert opened.scale == factor and f"1/{factor} of its size" in opened.note


def test_large_jpegs_are_turned_as_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_scaled(saved(Image.new("L", (8000, 6000)), "JPEG", exif=exif)).pixels.shape[:2] == (4000, 3000)


def test_jpegs_have_a_bound_too():
    """126 megapixels; and 63 of a progressive one, whose coefficients are held whatever the scale."""
    for size, options in (((14000, 9000), {}), ((9000, 7000), {"progressive": True})):
        with pytest.raises(ImageError, match="so please send a smaller copy"):
            open_image(saved(Image.new("L", size), "JPEG", **options))


def test_small_pictures_are_read_with_a_note():
    """24 pixels and more are read; below 48 it is said, from 48 it is not."""
    small, enough = open_scaled(Image.new("L", (24, 30))), open_scaled(Image.new("L", (48, 48)))
    assert small.pixels.shape == (30, 24, 3) and "24 x 30" in small.note
    assert (enough.note, enough.scale) == (None, 1.0)
