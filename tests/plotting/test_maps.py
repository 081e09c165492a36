import base64
import io

import numpy as np
from PIL import Image

from fer.plotting import encode, evaluation, maps
from fer.plotting import training as plotting_training


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))


def test_a_grey_crop_reaches_the_page_pixel_for_pixel():
    crop = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    url = encode.data_url(crop)
    assert url.startswith("data:image/png;base64,")
    assert (np.asarray(opened(url)) == crop).all()


def test_a_picture_of_2600_by_1300_is_sent_as_1280_by_640():
    url = encode.data_url(np.full((1300, 2600, 3), 90, np.uint8))
    assert url.startswith("data:image/jpeg;base64,")
    assert opened(url).size == (1280, 640)


def test_a_small_picture_is_not_enlarged():
    assert opened(encode.data_url(np.zeros((48, 60, 3), np.uint8))).size == (60, 48)


def test_a_figure_reaches_the_page_as_svg():
    rows = [{"n": 10, "confidence": 0.4, "accuracy": 0.3}, {"n": 90, "confidence": 0.9, "accuracy": 0.8}]
    url = encode.figure_url(evaluation.reliability_diagram(rows, rows))
    assert base64.b64decode(url.removeprefix("data:image/svg+xml;base64,")).startswith(b"<?xml")


def test_the_curves_have_training_and_public_test_in_both_panels():
    rows = [dict.fromkeys(("loss", "accuracy", "public_loss", "public_accuracy"), 0.5) | {"epoch": n} for n in (1, 2)]
    panels = plotting_training.training_curves(rows).axes
    assert [panel.get_ylabel() for panel in panels] == ["loss", "accuracy"]
    assert [[line.get_label() for line in panel.lines] for panel in panels] == [["Training", "Validation"]] * 2


# ---- signed maps


def test_a_signed_map_is_red_above_zero_blue_below_and_white_at_it():
    """The ends of the scale have its darkest colours, and what lies beyond it no other."""
    colours = maps.signed_rgb(np.array([[-2.0, -1.0, 0.0, 1.0]]), scale=1.0)
    assert colours.tolist() == [[[5, 48, 97], [5, 48, 97], [247, 247, 247], [103, 0, 31]]]


def test_one_scale_makes_maps_comparable_and_each_has_its_own_by_default():
    """A map ten times weaker is as dark by itself, and paler beside the other."""
    strong, weak = np.linspace(-1, 1, 9).reshape(3, 3), np.linspace(-0.1, 0.1, 9).reshape(3, 3)
    colours = [maps.signed_rgb(values).astype(int) for values in (weak, strong)]
    assert np.abs(colours[0] - colours[1]).max() <= 1  # by rounding
    shared = maps.signed_scale(strong, weak)
    assert 0.9 < shared <= 1.0
    assert maps.signed_rgb(weak, shared)[0, 0].sum() > maps.signed_rgb(strong, shared)[0, 0].sum()


def test_a_single_pixel_that_counts_is_seen():
    """One in 2,304 is less than the percentile that sets the scale."""
    values = np.zeros((48, 48))
    values[3, 4] = 1e-6
    assert maps.signed_rgb(values)[3, 4].tolist() == [103, 0, 31]


def test_flat_maps_are_drawn_flat_and_said_to_be():
    """Zeros white, a constant full red; neither stretched, divided by zero or left without a word."""
    zeros, threes = np.zeros((4, 4)), np.full((4, 4), 3.0)
    assert (maps.signed_rgb(zeros) == 247).all()
    assert (maps.signed_rgb(threes) == [103, 0, 31]).all()
    assert maps.constant_map_message(zeros) == "The map is 0 everywhere."
    assert maps.constant_map_message(threes) == "The map is 3 everywhere."
    assert maps.constant_map_message(np.eye(4)) is None


def test_an_overlay_leaves_the_face_where_the_map_says_nothing():
    """Left of it grey as it was; right of it red takes over by three quarters."""
    face, values = np.full((2, 2), 100, np.uint8), np.array([[0.0, 1.0], [0.0, -1.0]])
    over = maps.overlay(face, values, scale=1.0)
    assert over[:, 0].tolist() == [[100, 100, 100]] * 2
    assert over[0, 1].tolist() == [102, 25, 48] and over[1, 1, 2] > over[1, 1, 0]


def test_titled_pictures_stand_in_rows_of_three_and_can_be_saved():
    """Four of them make two rows, in a PNG."""
    figure = maps.titled_images({str(number): np.zeros((48, 48), np.uint8) for number in range(4)})
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2", "3"]
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    assert Image.open(stream).size == (780, 580)


def test_tiles_lie_row_by_row_with_gaps_and_each_on_its_own_scale():
    tiles = np.array([[[0.0, 1.0]], [[0.2, 0.4]], [[3.0, 3.0]]])
    assert maps.tile_images(tiles, columns=2, gap=1).tolist() == [
        [255, 255, 255, 255, 255, 255, 255],
        [255, 0, 255, 255, 0, 255, 255],
        [255, 255, 255, 255, 255, 255, 255],
        [255, 128, 128, 255, 255, 255, 255],
        [255, 255, 255, 255, 255, 255, 255],
    ]


def test_tiles_on_a_common_scale_can_be_compared_and_pixels_are_repeated():
    tiles = np.array([[[0.0, 0.5]], [[1.0, 0.25]]])
    sheet = maps.tile_images(tiles, columns=8, scale=2, gap=0, common=True)
    assert sheet.tolist() == [[0, 0, 128, 128, 255, 255, 64, 64]] * 2


def test_several_runs_are_drawn_side_by_side_on_training_and_on_public_test():
    """Two runs of two epochs: two lines a panel, each with its own values and colour."""
    run = [{"epoch": 1, "accuracy": 0.2, "public_accuracy": 0.3}, {"epoch": 2, "accuracy": 0.4, "public_accuracy": 0.5}]
    training, public = plotting_training.accuracy_curves({"cnn": run, "dnn": run[:1]}).axes
    assert [list(line.get_ydata()) for line in training.lines] == [[0.2, 0.4], [0.2]]
    assert [list(line.get_ydata()) for line in public.lines] == [[0.3, 0.5], [0.3]]
    assert training.lines[0].get_color() == public.lines[0].get_color() != public.lines[1].get_color()


def test_bars_stand_in_groups_and_a_missing_one_leaves_its_place():
    """Two groups of two series: heights .6, .7, .64 and none, with 0.640 written over the third."""
    (axes,) = plotting_training.grouped_bars(
        ["with", "without"], {"ours": [0.6, 0.7], "report": [0.64, None]}, "accuracy"
    ).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[:3] == [0.6, 0.7, 0.64] and np.isnan(heights[3])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["with", "without"]
    assert [text.get_text() for text in axes.texts] == ["0.600", "0.700", "0.640", ""]


def test_bars_that_are_all_0_stand_on_an_axis_that_begins_with_0():
    (axes,) = plotting_training.grouped_bars(["one", "two"], {"ours": [0.0, 0.0]}, "share").axes
    assert axes.get_ylim()[0] == 0


def test_an_ascent_s_curve_has_its_points_and_a_line_at_the_best_real_face():
    axes = plotting_training.activation_curve([0, 4, 8], [0.0, 2.5, 3.0], best=1.5).axes[0]
    curve, best = axes.lines
    assert curve.get_xydata().tolist() == [[0, 0], [4, 2.5], [8, 3]] and set(best.get_ydata()) == {1.5}
    assert len(plotting_training.activation_curve([0, 4], [0.0, 1.0]).axes[0].lines) == 1
