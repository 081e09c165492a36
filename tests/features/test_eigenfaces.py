"""facespace and the preset's parts: what grows within faces stays somewhat like one."""

import pytest
import torch

from fer.features import eigenfaces, objectives, parametrization, presets, quality, receptive_field, visualization
from fer.models.checkpoint import FERModel


def test_the_table_has_a_symmetric_face_and_150_ways_the_widest_first():
    average, ways = eigenfaces.load_eigenfaces()
    assert average.shape == (48, 48) and ways.shape == (150, 48, 48)
    assert 0.2 < average.min() < average.max() < 0.8
    assert torch.equal(ways, ways.flip(-1)) and torch.equal(average, average.flip(-1))
    sizes = ways.flatten(1).norm(dim=1)
    assert (sizes.diff() < 0.01 * sizes[0]).all()


def test_the_ways_are_independent_of_each_other():
    """Cosines of different ways are below .05: rounding to bytes costs no more."""
    directions = torch.nn.functional.normalize(eigenfaces.load_eigenfaces()[1].flatten(1), dim=1)
    assert (directions @ directions.T - torch.eye(150)).abs().max() < 0.05


def test_clear_grows_classes_within_faces_and_filters_freely():
    """A prototype of an untrained network correlates with the average face; a filter's picture is of its own size."""
    torch.manual_seed(0)
    network = FERModel("dnn").eval()
    *_, frame = visualization.visualize_classes(network, steps=4)
    average, _ = eigenfaces.load_eigenfaces()
    for image in frame.images:
        assert torch.corrcoef(torch.stack([image.flatten(), average.flatten()]))[0, 1] > 0.8
    assert quality.high_frequency_share(frame.images).max() < 0.06
    *_, frame = visualization.visualize(FERModel("cnn").eval(), "conv2d_1", [0], steps=1)
    assert frame.images.shape == (1, 1, 8, 8)


def test_parts_are_exchanged_by_name():
    """Faces need the whole canvas, for filters too; the rest of the preset stays."""
    preset = presets.preset_with("clear", parametrise="faces", objective="mean", loop=None)
    assert (preset.parametrise, preset.objective, preset.canvas) == (
        parametrization.eigenface_parametrization,
        objectives.channel_mean,
        48,
    )
    assert preset.loop is presets.PRESETS["clear"].loop
    *_, frame = visualization.visualize(FERModel("cnn").eval(), "conv2d_1", [0], preset, steps=1)
    assert frame.images.shape == (1, 1, 48, 48)
    assert presets.preset_with("report") == presets.PRESETS["report"]
    assert list(presets.preset_with("clear", parametrise="waves").whole) == ["transform"]


@pytest.mark.parametrize("parts", [{"parametrise": "clay"}, {"loop": "climb"}])
def test_a_part_that_is_not_there_is_named(parts):
    with pytest.raises(ValueError, match="expected one of"):
        presets.preset_with("clear", **parts)


@pytest.mark.parametrize("layer, at, seen", [
    ("conv2d_1", (0, 0), (0, 0, 3, 3)),
    ("conv2d_2", (10, 20), (10, 20, 15, 25)),
    ("conv2d_3", (0, 19), (0, 38, 10, 48)),
    ("dense_1", (0, 0), (0, 0, 48, 48)),
])  # fmt: skip
def test_windows_of_cnn_are_what_a_neuron_sees(layer, at, seen):
    """Without padding the first neuron begins at pixel 0; after a pool one step is two pixels."""
    assert receptive_field.receptive_box(FERModel("cnn"), layer, *at) == seen


def test_windows_of_compact_small_are_cut_at_the_face_s_edge():
    """Padded by 1, the first neuron sees one pixel less; one in the middle sees 18 pixels around itself."""
    network = FERModel("compact-small")
    assert receptive_field.receptive_box(network, "conv2d_1", 0, 0) == (0, 0, 2, 2)
    top, left, bottom, right = receptive_field.receptive_box(network, "conv2d_3", 6, 6)
    assert (bottom - top, right - left) == (18, 18) and top == left == 17
