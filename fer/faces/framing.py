import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fer.data.crop import centred_square, crop_square


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of its picture, which may reach outside, turned about its centre. `score` is in 0..1.

    `angle`: by how many degrees the face is turned clockwise in the picture, in (-180, 180]; 0 for one that is nearly
    upright, as FER-2013's own faces are.
    """

    x: float
    y: float
    width: float
    height: float
    score: float | None = None
    landmarks: tuple[tuple[float, float], ...] = ()  # YuNet's: eye, eye, nose, mouth corner, mouth corner
    angle: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    def scaled(self, scale: float) -> "Box":
        """The same in a picture of so many times the size."""
        points = tuple((x * scale, y * scale) for x, y in self.landmarks)
        x, y, width, height = (value * scale for value in (self.x, self.y, self.width, self.height))
        return replace(self, x=x, y=y, width=width, height=height, landmarks=points)

    def to_list(self) -> list[int]:
        """x, y, width and height in whole pixels; of a turned face those around the ellipse in its rectangle."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        width, height = math.hypot(self.width * cos, self.height * sin), math.hypot(self.width * sin, self.height * cos)
        x, y = self.centre
        return [round(value) for value in (x - width / 2, y - height / 2, width, height)]


@dataclass(frozen=True)
class Framing:
    """Where FER-2013's frame lies: its side in box widths, its centre as a shift (in sides) from the box's anchor."""

    side: float
    right: float
    down: float


# Medians over FER-2013's Training faces: `python -m tests.benchmarks.framing` prints them.
# YuNet's anchor is the middle of its eyes and mouth corners (it scatters less than its box), Haar's the box's.
FRAMING = {"yunet": Framing(1.298, 0.005, -0.067), "haar": Framing(1.021, 0.0, 0.003)}


@dataclass(frozen=True)
class Rotation:
    """A picture resized by `scale` and turned so that a face turned clockwise by `angle` degrees stands upright."""

    angle: float
    scale: float
    centre: tuple[float, float]  # in the picture
    size: tuple[int, int]  # of the view

    @classmethod
    def around(cls, picture: np.ndarray, angle: float, scale: float) -> "Rotation":
        """All of the picture; in its view, the corners repeat the picture's edges."""
        height, width = picture.shape[:2]
        cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
        size = scale * (width * cos + height * sin), scale * (width * sin + height * cos)
        return cls(angle, scale, (width / 2, height / 2), (max(round(size[0]), 1), max(round(size[1]), 1)))

    def to_view(self, x: float, y: float) -> tuple[float, float]:
        """From the picture's pixels to the view's."""
        across, down = ((value - middle) * self.scale for value, middle in zip((x, y), self.centre, strict=True))
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return self.size[0] / 2 + cos * across + sin * down, self.size[1] / 2 - sin * across + cos * down

    def view(self, picture: np.ndarray) -> np.ndarray:
        if self.scale < 1:
            size = [max(round(length * self.scale), 1) for length in picture.shape[1::-1]]
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        scale = max(self.scale, 1.0)  # what is left to do
        cos, sin = (scale * part for part in (math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))))
        (x, y), (width, height) = (length / 2 - 0.5 for length in picture.shape[1::-1]), self.size
        matrix = np.array(
            [[cos, sin, (width - 1) / 2 - cos * x - sin * y], [-sin, cos, (height - 1) / 2 + sin * x - cos * y]]
        )
        return cv2.warpAffine(picture, matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def back(self, box: Box) -> Box:
        """From the view's pixels to the picture's."""
        width, height = box.width / self.scale, box.height / self.scale
        x, y = self._back(*box.centre)
        points = tuple(self._back(*point) for point in box.landmarks)
        return Box(x - width / 2, y - height / 2, width, height, box.score, points, self.angle)

    def _back(self, x: float, y: float) -> tuple[float, float]:
        x, y = ((value - length / 2) / self.scale for value, length in zip((x, y), self.size, strict=True))
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return self.centre[0] + cos * x - sin * y, self.centre[1] + sin * x + cos * y


def eye_angle(box: Box) -> float:
    """By how many degrees the line through YuNet's eyes is turned clockwise."""
    (left, top), (right, bottom) = box.landmarks[:2]
    return math.degrees(math.atan2(bottom - top, right - left))


def wrap_angle(angle: float) -> float:
    """The same angle in (-180, 180]."""
    return 180 - (180 - angle) % 360


# ------------------------------------------------------------------------------------------------ framing


def frame(box: Box, detector_name: str) -> Box:
    """The square that FER-2013 would have cut around a face that this detector found."""
    framing = FRAMING[detector_name]
    x, y = box.centre
    if box.landmarks:
        x, y = np.mean([box.landmarks[k] for k in (0, 1, 3, 4)], axis=0).tolist()
    side = framing.side * box.width
    cos, sin = math.cos(math.radians(box.angle)), math.sin(math.radians(box.angle))
    x, y = x + side * (cos * framing.right - sin * framing.down), y + side * (sin * framing.right + cos * framing.down)
    return Box(x - side / 2, y - side / 2, side, side, box.score, angle=box.angle)


def centre_square(picture: np.ndarray) -> Box:
    """The centred square of the picture's shorter side: the whole picture taken as a face."""
    x, y, side = centred_square(picture)
    return Box(x, y, side, side)


def crop(picture: np.ndarray, square: Box) -> np.ndarray:
    """Cuts the square out of RGB uint8 (H, W, 3) or grey (H, W) as grey uint8 (48, 48), upright: see `crop_square`."""
    if square.angle and 0 < square.width < np.inf:
        picture, square = _levelled_part(picture, square)
    return crop_square(picture, square.x, square.y, (square.width, square.height))


def _levelled_part(picture: np.ndarray, square: Box) -> tuple[np.ndarray, Box]:
    """The square's surroundings turned upright at their own resolution, and the square in them."""
    x, y = square.centre
    reach = math.hypot(square.width, square.height) / 2 + 2
    left, top, right, bottom = math.floor(x - reach), math.floor(y - reach), math.ceil(x + reach), math.ceil(y + reach)
    columns = np.clip(np.arange(left, right), 0, picture.shape[1] - 1)  # outside the picture its edge is repeated
    rows = np.clip(np.arange(top, bottom), 0, picture.shape[0] - 1)
    part = np.ascontiguousarray(picture[rows[:, None], columns])
    turn = Rotation.around(part, square.angle, 1.0)
    x, y = turn.to_view(x - left, y - top)
    return turn.view(part), Box(x - square.width / 2, y - square.height / 2, square.width, square.height)
