"""Faces are found where they are, and cut as FER-2013 frames them."""

import os
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import fer
from fer.data import labels
from fer.data.image_io import open_image
from fer.faces import detector as faces_detector
from fer.faces.detector import Detector, load_detector
from fer.faces.framing import Box, centre_square, crop, frame

EXAMPLES = Path(fer.__file__).parent / "data" / "assets" / "examples"


def example(emotion: str = "happy", size: int = 240) -> np.ndarray:
    """A face that is nobody's, RGB uint8 (size, size, 3)."""
    face = open_image(EXAMPLES / f"{emotion}.png")
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if size < 240 else cv2.INTER_CUBIC)


def scene(*placed: tuple[np.ndarray, int, int], size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """A grey picture of (width, height) with faces in it at x, y."""
    picture = np.full((size[1], size[0], 3), 60, np.uint8)
    for face, x, y in placed:
        picture[y : y + len(face), x : x + len(face)] = face
    return picture


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    shared = faces_detector._overlap(a, b) * min(a.width * a.height, b.width * b.height)
    return shared / (a.width * a.height + b.width * b.height - shared)


@pytest.fixture(scope="module", params=["haar", "yunet"])
def detector(request) -> Detector:
    """Both detectors; YuNet where $FER_YUNET or the Hub's cache has its model."""
    if request.param == "yunet" and not (os.environ.get("FER_YUNET") or faces_detector._cached_model()):
        pytest.skip("YuNet's model is not at hand: set FER_YUNET")
    return load_detector(request.param)


# ------------------------------------------------------------------------------------------------ both detectors


@pytest.mark.parametrize("emotion", labels.EMOTIONS)
def test_every_example_face_is_found_once_and_framed(detector, emotion):
    """A 240-pixel face at (200, 120) is framed by a square that shares at least 60 % with its own."""
    boxes = detector(scene((example(emotion), 200, 120)))
    assert len(boxes) == 1 and 0 < boxes[0].score <= 1
    assert overlap(frame(boxes[0], detector.name), Box(200, 120, 240, 240)) > 0.6


def test_no_face_in_noise_slopes_and_stripes(detector):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    slope = np.tile(np.linspace(0, 255, 320, dtype=np.uint8)[:, None], (240, 1, 3))
    stripes = np.where(np.arange(320)[None, :, None] // 16 % 2, 200, 40) * np.ones((240, 1, 3))
    for picture in (noise, slope, stripes.astype(np.uint8), np.zeros((240, 320, 3), np.uint8)):
        assert detector(picture) == []


def test_several_faces_come_largest_first(detector):
    places = ((example("happy", 90), 20, 30), (example("neutral", 200), 380, 40), (example("surprise", 140), 180, 250))
    boxes = detector(scene(*places))
    assert [round(box.x / 100) for box in boxes] == [4, 2, 0]


def test_a_picture_cut_close_around_the_face_is_enough(detector):
    """48 x 48 pixels, nothing but the face, as FER-2013 has it."""
    boxes = detector(example("happy", 48))
    assert len(boxes) == 1
    assert overlap(frame(boxes[0], detector.name), Box(0, 0, 48, 48)) > 0.6


def test_a_tiny_picture_and_one_of_twenty_megapixels(detector):
    """The same scene, 80 and 5,000 pixels wide, has its face in the same place."""
    for width in (80, 5000):
        picture = scene((example("happy", width // 2), width // 4, width // 8), size=(width, width * 4 // 5))
        boxes = detector(picture)
        assert len(boxes) == 1
        place = Box(width / 4, width / 8, width / 2, width / 2)
        assert overlap(frame(boxes[0], detector.name), place) > 0.55


def test_a_ribbon_of_a_picture_is_no_reason_to_fail(detector):
    assert detector(np.zeros((48, 20000, 3), np.uint8)) == []


def test_threads_share_a_detector(detector):
    """Four threads with pictures of different sizes get what one thread gets."""
    pictures = [scene((example("happy", 120), 10 * n, 10), size=(200 + 20 * n, 150 + 10 * n)) for n in range(4)]
    alone = [detector(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector, pictures)) == alone


def turned(picture: np.ndarray, angle: float) -> np.ndarray:
    """The picture turned clockwise about its centre, which stays where it is."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), -angle, 1)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("angle", [-90, -60, 30, 60, 90, 180])
@pytest.mark.parametrize("emotion", ["happy", "neutral", "surprise"])
def test_a_turned_face_is_found_where_it_is_and_levelled(detector, emotion, angle):
    """Its box is in the picture's own pixels, its angle within 20 degrees, its crop like that of the upright one."""
    upright = scene((example(emotion), 200, 120))
    picture = turned(upright, angle)
    (before,), boxes = detector(upright), detector(picture)
    assert len(boxes) == 1 and before.angle == 0
    across, down = np.subtract(before.centre, (320, 240))
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    place = 320 + cos * across - sin * down, 240 + sin * across + cos * down
    assert np.hypot(*np.subtract(boxes[0].centre, place)) < 0.2 * before.width
    assert abs((boxes[0].angle - angle + 180) % 360 - 180) <= 20
    crops = [crop(p, frame(b, detector.name)) for p, b in ((upright, before), (picture, boxes[0]))]
    assert np.corrcoef(*(face.ravel() for face in crops))[0, 1] > 0.6


@pytest.mark.parametrize("angle", [-15, 15])
def test_a_small_tilt_is_not_made_larger(detector, angle):
    """YuNet's is left as it is; Haar finds it upright or turned by 30 degrees."""
    (box,) = detector(turned(scene((example("happy"), 200, 120)), angle))
    assert abs(box.angle - angle) <= 15 and (detector.name == "haar" or box.angle == 0)


@pytest.mark.skipif(
    not os.environ.get("FER_PHOTOS"), reason="FER_PHOTOS names no folder of photographs of one face each"
)
def test_photographs_of_one_person_have_one_face(detector):
    files = sorted(path for path in Path(os.environ["FER_PHOTOS"]).iterdir() if path.suffix in (".jpg", ".png"))
    assert {path.name: len(detector(open_image(path))) for path in files} == {path.name: 1 for path in files}


# ------------------------------------------------------------------------------------------------ Detector


def test_boxes_come_back_in_the_picture_s_pixels():
    """A find at (30, 40) in the view of 120 pixels is at (300, 400) in the picture of 1,200, landmarks with it."""
    found = Box(30, 40, 20, 25, 0.9, ((31, 41),))
    detector = Detector("stub", lambda view: [found] if view.shape[:2] == (90, 120) else [], coarse=120, fine=240)
    assert detector(np.zeros((900, 1200, 3), np.uint8)) == [Box(300, 400, 200, 250, 0.9, ((310, 410),))]


def test_overlapping_finds_are_merged_into_the_best():
    """One inside the other, or more than half shared, is one face; neighbours stay two."""
    finds = [Box(0, 0, 100, 100, 0.8), Box(20, 20, 40, 40, 0.7), Box(10, 5, 100, 100, 0.9), Box(120, 0, 90, 90, 0.6)]
    detector = Detector("stub", lambda view: finds, coarse=400, fine=400)
    assert detector(np.zeros((400, 400, 3), np.uint8)) == [finds[2], finds[3]]


def test_a_border_is_tried_only_when_nothing_else_was_found():
    """The third view is 96 pixels of picture inside a border of 48, and its boxes are moved back."""
    seen = []

    def search(view):
        seen.append(view.shape[:2])
        return [Box(48, 48, 96, 96, 0.9)] if view.shape[0] == 192 else []

    boxes = Detector("stub", search, coarse=400, fine=800)(np.zeros((960, 960, 3), np.uint8))
    assert seen == [(400, 400), (800, 800), (192, 192)]
    assert boxes == [Box(0, 0, 960, 960, 0.9)]


def test_a_portrait_is_searched_for_no_smaller_faces():
    """A cascade that is sure of a face of a sixth of the picture stops at `coarse`; of a smaller one it goes on."""
    for side, views in ((100, [400]), (40, [400, 1000])):
        seen = []
        search = lambda view, side=side, seen=seen: seen.append(view.shape[0]) or [Box(9, 9, side, side, 0.6)]  # noqa: E731
        Detector("stub", search, coarse=400, fine=1000, face=64, sure=0.5)(np.zeros((1600, 1600, 3), np.uint8))
        assert seen == views


def test_what_a_cascade_doubts_comes_last():
    """Though it is larger than what it is sure of."""
    finds = [Box(0, 0, 150, 150, 0.4), Box(200, 0, 90, 90, 0.6), Box(200, 200, 120, 120, 0.5)]
    detector = Detector("stub", lambda view: finds, coarse=400, fine=400, face=64, sure=0.5)
    assert detector(np.zeros((400, 400, 3), np.uint8)) == [finds[2], finds[1], finds[0]]


def test_other_turns_are_tried_where_nothing_is_found_that_is_sure():
    """A find in the view that was turned by 90 degrees is at its place in the picture; one that is doubtful is none."""
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[100:120, 300:330] = 255

    def search(view):
        tall = view.shape[0] > view.shape[1]
        rows, columns = np.nonzero(view[..., 0] > 128)
        place = float(columns.min()), float(rows.min()), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)
        return [Box(*place, 0.9)] if tall and columns.max() < 150 else [Box(0, 0, 50, 50, 0.4)] if tall else []

    detector = Detector("stub", search, coarse=400, fine=400, sure=0.8, step=90, turned=400)
    (box,) = detector(picture)
    assert box.angle in (-90, 90) and box.centre == pytest.approx((315, 110), abs=1)
    assert box.to_list() == pytest.approx([300, 100, 30, 20], abs=1)


def test_only_one_thread_searches_at_a_time():
    busy = threading.Lock()

    def search(view):
        with_it = busy.acquire(blocking=False)
        time.sleep(0.002)
        busy.release()
        return [Box(0, 0, 9, 9, 1.0 if with_it else 0.0)]

    detector = Detector("stub", search, coarse=400, fine=400)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(detector, [np.zeros((400, 400, 3), np.uint8)] * 16))
    assert all(boxes[0].score == 1.0 for boxes in found)


# ------------------------------------------------------------------------------------------------ load_detector


def test_without_a_model_and_without_a_network_it_is_haar(monkeypatch):
    monkeypatch.delenv("FER_YUNET", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(faces_detector, "_cached_model", lambda: None)
    monkeypatch.setattr(faces_detector.subprocess, "run", lambda *_, **__: pytest.fail("offline means offline"))
    assert load_detector().name == "haar"
    with pytest.raises(ValueError, match="set FER_YUNET to its path"):
        load_detector("yunet")


def test_a_damaged_model_in_the_hub_s_cache_makes_it_haar(monkeypatch, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"half a download")
    monkeypatch.delenv("FER_YUNET", raising=False)
    monkeypatch.setattr(faces_detector, "_cached_model", lambda: tmp_path / "model.onnx")
    assert load_detector().name == "haar"


@pytest.mark.parametrize("content", [None, b"", b"no model at all"])
def test_a_wrong_FER_YUNET_is_an_early_error_and_no_noise(monkeypatch, tmp_path, capfd, content):
    """It is never replaced by Haar in silence, unless Haar was asked for."""
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("FER_YUNET", str(path))
    with pytest.raises(ValueError, match="FER_YUNET='.*model.onnx' is no YuNet model"):
        load_detector()
    assert capfd.readouterr() == ("", "")
    assert load_detector("haar").name == "haar"


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="prefer='hog' is no detector"):
        load_detector("hog")


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for Python is a shell script")
def test_a_download_that_hangs_is_ended_in_silence(monkeypatch, tmp_path, capfd):
    """A minute of noise is cut off after a tenth of a second."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho noise; echo noise >&2; exec sleep 60\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    start = time.monotonic()
    assert faces_detector._download_model(seconds=0.1) is None
    assert time.monotonic() - start < 3
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------ framing


def test_haar_s_box_nearly_is_the_frame():
    """1.021 of the box's side, and .003 of that further down."""
    square = frame(Box(100, 200, 100, 100), "haar")
    assert (square.x, square.y, square.width, square.height) == pytest.approx((98.95, 199.2563, 102.1, 102.1))


def test_yunet_s_frame_hangs_on_the_landmarks():
    """Side 129.8; the centre .067 of it above the middle (50, 60) of eyes and mouth corners, the nose left out."""
    points = ((30.0, 40.0), (70.0, 40.0), (500.0, 500.0), (35.0, 80.0), (65.0, 80.0))
    square = frame(Box(0, 0, 100, 130, 0.9, points), "yunet")
    assert (square.width, square.height) == pytest.approx((129.8, 129.8))
    assert (square.x + 64.9, square.y + 64.9) == pytest.approx((50 + 0.005 * 129.8, 60 - 0.067 * 129.8))


def test_the_whole_picture_is_its_centred_square():
    assert centre_square(np.zeros((60, 100, 3), np.uint8)) == Box(20, 0, 60, 60)


def test_a_box_as_a_list_is_rounded():
    assert Box(1.4, -2.6, 3.5, 4.2, 0.9).to_list() == [1, -3, 4, 4]


# ------------------------------------------------------------------------------------------------ crop


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)


def test_the_crop_of_a_48_pixel_grey_picture_is_the_picture(noise):
    """Bit by bit, as grey and as RGB."""
    face = noise[:48, :48]
    for picture in (face, np.stack([face] * 3, axis=-1)):
        assert np.array_equal(crop(picture, centre_square(picture)), face)


def test_shrinking_takes_the_mean_of_each_area(noise):
    """96 pixels to 48: the mean of four."""
    expected = np.rint(noise.reshape(48, 2, 48, 2).mean((1, 3))).astype(np.uint8)
    assert np.array_equal(crop(noise, centre_square(noise)), expected)


def test_shrinking_by_a_fraction_weighs_the_pixels_it_cuts():
    """72 pixels to 48: the first cell holds one pixel and half of the next."""
    ramp = np.tile(np.arange(72, dtype=np.uint8) * 3, (72, 1))
    assert crop(ramp, centre_square(ramp))[0, :4].tolist() == [1, 5, 10, 14]  # (0 + 3 / 2) / 1.5, (3 / 2 + 6) / 1.5


def test_half_a_pixel_aside_is_the_mean_of_neighbours():
    ramp = np.tile(np.arange(60, dtype=np.uint8) * 4, (60, 1))
    assert crop(ramp, Box(2.5, 0, 48, 48))[0].tolist() == [4 * x + 10 for x in range(48)]


def test_outside_the_picture_its_edge_goes_on():
    picture = np.tile(np.arange(60, dtype=np.uint8), (60, 1))
    assert (crop(picture, Box(-48, -48, 48, 48)) == 0).all()
    assert (crop(picture, Box(500, 10, 48, 48)) == 59).all()
    assert crop(picture, Box(-2, 0, 48, 48))[0, :5].tolist() == [0, 0, 0, 1, 2]


def test_a_small_square_is_enlarged_smoothly():
    """12 pixels to 48: a ramp stays a ramp, in steps of a quarter."""
    ramp = np.tile(np.arange(30, dtype=np.uint8) * 8, (30, 1))
    assert crop(ramp, Box(10, 10, 12, 12))[0].tolist() == [77 + 2 * x for x in range(48)]


def test_colours_become_grey_by_luma():
    """.299 of red, .587 of green, .114 of blue."""
    for colour, grey in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((200, 200, 200), 200)):
        assert (crop(np.full((60, 60, 3), colour, np.uint8), Box(5, 5, 50, 50)) == grey).all()


def test_a_square_without_a_side_is_refused():
    with pytest.raises(ValueError, match="cannot crop 0 x 10 pixels"):
        crop(np.zeros((60, 60, 3), np.uint8), Box(5, 5, 0, 10))


@pytest.mark.parametrize("angle", [-135, -90, 45, 90, 180])
def test_a_turned_square_is_cut_upright(angle):
    """The crop of a turned picture is that of the picture, but for what interpolation blurs."""
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8), (0, 0), 8)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    square = Box(140, 160, 96, 96)
    across, down = np.subtract(square.centre, 200)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    x, y = 200 + cos * across - sin * down, 200 + sin * across + cos * down
    cut = crop(turned(picture, angle), Box(x - 48, y - 48, 96, 96, angle=angle))
    assert np.abs(cut.astype(int) - crop(picture, square)).mean() < 3


def test_a_turned_square_may_reach_outside():
    assert (crop(np.full((60, 60, 3), 90, np.uint8), Box(-30, 20, 80, 80, angle=45)) == 90).all()
