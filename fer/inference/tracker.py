"""Readings over time: faces that keep their numbers, probabilities that do not jump, words that do not flicker.

    tracker = Tracker(network, detector, seconds=0.5)
    for at, frame in frames:                               # seconds; RGB uint8 (H, W, 3)
        reading = tracker.read(frame, at)                  # a Reading whose faces have numbers
        print([(face.number, face.emotion) for face in reading.faces])

A face's smoothed probabilities are the softmax of a weighted mean of its logits, in which what is `seconds` older
counts 1/e as much. It is a sum over what was seen, so frames may come in any order. A word is shown until the mean and
the newest frame agree on another one: one frame that differs changes nothing, and on the way from one expression to
the next, a mean of both, which nobody showed, gets no word.
"""

import math
import threading
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from fer.faces.detector import Detector
from fer.faces.framing import Box
from fer.inference.predictor import FacePrediction, ImagePrediction, predict_boxes

MAX_UNSEEN_SECONDS = 1.5  # seconds for which a face that is out of sight keeps its number
FULL_SEARCH_EVERY = 10  # every so many frames all of the picture is searched for faces that came
MAX_DISTANCE = (
    1.0  # from here on two boxes are not one face's: the distance of their centres in widths, plus |log| of sizes
)


@dataclass
class Track:
    """One face over time: where it was, and the weighted mean of its log-probabilities (K,) as of `seen`."""

    number: int
    box: Box
    mean: np.ndarray
    newest: np.ndarray  # log-probabilities (K,) of the newest frame
    seen: float  # seconds
    weight: float = 1.0
    word: str | None = None  # the emotion shown, None for low confidence

    def add(self, box: Box, values: np.ndarray, at: float, seconds: float) -> None:
        """Takes in what was seen at a time, which may lie before what is known already."""
        fading = math.exp(-abs(at - self.seen) / seconds) if seconds > 0 else 0.0
        if at >= self.seen:
            self.weight, share = self.weight * fading + 1, 1.0
            self.box, self.newest, self.seen = box, values, at
        else:
            self.weight, share = self.weight + fading, fading
        self.mean = self.mean + share / self.weight * (values - self.mean)


class FaceTracker:
    """Reads the frames of one camera or film. Safe to call from several threads; it keeps no pixels.

    `seconds` is the constant of the smoothing, 0 for none; it may be set at any time. `fresh_numbers`: no number is
    given twice; without it, who comes gets the lowest that is free.
    """

    def __init__(self, network: nn.Module, detector: Detector, seconds: float = 0.5, fresh_numbers: bool = True):
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"smoothing is {seconds}: expected 0 seconds or more")
        self.network, self.detector, self.seconds, self.fresh_numbers = network, detector, seconds, fresh_numbers
        self._tracks: list[Track] = []
        self._given = self._frames = 0
        self._lock = threading.Lock()

    def read(self, frame: np.ndarray, at: float) -> ImagePrediction:
        """The faces of RGB uint8 (H, W, 3) as of a time in seconds."""
        return self.follow(predict_boxes(frame, self._found(frame), self.network, self.detector.name), at)

    def forget(self) -> None:
        """Ends all tracks, as where another scene begins: nobody who is seen from now on was seen before."""
        with self._lock:
            self._tracks = []

    def _found(self, frame: np.ndarray) -> list[Box]:
        """Around the faces of a moment ago, or in all of the frame: in turn, and where one of them is gone."""
        with self._lock:
            boxes = [track.box for track in self._tracks]
            self._frames += 1
            whole = self._frames % FULL_SEARCH_EVERY == 1
        if whole or not boxes or not self.detector.slow:
            return self.detector.upright(frame)
        found = self.detector.near(frame, boxes)
        return found if len(found) >= len(boxes) else self.detector.upright(frame)

    def follow(self, reading: ImagePrediction, at: float) -> ImagePrediction:
        """The same for faces that have been read, as by `prediction.read`, but not been followed."""
        with self._lock:
            self._tracks = [track for track in self._tracks if at - track.seen <= MAX_UNSEEN_SECONDS]
            found = _match(self._tracks, reading.faces)
            faces = tuple(self._followed(face, found.get(place), at) for place, face in enumerate(reading.faces))
        return replace(reading, faces=faces)

    def _followed(self, face: FacePrediction, track: Track | None, at: float) -> FacePrediction:
        values = np.log(np.maximum(list(face.probabilities.values()), 1e-300))  # the logits, up to what softmax drops
        if track is None:
            track = Track(self._number(), face.box, values, values, at)
            self._tracks.append(track)
        else:
            track.add(face.box, values, at, self.seconds)
        return self._told(face, track)

    def _told(self, face: FacePrediction, track: Track) -> FacePrediction:
        """The face with its track's number, probabilities and word."""
        labels, mean = list(face.probabilities), _softmax(track.mean)
        said, shown = (self._word(labels, values) for values in (_softmax(track.newest), mean))
        if said == shown:
            track.word = shown
        probabilities = dict(zip(labels, mean.tolist(), strict=True))
        low_confidence = track.word is None
        return replace(
            face,
            probabilities=probabilities,
            low_confidence=low_confidence,
            number=track.number,
            settled=None if low_confidence else track.word,
        )

    def _word(self, labels: list[str], probabilities: np.ndarray) -> str | None:
        best = int(probabilities.argmax())
        return None if probabilities[best] < self.network.confidence_threshold else labels[best]

    def _number(self) -> int:
        if not self.fresh_numbers:
            taken = {track.number for track in self._tracks}
            return next(number for number in range(1, len(taken) + 2) if number not in taken)
        self._given += 1
        return self._given


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def _match(tracks: list[Track], faces: tuple[FacePrediction, ...]) -> dict[int, Track]:
    """Whose face is whose, by the face's place: nearest pairs first, no track twice."""
    pairs = sorted(
        (_box_distance(track.box, face.box), place, index)
        for index, track in enumerate(tracks)
        for place, face in enumerate(faces)
    )
    matched, taken = {}, set()
    for distance, place, index in pairs:
        if distance < MAX_DISTANCE and place not in matched and index not in taken:
            matched[place] = tracks[index]
            taken.add(index)
    return matched


def _box_distance(a: Box, b: Box) -> float:
    """How unlike two boxes are: the distance of their centres in mean widths, plus the log of their sizes' ratio."""
    across, down = (a.x - b.x) + (a.width - b.width) / 2, (a.y - b.y) + (a.height - b.height) / 2
    return 2 * math.hypot(across, down) / (a.width + b.width) + abs(math.log(a.width / b.width))
