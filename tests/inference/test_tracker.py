"""Faces over time, with readings set by hand."""

import itertools
import math

import numpy as np
import pytest

from fer.faces.framing import Box
from fer.inference.predictor import FacePrediction, ImagePrediction, predict_image
from fer.inference.tracker import FaceTracker
from tests.inference.test_prediction import LEFT, RIGHT, Brightness, finding, picture

A, B = Box(20.0, 20.0, 60.0, 60.0), Box(200.0, 30.0, 80.0, 80.0)
HAPPY, SAD = {"happy": 0.9, "sad": 0.05, "neutral": 0.05}, {"happy": 0.05, "sad": 0.9, "neutral": 0.05}


def face(box: Box, probabilities: dict[str, float]) -> FacePrediction:
    return FacePrediction(box, box, np.zeros((48, 48), np.uint8), probabilities, low_confidence=False)


def seen(*faces: FacePrediction) -> ImagePrediction:
    return ImagePrediction(faces, "haar", (320, 240))


def tracker(seconds: float = 0.5, confidence_threshold: float = 0.0, **options) -> FaceTracker:
    return FaceTracker(Brightness(confidence_threshold=confidence_threshold), finding(), seconds, **options)


def moved(box: Box, across: float) -> Box:
    return Box(box.x + across, box.y, box.width, box.height)


def test_faces_keep_their_numbers_while_they_move_and_change_places_in_the_reading():
    """Ten frames in which both drift by 6 pixels a frame and take turns in being named first."""
    follow = tracker().follow
    for step in range(10):
        faces = [face(moved(A, 6 * step), HAPPY), face(moved(B, -6 * step), SAD)]
        reading = follow(seen(*faces[:: (-1) ** step]), step / 20)
        assert {one.number: one.box for one in reading.faces} == {1: faces[0].box, 2: faces[1].box}


def test_a_face_out_of_sight_for_a_second_keeps_its_number_and_after_two_it_is_another():
    for gone, number in ((1.0, 1), (2.0, 2)):
        follow = tracker().follow
        follow(seen(face(A, HAPPY)), 0.0)
        follow(seen(), gone / 2)
        assert follow(seen(face(A, HAPPY)), gone).faces[0].number == number


def test_without_fresh_numbers_who_comes_gets_the_lowest_that_is_free():
    follow = tracker(fresh_numbers=False).follow
    follow(seen(face(A, HAPPY), face(B, HAPPY)), 0.0)
    for at in (1.0, 2.0, 3.0):
        follow(seen(face(B, HAPPY)), at)
    assert [one.number for one in follow(seen(face(B, HAPPY), face(A, SAD)), 3.1).faces] == [2, 1]


def test_smoothing_is_the_mean_of_the_logits_in_which_older_ones_count_less():
    """After one time constant the older frame weighs 1/e: logits of the odds happy to sad, log 18, are so averaged."""
    follow = tracker(seconds=0.5).follow
    follow(seen(face(A, HAPPY)), 0.0)
    probabilities = follow(seen(face(A, SAD)), 0.5).faces[0].probabilities
    odds = math.log(18) * (math.exp(-1) - 1) / (math.exp(-1) + 1)
    assert math.log(probabilities["happy"] / probabilities["sad"]) == pytest.approx(odds, abs=1e-9)
    assert math.fsum(probabilities.values()) == pytest.approx(1, abs=1e-12)


def test_frames_may_come_in_any_order():
    """All 24 orders of four frames give the same probabilities in the end, to 1e-12."""
    frames = [(0.0, HAPPY), (0.1, SAD), (0.15, SAD), (0.4, HAPPY)]
    ends = []
    for order in itertools.permutations(frames):
        follow = tracker(seconds=0.3).follow
        for at, probabilities in order:
            last = follow(seen(face(A, probabilities)), at).faces[0]
        ends.append(list(last.probabilities.values()))
    assert np.ptp(ends, axis=0).max() < 1e-12


def test_without_smoothing_it_is_the_newest_frame_s_own_reading_whatever_came_late():
    follow = tracker(seconds=0).follow
    follow(seen(face(A, HAPPY)), 0.0)
    assert follow(seen(face(A, SAD)), 0.1).faces[0].probabilities == pytest.approx(SAD, abs=1e-12)
    assert follow(seen(face(A, HAPPY)), 0.05).faces[0].probabilities == pytest.approx(SAD, abs=1e-12)


def words(follow, clip, step: float = 0.05) -> list[str]:
    """The word shown at each frame, without repetitions."""
    shown = []
    for number, probabilities in enumerate(clip):
        one = follow(seen(face(A, probabilities)), number * step).faces[0]
        shown.append("confidence_threshold" if one.low_confidence else one.emotion)
    return [word for word, _ in itertools.groupby(shown)]


def test_a_change_of_expression_changes_the_word_once():
    """Six stretches of two seconds; half way, the mean is confidence_threshold, and neutral is high in both: neither
    is shown."""
    happy, sad = {"happy": 0.6, "sad": 0.01, "neutral": 0.39}, {"happy": 0.01, "sad": 0.6, "neutral": 0.39}
    clip = ([happy] * 40 + [sad] * 40) * 3
    assert words(tracker(0.5, confidence_threshold=0.5).follow, clip) == ["happy", "sad"] * 3


def test_single_frames_that_differ_change_no_word():
    """One frame in five is sad; without smoothing the word flickers with it."""
    clip = ([HAPPY] * 4 + [SAD]) * 6
    assert words(tracker(0.5).follow, clip) == ["happy"]
    assert len(words(tracker(0).follow, clip)) == 12


def test_a_frame_is_read_as_a_photograph_is_and_all_of_its_faces_in_one_batch():
    """With smoothing off, the probabilities are the photograph's own, to 1e-12."""
    network = Brightness().eval()
    reading = FaceTracker(network, finding(LEFT, RIGHT), seconds=0).read(picture(), 0.0)
    assert network.batches == [2]
    for followed, own in zip(reading.faces, predict_image(picture(), network, finding(LEFT, RIGHT)).faces, strict=True):
        assert followed.probabilities == pytest.approx(own.probabilities, abs=1e-12)
        assert followed.emotion == own.emotion
