"""Somebody's own labelled faces -> pixels and labels: a zip of ``<emotion>/*.jpg``, or such a folder.

    own = read("faces.zip")                    # or a folder
    own.pixels, own.names                      # uint8 (N, 48, 48) and as many words

An archive comes from a stranger: it is never unpacked to disk, its directory is counted before it is parsed, and
nothing in it is read further than the limits below.
"""

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fer.data import EMOTIONS
from fer.faces import crop, whole
from fer.folders import emotion_named
from fer.pictures import FORMATS, PictureError, open_picture
from fer.taggers import FERPLUS

KNOWN = tuple(dict.fromkeys((*EMOTIONS, *FERPLUS)))
MOST_FACES = 2000
MOST_ENTRIES = 5000  # of an archive or a folder, whatever they are
MOST_BYTES = 4 << 20  # of one picture
MOST_UNPACKED = 128 << 20  # of all of them
MOST_PIXELS = 4_500_000  # of one picture, before it is decoded; and a hundred times as many of all
WANTED = "a zip with a folder for each emotion, as in happy/1.jpg, would be right"

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".jar"}
_JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    struct.error,
    ValueError,
)


class OwnFacesError(ValueError):
    """Faces that cannot be taken; the message is one sentence for the person who sent them."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Faces with their labels.

    pixels: uint8 (N, 48, 48). names: the label of each, one of KNOWN. left_out: how many files were not taken, by the
    reason.
    """

    title: str
    pixels: Tensor
    names: tuple[str, ...]
    left_out: dict[str, int]


@dataclass(frozen=True)
class _File:
    """A file of an archive or a folder: its path in there, its size in bytes, and how it is read."""

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]


def whole_picture(picture: np.ndarray) -> np.ndarray:
    """The picture's centred square as a face: RGB uint8 (H, W, 3) -> uint8 (48, 48)."""
    return crop(picture, whole(picture))


def read(
    source: str | Path, title: str | None = None, see: Callable[[np.ndarray], np.ndarray | None] = whole_picture
) -> Labelled:
    """The faces of a zip or of a folder.

    see: what makes a face, uint8 (48, 48), of a picture, RGB uint8 (H, W, 3); None where it finds none.

    Raises:
        OwnFacesError: too many or too large files, an archive within, names of no emotion, links, paths that lead
            out of it, nothing that is a picture, or no archive at all.
    """
    source = Path(source)
    title = title or source.name
    if source.is_dir():
        return _labelled(_of_folder(source), title, see)
    try:
        with source.open("rb") as stream, _opened(stream) as archive:
            return _labelled(_of_archive(archive), title, see)
    except OwnFacesError:
        raise
    except _BROKEN as error:
        raise OwnFacesError(f"The archive cannot be read ({type(error).__name__}); {WANTED}.") from None


# ------------------------------------------------------------------------------------------------ archives


def _opened(stream: BinaryIO) -> zipfile.ZipFile:
    """The archive, once its last record says that its directory is small enough to be parsed."""
    size = stream.seek(0, os.SEEK_END)
    start = max(size - 65_557, 0)  # the record has 22 bytes, and a comment of at most 65,535
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        raise OwnFacesError(f"This is no zip archive; {WANTED}.")
    _, _, _, _, entries, directory, _, _ = struct.unpack("<4s4H2LH", tail[at : at + 22])
    large = entries > MOST_ENTRIES or directory > 150 * MOST_ENTRIES
    if large or tail[max(at - 20, 0) : at].startswith(b"PK\6\7"):  # a 64-bit record, for more than 65,534 files
        raise OwnFacesError(f"The archive has too many files; at most {MOST_ENTRIES:,} can be looked at.")
    return zipfile.ZipFile(stream)


