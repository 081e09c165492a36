"""Video file -> what is read off every frame: an annotated copy, a table, the same as JSON, and a timeline.

    for step in follow("clip.mp4", Path("out"), network, detector):
        print(f"{step.frames} of {step.of}")               # of: None where the file does not say
    print(step.files)                                      # of the last step: {"video": ..., "csv": ..., ...}

`python -m fer predict VIDEO` does this. Frames are read, written and forgotten one by one, and the timeline has so
many places and no more, so memory does not grow with the video. Whoever stops half way keeps what was read so far.
"""

import json
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from fer.faces.detector import Detector
from fer.inference import annotate
from fer.inference.frames import Frame, VideoError, VideoReader, open_video
from fer.inference.predictor import FacePrediction, ImagePrediction
from fer.inference.scenes import detect_cuts
from fer.inference.tracker import FaceTracker
from fer.inference.video_writer import WebMWriter
from fer.utils import tables
from fer.utils.io import beside

MAX_TIMELINE_BINS = 1200  # of the timeline, at most: when they are full, two become one
MAX_PENDING_FRAMES = 4  # frames that wait to be written


@dataclass(frozen=True)
class Limits:
    """What may be asked for at most; None: no bound.

    A film that is longer (`seconds`) or larger (`pixels` a frame) is refused before it is decoded. Where `frames` or
    seconds of `work` run out, what has been read is kept.
    """

    seconds: float | None = None
    pixels: float | None = 36e6  # 8K
    frames: int | None = None
    work: float | None = None


@dataclass(frozen=True)
class VideoProgress:
    """How far it is: frames read, of about how many; the last one's time, picture and reading; files and faces so far.

    The last step of a film that was not read to its end says so in a sentence, `stopped`.
    """

    frames: int
    of: int | None
    seconds: float
    length: float | None  # of the film, in seconds
    picture: np.ndarray  # RGB uint8 (H, W, 3)
    reading: ImagePrediction
    files: dict[str, Path]
    faces: "Timeline"
    stopped: str | None = None
    number: int = 0  # of the last frame in the film

    @property
    def of_length(self) -> str:
        """For a sentence, after seconds: ' of 59.0' where the film's length is known."""
        return f" of {self.length:.1f}" if self.length else ""


def process_video(
    path: str | Path, out: Path, network: nn.Module, detector: Detector, smoothing: float = 0.5, longest: int = 1280,
    fps: float | None = None, limits: Limits | None = None, name: str | None = None,
) -> Iterator[VideoProgress]:  # fmt: skip
    """Reads a video frame by frame into four files in the folder `out`; a step after every frame.

    At most `fps` frames a second are read, or all of them. Frames wider or higher than `longest` pixels are shrunk to
    it. `name` is what the files' names begin with, by default as the video's, without its ending. Raises VideoError for
    what is no video, has no frame or is beyond the limits.
    """
    limits = limits or Limits()
    until = time.monotonic() + (limits.work or float("inf"))
    with open_video(path, limits.pixels) as film:
        length, count = film.seconds, film.count(fps)
        if limits.seconds and length and length > limits.seconds + 0.5:
            raise VideoError(f"The video has {length:.0f} seconds; at most {limits.seconds:g} can be read here.")
        tracker, timeline = FaceTracker(network, detector, smoothing), Timeline(list(network.labels))
        paths = output_files(out, name or Path(path).stem)
        with _VideoOutputs(paths, film.constant_rate(fps), timeline) as files:
            step = None
            for read, (frame, cut) in enumerate(detect_cuts(film.frames(longest, fps, until)), 1):
                if exceeds_limits(limits, read, frame.seconds):
                    break
                if cut:
                    tracker.forget()
                reading = tracker.read(frame.picture, frame.seconds)
                timeline.add(reading, frame.seconds)
                files.add(frame, reading)
                of = count and max(count, read)
                step = VideoProgress(read, of, frame.seconds, length, frame.picture, reading, files.paths, timeline)
                step = replace(step, number=frame.number)
                yield step
            if step is None:
                raise VideoError(f"{Path(path).name[:80]!r} has no frame that can be read.")
            if film.exhausted:
                files.end = _end_time(film, step.seconds)
            else:
                yield replace(step, stopped=_stop_sentence(limits, step))


def exceeds_limits(limits: Limits, read: int, seconds: float) -> bool:
    """Whether the frame that would be the film's `read`-th is one too many."""
    return bool(limits.frames and read > limits.frames or limits.seconds and seconds > limits.seconds)


