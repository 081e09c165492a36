"""Many photographs: ``python -m fer predict FOLDER --out answers.csv``, which goes on where it was stopped.

    for row in read(find_pictures(["holiday/"])[0], network, detector):
        row["path"], row["faces"]      # or row["path"], row["error"]: a bad file never stops the rest

Faces of many pictures go through the network in one batch. Where there is an --out, every batch is written as it is
read: a line a picture in a .jsonl file, a line a face in a .csv file.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from fer import faces, image_folder, prediction
from fer.faces import Box, Detector, PictureError
from fer.image_folder import VIDEOS
from fer.writing import whole as whole_file

BATCH = 64  # pictures
_ANY_NAME = {"encoding": "utf-8", "errors": "surrogateescape"}  # a file's name may be no text at all


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


def read(files: Iterable[Path], network: nn.Module, detector: Detector | None, whole: bool = False) -> Iterator[dict]:
    """For each file, in order: {"path", "faces": [{"box", "emotion", "probabilities"}]}, largest face first.

    A file that cannot be read gives {"path", "error"} with one sentence. whole: takes pictures as faces, which needs
    no detector.
    """
    files = iter(files)
    while some := list(islice(files, BATCH)):
        found = [_faces(file, detector, whole) for file in some]  # boxes and crops, or what is wrong
        crops = [crop for faces_of in found if not isinstance(faces_of, str) for _, crop in faces_of]
        shares = iter(_probabilities(network, crops))
        for file, faces_of in zip(some, found, strict=True):
            if isinstance(faces_of, str):
                yield {"path": str(file), "error": faces_of}
            else:
                yield {"path": str(file), "faces": [_row(box, next(shares)) for box, _ in faces_of]}


def cut(folder: Path, out: Path, detector: Detector) -> Iterator[tuple[Path, str | None]]:
    """Writes the largest face of every picture in and below a folder as a 48x48 PNG to the same place below ``out``.

    Gives each file and what is wrong with it, or None. Framed as faces are for reading, and as FER-2013's are.
    """
    for file in find_pictures([folder])[0]:
        found = _faces(file, detector, whole=False)
        wrong = found if isinstance(found, str) else None if found else "No face was found in it."
        if wrong is None:
            place = (out / file.relative_to(folder)).with_suffix(".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(found[0][1]).save(place)
        yield file, wrong


def _faces(file: Path, detector: Detector | None, whole: bool) -> list[tuple[Box, np.ndarray]] | str:
    """Each face's box and its crop, uint8 (48, 48); or one sentence that says what is wrong with the file."""
    try:
        picture = faces.open_picture(_picture(file))
    except PictureError as error:
        return str(error)
    boxes = [faces.whole(picture)] if whole else detector(picture)
    squares = boxes if whole else [faces.frame(box, detector.name) for box in boxes]
    return [(box, faces.crop(picture, square)) for box, square in zip(boxes, squares, strict=True)]


def _picture(file: Path) -> Path:
    if file.is_dir():
        raise PictureError("There is no picture in this folder.")
    if file.suffix.lower() in VIDEOS:
        raise PictureError(f"{file.name!r} is a video; `python -m fer predict VIDEO` reads it alone.")
    return file


def _probabilities(network: nn.Module, crops: list[np.ndarray]) -> list[dict[str, float]]:
    if not crops:
        return []
    rows = prediction.probabilities(network, torch.from_numpy(np.stack(crops)))  # (N, K)
    return [dict(zip(network.labels, row, strict=True)) for row in rows.tolist()]


def _row(box: Box, shares: dict[str, float]) -> dict:
    return {"box": box.to_list(), "emotion": max(shares, key=shares.get), "probabilities": shares}


# ------------------------------------------------------------------------------------------------ answers on disk


class Answers:
    """A file of answers that a stopped run left, or a new one: which pictures it has, and more of them added.

    A .csv file may lack some lines of its last picture, so that one is taken out, to be read again.

    Raises:
        ValueError: a file of another kind than .csv or .jsonl, or one that holds something else.
    """

    def __init__(self, file: Path, labels: Iterable[str]) -> None:
        if file.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"out is {str(file)!r}: expected a file that ends in .csv or .jsonl")
        self.file, self.labels = file, list(labels)
        self.header = ["path", "face", "x", "y", "width", "height", "emotion", *self.labels, "error"]
        kept = self._kept()
        self.done = {path for path, _ in kept}
        self._replace([line for _, line in kept])

    def add(self, row: dict) -> None:
        """Appends one picture's answer."""
        with self.file.open("a", newline="", **_ANY_NAME) as file:
            file.write(self._text(row))
        self.done.add(row["path"])

    def _text(self, row: dict) -> str:
        if self.file.suffix == ".jsonl":
            return json.dumps(row) + "\n"
        lines = [[number, *face["box"], face["emotion"], *face["probabilities"].values(), ""]
                 for number, face in enumerate(row.get("faces", ()))]  # fmt: skip
        blank = [""] * (len(self.header) - 2)
        return _csv([[row["path"], *line] for line in lines] or [[row["path"], *blank, row.get("error", "")]])

    def _kept(self) -> list[tuple[str, str]]:
        """The path and the text of every whole line; of a .csv but those of the last picture."""
        if not self.file.exists():
            return []
        whole = [line for line in self.file.read_text(**_ANY_NAME).splitlines(keepends=True) if line.endswith("\n")]
        try:
            lines = [(self._path(line), line) for line in whole[self.file.suffix == ".csv" :]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"out is {str(self.file)!r}, which holds something else: name a new file") from error
        if self.file.suffix == ".csv" and whole and next(csv.reader(whole[:1])) != self.header:
            raise ValueError(f"out is {str(self.file)!r}, whose columns are of another network: name a new file")
        last = lines[-1][0] if lines and self.file.suffix == ".csv" else None
        return [(path, line) for path, line in lines if path != last]

    def _path(self, line: str) -> str:
        return json.loads(line)["path"] if self.file.suffix == ".jsonl" else next(csv.reader([line]))[0]

    def _replace(self, lines: list[str]) -> None:
        """Written beside and moved into place, so that a kill at any moment leaves a whole file."""
        head = _csv([self.header]) if self.file.suffix == ".csv" else ""
        with whole_file(self.file) as partial:
            partial.write_text(head + "".join(lines), **_ANY_NAME)


def _csv(rows: list[list]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
