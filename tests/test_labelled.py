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
from PIL import Image

from fer import labelled
from fer.labelled import OwnFacesError


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
    """Folders in a folder, synonyms, other sizes; a text and a broken picture are counted, what a Mac adds is not."""
    own = labelled.read(zipped(tmp_path / "f.zip", GOOD | JUNK))
    assert own.names == ("happy", "angry", "contempt") and own.title == "f.zip"
    assert own.pixels.shape == (3, 48, 48) and own.pixels[:, 0, 0].tolist() == [10, 20, 30]
    assert own.left_out["It is no picture by its name."] == 1 and sum(own.left_out.values()) == 2


def test_a_folder_gives_the_same_as_its_zip(tmp_path):
    for name, content in GOOD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "faces" / "happy" / "link.png").symlink_to(tmp_path / "faces" / "Anger" / "2.PNG")
    own = labelled.read(tmp_path / "faces")
    assert sorted(own.names) == ["angry", "contempt", "happy"] and own.title == "faces"


def test_a_face_is_looked_for_where_it_is_asked_for(tmp_path):
    """A finder that sees nothing in dark pictures leaves these out, and says so."""
    path = zipped(tmp_path / "f.zip", {"happy/1.png": png(10), "happy/2.png": png(200)})
    own = labelled.read(path, see=lambda picture: np.zeros((48, 48), np.uint8) if picture.mean() > 99 else None)
    assert own.names == ("happy",) and own.left_out == {"No face was found in it.": 1}


def symlink(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("happy/1.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


HOSTILE = {
    "path traversal": ({"../../happy/1.png": png(1)}, "path that leads out of it"),
    "backslashes": ({"..\\happy\\1.png": png(1)}, "path that leads out of it"),
    "absolute path": ({"/happy/1.png": png(1)}, "path that leads out of it"),
    "drive": ({"C:/happy/1.png": png(1)}, "path that leads out of it"),
    "nested archive": ({"happy/1.png": png(1), "happy/more.zip": b""}, "another archive in it"),
    "bomb": ({"happy/1.png": bytes(50_000_000)}, "has 50 MB unpacked; a picture may have at most 4 MB"),
    "many small bombs": ({f"happy/{n}.png": bytes(4_000_000) for n in range(40)}, "have 160 MB; at most 128"),
    "no label": ({"1.png": png(1)}, "lies in no folder, so it has no label"),
    "unknown label": ({"grumpy<b>/1.png": png(1)}, "The folder 'grumpy_b_' names no emotion: angry, disgust"),
    "no picture": ({"happy/1.png": b"text"}, "There is no picture in it that can be read"),
    "empty": ({}, "There is no picture in it"),
    "too many pictures": ({f"happy/{n}.png": b"" for n in range(2001)}, "There are 2,001 pictures in it"),
}


@pytest.mark.parametrize("files, words", HOSTILE.values(), ids=HOSTILE)
def test_what_is_wrong_with_an_archive_is_said_in_a_sentence(tmp_path, files, words):
    path = zipped(tmp_path / "f.zip", files)
    with pytest.raises(OwnFacesError) as error:
        labelled.read(path)
    assert words in str(error.value) and "\n" not in str(error.value) and str(tmp_path) not in str(error.value)
    assert os.listdir(tmp_path) == ["f.zip"]


def test_a_link_is_refused(tmp_path):
    with pytest.raises(OwnFacesError, match="has a link"):
        labelled.read(written(tmp_path / "f.zip", symlink))


def test_the_files_of_an_archive_are_counted_before_its_directory_is_parsed(tmp_path, monkeypatch):
    """20,000 files; also where the last record lies about their number, or says it in 64 bits."""
    path = zipped(tmp_path / "f.zip", {f"happy/{n}.png": b"" for n in range(20_000)})
    content = bytearray(path.read_bytes())
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(OwnFacesError, match="too many files; at most 5,000"):
        labelled.read(path)
    content[-14:-10] = struct.pack("<2H", 3, 3)
    path.write_bytes(content)
    with pytest.raises(OwnFacesError, match="too many files"):
        labelled.read(path)
    path.write_bytes(b"PK\6\7" + bytes(16) + b"PK\5\6" + bytes(18))
    with pytest.raises(OwnFacesError, match="too many files"):
        labelled.read(path)


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    """6,000 x 6,000 black pixels fit into 35 kB; they are left out by the header alone."""
    path = zipped(tmp_path / "f.zip", {"happy/1.png": png(0, 6000), "happy/2.png": png(9)})
    opened = labelled.open_picture
    sizes = []
    monkeypatch.setattr(labelled, "open_picture", lambda data: sizes.append(len(data)) or opened(data))
    own = labelled.read(path)
    assert len(own.names) == 1 and len(sizes) == 1 and "too many pixels" in next(iter(own.left_out))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4" + bytes(100), b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_archive_is_told_as_well(tmp_path, content):
    (tmp_path / "f.zip").write_bytes(content)
    with pytest.raises(OwnFacesError, match="archive"):
        labelled.read(tmp_path / "f.zip")


def test_a_broken_or_locked_archive_is_told_as_well(tmp_path):
    path = zipped(tmp_path / "f.zip", {"happy/1.png": os.urandom(500)})
    content = bytearray(path.read_bytes())
    content[60] ^= 255  # within the packed picture
    path.write_bytes(content)
    with pytest.raises(OwnFacesError, match="cannot be read"):
        labelled.read(path)
    content = bytearray(zipped(path, {"happy/1.png": png(1)}).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(OwnFacesError, match="password"):
        labelled.read(path)
