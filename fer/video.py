"""Video file -> what is read off every frame: an annotated copy, a table, the same as JSON, and a timeline.

    for step in follow("clip.mp4", Path("out"), network, detector):
        print(f"{step.frames} of {step.of}")               # of: None where the file does not say
    print(step.files)                                      # of the last step: {"video": ..., "csv": ..., ...}

`python -m fer predict VIDEO` does this. Frames are read, written and forgotten one by one, and the timeline has so
many places and no more, so memory does not grow with the video. Whoever stops half way keeps what was read so far.
"""

import csv
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from fer import annotation
from fer.faces import Detector, PictureError
from fer.prediction import FaceReading, Reading
from fer.tracking import Tracker

# How files of moving pictures begin, by (place, bytes): what begins otherwise, such as a list of other files, is not
# given to OpenCV at all.
KINDS = (
    *((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide")),  # MP4, MOV, 3GP
    *((0, kind) for kind in (b"\x1aE\xdf\xa3", b"OggS", b"FLV", b"0&\xb2u")),  # WebM and MKV, Ogg, FLV, WMV
    *((0, kind) for kind in (b"\0\0\1\xba", b"\0\0\1\xb3", b"G@")),  # MPEG
    *((8, b"AVI "), (0, b"\xff\xd8\xff")),  # AVI, MJPEG
)
PLACES = 1200  # of the timeline, at most: when they are full, two become one
UNDER_WAY = 4  # frames that wait to be written


class VideoError(PictureError):
    """A video that cannot be used; the message is one sentence for the person who sent it."""


@dataclass(frozen=True)
class Step:
    """How far it is: frames read, of how many; the last one's time, picture and reading; the files and faces so far."""

    frames: int
    of: int | None
    seconds: float
    picture: np.ndarray  # RGB uint8 (H, W, 3)
    reading: Reading
    files: dict[str, Path]
    faces: "Timeline"


def follow(
    path: str | Path, out: Path, network: nn.Module, detector: Detector, smoothing: float = 0.5, longest: int = 1280,
    most_seconds: float | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Reads a video frame by frame into four files in the folder `out`; a step after every frame.

    Frames wider or higher than `longest` pixels are shrunk to it. Raises VideoError for what is no video, has no frame
    or is longer than `most_seconds`.
    """
    with opened(path) as capture:
        rate, count = _rate(capture), _count(capture)
        if most_seconds and count and count / rate > most_seconds:
            raise VideoError(f"The video has {count / rate:.0f} seconds; at most {most_seconds:g} can be read here.")
        tracker, timeline = Tracker(network, detector, smoothing), Timeline(list(network.labels))
        with _Files(Path(path), out, rate, timeline) as files:
            number = 0
            for number, (at, frame) in enumerate(frames(capture, rate, longest), 1):
                if most_seconds and at > most_seconds:
                    break
                reading = tracker.read(frame, at)
                timeline.add(reading, at)
                files.add(number, at, frame, reading)
                yield Step(number, count, at, frame, reading, files.paths, timeline)
            if not number:
                raise VideoError(f"{Path(path).name[:80]!r} has no frame that can be read.")


# ------------------------------------------------------------------------------------------------ reading


@contextmanager
def opened(path: str | Path) -> Iterator[cv2.VideoCapture]:
    """The video of a file, for as long as the block lasts."""
    path = Path(path)
    name = repr(path.name[:80])  # never the path: it may be the server's own
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise VideoError(f"There is no file {name} that can be opened ({error.strerror}).") from None
    if not any(start[place:].startswith(magic) for place, magic in KINDS):
        raise VideoError(f"{name} is no video that can be read; MP4, WebM, MOV, MKV or AVI would be right.")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise VideoError(f"{name} is damaged, or of a kind that OpenCV cannot read.")
        yield capture
    finally:
        capture.release()


def frames(capture: cv2.VideoCapture, rate: float, longest: int) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds and RGB uint8 (H, W, 3) of every frame, in order; the time never runs backwards."""
    number, last = 0, 0.0
    while True:
        read, frame = capture.read()
        if not read:
            return
        at = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        last = max(at, last) if at > 0 else number / rate
        number += 1
        scale = longest / max(frame.shape[:2])
        if scale < 1:
            frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield last, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _rate(capture: cv2.VideoCapture) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 1 <= rate <= 240 else 25.0


def _count(capture: cv2.VideoCapture) -> int | None:
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return count if count > 0 else None


# ------------------------------------------------------------------------------------------------ over time


@dataclass
class Timeline:
    """The mean probabilities of every face in every place of the time, and over all of it."""

    labels: list[str]
    seconds: float = 0.25  # that a place lasts
    sums: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)  # face -> place -> (1 + K,): frames, sums
    last: int = 0

    def add(self, reading: Reading, at: float) -> None:
        self.last = max(self.last, int(at / self.seconds))
        while self.last >= PLACES:
            self._halve()
        for face in reading.faces:
            row = self.sums.setdefault(face.number, {}).setdefault(
                int(at / self.seconds), np.zeros(1 + len(self.labels))
            )
            row += [1, *face.probabilities.values()]

    def _halve(self) -> None:
        self.seconds, self.last = 2 * self.seconds, self.last // 2
        for number, places in self.sums.items():
            merged: dict[int, np.ndarray] = {}
            for place, row in places.items():
                merged[place // 2] = merged.get(place // 2, 0) + row
            self.sums[number] = merged

    def rows(self) -> list[dict]:
        """For every face, the longest in sight first: number, frames, emotion and probabilities over all of it."""
        totals = {number: np.sum(list(places.values()), axis=0) for number, places in self.sums.items()}
        return [
            {
                "number": number,
                "frames": int(total[0]),
                "emotion": self.labels[int(total[1:].argmax())],
                "probabilities": dict(zip(self.labels, (total[1:] / total[0]).round(4).tolist(), strict=True)),
            }
            for number, total in sorted(totals.items(), key=lambda item: -item[1][0])
        ]

    def shares(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Of one face: the middles of its places in seconds (N,), and the mean probabilities there (N, K)."""
        places = sorted(self.sums[number].items())
        rows = np.array([row for _, row in places])
        return (np.array([place for place, _ in places]) + 0.5) * self.seconds, rows[:, 1:] / rows[:, :1]


# ------------------------------------------------------------------------------------------------ writing


class _Files:
    """The annotated video, the table and the JSON, written frame by frame; each is whole wherever it ends.

    VP8 in WebM is what both OpenCV writes without further libraries and browsers play. It is written by a thread of
    its own, since it takes as long as the reading.
    """

    def __init__(self, path: Path, out: Path, rate: float, timeline: Timeline):
        out.mkdir(parents=True, exist_ok=True)
        kinds = {"video": ".webm", "csv": ".csv", "json": ".json", "timeline": ".png"}
        self.paths = {kind: out / f"{path.stem}-read{ending}" for kind, ending in kinds.items()}
        self._rate, self._timeline, self._count = rate, timeline, 0
        self._writer: cv2.VideoWriter | None = None
        self._thread, self._waiting = ThreadPoolExecutor(1), deque[Future]()

    def __enter__(self) -> "_Files":
        self._table = self.paths["csv"].open("w", newline="")
        self._json = self.paths["json"].open("w")
        self._rows = csv.writer(self._table)
        place = ["x", "y", "width", "height"]
        self._rows.writerow(["frame", "seconds", "face", *place, "emotion", "unsure", *self._timeline.labels])
        self._json.write("[")
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        if self._writer:
            self._writer.release()
        self._json.write("\n]\n")
        self._json.close()
        self._table.close()
        if not self._count:
            for kind in ("csv", "json"):
                self.paths[kind].unlink()
        elif rows := self._timeline.rows()[:4]:
            shares = {f"face {row['number']}": self._timeline.shares(row["number"]) for row in rows}
            annotation.over_time(shares, self._timeline.labels).savefig(self.paths["timeline"], dpi=150)

    def add(self, number: int, at: float, frame: np.ndarray, reading: Reading) -> None:
        for face in reading.faces:
            shares = [round(share, 4) for share in face.probabilities.values()]
            row = [number, round(at, 3), face.number, *face.box.to_list(), face.emotion, int(face.unsure), *shares]
            self._rows.writerow(row)
        entry = {"frame": number, "seconds": round(at, 3), "faces": [_entry(face) for face in reading.faces]}
        self._json.write(f"{',' if self._count else ''}\n{json.dumps(entry)}")
        self._count += 1
        if len(self._waiting) >= UNDER_WAY:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, frame, reading))

    def _write(self, frame: np.ndarray, reading: Reading) -> None:
        drawn = cv2.cvtColor(annotation.annotated(frame, reading.faces), cv2.COLOR_RGB2BGR)
        if self._writer is None:
            size = drawn.shape[1::-1]
            self._writer = cv2.VideoWriter(str(self.paths["video"]), cv2.VideoWriter_fourcc(*"VP80"), self._rate, size)
        self._writer.write(drawn)


def _entry(face: FaceReading) -> dict:
    probabilities = {name: round(share, 4) for name, share in face.probabilities.items()}
    told = {"emotion": face.emotion, "unsure": bool(face.unsure), "probabilities": probabilities}
    return {"number": face.number, "box": face.box.to_list(), **told}
