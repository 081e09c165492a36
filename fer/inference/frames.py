"""Film file -> its frames with their real times.

    with opened("clip.webm") as film:
        print(film.seconds)                                  # by the packets' own times, before a frame is decoded
        for frame in film.frames(longest=640, fps=10):       # a Frame: number, seconds, RGB uint8 (H, W, 3)
            ...

What a container states of its frame rate and frame count is often wrong: browsers' recordings state 1000 frames a
second, screen and phone recordings have no constant rate. So every packet's time is read first, which decodes nothing.
"""

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.data.image_io import ImageError

# How films begin, by (place, bytes). What begins otherwise, such as a list of other files, is not given to OpenCV.
MAGIC_BYTES = (
    *((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),  # MP4, MOV, 3GP
    *((0, kind) for kind in (b"\x1aE\xdf\xa3", b"OggS", b"FLV", b"0&\xb2u")),  # WebM and MKV, Ogg, FLV, WMV
    *((0, kind) for kind in (b"\0\0\1\xba", b"\0\0\1\xb3")),  # MPEG program streams (VOB), MPEG-1 and -2
    *((0, b"\0\0\1" + kind) for kind in (b"\x67", b"\x27", b"\x09", b"\x40\1", b"\x46\1")),  # H.264, H.265
    *((0, b"\0\0\0\1" + kind) for kind in (b"\x67", b"\x27", b"\x09", b"\x40\1", b"\x46\1")),
    *((0, kind) for kind in (b"\x06\x0e\x2b\x34", b"\x1f\x07\0", b".RMF", b"\xb7\xd8\0\x20")),  # MXF, DV, RM, WTV
    *((0, kind) for kind in (b"DKIF", b"YUV4MPEG2", b"nut/multimedia")),  # IVF, Y4M, NUT
    *((8, kind) for kind in (b"AVI ", b"AVIX", b"CDXA")),  # AVI, Video CD
    (0, b"\xff\xd8\xff"),  # MJPEG
)
TRANSPORT_PACKET_SIZES = (
    188,
    192,
    204,
)  # bytes of a transport stream's: as broadcast, as AVCHD cameras write them, with correction
DEFAULT_FPS = 25.0  # frames a second where nothing else is known
MAX_PROBE_SECONDS = 2.0  # seconds for reading the packets' times; a film that takes longer is known only in part
MAX_TIME_JUMP = 600.0  # seconds between two frames above which the container's clock was set, and no time went by
MAX_TIME_BACKWARDS = 1.0  # seconds by which times may run backwards without the clock having been set


class VideoError(ImageError):
    """A video that cannot be used; the message is one sentence for the person who sent it."""


@dataclass(frozen=True)
class Frame:
    """A frame of a film."""

    number: int  # in the film, from 1
    seconds: float
    picture: np.ndarray  # RGB uint8 (H, W, 3)


class MonotonicClock:
    """The times of a container, one after the other -> seconds that never run backwards.

    Handles files without times (`rate` counts then), clocks set back or far ahead, as where recordings were joined.
    """

    def __init__(self, rate: float) -> None:
        self._gap, self._told, self._base, self._same, self.seconds = 1 / rate, None, 0.0, 0, 0.0

    def __call__(self, told: float) -> float:
        """Seconds of the frame for which the container tells `told` seconds."""
        if self._told is None:
            self._told, self._base = told, told if 0 <= told <= MAX_TIME_JUMP else 0.0
        elif told == self._told or told <= 0:  # none told: OpenCV gives 0 or the last one again
            self._same += 1
        elif not -MAX_TIME_BACKWARDS <= told - self._told <= MAX_TIME_JUMP:
            self._told, self._base, self._same = told, self.seconds + self._gap, 0
        elif told > self._told:
            self._gap = told - self._told
            self._told, self._base, self._same = told, self._base + self._gap, 0
        self.seconds = max(self.seconds, self._base + self._same * self._gap)
        return self.seconds


class FrameSampler:
    """Which frames to keep so that there are at most `fps` a second, evenly spread; None keeps them all."""

    def __init__(self, fps: float | None) -> None:
        if fps is not None and not 0 < fps < float("inf"):
            raise ValueError(f"fps is {fps}: expected a number of frames a second above 0")
        self.fps, self._last = fps, -1

    def keeps(self, seconds: float) -> bool:
        if self.fps is None:
            return True
        place = int(seconds * self.fps + 0.1)  # times are often rounded to milliseconds
        kept, self._last = place > self._last, max(place, self._last)
        return kept


class VideoReader:
    """A film that is open for reading; see `opened`."""

    def __init__(self, source: str, name: str, most_pixels: float | None) -> None:
        self._source, self._name = source, name
        packets = self._open(cv2.CAP_PROP_FORMAT, -1)  # undecoded
        try:
            self.width, self.height = (int(packets.get(what)) for what in (3, 4))
            if most_pixels and self.width * self.height > most_pixels:
                raise VideoError(
                    f"The frames of {name} have {self.width}x{self.height} pixels; at most "
                    f"{most_pixels / 1e6:g} megapixels can be read."
                )
            self._rate, self._count = packets.get(cv2.CAP_PROP_FPS), packets.get(cv2.CAP_PROP_FRAME_COUNT)
            self.known_whole, told = _packet_times(packets)
        finally:
            packets.release()
        clock = MonotonicClock(self.rate)
        self.times = np.array([clock(at) for at in told])  # (N,) seconds of every frame that the packets promise
        self.exhausted = False  # whether the last frame has been read

    @property
    def rate(self) -> float:
        """The stated frames a second, or a usual number where what is stated cannot be."""
        return self._rate if 0.01 <= self._rate <= 240 else DEFAULT_FPS

    @property
    def stated_seconds(self) -> float | None:
        """How long the container says it is, by frame rate and count; None where it does not."""
        return self._count / self._rate if self._count > 0 and 0 < self._rate < 1e6 else None

    @property
    def seconds(self) -> float | None:
        """How long the film is: from 0 to the end of the last frame; None where that is not known."""
        if not self.known_whole or not len(self.times):
            return self.stated_seconds
        gaps = np.diff(self.times)
        usual, most = (float(np.median(gaps)), 2 * float(gaps.max())) if len(gaps) else (1 / self.rate, 10.0)
        left = (self.stated_seconds or 0) - self.times[-1]
        return float(self.times[-1] + (left if 0 < left <= max(most, 2 * usual) else usual))

    def count(self, fps: float | None = None) -> int | None:
        """About how many frames `frames` will give; None where that is not known."""
        if not self.known_whole or not len(self.times):
            return None
        sampler = FrameSampler(fps)
        return sum(sampler.keeps(at) for at in self.times)

    def constant_rate(self, fps: float | None = None) -> float:
        """Frames a second (10 to 240) of a film of constant rate that shows the frames of `frames` at their times."""
        sampler = FrameSampler(fps)
        gaps = np.diff([at for at in self.times if sampler.keeps(at)])
        gaps = gaps[gaps > 0]
        if not len(gaps):
            rate = self.rate
        else:
            alike = gaps[np.abs(gaps - np.median(gaps)) <= 0.25 * np.median(gaps)]
            constant = len(alike) >= 0.9 * len(gaps)
            rate = 1 / alike.mean() if constant else min(max(round(1 / np.percentile(gaps, 5)), 15), 30)
        rate = min(max(rate, 0.01), 240)
        return float(rate * np.ceil(10 / rate - 1e-6)) if rate < 10 else float(rate)

    def frames(self, longest: int, fps: float | None = None, until: float = float("inf")) -> Iterator[Frame]:
        """The frames in order, at most `fps` a second, those above `longest` pixels shrunk to it.

        Ends early at `until`, as `time.monotonic` counts; otherwise `exhausted` is True in the end.
        """
        capture, clock, sampler = self._open(), MonotonicClock(self.rate), FrameSampler(fps)
        try:
            for number in itertools.count(1):
                if time.monotonic() > until:
                    return
                if not capture.grab():
                    self.exhausted = True
                    return
                at = clock(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                if sampler.keeps(at):
                    read, picture = capture.retrieve()
                    if read:
                        yield Frame(number, at, _resize_to_rgb(picture, longest))
        finally:
            capture.release()

    def _open(self, *options: int) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._source, cv2.CAP_FFMPEG, list(options))
        if not capture.isOpened():
            capture.release()
            raise VideoError(f"{self._name} is damaged, or of a kind that OpenCV cannot read.")
        return capture


@contextmanager
def open_video(path: str | Path, most_pixels: float | None = None) -> Iterator[VideoReader]:
    """The film of a file, for as long as the block lasts.

    Raises VideoError for what is no film and for frames of more than `most_pixels`, before one is decoded.
    """
    path = Path(path)
    name = repr(path.name[:80])  # never the path: it may be the server's own
    try:
        with path.open("rb") as stream:
            start = stream.read(8 * max(TRANSPORT_PACKET_SIZES))
    except OSError as error:
        raise VideoError(f"There is no file {name} that can be opened ({error.strerror}).") from None
    if not is_video(start):
        raise VideoError(f"{name} is no video that can be read; MP4, WebM, MOV, MKV or AVI would be right.")
    with _source(path) as source:
        yield VideoReader(source, name, most_pixels)


def is_video(start: bytes) -> bool:
    """Whether a file that begins so (the first 1,632 bytes) is a film by its contents."""
    return any(start[place:].startswith(magic) for place, magic in MAGIC_BYTES) or _is_transport_stream(start)


def _is_transport_stream(start: bytes) -> bool:
    """Four packets in a row that begin with the sync byte, G; a recording may begin within one."""
    return any(
        start[first : first + 4 * size : size] == b"GGGG" for size in TRANSPORT_PACKET_SIZES for first in range(size)
    )


@contextmanager
def _source(path: Path) -> Iterator[str]:
    """A name by which OpenCV opens a file: absolute, since `a:b.mp4` is an address to FFmpeg, and UTF-8.

    OpenCV crashes with the process at names that are no UTF-8.
    """
    full = str(path.absolute())
    if is_encodable(full):
        yield full
    elif Path("/proc/self/fd").is_dir():
        with path.open("rb") as stream:
            yield f"/proc/self/fd/{stream.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield shutil.copyfile(path, os.path.join(folder, "film"))


def is_encodable(name: str) -> bool:
    """Whether a file's name is one that other programs can be given."""
    return name.encode(errors="replace") == name.encode(errors="surrogateescape")


def _packet_times(packets: cv2.VideoCapture) -> tuple[bool, list[float]]:
    """Whether all packets were read, and the times they tell, in the order in which they are shown."""
    until, whole, told, latest = time.monotonic() + MAX_PROBE_SECONDS, True, [], 0.0
    while packets.grab():
        at = packets.get(cv2.CAP_PROP_POS_MSEC) / 1000
        latest = at if at > 0 else latest  # none told: as the one before
        told.append(latest)
        if len(told) % 1000 == 0 and time.monotonic() > until:
            whole = False
            break
    steps = np.diff(told)
    usual = float(np.median(np.abs(steps))) if len(steps) else 0.0
    resets = (
        np.flatnonzero(steps < -max(MAX_TIME_BACKWARDS, 20 * usual)) + 1
    )  # frames are packed out of order, but not so far
    return whole, [float(at) for part in np.split(np.array(told), resets) for at in np.sort(part)]


def _resize_to_rgb(picture: np.ndarray, longest: int) -> np.ndarray:
    """BGR uint8 (H, W, 3) -> RGB, its longer side at most `longest`."""
    scale = longest / max(picture.shape[:2])
    if scale < 1:
        height, width = (max(round(side * scale), 1) for side in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
