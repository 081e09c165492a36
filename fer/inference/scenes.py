"""Hard cuts in a film: where one scene ends and another begins, and no face goes on from before.

    for frame, cut in with_cuts(film.frames(640)):          # cut: whether a scene begins with this frame

Two frames belong to different scenes if neither their structure nor their colours agree: the normalised correlation
of their thumbnails, at the best shift, tells a pan or a change of light from a cut; the intersection of their colour
histograms (Swain and Ballard 1991) tells fast motion from one.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from fer.inference.frames import Frame

WIDTH, HEIGHT = 64, 48  # of thumbnails
BLOCK = 8  # pixels of a thumbnail
FLAT_STD = 4.0  # grey levels: what varies less, as a white or black frame, has no structure to compare
MAX_FLASH_SECONDS = 0.5  # seconds, at most, after which a flash is over
FLASH_BRIGHTENING = 12.0  # grey levels by which a frame with a flash is brighter, at least
NEAR_SECONDS = 0.2  # seconds; frames of sampled films are further apart


class FrameSignature:
    """What is compared of a frame."""

    def __init__(self, frame: Frame) -> None:
        small = cv2.resize(frame.picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        self.seconds = frame.seconds
        self.grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)  # (48, 64)
        bins = (small // 32).astype(int) @ np.array([64, 8, 1])
        self.colours = np.bincount(bins.ravel(), minlength=512) / bins.size  # (512,) sums to 1
        self.flat = float(self.grey.std()) < FLAT_STD


def detect_cuts(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Each frame, and whether a scene begins with it; the first frame begins none.

    Where a brighter scene begins, up to half a second of frames is held back, for if the old one comes back it was a
    flash.
    """
    before: FrameSignature | None = None  # the last frame with structure
    held: deque[Frame] = deque()  # since a cut or a flash began
    for frame in frames:
        now = FrameSignature(frame)
        if held:
            held.append(frame)
            back = not now.flat and not is_cut(before, now, near=True)
            if back or frame.seconds - held[0].seconds > MAX_FLASH_SECONDS:
                yield from _release(held, cut=not back)
                before = before if now.flat else now
        elif now.flat or before is None or not is_cut(before, now, now.seconds - before.seconds <= NEAR_SECONDS):
            before = before if now.flat else now
            yield frame, False
        elif now.grey.mean() > before.grey.mean() + FLASH_BRIGHTENING:
            held.append(frame)
        else:
            before = now
            yield frame, True
    yield from _release(held, cut=True)


def _release(held: deque[Frame], cut: bool) -> Iterator[tuple[Frame, bool]]:
    first = True
    while held:
        yield held.popleft(), cut and first
        first = False


def is_cut(one: FrameSignature, other: FrameSignature, near: bool) -> bool:
    """Whether two frames are of different scenes; of frames that are not near in time more difference is expected."""
    colours = float(np.minimum(one.colours, other.colours).sum())
    if colours >= 0.93 or _static_background(one, other):
        return False
    structure = max(_correlation(one.grey, other.grey), _correlation(other.grey, one.grey))
    if not near:
        return structure < 0.5 and colours < 0.7
    return structure < 0.7 and colours < 0.8 or structure < 0.3


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the middle of one thumbnail with the other, at the shift (up to a fifth) where it is highest: -1..1."""
    middle = other[HEIGHT // 5 : -(HEIGHT // 5), WIDTH // 5 : -(WIDTH // 5)]
    if middle.std() < FLAT_STD / 4:
        return 0.0
    return float(cv2.matchTemplate(one, middle, cv2.TM_CCOEFF_NORMED).max())


def _static_background(one: FrameSignature, other: FrameSignature) -> bool:
    """Whether two fifths of what has structure are the same: something came or went before a camera that stands."""
    before, now = _blocks(one.grey), _blocks(other.grey)
    textured = (before.std(1) > FLAT_STD) | (now.std(1) > FLAT_STD)
    same = np.abs(before - now).mean(1) < FLAT_STD
    return bool(textured.any() and same[textured].mean() >= 0.4)


def _blocks(grey: np.ndarray) -> np.ndarray:
    """(48, 64) -> its blocks (48, 64), a row each."""
    rows, columns = HEIGHT // BLOCK, WIDTH // BLOCK
    return grey.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows * columns, -1)
