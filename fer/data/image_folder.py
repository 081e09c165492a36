"""A folder of labelled faces -> pixels and labels, whatever its layout, and a report of what was left out.

- ``DIR/train/<emotion>/*.jpg`` with ``validation/`` or ``test/`` beside it: the splits are those folders;
- ``DIR/<emotion>/*.jpg``, or a lone ``DIR/train/``: a tenth of each emotion is held out, the same in every run.

Folders around and below these are looked through, so ``images/train/happy/session2/1.png`` is a happy face. Pictures
of another size than 48x48 are taken whole: their centred square, resized as `crop` resizes. Every file below DIR is
either read or counted in the report.
"""

import mimetypes
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from fer.data.crop import SIDE, whole_picture
from fer.data.image_io import (
    MOST_PIXELS,
    SMALLEST,
    ImageError,
    PictureTooLargeError,
    PictureTooSmallError,
    open_image,
    picture_suffixes,
)
from fer.data.labels import label_named, numbered_labels, split_named
from fer.data.read_report import LeftOut, ReadReport, counted, shown

HELD_OUT = 0.1  # of each emotion, where there is no folder of faces to choose on
CACHE = "cache.safetensors"  # written beside the faces by `data.load`

_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "folder.jpg:encryptable"}
_SYSTEM_FOLDERS = {"__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "@tmp", "$recycle.bin",
                   "system volume information", "lost+found", "__pycache__"}  # fmt: skip
_SYSTEM = ("system files", "left by an operating system or a NAS")
_HEIF = {".heic", ".heif", ".hif", ".heics", ".heifs"}
_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".jar"}
VIDEOS = set(
    ".mp4 .m4v .mov .qt .avi .divx .mkv .webm .mpg .mpeg .mpe .m1v .m2v .vob .mod .tod .vro .ts .mts .m2ts .m2t .tp "
    ".trp .wmv .asf .flv .f4v .3gp .3g2 .ogv .ogm .mjpeg .mjpg .mxf .dv .rm .rmvb .wtv .h264 .264 .h265 .265 .hevc "
    ".ivf .y4m .nut .insv .lrv".split()
)

_INSTALL_HEIF, _INSTALL_AVIF, _NOT_READ = "install pillow-heif", "install Pillow 11.3 or later", "not read by Pillow"
UNREAD_PICTURES = {_INSTALL_HEIF, _INSTALL_AVIF, _NOT_READ}  # the reasons that concern pictures

Reason = tuple[str, str]  # what was left out, and why


@dataclass(frozen=True)
class LabelledPicture:
    """A picture that will be read: its path below the folder, its emotion, and its split where a folder names one."""

    path: PurePosixPath
    label: str
    split: str | None


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """Faces with their emotions.

    title: the name of the folder or archive. pixels: uint8 (N, 48, 48). names: the label of each. report: how many of
    each label, and what was left out. paths: of each below the folder; () where they are not known.
    """

    title: str
    pixels: Tensor
    names: tuple[str, ...]
    report: ReadReport = ReadReport({})
    paths: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------ files


def find_pictures(folder: Path, films: str = "a film, not a picture") -> tuple[list[Path], list[Reason]]:
    """The pictures in and below a folder in natural order, and why each other file is none of them.

    films: what to say of films. Links are followed, but no folder is entered twice. Caches of ours are passed over.
    """
    pictures, left_out = [], []
    for path, reason in _walk(folder, {folder.resolve()}):
        reason = reason or reason_to_skip(PurePosixPath(path.relative_to(folder)), films)
        if reason is None and not path.is_file():
            reason = ("no files", "broken links, pipes or devices")
        if reason is None:
            pictures.append(path)
        elif path.name != CACHE:
            left_out.append(reason)
    return pictures, left_out


def reason_to_skip(path: PurePosixPath, films: str = "a film, not a picture") -> Reason | None:
    """Why a file is not taken for a picture, by its path alone; None for a picture."""
    if any(is_system(part) for part in path.parts):
        return _SYSTEM
    suffix = path.suffix.lower()
    if suffix in picture_suffixes():
        return None
    return shown(suffix) or "files without suffix", _why_not(suffix, films)