def _stop_sentence(limits: Limits, step: VideoProgress) -> str:
    if limits.frames and step.frames >= limits.frames:
        most = f"{limits.frames} frames"
    elif limits.seconds and step.seconds >= limits.seconds - 1:
        most = f"{limits.seconds:g} seconds of film"
    else:
        most = f"{limits.work or 0:g} seconds of work"
    return f"Stopped at the limit of {most}: {step.seconds:.1f}{step.of_length} seconds were read."


def _end_time(film: VideoReader, last: float) -> float | None:
    """When a film ends whose last frame began at `last` seconds; None where the file promised more than it has."""
    gap = float(np.diff(film.times).max()) if len(film.times) > 1 else 10.0
    return film.seconds if film.seconds and film.seconds - last <= 2 * gap + 1 else None


# ------------------------------------------------------------------------------------------------ over time


@dataclass
class Timeline:
    """The mean probabilities of every face in every place of the time, and over all of it."""

    labels: list[str]
    seconds: float = 0.25  # that a place lasts
    sums: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)  # face -> place -> (1 + K,): frames, sums
    last: int = 0

    def add(self, reading: ImagePrediction, at: float) -> None:
        self.last = max(self.last, int(at / self.seconds))
        while self.last >= MAX_TIMELINE_BINS:
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


def output_files(out: Path, name: str) -> dict[str, Path]:
    """The four files that `follow` writes: the annotated video, the table, the same as JSON, and the timeline."""
    kinds = {"video": ".webm", "csv": ".csv", "json": ".json", "timeline": ".png"}
    return {kind: out / f"{name}-read{ending}" for kind, ending in kinds.items()}


class _VideoOutputs:
    """The annotated video, the table and the JSON, written frame by frame beside their places.

    They are put there when reading ends, wherever that is, so that a kill leaves the files of an earlier run. The
    video is written by a thread of its own, since it takes as long as the reading.
    """

    def __init__(self, paths: dict[str, Path], rate: float, timeline: Timeline):
        self.paths = paths
        paths["video"].parent.mkdir(parents=True, exist_ok=True)
        self._partial = {kind: beside(path) for kind, path in paths.items()}
        self._timeline, self._count = timeline, 0
        self._film = WebMWriter(self._partial["video"], rate)
        self.end: float | None = None  # seconds: until when the last frame is shown
        self._thread, self._waiting = ThreadPoolExecutor(1), deque[Future]()

    def __enter__(self) -> "_VideoOutputs":
        self._table = self._partial["csv"].open("w", encoding="utf-8", newline="")
        self._json = self._partial["json"].open("w", encoding="utf-8")
        place = ["x", "y", "width", "height"]
        head = [
            "frame",
            "seconds",
            "face",
            *place,
            "emotion",
            "prediction set",
            "low confidence",
            *self._timeline.labels,
        ]
        self._table.write(tables.line(head))
        self._json.write("[")
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._finish()
            for kind, partial in self._partial.items():
                if self._count and partial.exists():
                    partial.replace(self.paths[kind])
                elif self._count:
                    self.paths[kind].unlink(missing_ok=True)  # an earlier run's timeline, where no face is in sight now
        finally:
            for partial in self._partial.values():
                partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        with self._json, self._table:
            self._json.write("\n]\n")
        self._thread.shutdown()
        self._film.close(self.end)
        if rows := self._timeline.rows()[:4]:
            shares = {f"face {row['number']}": self._timeline.shares(row["number"]) for row in rows}
            annotate.timeline_figure(shares, self._timeline.labels).savefig(self._partial["timeline"], dpi=150)

    def add(self, frame: Frame, reading: ImagePrediction) -> None:
        at = round(frame.seconds, 3)
        for face in reading.faces:
            shares = [round(share, 4) for share in face.probabilities.values()]
            told = [face.emotion, "|".join(face.prediction_set), int(face.low_confidence)]
            row = [frame.number, at, face.number, *face.box.to_list(), *told, *shares]
            self._table.write(tables.line(row))
        entry = {"frame": frame.number, "seconds": at, "faces": [_face_entry(face) for face in reading.faces]}
        self._json.write(f"{',' if self._count else ''}\n{json.dumps(entry)}")
        self._count += 1
        if len(self._waiting) >= MAX_PENDING_FRAMES:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, frame, reading))

    def _write(self, frame: Frame, reading: ImagePrediction) -> None:
        self._film.add(frame.seconds, annotate.draw_faces(frame.picture, reading.faces))


def _face_entry(face: FacePrediction) -> dict:
    probabilities = {name: round(share, 4) for name, share in face.probabilities.items()}
    told = {"emotion": face.emotion, "prediction_set": face.prediction_set, "low_confidence": bool(face.low_confidence)}
    told |= {"probabilities": probabilities}
    return {"number": face.number, "box": face.box.to_list(), **told}
