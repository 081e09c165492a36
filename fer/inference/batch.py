"""Many photographs: ``python -m fer predict FOLDER --out answers.csv``, which goes on where it was stopped.

    for row in read(find_pictures(["holiday/"])[0], network, detector):
        row["path"], row["faces"]      # or row["path"], row["error"]: a bad file never stops the rest

Faces of many pictures go through the network in one batch. Where there is an --out, every batch is written as it is
read: a line a picture, or a frame of a film, in a .jsonl file, a line a face in a .csv file.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import nn

from fer.data import image_folder, image_io
from fer.data.image_folder import VIDEOS
from fer.data.image_io import ImageError
from fer.faces import framing
from fer.faces.detector import Detector
from fer.faces.framing import Box
from fer.inference import predictor
from fer.utils import outputs, tables
from fer.utils.io import atomic_write as whole_file

BATCH_SIZE = 64  # pictures
_TEXT_OPTIONS = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # a file's name may be no text at all
_CROP_TAG = ("Software", "python -m fer crop")  # in every PNG that `cut` writes, which alone it writes over


def find_pictures(paths: Iterable[str | Path]) -> tuple[list[Path], list[image_folder.Reason]]:
    """The files that are named and, of folders, the pictures in and below them in natural order; a folder without one
    as well, for its error to be told. And why each other file of the folders is left out.
    """
    found, left_out = [], []
    for path in map(Path, paths):
        if path.is_dir():
            pictures, reasons = image_folder.find_pictures(path, films="a film: name it itself")
            found += pictures or [path]
            left_out += reasons
        else:
            found.append(path)
    return found, left_out


def predict_files(
    files: Iterable[Path], network: nn.Module, detector: Detector | None, whole: bool = False
) -> Iterator[dict]:
    """For each file, in order: {"path", "detector", "faces": [{"box", "angle", "emotion", "prediction_set",
    "probabilities"}]}, largest face first; and "note" where a picture is small, or was read at a reduced scale.

    box: x, y, width and height in the file's own pixels. angle: degrees by which the face is turned clockwise.
    detector: None where pictures are taken as faces.

    A file that cannot be read gives {"path", "error"} with one sentence. whole: takes pictures as faces, which needs
    no detector.
    """
    files = iter(files)
    while some := list(islice(files, BATCH_SIZE)):
        found = [_find_faces(file, detector, whole) for file in some]  # boxes and crops, or what is wrong
        crops = [crop for seen in found if not isinstance(seen, str) for crop in seen.crops]
        shares = iter(_predict_crops(network, crops))
        for file, seen in zip(some, found, strict=True):
            if isinstance(seen, str):
                yield {"path": str(file), "error": seen}
            else:
                note = {"note": seen.note} if seen.note else {}
                rows = [_face_row(box, next(shares), network) for box in seen.boxes]
                yield {"path": str(file), **note, "detector": None if whole else detector.name, "faces": rows}


def crop_folder(folder: Path, out: Path, detector: Detector) -> Iterator[tuple[Path, str | None]]:
    """Writes the largest face of every picture in and below a folder as a 48x48 PNG to the same place below ``out``.

    Gives each file, as it is read, and what is wrong with it, or None. Framed as faces are for reading, and as
    FER-2013's are. Where pictures differ in their ending alone it stays in the name: a.jpg and a.png become a.jpg.png
    and a.png.png. Where to write is looked at before anything is read.

    Raises:
        ValueError: ``out`` is ``folder`` or lies in it, or a file that this did not write would be written over.
    """
    return _crop_files(_output_paths(folder, out), detector)


def _crop_files(places: dict[Path, Path], detector: Detector) -> Iterator[tuple[Path, str | None]]:
    for file, place in places.items():
        found = _find_faces(file, detector, whole=False)
        wrong = found if isinstance(found, str) else None if found.boxes else "No face was found in it."
        if wrong is None:
            place.parent.mkdir(parents=True, exist_ok=True)
            notes = PngImagePlugin.PngInfo()
            notes.add_text(*_CROP_TAG)
            with whole_file(place) as partial:
                Image.fromarray(found.crops[0]).save(partial, pnginfo=notes)
        yield file, wrong


def _output_paths(folder: Path, out: Path) -> dict[Path, Path]:
    """Where each picture's face is to be written."""
    outputs.check_folder(out, folder)
    files, _ = find_pictures([folder])
    names = outputs.distinct([file.relative_to(folder) for file in files])
    places = {file: out / f"{name}.png" for file, name in zip(files, names, strict=True)}
    outputs.check_outputs(files, places.values(), out)
    for place in filter(Path.exists, places.values()):
        if not _is_own_crop(place):
            raise ValueError(f"{str(place)!r} is there and was not written by `crop`: name another folder")
    return places


def _is_own_crop(file: Path) -> bool:
    try:
        with Image.open(file) as picture:
            return picture.info.get(_CROP_TAG[0]) == _CROP_TAG[1]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


@dataclass(frozen=True)
class _FileFaces:
    """The faces of a file: boxes in the file's own pixels, crops uint8 (48, 48), and what is unusual about the file."""

    boxes: list[Box]
    crops: list[np.ndarray]
    note: str | None