def _of_archive(archive: zipfile.ZipFile) -> Iterator[_File]:
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
            raise OwnFacesError(f"The archive has a path that leads out of it ({_shown(name)}), so it was not opened.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise OwnFacesError(f"The archive has a link ({_shown(name)}) where a picture would be right.")
        if info.flag_bits & 1:
            raise OwnFacesError("The archive is locked by a password; one without would be right.")
        if not name.endswith("/"):
            yield _File(PurePosixPath(name), info.file_size, lambda info=info: _unpacked(archive, info))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        return member.read(MOST_BYTES)


def _of_folder(folder: Path) -> Iterator[_File]:
    for number, path in enumerate(sorted(folder.rglob("*")), 1):
        if number > MOST_ENTRIES:
            raise OwnFacesError(f"The folder has too many files; at most {MOST_ENTRIES:,} can be looked at.")
        if path.is_file() and not path.is_symlink():
            yield _File(PurePosixPath(folder.name, path.relative_to(folder)), path.stat().st_size, path.read_bytes)


# ------------------------------------------------------------------------------------------------ faces


def _labelled(files: Iterator[_File], title: str, see: Callable) -> Labelled:
    files = [file for file in files if not any(part[0] == "." or part in _JUNK for part in file.path.parts)]
    files, others = _pictures(files)
    names = [_name(file.path) for file in files]
    pixels, kept, left_out, budget = [], [], Counter(others), 100 * MOST_PIXELS
    for file, name in zip(files, names, strict=True):
        try:
            data = file.read()
            budget -= _affordable(data, budget)
            face = see(open_picture(data))
        except PictureError as error:
            left_out[str(error)] += 1
            continue
        if face is None:
            left_out["No face was found in it."] += 1
            continue
        pixels.append(face)
        kept.append(name)
    if not pixels:
        reasons = " ".join(f"{count}: {reason}" for reason, count in left_out.most_common(2))
        raise OwnFacesError(f"There is no picture in it that can be read; {WANTED}. {_plain(reasons)}".strip())
    return Labelled(title, torch.from_numpy(np.stack(pixels)), tuple(kept), dict(left_out))


def _pictures(files: list[_File]) -> tuple[list[_File], dict[str, int]]:
    """The files that are pictures by their names, if they are neither too many nor too large; how many are not."""
    for file in files:
        if file.path.suffix.lower() in _ARCHIVES:
            raise OwnFacesError(f"There is another archive in it ({_shown(str(file.path))}); unpack that one first.")
    pictures = [file for file in files if file.path.suffix.lower() in _PICTURES]
    if len(pictures) > MOST_FACES:
        raise OwnFacesError(f"There are {len(pictures):,} pictures in it; at most {MOST_FACES:,} can be read at once.")
    for file in pictures:
        if file.size > MOST_BYTES:
            size = f"{_shown(str(file.path))} has {file.size / 1e6:,.0f} MB"
            raise OwnFacesError(f"{size} unpacked; a picture may have at most {MOST_BYTES >> 20} MB.")
    if (total := sum(file.size for file in pictures)) > MOST_UNPACKED:
        raise OwnFacesError(f"Unpacked, the pictures have {total / 1e6:,.0f} MB; at most {MOST_UNPACKED >> 20} can be.")
    other = len(files) - len(pictures)
    return pictures, {"It is no picture by its name.": other} if other else {}


def _name(path: PurePosixPath) -> str:
    """The emotion that the picture's folder names."""
    if len(path.parts) < 2:
        raise OwnFacesError(f"{_shown(str(path))} lies in no folder, so it has no label; {WANTED}.")
    name = emotion_named(path.parts[-2])
    if name not in KNOWN:
        raise OwnFacesError(f"The folder {_shown(path.parts[-2])} names no emotion: {', '.join(KNOWN)} would be right.")
    return name


def _affordable(data: bytes, budget: int) -> int:
    """The picture's pixels, from its header. Raises PictureError where they are too many for it or for all."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            pixels = picture.width * picture.height
    except Exception:  # whatever is wrong, `open_picture` has the words for it
        return 0
    if pixels > min(MOST_PIXELS, budget):
        raise PictureError("It has too many pixels; at most 2,048 x 2,048 are right for a face.")
    return pixels


def _shown(name: str) -> str:
    """A stranger's file name, short and without what could be markup."""
    return repr(_plain(name[-60:]))


def _plain(text: str) -> str:
    return re.sub(r"[<>&`*\[\]]", "_", text)
