"""The annotated film: frames at any times -> a WebM of constant rate that shows each of them for as long as it lasts.

VP8 in WebM is what both OpenCV writes without further libraries and browsers play. Players and OpenCV's writer know
films of a constant rate best, so a frame is repeated, or left out, as its time demands.
"""

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from fer.inference.frames import is_encodable


class WebMWriter:
    """A WebM file that frames are added to; `close` it. Raises OSError where it cannot be written."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._writer: cv2.VideoWriter | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._shown: np.ndarray | None = None  # the newest frame, BGR uint8 (H, W, 3), not yet written
        self._first = self._newest = 0.0
        self._written = 0

    def add(self, seconds: float, picture: np.ndarray) -> None:
        """A frame, RGB uint8 (H, W, 3), that is shown from a time on, until the next one."""
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        if self._shown is None:
            self._first, self._writer = seconds, self._opened(picture.shape[1::-1])
        else:
            self._repeat(round((seconds - self._first) * self._rate))
            if picture.shape != self._shown.shape:  # some films change their size
                picture = cv2.resize(picture, self._shown.shape[1::-1], interpolation=cv2.INTER_AREA)
        self._shown, self._newest = picture, seconds

    def close(self, end: float | None = None) -> None:
        """Shows the last frame until `end`, in seconds, or for one frame more."""
        if self._writer is None:
            return
        self._repeat(max(round(((end or self._newest) - self._first) * self._rate), self._written + 1))
        self._writer.release()
        if self._folder:
            shutil.move(Path(self._folder.name, "film.webm"), self._path)
            self._folder.cleanup()

    def _repeat(self, until: int) -> None:
        while self._written < until:
            self._writer.write(self._shown)
            self._written += 1

    def _opened(self, size: tuple[int, int]) -> cv2.VideoWriter:
        target = str(self._path.absolute())
        if not is_encodable(target):  # which OpenCV crashes at
            self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            target = str(Path(self._folder.name, "film.webm"))
        writer = cv2.VideoWriter(target, cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"VP80"), self._rate, size)
        if not writer.isOpened():
            raise OSError(f"{self._path.name!r} cannot be written")
        return writer
