"""Somebody's own faces: what is taken from an archive or a folder, and what is refused in one sentence."""

import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fer.data import image_folder, image_io, zip_dataset
from fer.data.labels import ALL_LABELS
from fer.data.zip_dataset import OwnFacesError


def png(grey: int, side: int = 48) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (side, side), grey).save(stream, "png")
    return stream.getvalue()


def written(path: Path, build: Callable[[zipfile.ZipFile], object]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        build(archive)
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    return written(path, lambda archive: [archive.writestr(name, content) for name, content in files.items()])


GOOD = {"faces/happy/1.png": png(10), "faces/Anger/2.PNG": png(20, 96), "faces/contempt/3.png": png(30)}
JUNK = {"__MACOSX/faces/happy/._1.png": b"", "faces/.DS_Store": b"", "faces/readme.txt": b"", "faces/sad/4.jpg": b"no"}


def test_a_zip_of_folders_becomes_faces_and_labels(tmp_path):
    """Folders in a folder, synonyms, other sizes; a text, a broken picture and what a Mac adds are counted."""
    own = zip_dataset.read(zipped(tmp_path / "f.zip", GOOD | JUNK))
    assert own.names == ("happy", "angry", "contempt") and own.title == "f.zip"
    assert own.pixels.shape == (3, 48, 48) and own.pixels[:, 0, 0].tolist() == [10, 20, 30]
    left_out = {part.what: part.count for part in own.report.left_out}
    assert left_out == {"system files": 2, ".txt": 1, "unreadable": 1} and own.report.count == 3


def test_a_folder_gives_the_same_as_its_zip(tmp_path):
    for name, content in GOOD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "faces" / "happy" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    own = image_folder.read_labelled(tmp_path / "faces", ALL_LABELS)
    assert sorted(own.names) == ["angry", "contempt", "happy"] and own.title == "faces"
    assert torch.equal(own.pixels.sort(0).values, zip_dataset.read(zipped(tmp_path / "f.zip", GOOD)).pixels)


def test_a_face_is_looked_for_where_it_is_asked_for(tmp_path):
    """A finder that sees nothing in dark pictures leaves these out, and says so."""
    path = zipped(tmp_path / "f.zip", {"happy/1.png": png(10), "happy/2.png": png(200)})
    own = zip_dataset.read(path, see=lambda picture: np.zeros((48, 48), np.uint8) if picture.mean() > 99 else None)
    assert own.names == ("happy",) and [part.what for part in own.report.left_out] == ["without a face"]


def test_one_foreign_file_or_folder_does_not_stop_the_others(tmp_path):
    """An archive within, an unknown folder, a picture in none, one of 5 MB and a name that is there twice."""
    files = GOOD | {
        "faces/more.zip": b"",
        "faces/grumpy/1.png": png(1),
        "1.png": png(1),
        "faces/sad/1.png": bytes(5 << 20),
    }
    own = zip_dataset.read(zipped(tmp_path / "f.zip", files))
    assert len(own.names) == 3 and sum(part.count for part in own.report.left_out) == 4


def symlink(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("happy/1.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


HOSTILE = {
    "path traversal": ({"../../happy/1.png": png(1)}, "path that leads out of it"),
    "backslashes": ({"..\\happy\\1.png": png(1)}, "path that leads out of it"),
    "absolute path": ({"/happy/1.png": png(1)}, "path that leads out of it"),
    "drive": ({"C:/happy/1.png": png(1)}, "path that leads out of it"),
    "nested archive": ({"happy/more.zip": b""}, "1 .zip (an archive: unpack it)"),
    "bomb": ({"happy/1.png": bytes(50_000_000)}, "1 too large (more than 4 MB)"),
    "many small bombs": ({f"happy/{n}.png": bytes(4_000_000) for n in range(40)}, "have 160 MB; at most 128"),
    "no label": ({"1.png": png(1)}, "1 in no folder of an emotion"),
    "unknown label": ({"grumpy<b>/1.png": png(1)}, "1 in grumpy_b_/ (names no emotion)"),
    "no picture": ({"happy/1.png": b"text"}, "There is no picture in it that can be read"),
    "empty": ({}, "There is no picture in it"),
    "too many pictures": ({f"happy/{n}.png": b"" for n in range(2001)}, "There are 2,001 pictures in it"),
}


@pytest.mark.parametrize("files, words", HOSTILE.values(), ids=HOSTILE)
def test_what_is_wrong_with_an_archive_is_said_in_a_sentence(tmp_path, files, words):
    path = zipped(tmp_path / "f.zip", files)
    with pytest.raises(OwnFacesError) as error:
        zip_dataset.read(path)
    assert words in str(error.value) and "\n" not in str(error.value) and str(tmp_path) not in str(error.value)
    assert os.listdir(tmp_path) == ["f.zip"]


def test_a_link_is_refused(tmp_path):
    with pytest.raises(OwnFacesError, match="has a link"):
        zip_dataset.read(written(tmp_path / "f.zip", symlink))


def test_the_files_of_an_archive_are_counted_before_its_directory_is_parsed(tmp_path, monkeypatch):
    """20,000 files; also where the last record lies about their number, or says it in 64 bits."""
    path = zipped(tmp_path / "f.zip", {f"happy/{n}.png": b"" for n in range(20_000)})
    content = bytearray(path.read_bytes())
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(OwnFacesError, match="too many files; at most 5,000"):
        zip_dataset.read(path)
    content[-14:-10] = struct.pack("<2H", 3, 3)
    path.write_bytes(content)
    with pytest.raises(OwnFacesError, match="too many files"):
        zip_dataset.read(path)
    path.write_bytes(b"PK\6\7" + bytes(16) + b"PK\5\6" + bytes(18))
    with pytest.raises(OwnFacesError, match="too many files"):
        zip_dataset.read(path)


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    """6,000 x 6,000 black pixels fit into 35 kB; they are left out by the header alone."""
    path = zipped(tmp_path / "f.zip", {"happy/1.png": png(0, 6000), "happy/2.png": png(9)})
    opened = image_io.open_image
    sizes = []
    monkeypatch.setattr(image_folder, "open_image", lambda data: sizes.append(len(data)) or opened(data))
    own = zip_dataset.read(path)
    assert len(own.names) == 1 and len(sizes) == 1 and own.report.left_out[0].what == "too large"


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4" + bytes(100), b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_archive_is_told_as_well(tmp_path, content):
    (tmp_path / "f.zip").write_bytes(content)
    with pytest.raises(OwnFacesError, match="archive"):
        zip_dataset.read(tmp_path / "f.zip")


def test_a_broken_or_locked_archive_is_told_as_well(tmp_path):
    path = zipped(tmp_path / "f.zip", {"happy/1.png": os.urandom(500)})
    content = bytearray(path.read_bytes())
    content[60] ^= 255  # within the packed picture
    path.write_bytes(content)
    with pytest.raises(OwnFacesError, match="cannot be read"):
        zip_dataset.read(path)
    content = bytearray(zipped(path, {"happy/1.png": png(1)}).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(OwnFacesError, match="password"):
        zip_dataset.read(path)
