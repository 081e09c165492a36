"""Photograph -> face boxes -> 48x48 grey crops, framed as FER-2013 frames its faces.

    picture = open_picture("holiday.jpg")                  # RGB uint8 (H, W, 3)
    detector = load_detector()                             # YuNet where its model is at hand, else Haar
    for box in detector(picture):                          # largest first, but faces that are doubtful last
        face = crop(picture, frame(box, detector.name))    # uint8 (48, 48), what a network is trained on

A network reads a face best when it sits in the crop as the training faces do, so `FRAMING` ties each detector's box to
FER-2013's frame; `tests/benchmarks/framing.py` measures its constants and what they gain.
"""

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fer.faces.framing import Box, Rotation, crop, eye_angle, frame, wrap_angle
from fer.faces.verifier import face_score

HUB, HUB_FILE = "opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx"
ADDRESS = f"https://huggingface.co/{HUB}/resolve/main/{HUB_FILE}"

# Of YuNet: the score from which on a find is a face, the overlap (intersection over union) from which on two finds are
# one, the most that are kept, the width in pixels below which a find is texture; and how a picture is searched.
SCORE, OVERLAP, MOST_FINDS, SMALLEST = 0.75, 0.3, 5000, 10
YUNET = {"coarse": 480, "fine": 1280, "sure": 0.8, "step": 45, "turned": 320}
FINE_ABOVE = 1.4  # times `coarse`: a larger picture is searched for its small faces as well
BORDERED, BORDER = 96, 48  # pixels of a picture without a find, and of the border that is put around it
LEVEL_SIDE, LEVEL_PIXELS, LEVEL_STEP, LEVEL_GAIN = 2.2, 176, 30, 0.01  # of a face's surroundings when it is levelled

MAX_UPRIGHT_TILT = 15.0  # degrees up to which faces are left as they are, as FER-2013's are
UPRIGHT_SCORE = 0.9  # YuNet's, below which a face may be turned further than its landmarks say
TURNED_MARGIN = 0.05  # in score: so much better a turned find has to be than what is found in the same place upright
MAX_LEVELLED = 8  # faces of a picture, the largest

# ------------------------------------------------------------------------------------------------ detectors