def is_system(name: str) -> bool:
    """Whether an operating system or a NAS put a file or folder of this name there; hidden ones count as well."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES | _SYSTEM_FOLDERS


def _why_not(suffix: str, films: str) -> str:
    if suffix in _HEIF:
        return _INSTALL_HEIF
    if suffix in (".avif", ".avifs"):
        return _INSTALL_AVIF
    if suffix in _ARCHIVES:
        return "an archive: unpack it"
    kind = mimetypes.guess_type(f"x{suffix}")[0] or ""
    if suffix in VIDEOS or kind.startswith("video/"):
        return films
    return _NOT_READ if kind.startswith("image/") else "no picture"


def _walk(folder: Path, entered: set[Path]) -> Iterator[tuple[Path, Reason | None]]:
    """Every file below a folder, first its own, then those of its folders; a reason where it cannot be looked into."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural(entry.name))
    except OSError as error:
        yield folder, (f"folder {shown(folder.name)}", f"cannot be opened: {error.strerror}")
        return
    folders = []
    for entry in entries:
        if entry.is_dir():
            folders.append(entry)
        else:
            yield Path(entry.path), None
    for entry in folders:
        inner = Path(entry.path)
        if entry.is_symlink() and inner.resolve() in entered:
            yield inner, ("links", "to a folder that is read already")
            continue
        entered.add(inner.resolve())
        yield from _walk(inner, entered)


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts img2 before img10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name.casefold())]


# ------------------------------------------------------------------------------------------------ labels


def label_pictures(
    paths: Sequence[PurePosixPath], labels: Sequence[str], title: str = ""
) -> tuple[list[LabelledPicture], list[Reason], list[str]]:
    """The emotion and the split that each picture's folders name, the reasons for those left out, and remarks.

    paths: below the folder or within the archive. labels: those that are asked for. title: the folder's own name, which
    labels the pictures that lie directly in it.
    """
    numbers = _numbered(paths)
    around = _folders_of_emotions(paths)
    found = {path: _labels_of(path, numbers, around) or _own_label(path, title) for path in paths}
    labelled = [
        LabelledPicture(path, next(iter(found[path])), _split_of(path)) for path in paths if len(found[path]) == 1
    ]
    known = {parent for row in labelled for parent in row.path.parents}
    left_out = [_why_unlabelled(path, found[path], known) for path in paths if len(found[path]) != 1]
    left_out += [(row.label, "not among the labels asked for") for row in labelled if row.label not in labels]
    labelled = [row for row in labelled if row.label in labels]
    remarks = []
    if numbers:
        order = ", ".join(f"{name} {label}" for name, label in sorted(next(iter(numbers.values())).items()))
        remarks.append(f"numbered folders are read as {order}")
    return labelled, left_out, remarks


def _numbered(paths: Iterable[PurePosixPath]) -> dict[int, dict[str, str]]:
    """What folders named by numbers mean, by how deep they lie, where no folder of that depth is named otherwise."""
    at_depth: dict[int, set[str]] = {}
    for path in paths:
        if not any(label_named(part) for part in path.parts[:-1]):
            for depth, part in enumerate(path.parts[:-1]):
                at_depth.setdefault(depth, set()).add(part)
    meanings = {depth: numbered_labels(names) for depth, names in sorted(at_depth.items())}
    return {depth: meaning for depth, meaning in meanings.items() if meaning}


