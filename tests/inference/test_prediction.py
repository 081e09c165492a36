"""What is read off a picture, with a network whose answers are set by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fer.faces.detector import Detector
from fer.faces.framing import Box, frame
from fer.inference.predictor import predict_image, predict_probabilities


class Brightness(nn.Sequential):
    """Two labels: logits (0, 4) for a white face, (0, -4) for a black one."""

    def __init__(self, temperature: float = 1.0, confidence_threshold: float = 0.0):
        super().__init__(nn.Flatten(), nn.Linear(48 * 48, 2))
        self.labels, self.temperature, self.confidence_threshold = ("dark", "bright"), temperature, confidence_threshold
        self.batches: list[int] = []
        with torch.no_grad():
            self[1].weight.copy_(torch.tensor([[0.0], [8 / 48**2]]).expand(2, 48**2))
            self[1].bias.copy_(torch.tensor([0.0, -4.0]))

    def forward(self, faces: Tensor) -> Tensor:
        self.batches.append(len(faces))
        return super().forward(faces)


def finding(*boxes: Box) -> Detector:
    """A detector that finds these, wherever it looks."""
    return Detector("haar", lambda view: list(boxes), coarse=400, fine=400)


def picture() -> np.ndarray:
    """White on the left, black on the right, 400 x 400."""
    half = np.zeros((400, 400, 3), np.uint8)
    half[:, :200] = 255
    return half


LEFT, RIGHT = Box(40, 100, 120, 120, 0.9), Box(250, 100, 100, 100, 0.9)


def test_each_face_is_read_for_itself_and_all_in_one_batch():
    """sigmoid(4) = .982 for the white one; the larger first."""
    network = Brightness().eval()
    reading = predict_image(picture(), network, finding(RIGHT, LEFT))
    assert network.batches == [2]
    assert [face.emotion for face in reading.faces] == ["bright", "dark"]
    assert [face.confidence for face in reading.faces] == pytest.approx([0.98201, 0.98201], abs=1e-4)
    assert (reading.detector, reading.size) == ("haar", (400, 400))


def test_a_reading_carries_the_box_its_square_and_the_crop_that_was_read():
    face = predict_image(picture(), Brightness(), finding(LEFT)).faces[0]
    assert face.box == LEFT and face.square == frame(LEFT, "haar")
    assert face.crop.shape == (48, 48) and (face.crop == 255).all()


def test_probabilities_are_calibrated_and_sum_to_one():
    """Logits (0, 4) at temperature 2 are odds of e to the 2."""
    face = predict_image(picture(), Brightness(temperature=2.0), finding(LEFT)).faces[0]
    assert math.fsum(face.probabilities.values()) == pytest.approx(1, abs=1e-12)
    assert face.probabilities["bright"] / face.probabilities["dark"] == pytest.approx(math.e**2, rel=1e-4)
    assert list(face.probabilities) == ["dark", "bright"]


def test_unsure_is_below_the_network_s_own_threshold():
    """.982 is sure at .98 and unsure at .99; a threshold of 0 never is."""
    for threshold, unsure in ((0.0, False), (0.98, False), (0.99, True)):
        assert (
            predict_image(picture(), Brightness(confidence_threshold=threshold), finding(LEFT)).faces[0].low_confidence
            is unsure
        )


def test_no_face_is_an_empty_reading_and_no_call_of_the_network():
    network = Brightness()
    assert predict_image(picture(), network, finding()).faces == () and network.batches == []


def test_the_whole_picture_can_be_taken_as_a_face():
    """Half white: logits (0, 0)."""
    face = predict_image(picture(), Brightness(), finding(), whole_picture=True).faces[0]
    assert face.box == face.square == Box(0, 0, 400, 400)
    assert face.confidence == pytest.approx(0.5, abs=1e-3)


def test_reading_leaves_no_gradient():
    rows = predict_probabilities(Brightness(), torch.zeros(3, 48, 48, dtype=torch.uint8))
    assert rows.shape == (3, 2) and rows.dtype == torch.float64 and not rows.requires_grad


def test_a_prediction_set_holds_the_labels_that_reach_the_threshold():
    """Of .67 and .33: both at .2, most probable first; one at .6; at .99 still one; none where none was fitted."""
    grey, model = np.full((48, 48, 3), 150, np.uint8), Brightness()  # sigmoid(.706) = .67 bright
    for threshold, expected in ((0.2, ["bright", "dark"]), (0.6, ["bright"]), (0.99, ["bright"]), (0.0, [])):
        model.prediction_set = threshold
        (found,) = predict_image(grey, model, finding(), whole_picture=True).faces
        assert found.probabilities["bright"] == pytest.approx(0.67, abs=0.01) and found.prediction_set == expected