class Detector:
    """detector(RGB uint8 (H, W, 3)) -> boxes, largest first; overlapping finds are merged.

    The picture is searched at `coarse` pixels, a larger one at up to `fine` as well for its small faces; if nothing is
    found, once more inside a border, for pictures that are cut so close that the face touches their edges. A cascade
    (`face` above 0, see `near`) does without `fine` where it has found a portrait, and its finds with a score below
    `sure` come last. Where nothing is found that is sure, the picture is turned in steps of `step` degrees and searched
    again at `turned` pixels.

    Safe to share among threads; it can be pickled and copied.
    """

    def __init__(
        self, name: str, search: Callable[[np.ndarray], list[Box]], coarse: int, fine: int, face: int = 0,
        sure: float = 0.0, step: int = 45, turned: int = 320,
    ):  # fmt: skip
        self.name, self._search, self._coarse, self._fine, self._face = name, search, coarse, fine, face
        self._sure, self._step, self._turned = sure, step, turned
        self.slow = face > 0  # so that `near` is several times faster: Haar 7 ms for 21, in 320x240
        self._lock = threading.Lock()  # OpenCV's detectors keep the last picture's size

    def __getstate__(self) -> dict:
        return {key: value for key, value in vars(self).items() if key != "_lock"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __call__(self, picture: np.ndarray) -> list[Box]:
        """All faces, whichever way they are turned."""
        boxes = self.upright(picture)
        boxes = [self._levelled(picture, box) for box in boxes[:MAX_LEVELLED]] + boxes[MAX_LEVELLED:]
        if not any(box.score >= self._sure for box in boxes):
            boxes += [turned for turned in self._any_turn(picture) if _is_better(turned, boxes)]
        return sorted(_suppress_overlaps(boxes), key=self._rank)

    def upright(self, picture: np.ndarray) -> list[Box]:
        """The faces that are nearly upright, which is quicker: for frames of a film."""
        return sorted(_suppress_overlaps(self._upright(picture)), key=self._rank)

    def near(self, picture: np.ndarray, boxes: Sequence[Box]) -> list[Box]:
        """The same for faces that were in these boxes a moment ago, where that is worth while: see `slow`.

        Only the surroundings of each are searched, twice as wide and resized so that a face has `_face` pixels.
        """
        found = []
        for box in boxes:
            left, top = (max(round(start), 0) for start in (box.x - box.width / 2, box.y - box.height / 2))
            right, bottom = round(box.x + 1.5 * box.width), round(box.y + 1.5 * box.height)
            part = picture[top : max(bottom, 0), left : max(right, 0)]
            if min(part.shape[:2]) >= 8:
                longest = max(round(self._face * max(part.shape[:2]) / box.width), 16)
                found += [_shift_box(face, left, top) for face in self._look(part, longest)]
        return sorted(_suppress_overlaps(found), key=self._rank)

    def _rank(self, box: Box) -> tuple[bool, float]:
        """The largest first; those of which a cascade is not sure last, since many of them are no faces."""
        return self.slow and box.score < self._sure, -box.width * box.height

    def _upright(self, picture: np.ndarray) -> list[Box]:
        longest = max(picture.shape[:2])
        boxes = self._look(picture, min(self._coarse, max(longest, min(320, 4 * longest))))
        portrait = self.slow and any(box.score >= self._sure and box.width >= longest / 6 for box in boxes)
        if longest > FINE_ABOVE * self._coarse and not portrait:
            boxes += self._look(picture, min(self._fine, longest))
        return boxes or self._look(picture, BORDERED, border=BORDER)

    def _any_turn(self, picture: np.ndarray) -> list[Box]:
        """The sure finds in the picture turned by every step, each in the turn in which its score is best."""
        scale = self._turned / max(picture.shape[:2])
        found = []
        for angle in range(self._step - 180, 181, self._step):
            if angle:
                turn = Rotation.around(picture, angle, scale)
                found += [box for box in self._search_turned(picture, turn) if box.score >= self._sure]
        return _suppress_overlaps(found)

    def _levelled(self, picture: np.ndarray, box: Box) -> Box:
        """The same face with its angle, where it is turned so far that it has to be levelled.

        YuNet's landmarks say too little of a tilt above some 20 degrees, and take an upside-down face for an upright
        one, but its score is best where the face is upright: so its surroundings are searched in turns of 30 degrees.
        """
        if len(box.landmarks) != 5 or (box.score >= UPRIGHT_SCORE and abs(eye_angle(box)) <= MAX_UPRIGHT_TILT):
            return box
        side = LEVEL_SIDE * max(box.width, box.height)
        left, top = (max(math.floor(value - side / 2), 0) for value in box.centre)
        part = picture[top : math.ceil(box.centre[1] + side / 2), left : math.ceil(box.centre[0] + side / 2)]
        angles = range(LEVEL_STEP - 180, 181, LEVEL_STEP)
        turns = [Rotation.around(part, angle, LEVEL_PIXELS / side) for angle in angles]
        place = box.centre[0] - left, box.centre[1] - top
        near = [self._nearest(part, turn, place, box.width) for turn in turns]
        as_is = near[angles.index(0)]
        best = max(range(len(near)), key=lambda k: near[k].score if near[k] else 0)
        if near[best] is None or near[best].score < (as_is or box).score + LEVEL_GAIN:
            return box
        angle = _interpolate_angle(near, best)
        return box if abs(angle) <= MAX_UPRIGHT_TILT else _shift_box(replace(near[best], angle=angle), left, top)

    def _nearest(self, part: np.ndarray, turn: "Rotation", place: tuple[float, float], reach: float) -> Box | None:
        """The best find within reach of a place."""
        found = [box for box in self._search_turned(part, turn) if math.dist(box.centre, place) < reach / 2]
        return max(found, key=lambda box: box.score, default=None)

    def _search_turned(self, picture: np.ndarray, turn: "Rotation") -> list[Box]:
        view = turn.view(picture)
        with self._lock:
            found = self._search(view)
        return [turn.back(box) for box in found]

    def _look(self, picture: np.ndarray, longest: int, border: int = 0) -> list[Box]:
        """Searches the picture resized to `longest` pixels, inside a replicated border."""
        height, width = picture.shape[:2]
        scale = longest / max(height, width)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        view = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        view = cv2.copyMakeBorder(view, border, border, border, border, cv2.BORDER_REPLICATE)
        with self._lock:
            found = self._search(view)
        return [_view_to_picture(box, border, width / size[0], height / size[1]) for box in found]


def detector_sentence(name: str) -> str:
    """A detector in one sentence, for people who have not chosen it."""
    if name == "yunet":
        return "Faces are found by YuNet."
    return (
        "Faces are found by OpenCV's Haar cascade. YuNet finds more of them, small and turned ones too: let this "
        "computer reach huggingface.co once, or put the path of its model into the environment variable FER_YUNET."
    )


def load_detector(prefer: str | None = None) -> Detector:
    """YuNet where its model is at hand, else OpenCV's bundled Haar cascade; `prefer` insists on "yunet" or "haar".

    The model is looked for at $FER_YUNET, in the local Hub cache and, for three seconds at most, on the Hub (never with
    $HF_HUB_OFFLINE). Raises ValueError for an unknown name, a $FER_YUNET that does not load, or no model for "yunet".
    """
    if prefer not in (None, "yunet", "haar"):
        raise ValueError(f'prefer={prefer!r} is no detector; "yunet", "haar" or None would be right')
    if prefer == "haar":
        return _haar_detector()
    if given := os.environ.get("FER_YUNET"):
        try:
            return _yunet_detector(Path(given))
        except (OSError, cv2.error):
            raise ValueError(f"FER_YUNET={given!r} is no YuNet model; give the path of {HUB_FILE}") from None
    try:
        if path := _cached_model() or _download_model():
            return _yunet_detector(path)
    except (OSError, cv2.error):
        pass  # a damaged cache is no reason to see no faces: Detector.name says which one it became
    if prefer == "yunet":
        raise ValueError(f"YuNet's model is not at hand: download {HUB_FILE} from {HUB}, set FER_YUNET to its path")
    return _haar_detector()


def yunet_file() -> Path | None:
    """YuNet's file where it is at hand: what $FER_YUNET names, else the local Hub cache's; None where there is none."""
    given = os.environ.get("FER_YUNET")
    return Path(given) if given else _cached_model()


def _cached_model() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(HUB, HUB_FILE)
    return Path(path) if isinstance(path, str) else None


def _download_model(seconds: float = 3.0) -> Path | None:
    """The model from the Hub, or None. A process of its own can be ended at any moment, and nobody hears it."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None
    code = "import sys, huggingface_hub; huggingface_hub.hf_hub_download(*sys.argv[1:])"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        subprocess.run([sys.executable, "-c", code, HUB, HUB_FILE], timeout=seconds, check=True, **quiet)
    except (OSError, subprocess.SubprocessError):
        return None
    return _cached_model()


def _yunet_detector(path: Path) -> Detector:
    search = _YuNet(path.read_bytes())
    search(np.zeros((64, 64, 3), np.uint8))  # another network's model fails here, not at the first visitor
    return Detector("yunet", search, **YUNET)


class _YuNet:
    """YuNet (Wu, Peng & Yu 2023, Machine Intelligence Research 20) by cv2.FaceDetectorYN: RGB view -> boxes.

    OpenCV's objects can be neither pickled nor copied, so that a copy makes its own of the same model.
    """

    def __init__(self, model: bytes) -> None:
        self._model = model
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our own message says it better
        try:
            buffer = np.frombuffer(model, np.uint8)
            settings = (320, 320), SCORE, OVERLAP, MOST_FINDS
            self._net = cv2.FaceDetectorYN.create("onnx", buffer, np.empty(0, np.uint8), *settings)
        finally:
            cv2.utils.logging.setLogLevel(level)

    def __reduce__(self) -> tuple:
        return type(self), (self._model,)

    def __call__(self, view: np.ndarray) -> list[Box]:
        self._net.setInputSize(view.shape[1::-1])
        rows = self._net.detect(cv2.cvtColor(view, cv2.COLOR_RGB2BGR))[1]  # (N, 15): box, five landmarks, score
        rows = [] if rows is None else [row for row in rows.tolist() if row[2] >= SMALLEST]
        return [Box(*row[:4], row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True))) for row in rows]


def _haar_detector() -> Detector:
    return Detector("haar", _Haar(), coarse=288, fine=1000, face=64, sure=0.5, step=30, turned=320)


class _Haar:
    """Viola & Jones 2001 by OpenCV's frontal cascade; where its last stage hesitates, a second cascade must agree.

    Of its false finds, `verifier` rejects more than half. The score is made of the last stage's sum and the
    verifier's: 0.5 where they are 10 together, which few false finds and few faces that are not upright reach.
    """

    STAGES, SURE, DOUBTFUL = 25, 5.0, 1.0  # by the last stage's sum; tests/benchmarks/framing.py has the recall

    def __init__(self) -> None:
        self._cascade, self._second = (
            cv2.CascadeClassifier(str(Path(cv2.data.haarcascades, f"haarcascade_frontalface_{kind}.xml")))
            for kind in ("default", "alt2")
        )

    def __reduce__(self) -> tuple:
        return type(self), ()

    def __call__(self, view: np.ndarray) -> list[Box]:
        grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)
        boxes, levels, sums = self._cascade.detectMultiScale3(grey, 1.1, 4, 0, (24, 24), outputRejectLevels=True)
        found = [(box, float(s)) for box, n, s in zip(boxes, levels, sums, strict=True) if n >= self.STAGES]
        kept = []
        for box, s in found:
            if s >= self.SURE or s >= self.DOUBTFUL and _second_cascade_agrees(self._second, grey, box):
                place = Box(*map(float, box))
                likeness = face_score(crop(grey, frame(place, "haar")))
                kept += [replace(place, score=(s + likeness) / (s + likeness + 10))] if likeness >= 0 else []
        return kept


def _second_cascade_agrees(cascade: cv2.CascadeClassifier, grey: np.ndarray, box: np.ndarray) -> bool:
    """Whether this cascade too finds a face of about that size around the box."""
    x, y, width, height = box.tolist()
    margin = width // 4
    around = grey[max(y - margin, 0) : y + height + margin, max(x - margin, 0) : x + width + margin]
    scale = 80 / width
    around = cv2.resize(
        around, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return len(cascade.detectMultiScale(around, 1.1, 7, 0, (45, 45))) > 0


def _interpolate_angle(turns: list[Box | None], best: int) -> float:
    """Where the eyes are level between turns of 30 degrees, by the best one and its neighbour on the other side.

    The eyes' own angle is too small by a factor that differs from face to face, but not by its sign.
    """
    angle, tilt = turns[best].angle, wrap_angle(eye_angle(turns[best]) - turns[best].angle)
    step = 1 if tilt > 0 else -1
    other = turns[(best + step) % len(turns)]
    rest = 0.0 if other is None else wrap_angle(eye_angle(other) - other.angle)
    return wrap_angle(angle + (step * LEVEL_STEP * tilt / (tilt - rest) if tilt * rest < 0 else tilt))


def _view_to_picture(box: Box, border: int, across: float, down: float) -> Box:
    """From a view's pixels to its picture's."""
    points = tuple(((x - border) * across, (y - border) * down) for x, y in box.landmarks)
    x, y = (box.x - border) * across, (box.y - border) * down
    return replace(box, x=x, y=y, width=box.width * across, height=box.height * down, landmarks=points)


def _shift_box(box: Box, right: float, down: float) -> Box:
    points = tuple((x + right, y + down) for x, y in box.landmarks)
    return replace(box, x=box.x + right, y=box.y + down, landmarks=points)


def _suppress_overlaps(boxes: list[Box]) -> list[Box]:
    """Of boxes that cover more than half of one another, the one with the best score."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(_overlap(box, other) <= 0.5 for other in kept):
            kept.append(box)
    return kept


def _is_better(turned: Box, upright: list[Box]) -> bool:
    """Whether nothing in its place is about as good."""
    return all(_overlap(turned, box) <= 0.5 or turned.score >= box.score + TURNED_MARGIN for box in upright)


def _overlap(a: Box, b: Box) -> float:
    """The shared area as a fraction of the smaller box."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(width, 0) * max(height, 0) / min(a.width * a.height, b.width * b.height)
