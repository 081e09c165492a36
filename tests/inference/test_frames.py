"""Times of containers of all kinds, what films begin with, and which of their frames are kept."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.data.image_folder import VIDEOS
from fer.inference.frames import FrameSampler, MonotonicClock, VideoError, is_video, open_video


@pytest.mark.parametrize(
    "told, seconds",
    [
        ([0, 0.2, 0.4, 0.45], [0, 0.2, 0.4, 0.45]),
        ([0, 0, 0, 0], [0, 0.04, 0.08, 0.12]),  # none told
        ([0.1, 0.2, 0.15, 0.3], [0.1, 0.2, 0.2, 0.3]),  # a little out of order
        ([10, 10.1, 10.2, 0, 0.1], [10, 10.1, 10.2, 10.3, 10.4]),  # two recordings in one
        ([95443, 95443.1, 95443.2], [0, 0.1, 0.2]),
        ([0, 0.1, 95443, 95443.1], [0, 0.1, 0.2, 0.3]),  # a clock that was set
        ([0, 90, 91], [0, 90, 91]),  # a recording that paused
    ],
)
def test_the_times_of_containers_become_seconds_that_never_run_backwards(told, seconds):
    """Without times, frames are counted at 25 a second."""
    clock = MonotonicClock(25)
    assert [clock(at) for at in told] == pytest.approx(seconds)


@pytest.mark.parametrize("rate, fps, kept", [(60, 30, 30), (30, 30, 30), (29.97, 30, 30), (25, 10, 10), (10, 30, 10),
                                             (240, 30, 30), (30, None, 30), (30, 0.5, 1)])  # fmt: skip
def test_a_sampler_keeps_so_many_frames_a_second(rate, fps, kept):
    """Of one second of film whose times are rounded to milliseconds."""
    sampler = FrameSampler(fps)
    assert sum(sampler.keeps(round(number / rate, 3)) for number in range(round(rate))) == kept


@pytest.mark.parametrize(
    "ending, kind, rate",
    [(ending, "mp4v", 10) for ending in (".ts", ".m2ts", ".mts", ".mkv", ".mov", ".mp4", ".m4v")]
    + [(ending, "MPG2", 25) for ending in (".vob", ".mpg", ".mts")]
    + [(".webm", "VP80", 10), (".avi", "MJPG", 10), (".mjpeg", "MJPG", 25)],
)
def test_what_opencv_opens_is_a_film_by_name_and_by_contents(tmp_path: Path, ending: str, kind: str, rate: float):
    """Ten frames of each; a raw MJPEG has no times."""
    file = tmp_path / f"film{ending}"
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*kind), rate, (64, 48))
    for level in range(10):
        writer.write(np.full((48, 64, 3), 20 * level, np.uint8))
    writer.release()
    with open_video(file) as film:
        frames = list(film.frames(640))
    assert [frame.seconds for frame in frames] == pytest.approx([number / rate for number in range(10)], abs=0.001)
    assert ending in VIDEOS and film.exhausted
    assert film.seconds == pytest.approx(10 / rate, abs=1.01 / rate)  # MPEG may keep its last frame to itself


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("first", [0, 4, 100])
def test_a_transport_stream_may_begin_within_a_packet(size: int, first: int):
    content = bytearray(8 * 204)
    content[first::size] = b"G" * len(content[first::size])
    assert is_video(bytes(content)) and not is_video(bytes(content[: first + 3 * size]))


@pytest.mark.parametrize(
    "content",
    [b"#EXTM3U\n", b"ffconcat version 1.0\n", b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", b"<?xml", b"\x89PNG"],
)
def test_a_list_of_other_files_is_no_film(tmp_path: Path, content: bytes):
    (tmp_path / "film.ts").write_bytes(content * 100)
    with pytest.raises(VideoError, match="'film.ts' is no video that can be read"), open_video(tmp_path / "film.ts"):
        pass