def _find_faces(file: Path, detector: Detector | None, whole: bool) -> _FileFaces | str:
    """Its faces, or one sentence that says what is wrong with the file."""
    try:
        opened = image_io.open_scaled(_check_kind(file))
    except ImageError as error:
        return str(error)
    picture = opened.pixels
    boxes = [framing.centre_square(picture)] if whole else detector(picture)
    squares = boxes if whole else [framing.frame(box, detector.name) for box in boxes]
    crops = [framing.crop(picture, square) for square in squares]
    return _FileFaces([box.scaled(opened.scale) for box in boxes], crops, opened.note)


def _check_kind(file: Path) -> Path:
    if file.is_dir():
        raise ImageError("There is no picture in this folder.")
    if file.suffix.lower() in VIDEOS:
        raise ImageError(f"{file.name!r} is a video; `python -m fer predict VIDEO` reads it alone.")
    return file


def _predict_crops(network: nn.Module, crops: list[np.ndarray]) -> list[dict[str, float]]:
    if not crops:
        return []
    rows = predictor.predict_probabilities(network, torch.from_numpy(np.stack(crops)))  # (N, K)
    return [dict(zip(network.labels, row, strict=True)) for row in rows.tolist()]


def _face_row(box: Box, shares: dict[str, float], network: nn.Module) -> dict:
    labels = predictor.prediction_set(shares, getattr(network, "prediction_set", 0.0))
    told = {"emotion": max(shares, key=shares.get), "prediction_set": labels, "probabilities": shares}
    return {"box": box.to_list(), "angle": round(box.angle)} | told


# ------------------------------------------------------------------------------------------------ answers on disk


class ResumableResults:
    """A file of answers that a stopped run left, or a new one: which pictures and films it has, and more of them added.

    A .csv file may lack some lines of its last picture, and either kind some frames of its last film, so that one is
    taken out, to be read again. In a .csv file text that a spreadsheet would execute is made inert (`fer.tables`).

    Raises:
        ValueError: a file of another kind than .csv or .jsonl, or one that holds something else.
    """

    def __init__(self, file: Path, labels: Iterable[str]) -> None:
        if file.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"out is {str(file)!r}: expected a file that ends in .csv or .jsonl")
        self.file, self.labels = file, list(labels)
        place = ["frame", "seconds", "face", "x", "y", "width", "height"]
        self.header = ["path", *place, "emotion", "prediction set", *self.labels, "error"]
        kept = self._kept()
        self.done = {path for path, _ in kept}
        self._replace([line for _, line in kept])

    def add(self, row: dict) -> None:
        """Appends the answer to one picture, or to one frame of a film, which has "frame" and "seconds" as well."""
        with self.file.open("a", **_TEXT_OPTIONS) as file:
            file.write(self._text(row))
        self.done.add(row["path"])

    def _text(self, row: dict) -> str:
        if self.file.suffix == ".jsonl":
            return json.dumps(row) + "\n"
        frame = [row.get("frame", ""), row.get("seconds", "")]
        lines = [
            [*frame, face.get("number", place), *face["box"], *_label_cells(face), *face["probabilities"].values(), ""]
            for place, face in enumerate(row.get("faces", ()))
        ]
        without = [*frame, *[""] * (len(self.header) - 4), row.get("error", "")]
        return "".join(tables.line([row["path"], *cells]) for cells in lines or [without])

    def _kept(self) -> list[tuple[str, str]]:
        """The path and the text of every complete line, but for those of the last picture or film if it may lack some.

        Lines end at a line feed alone: a name may hold any other separator, and within quotes in a .csv file that one.
        """
        if not self.file.exists():
            return []
        with self.file.open(**_TEXT_OPTIONS) as file:
            text = file.read().removeprefix("\ufeff")
        try:
            return self._rows_of_csv(text) if self.file.suffix == ".csv" else self._rows_of_json(text)
        except (ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
            what = (
                "columns are of another network"
                if isinstance(error, _OtherColumnsError)
                else "content is something else"
            )
            raise ValueError(f"out is {str(self.file)!r}, whose {what}: name a new file") from error

    def _rows_of_csv(self, text: str) -> list[tuple[str, str]]:
        head, *lines = list(tables.lines(text)) or [tables.line(self.header)]
        rows = [(tables.cells(line)[0], line) for line in lines]
        if tables.cells(head) != self.header:
            raise _OtherColumnsError
        return [row for row in rows if row[0] != rows[-1][0]]

    def _rows_of_json(self, text: str) -> list[tuple[str, str]]:
        lines = [line + "\n" for line in text.split("\n")[:-1]]
        rows = [(json.loads(line), line) for line in lines]
        unfinished = rows[-1][0]["path"] if rows and "frame" in rows[-1][0] else None
        return [(row["path"], line) for row, line in rows if row["path"] != unfinished]

    def _replace(self, lines: list[str]) -> None:
        """Written beside and moved into place, so that a kill at any moment leaves a whole file."""
        head = tables.line(self.header) if self.file.suffix == ".csv" else ""
        with whole_file(self.file) as partial, partial.open("w", **_TEXT_OPTIONS) as file:
            file.write(head + "".join(lines))


def _label_cells(face: dict) -> list[str]:
    return [face["emotion"], "|".join(face["prediction_set"])]


class _OtherColumnsError(ValueError):
    """A table of another network."""
