"""The Activations tab's handlers as functions, and its markup."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from fer.app import webcam
from fer.app.activations import card as activations_card
from fer.app.activations import grid, layer_slider, redundancy
from fer.app.activations import state as activations_state
from fer.app.activations import tab as activations_tab
from fer.app.model_cache import load_network
from fer.app.session import FilterRequest
from fer.data import dataset
from fer.features import activations, similarity
from fer.features import redundancy as features_redundancy
from fer.features.layer_report import LayerReport
from fer.models import checkpoint
from tests.pages import example_face, sealed_off

NOBODY, EACH = activations_state.NOBODY, activations_tab.EACH


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory):
    """Faces are found by Haar."""
    with sealed_off(tmp_path_factory.mktemp("uploads")):
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A `cnn` before training, whose filter 3 of the first layer is filter 2 twice over and whose 1 is shut; measured.

    And a `dnn` that was not.
    """
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = checkpoint.FERModel("cnn")
    first = network["conv2d_1"]
    first.weight.data[3], first.bias.data[3] = first.weight.data[2] * 2, first.bias.data[2] * 2
    first.bias.data[1] = -100
    checkpoint.save_model(network, folder / "cnn")
    checkpoint.save_model(checkpoint.FERModel("dnn"), folder / "dnn")
    pixels = torch.randint(0, 256, (20, 48, 48), dtype=torch.uint8)
    found = features_redundancy.measure_redundancy(checkpoint.load_model("cnn", folder), pixels, quiet=True)
    rows = [{"kept": 64, "accuracy": 0.5, "n": 20, "ci95": [0.3, 0.7]}]
    rows += [{"kept": 60, "accuracy": 0.499, "n": 20, "ci95": [0.3, 0.7]}]
    thinned = [{"layer": "conv2d_1", "filters": 64, "strategies": {"reconstruct": {"removable": 4, "rows": rows}}}]
    features_redundancy.save_redundancy(features_redundancy.Redundancy(20, found, thinned), folder / "cnn")
    return folder


@pytest.fixture
def face() -> np.ndarray:
    return np.asarray(example_face(48))


def see(weights, face, layer="conv2d_1", network="cnn", beside=NOBODY) -> activations_state.ActivationState:
    return activations_state.see(network, layer, face, beside, weights=weights)


def clicked(**values) -> SimpleNamespace:
    return SimpleNamespace(**values)


def test_an_opened_tab_shows_the_first_layer_of_the_chosen_face(weights, face):
    seen, layer, opened, box, slider, sheet, card = activations_tab.enter(
        face, "cnn", None, NOBODY, "by number", EACH, None, None, weights=weights
    )
    assert layer == "conv2d_1" and opened is None and card == activations_card.HINT and seen.whose == "Your face"
    assert sheet.value.count("<button") == 64 and sheet.props["size"] == "small"
    assert "conv2d_1: 64 filters, 46 x 46 places each that see 3 x 3 pixels" in slider
    assert box.props["picture"].startswith("data:image/png") and slider.count("<i ") == 15


def test_without_a_face_an_example_is_shown_and_said_to_be_one(weights):
    seen = see(weights, None)
    assert seen.whose == "The happy example" and seen.face.shape == (48, 48)
    box = activations_tab.enter(None, "cnn", None, NOBODY, "by number", EACH, None, None, weights=weights)[3]
    assert box.props["said"] == "The happy example. Choose your own face in the Predict tab."