def _folders_of_emotions(paths: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """The folders in which two or more emotions have folders: their own name, as in contempt.zip's, is no label."""
    below: dict[PurePosixPath, set[str]] = {}
    for folder in {path.parent for path in paths}:
        for inner in (folder, *folder.parents):
            if label := label_named(inner.name):
                for outer in inner.parents:
                    below.setdefault(outer, set()).add(label)
    return {folder for folder, labels in below.items() if len(labels) > 1}


def _labels_of(
    path: PurePosixPath, numbers: dict[int, dict[str, str]], around: Collection[PurePosixPath] = ()
) -> set[str]:
    """The emotions that a path's folders name by a word, those ``around`` others aside; else the one of a number."""
    folders = path.parts[:-1]
    named = (label_named(folder.name) for folder in path.parents if folder not in around)
    words = {label for label in named if label}
    if words:
        return words
    meant = [numbers[depth][part] for depth, part in enumerate(folders) if part in numbers.get(depth, {})]
    return set(meant[:1])


def _split_of(path: PurePosixPath) -> str | None:
    """The split that a file's own name begins with, as in Kaggle's copy of FER-2013, else that of its folders."""
    if (own := path.name.split("_")[0]) in ("Training", "PublicTest", "PrivateTest"):
        return own
    found = [split for split in map(split_named, path.parts[:-1]) if split]
    return found[-1] if found else None


def _own_label(path: PurePosixPath, title: str) -> set[str]:
    label = label_named(title)
    return {label} if label and len(path.parts) == 1 else set()


def _why_unlabelled(path: PurePosixPath, found: set[str], known: set[PurePosixPath]) -> Reason:
    """known: the folders that hold labelled pictures; the first that is none of them is the one to name."""
    if found:
        return f"in {shown(str(path.parent))}/", f"its folders name {' and '.join(sorted(found))}"
    parents = [*reversed(path.parents)][1:]  # the outermost first, without the folder itself
    unknown = next((parent for parent in parents if parent not in known and not split_named(parent.name)), None)
    if unknown is None:
        return "in no folder of an emotion", "happy/1.jpg would be right"
    return f"in {shown(str(unknown))}/", "names no emotion"


# ------------------------------------------------------------------------------------------------ faces


def read_labelled(
    folder: Path, labels: Sequence[str], see: Callable[[np.ndarray], np.ndarray | None] = whole_picture
) -> LabelledFaces:
    """All faces of a folder, whatever splits its folders name.

    see: what makes a face, uint8 (48, 48), of a picture, RGB uint8 (H, W, 3); None where it finds none.
    """
    paths: list[str] = []

    def undivided(rows: list[LabelledPicture]) -> tuple[dict[str, list[LabelledPicture]], list[str]]:
        paths.extend(str(row.path) for row in rows)
        return {"all": rows}, []

    splits, report = _read(folder, labels, undivided, see)
    pixels, names = splits.get("all", (torch.empty(0, SIDE, SIDE, dtype=torch.uint8), ()))
    return LabelledFaces(folder.resolve().name, pixels, names, report, tuple(paths))


def read_splits(folder: Path, labels: Sequence[str]) -> tuple[dict[str, tuple[Tensor, tuple[str, ...]]], ReadReport]:
    """The faces of Training, PublicTest (on which choices are made) and PrivateTest, those that there are.

    Each is uint8 (N, 48, 48) with the N emotions. A file named after its split, as in Kaggle's copy of FER-2013,
    belongs to that one. A lone ``test/`` is what choices are made on. Without either, a tenth of each emotion is held
    out.
    """
    return _read(folder, labels, _divided, whole_picture)


def has_faces(folder: Path) -> bool:
    """Whether any picture below the folder lies in a folder that names an emotion."""
    paths = []
    for path, _ in _walk(folder, {folder.resolve()}):
        below = PurePosixPath(path.relative_to(folder))
        if reason_to_skip(below) is None:
            if _labels_of(below, {}):
                return True
            paths.append(below)
    return bool(_numbered(paths))


def _read(folder: Path, labels: Sequence[str], divide: Callable, see: Callable) -> tuple[dict, ReadReport]:
    files, left_out = find_pictures(folder)
    places = {PurePosixPath(file.relative_to(folder)): file for file in files}
    rows, unlabelled, remarks = label_pictures(sorted(places), labels, folder.resolve().name)
    reader = FaceReader(see)
    faces = {row.path: face for row in rows if (face := reader.read(row.path, places[row.path])) is not None}
    splits, more = divide([row for row in rows if row.path in faces])
    result = {
        name: (torch.from_numpy(np.stack([faces[row.path] for row in some])), tuple(row.label for row in some))
        for name, some in splits.items()
        if some
    }
    counts = {name: count_labels(names, labels) for name, (_, names) in result.items()}
    remarks += _empty_folders(folder)
    reasons = (*counted([*left_out, *unlabelled]), *reader.left_out())
    return result, ReadReport(counts, reasons, (*remarks, *reader.remarks(), *more))


def _empty_folders(folder: Path) -> list[str]:
    bare = [Path(inner) for inner, below, names in os.walk(folder) if not below and not names]
    empty = [inner.relative_to(folder) for inner in bare if inner != folder]
    names = [f"{shown(str(path))}/" for path in sorted(empty) if not any(map(is_system, path.parts))]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [f"empty: {', '.join(names[:5])}{more}"] if names else []


def count_labels(names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """How many there are of each label, in the order of ``labels``, without those that there are none of."""
    found = Counter(names)
    return {label: found[label] for label in labels if found[label]}


class FaceReader:
    """Reads pictures as faces, and keeps count of those that cannot be read and of those that were enlarged."""

    def __init__(self, see: Callable[[np.ndarray], np.ndarray | None]) -> None:
        self._see = see
        self._reasons: Counter[Reason] = Counter()
        self._first: dict[Reason, str] = {}
        self._enlarged = 0

    def read(self, path: PurePosixPath, source: Path | bytes) -> np.ndarray | None:
        """A face, uint8 (48, 48), or None. path: how it is named in the report."""
        try:
            picture = open_image(source)
        except PictureTooSmallError:
            reason = ("too small", f"below {SMALLEST} pixels")
        except PictureTooLargeError:
            reason = ("too large", f"more than {MOST_PIXELS / 1e6:.0f} megapixels")
        except ImageError:
            reason = ("unreadable", "damaged or no picture")
        else:
            face = self._see(picture)
            if face is not None:
                self._enlarged += min(picture.shape[:2]) < SIDE
                return face
            reason = ("without a face", "none was found")
        self.leave_out(path, reason)
        return None

    def leave_out(self, path: PurePosixPath, reason: Reason) -> None:
        """Counts an image that is not read."""
        self._reasons[reason] += 1
        self._first.setdefault(reason, shown(str(path)))

    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(what, count, f"{why}: {'such as ' if count > 1 else ''}{self._first[what, why]}")
            for (what, why), count in self._reasons.most_common()
        )

    def remarks(self) -> list[str]:
        return [f"{self._enlarged:,} below {SIDE} pixels were enlarged"] if self._enlarged else []


# ------------------------------------------------------------------------------------------------ splits


def _divided(rows: list[LabelledPicture]) -> tuple[dict[str, list[LabelledPicture]], list[str]]:
    """The rows by split, and what is to be said about them."""
    splits: dict[str, list[LabelledPicture]] = {"Training": [], "PublicTest": [], "PrivateTest": []}
    for row in rows:
        splits[row.split or "Training"].append(row)
    if splits["PublicTest"] or not splits["Training"]:
        return splits, []
    if splits["PrivateTest"]:
        return splits | {"PublicTest": splits["PrivateTest"], "PrivateTest": []}, ["choices are made on test/"]
    kept, held = hold_out([row.label for row in rows])
    if not held:
        return splits, ["too few faces to hold some out"]
    return {"Training": [rows[place] for place in kept], "PublicTest": [rows[place] for place in held]}, [
        f"{len(held):,} of them are held out to choose on"
    ]


def hold_out(labels: Sequence) -> tuple[list[int], list[int]]:
    """The places to train on and a tenth of each label's, drawn by chance, but by the same chance every time.

    Of a label with one face none is held out.
    """
    kept: list[int] = []
    held: list[int] = []
    chance = random.Random(0)
    for label in sorted(set(labels)):
        places = [place for place, own in enumerate(labels) if own == label]
        chance.shuffle(places)
        count = max(1, round(HELD_OUT * len(places))) if len(places) > 1 else 0
        held, kept = held + places[:count], kept + places[count:]
    return kept, held
