"""The Filters tab's handlers as functions, and its markup."""

from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from torch import nn

from fer import checkpoint
from fer.networks import Chain
from fer.tabs import filters, tiles


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A `cnn` as it is before training, whose second filter of the first layer is dead behind its ReLU."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = checkpoint.Network("cnn")
    network["conv2d_1"].bias.data[1] = -100
    checkpoint.save(network, folder / "cnn")
    return folder


def grow(weights: Path, layer: str = "conv2d_1", which: str = "0-3", preset: str = "clear", steps: float = 5, **more):
    options = {"seed": 0, "order": filters.ORDERS[0], **more}
    return list(filters.grow("cnn", layer, which, preset, steps, **options, weights=weights))


def clicked(index) -> SimpleNamespace:
    return SimpleNamespace(index=index)


def test_the_menu_says_what_each_layer_sees(weights):
    layers, which = filters.menu("cnn", weights=weights)
    assert layers["choices"][1:] == [
        ("conv2d_2: 64 filters, 5 x 5 pixels", "conv2d_2"),
        ("conv2d_3: 64 filters, 10 x 10 pixels", "conv2d_3"),
        ("dense_1: 512 neurons", "dense_1"),
        ("dense_2: 256 neurons", "dense_2"),
        ("dense_3: the 7 classes", "dense_3"),
    ]
    assert layers["value"] == "conv2d_3" and layers["label"] == "Layer of cnn"
    assert which["choices"] == ["0-15", "16-31", "32-47", "48-63", "0-63"]
    assert filters.pages("cnn", "dense_3", weights=weights)["choices"] == ["0-6"]


def test_a_network_that_is_not_there_leaves_an_empty_menu(weights):
    layers, which = filters.menu("nothing", weights=weights)
    assert layers["choices"] == which["choices"] == [] and layers["value"] is None


def test_frames_are_different_pictures_with_a_button_for_every_filter(weights):
    frames = grow(weights)
    assert [grown.step for _, grown in frames] == [0, 4, 5]
    pictures = [view.props["picture"] for view, _ in frames]
    assert len(set(pictures)) == 3 and all(url.startswith("data:image/png;base64,") for url in pictures)
    view, grown = frames[-1]
    assert view.value.count("<button") == 4 and (view.props["columns"], view.props["rows"]) == (4, 1)
    assert view.props["wide"] == 4 * 50 + 2 and view.props["high"] == 52
    assert view.props["status"] == "conv2d_1 of cnn, step 5 of 5, done."


def test_a_dead_filter_is_said_to_be_dead(weights):
    view, grown = grow(weights, preset="report")[-1]
    assert grown.dead == (False, True, False, False)
    assert "filter 1, ascent value 0.00, dead" in view.value and "1 dead" in view.props["status"]


def test_stopping_keeps_the_picture_and_changes_the_words(weights):
    frames = filters.grow("cnn", "conv2d_1", "0", "clear", 40, 0, filters.ORDERS[0], weights=weights)
    _, grown = next(frames)
    frames.close()
    stopped = filters.stop(grown)
    assert stopped.props["status"] == "conv2d_1 of cnn, step 0 of 40, stopped."
    assert "picture" not in stopped.props
    assert filters.stop(None).props["status"] == ""


def test_by_ascent_value_the_highest_comes_first_and_keeps_its_number(weights):
    _, grown = grow(weights)[-1]
    ordered = filters.view(grown, filters.ORDERS[1]).value
    best = max(range(4), key=lambda index: grown.values[index])
    assert ordered.index(f'data-choice="{best}"') == min(ordered.index(f'data-choice="{index}"') for index in range(4))
    assert f'data-choice="{best}" aria-label="filter {best},' in ordered


def test_classes_carry_their_labels(weights):
    _, grown = grow(weights, "dense_3", "0-6", steps=1)[-1]
    assert grown.names[3] == "happy" and grown.images.shape == (7, 48, 48)


def test_a_tile_opens_its_card_with_the_kernel_and_the_map_of_the_face(weights):
    _, grown = grow(weights)[-1]
    without = filters.card(grown, None, clicked(2), weights=weights)
    assert "<h3>Filter 2, conv2d_1 of cnn</h3>" in without and without.count("<img") == 2
    assert f"{grown.values[2]:.3f}" in without and "Its kernel" in without
    face = np.full((48, 48), 128, np.uint8)
    assert "Its map of your face" in filters.card(grown, face, clicked(2), weights=weights)
    assert "Most on your face" in filters.card(
        grow(weights, "dense_3", "3", steps=1)[-1][1], face, clicked(0), weights=weights
    )


def test_the_map_of_a_face_is_the_filter_s_own(weights):
    """A kernel of zeros but for a 1 in its middle gives the face back, without its border."""
    layer = nn.Conv2d(1, 1, 3, bias=False)
    layer.weight.data = torch.zeros(1, 1, 3, 3)
    layer.weight.data[0, 0, 1, 1] = 1
    face = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    answer = filters.response(Chain(OrderedDict(conv2d_1=layer)), "conv2d_1", 0, face)
    assert np.allclose(answer * 255, face[1:-1, 1:-1], atol=1e-3)


@pytest.mark.parametrize("index", [4, -1, True, "1", None])
def test_a_tile_that_is_not_there_cannot_be_opened(weights, index):
    with pytest.raises(gr.Error, match="not there any more"):
        filters.card(grow(weights, steps=1)[-1][1], None, clicked(index), weights=weights)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"layer": "conv2d_9"}, "no layer 'conv2d_9'"),
        ({"which": "0-64"}, "0 to 63"),
        ({"which": "<b>"}, "expected numbers and ranges"),
        ({"preset": "wild"}, "Choose a preset"),
        ({"steps": 129}, "1 to 128 steps"),
        ({"steps": float("nan")}, "1 to 128 steps"),
        ({"seed": -1}, "seed of 0 or more"),
    ],
)
def test_what_cannot_be_climbed_is_told_in_a_sentence(weights, options, words):
    with pytest.raises(gr.Error, match=words):
        grow(weights, **options)


def test_labels_and_templates_bring_no_markup_into_the_page():
    drawn = tiles.buttons([0], ['<b>"${x}'], [1.0], [False]) + tiles.card("<b>", {"<b>": np.eye(2)}, {"<b>": "<b>"})
    assert "<b>" not in drawn and '"${x}' not in drawn
    assert not any("{{" in text for name, text in vars(tiles).items() if name.isupper())
