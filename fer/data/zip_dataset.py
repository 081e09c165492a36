"""Somebody's own labelled faces -> pixels and labels: a zip with a folder for each emotion, as in ``happy/1.jpg``.

    own = read("faces.zip")
    own.pixels, own.names                      # uint8 (N, 48, 48) and as many words

An archive comes from a stranger: it is never unpacked to disk, its directory is counted before it is parsed, and
nothing in it is read further than the limits below. What its folders mean is decided as for a folder of faces.
"""

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image

from fer.data.crop import whole_picture
from fer.data.image_folder import FaceReader, LabelledFaces, Reason, count_labels, label_pictures, reason_to_skip
from fer.data.image_io import readable_formats
from fer.data.labels import ALL_LABELS
from fer.data.read_report import ReadReport, counted, shown

MOST_FACES = 2000
MOST_ENTRIES = 5000  # of an archive, whatever they are
MOST_BYTES = 4 << 20  # of one picture
MOST_UNPACKED = 128 << 20  # of all of them
MOST_PIXELS = 4_500_000  # of one picture, before it is decoded; and a hundred times as many of all
WANTED = "a zip with a folder for each emotion, as in happy/1.jpg, would be right"

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


@dataclass(frozen=True)
class _File:
    """A file of an archive: its path in there, its size in bytes, and how it is read."""

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]


def read(
    source: str | Path, title: str | None = None, see: Callable[[np.ndarray], np.ndarray | None] = whole_picture
) -> LabelledFaces:
    """The faces of a zip.

    see: what makes a face, uint8 (48, 48), of a picture, RGB uint8 (H, W, 3); None where it finds none.

    Raises:
        OwnFacesError: too many or too large files, links, paths that lead out of it, nothing that is a picture of a
            face, or no archive at all.
    """
    source = Path(source)
    try:
        with source.open("rb") as stream, _opened(stream) as archive:
            return _labelled(_of_archive(archive), title or source.name, see)
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
            yield _File(PurePosixPath(name), info.file_size, partial(_unpacked, archive, info))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        return member.read(MOST_BYTES)


# ------------------------------------------------------------------------------------------------ faces


def _labelled(files: Iterator[_File], title: str, see: Callable) -> LabelledFaces:
    pictures, left_out = _pictures(files)
    rows, unlabelled, remarks = label_pictures(list(pictures), ALL_LABELS)
    reader, budget, faces, names = FaceReader(see), 100 * MOST_PIXELS, [], []
    for row in rows:
        data = pictures[row.path].read()
        pixels = _pixel_count(data)
        if pixels > min(MOST_PIXELS, budget):
            reader.leave_out(row.path, ("too large", "more than 2,048 x 2,048 pixels"))
            continue
        budget -= pixels
        if (face := reader.read(row.path, data)) is not None:
            faces.append(face)
            names.append(row.label)
    reasons = (*counted([*left_out, *unlabelled]), *reader.left_out())
    report = ReadReport(
        {"all": count_labels(names, ALL_LABELS)} if names else {}, reasons, (*remarks, *reader.remarks())
    )
    if not faces:
        raise OwnFacesError(f"There is no picture in it that can be read; {WANTED}. {_plain(report.line())}")
    return LabelledFaces(title, torch.from_numpy(np.stack(faces)), tuple(names), report)


def _pictures(files: Iterator[_File]) -> tuple[dict[PurePosixPath, _File], list[Reason]]:
    """The files that are pictures by their names, by their paths, and why the others are not taken."""
    pictures, left_out = {}, []
    for file in files:
        reason = reason_to_skip(file.path)
        if reason is None and file.path in pictures:
            reason = ("pictures", "of a name that is there twice")
        if reason is None and file.size > MOST_BYTES:
            reason = ("too large", f"more than {MOST_BYTES >> 20} MB")
        if reason is None:
            pictures[file.path] = file
        else:
            left_out.append(reason)
    if len(pictures) > MOST_FACES:
        raise OwnFacesError(f"There are {len(pictures):,} pictures in it; at most {MOST_FACES:,} can be read at once.")
    if (total := sum(file.size for file in pictures.values())) > MOST_UNPACKED:
        raise OwnFacesError(f"Unpacked, the pictures have {total / 1e6:,.0f} MB; at most {MOST_UNPACKED >> 20} can be.")
    return pictures, left_out


def _pixel_count(data: bytes) -> int:
    """The picture's pixels, from its header; 0 where it cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as picture:
            return picture.width * picture.height
    except Exception:  # whatever is wrong, `open_picture` has the words for it
        return 0


def _shown(name: str) -> str:
    """A stranger's file name, short and without what could be markup."""
    return repr(_plain(shown(name[-60:])))


def _plain(text: str) -> str:
    return re.sub(r"[<>&`*\[\]]", "_", text)