def test_eight_visitors_at_once_see_each_their_own_face(weights):
    """Their maps are those of the network's slice, whoever else asks."""
    chain = load_network(weights, "cnn")
    faces = torch.randint(0, 256, (8, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    def visit(number: int) -> bool:
        expected = activations.activation_maps(chain, "conv2d_3", dataset.to_unit(faces[number][None]))[0].numpy()
        sights = [see(weights, faces[number].numpy(), "conv2d_3") for _ in range(5)]
        return all(
            np.array_equal(seen.answer.values, expected) and np.array_equal(seen.face, faces[number]) for seen in sights
        )

    with ThreadPoolExecutor(8) as visitors:
        assert all(visitors.map(visit, range(8)))


def test_every_step_of_the_slider_can_be_looked_at(weights, face):
    """Pixels as one picture, maps as tiles, many neurons as bars, seven numbers by their emotions."""
    sizes = {}
    for step in range(15):
        _, layer, _, _, sheet, card = activations_tab.turn(
            face, "cnn", None, NOBODY, "by number", EACH, None, None, clicked(index=step), weights=weights
        )
        sizes[layer] = (sheet.props["size"], sheet.value.count("<button"))
    assert sizes["pixels"] == ("one", 1) and sizes["max_pooling2d_2"] == ("small", 64)
    assert sizes["dense_1"] == ("bars", 512) and sizes["dense_3"] == sizes["probabilities"] == ("classes", 7)


@pytest.mark.parametrize("index", [15, -1, None, "1", True])
def test_a_step_that_is_not_there_cannot_be_turned_to(weights, face, index):
    with pytest.raises(gr.Error, match="not there any more"):
        activations_tab.turn(
            face, "cnn", None, NOBODY, "by number", EACH, None, None, clicked(index=index), weights=weights
        )


def test_filters_come_by_strength_by_likeness_and_by_difference(weights, face):
    seen = see(weights, face, "activation_1", beside="sad")
    sizes = np.abs(seen.answer.values).mean((1, 2))
    strongest = activations_state.placed(seen.answer, None, "by strength")
    assert sizes[strongest[0]] == sizes.max() and (np.diff(sizes[strongest]) <= 0).all()
    alike = activations_state.placed(seen.answer, None, "by likeness")
    assert sorted(alike) == list(range(64)) and abs(alike.index(2) - alike.index(3)) == 1
    ranked = activations_state.placed(seen.answer, seen.other, "by difference")
    apart = similarity.map_differences(*(torch.from_numpy(answer.values) for answer in (seen.answer, seen.other)))
    assert len(ranked) == grid.MOST_PAIRS and ranked[0] == apart.argmax()


def test_an_example_beside_the_face_orders_by_difference_and_none_orders_as_before(weights, face):
    asked = (face, "cnn", "activation_1")
    seen, order, sheet = activations_tab.compare(*asked, "sad", "by number", EACH, None, 4, weights=weights)
    assert "Left: your face; right: the sad example." in sheet.props["status"]
    assert order.value == "by difference" and seen.other is not None and sheet.props["size"] == "pairs"
    _, order, sheet = activations_tab.compare(*asked, NOBODY, "by difference", EACH, seen, 4, weights=weights)
    assert order.value == "by number" and sheet.props["size"] == "small"
    with pytest.raises(gr.Error, match="no example '../x'"):
        activations_tab.compare(*asked, "../x", "by number", EACH, None, 4, weights=weights)


def test_a_map_s_card_frames_its_brightest_spot_and_names_its_twin(weights, face):
    """The window of the map's maximum, and filter 3 for filter 2."""
    seen = see(weights, face)
    index, card, sheet = activations_tab.choose(seen, clicked(index=2), weights=weights)
    row, column = np.unravel_index(seen.answer.values[2].argmax(), (46, 46))
    assert index == 2 and f'x="{column}" y="{row}" width="3" height="3"' in card
    assert "Filter 2, conv2d_1 of cnn" in card and 'data-choice="3"' in card and "3: 1.00" in card
    assert "Its weights" in card and "over 20 faces" in card and 'class="jump"' in card
    with pytest.raises(gr.Error, match="not there any more"):
        activations_tab.choose(seen, clicked(index=64), weights=weights)


def test_a_shut_filter_is_marked_dead_and_a_repeated_one_with_its_stand_in(weights, face):
    value, _ = grid.sheet(see(weights, face, "activation_1").answer, [1, 2, 3], None, False, face)
    dead, *others = value.split("<button")[1:]
    assert ">dead<" in dead and sum("redundant with" in tile for tile in others) == 1
    assert "never changes" in activations_card.card(*card_of(weights, face, "activation_1", 1))


def card_of(weights, face, layer, number, network="cnn") -> tuple:
    seen = see(weights, face, layer, network)
    return load_network(weights, network), network, seen.answer, number, face, 20


def test_the_open_filter_stays_open_behind_its_activation_and_closes_where_there_are_others(weights, face):
    seen, read = see(weights, face), (face, "cnn", "conv2d_1", NOBODY, "by number", EACH)
    for step, opened in ((2, 5), (3, None)):  # activation_1, and conv2d_2
        assert activations_tab.turn(*read, seen, 5, clicked(index=step), weights=weights)[2] == opened


@pytest.mark.parametrize(
    "layer, leads", [("activation_2", "conv2d_2"), ("probabilities", "dense_3"), ("max_pooling2d_2", "conv2d_3")]
)
def test_a_card_leads_to_the_filter_whose_weights_made_the_map(weights, face, layer, leads):
    """Twice to the same one is two wishes."""
    seen = see(weights, face, layer)
    wanted = activations_tab.jump(seen, 4, None, weights=weights)
    assert wanted == FilterRequest("cnn", leads, 4, 0)
    assert activations_tab.jump(seen, 4, wanted, weights=weights) != wanted
    assert wanted.query_params["layer"] == leads and wanted.query_params["filter"] == "4"


def test_pixels_lead_nowhere(weights, face):
    assert "jump" not in activations_card.card(*card_of(weights, face, "pixels", 0))
    with pytest.raises(gr.Error, match="Choose a map first"):
        activations_tab.jump(None, None, None, weights=weights)


# ---- the webcam


def frame(picture: Image.Image, number: int = 1) -> SimpleNamespace:
    stream = io.BytesIO()
    picture.save(stream, "jpeg")
    return clicked(number=number, image=webcam.PREFIX + base64.b64encode(stream.getvalue()).decode())


def scene(with_face: bool) -> Image.Image:
    picture = Image.new("RGB", (320, 240), (128, 128, 128))
    if with_face:
        picture.paste(example_face(150).convert("RGB"), (80, 40))
    return picture


def test_the_maps_follow_the_webcam_and_stay_with_its_last_face(weights, face, tmp_path):
    """Nothing is written; another layer is of the same frozen face, until the tab is opened anew."""
    read = ("cnn", "conv2d_1", NOBODY, "by number", EACH)
    seen, box, sheet, card = activations_tab.live(*read, 2, frame(scene(True), 7), weights=weights)
    assert seen.live and box.props["answered"] == 7 and sheet.value.count("<button") == 64 and "Filter 2" in card
    now, *_ = activations_tab.turn(face, *read, seen, None, clicked(index=3), weights=weights)
    assert now.live and np.array_equal(now.face, seen.face) and now.answer.layer == "conv2d_2"
    again, *_ = activations_tab.enter(face, *read, now, None, weights=weights)
    assert not again.live and np.array_equal(again.face, face)


def test_without_a_face_in_sight_the_maps_stay(weights):
    seen, box, sheet, card = activations_tab.live(
        "cnn", "conv2d_1", NOBODY, "by number", EACH, None, frame(scene(False)), weights=weights
    )
    assert seen == sheet == card == gr.skip() and box.props["said"] == "No face in sight."


@pytest.mark.parametrize(
    "sent, words",
    [
        ({}, "not counted"),
        ({"number": 1}, "small JPEG"),
        ({"number": 1, "image": "/etc/passwd"}, "small JPEG"),
        ({"number": 1, "image": webcam.PREFIX + "A" * webcam.LONGEST}, "small JPEG"),
        ({"number": 1, "image": webcam.PREFIX + "?"}, "damaged"),
        ({"number": 1, "image": webcam.PREFIX + "AAAA"}, "picture"),
    ],
)
def test_what_is_no_frame_is_refused_in_a_sentence(sent, words):
    with pytest.raises(gr.Error, match=words):
        webcam.frame(clicked(**sent))


# ---- what is told


def test_the_foot_tells_how_many_filters_can_go_and_compares_measured_networks(weights):
    told = redundancy.told(weights, "cnn")
    assert "<b>4 of the 64</b>" in told and "n 20; 30.0% to 70.0%" in told and "<td>conv2d_1</td><td>64</td>" in told
    assert "python -m fer redundancy dnn" in redundancy.told(weights, "dnn")


def test_names_bring_no_markup_into_the_page(weights, face):
    """Whatever a checkpoint calls its labels, and whatever is asked for."""
    seen = see(weights, face, "dense_3")
    answer = LayerReport("dense_3", seen.answer.values, ("<b>${x}</b>",) * 7)
    drawn, _ = grid.sheet(answer, [0], None, False, face)
    drawn += activations_card.card(load_network(weights, "cnn"), "<b>", answer, 0, face, 0) + redundancy.told(
        weights, "<b>"
    )
    assert "<b>$" not in drawn and "<b> " not in drawn and "of <b>" not in drawn and "&lt;b&gt;" in drawn
    assert not any(
        "{{" in text for room in (grid, layer_slider, activations_card, webcam) for text in (room.CSS, room.JS)
    )
