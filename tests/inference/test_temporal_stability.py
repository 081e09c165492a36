"""Real faces over time: photographs as a clip, as frames of a camera and as a film say what they say as photographs.

Needs a folder of photographs of one face each in $FER_PHOTOS, of which at least two are read surely and differently.
"""

import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.data.image_io import open_image
from fer.faces.detector import load_detector
from fer.inference.frames import open_video
from fer.inference.predictor import predict_image
from fer.inference.tracker import FaceTracker
from fer.models import checkpoint

pytestmark = pytest.mark.skipif(not os.environ.get("FER_PHOTOS"), reason="FER_PHOTOS names no folder of photographs")
RATE = 15  # frames a second


@pytest.fixture(scope="module")
def network():
    return checkpoint.load_model("compact")


@pytest.fixture(scope="module")
def detector():
    return load_detector()


def framed(picture: np.ndarray, face) -> np.ndarray:
    """A frame of 640x480 with the face, a third of it high, in the middle: RGB."""
    scale = 160 / face.height
    x, y = face.x + face.width / 2, face.y + face.height / 2
    move = np.float32([[scale, 0, 320 - scale * x], [0, scale, 240 - scale * y]])
    return cv2.warpAffine(picture, move, (640, 480), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture(scope="module")
def two(network, detector) -> list[np.ndarray]:
    """Two frames whose faces are read surely and differently."""
    found = {}
    for path in sorted(Path(os.environ["FER_PHOTOS"]).glob("*.[jp][pn]g")):
        picture = open_image(path)
        for face in predict_image(picture, network, detector).faces[:1]:
            frame = framed(picture, face.box)
            seen = predict_image(frame, network, detector).faces
            if len(seen) == 1 and not seen[0].low_confidence:
                found.setdefault(seen[0].emotion, frame)
    if len(found) < 2:
        pytest.skip("FER_PHOTOS has no two photographs that are read surely and differently")
    return list(found.values())[:2]


def test_a_word_switches_once_a_change(two, network, detector):
    """Two photographs in turn, two seconds each, four times: one face, four words, three switches, no word twice."""
    tracker, words, numbers = FaceTracker(network, detector, seconds=0.5), [], set()
    for step in range(8 * RATE):
        (face,) = tracker.read(two[step // (2 * RATE) % 2], step / RATE).faces
        words.append(face.settled)
        numbers.add(face.number)
    switches = [after for before, after in itertools.pairwise(words) if before != after]
    assert len(switches) == 3 and None not in words and len(numbers) == 1


def test_without_smoothing_a_frame_is_a_photograph(two, network, detector):
    """Probabilities within 1e-5 of the photograph's own, frame after frame, whatever came before."""
    if detector.slow:
        pytest.skip("Haar looks around the last box, which may move it by a pixel; YuNet is not at hand: set FER_YUNET")
    tracker = FaceTracker(network, detector, seconds=0)
    for step in range(6):
        (face,) = tracker.read(two[step % 2], step / RATE).faces
        (alone,) = predict_image(two[step % 2], network, detector).faces
        assert face.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_a_film_says_what_the_photograph_says(two, network, detector, tmp_path: Path):
    """Within .05, which is what compression changes."""
    file = tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (640, 480))
    for _ in range(RATE):
        writer.write(two[0][..., ::-1])
    writer.release()
    (alone,) = predict_image(two[0], network, detector).faces
    with open_video(file) as clip:
        for frame in list(clip.frames(640))[::5]:
            (face,) = FaceTracker(network, detector, seconds=0).read(frame.picture, frame.seconds).faces
            assert face.probabilities == pytest.approx(alone.probabilities, abs=0.05)
