"""The Activations tab's handlers as functions, and its markup."""

import base64
import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from fer.app import static, webcam
from fer.app.activations import card as activations_card
from fer.app.activations import grid, handlers, layer_slider, redundancy
from fer.app.activations import state as activations_state
from fer.app.activations.handlers import ActivationRequest
from fer.app.model_cache import load_network
from fer.app.session import FilterRequest
from fer.data import dataset
from fer.features import activations, similarity
from fer.features import redundancy as features_redundancy
from fer.features.layer_report import LayerReport
from fer.models import checkpoint
from tests.pages import example_face, sealed_off

NO_FACE = activations_state.NO_FACE


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


def see(weights, face, layer="conv2d_1", network="cnn", beside=NO_FACE) -> activations_state.ActivationState:
    return activations_state.compute_state(network, layer, face, beside, weights=weights)


def clicked(**values) -> SimpleNamespace:
    return SimpleNamespace(**values)


def test_an_opened_tab_shows_the_first_layer_for_the_current_face(weights, face):
    """Of its 15 steps, dropout and flattening are left out."""
    shown = handlers.open_tab(ActivationRequest(np.roll(face, 1), "cnn"), weights)
    assert shown["layer"] == "conv2d_1" and shown["opened"] is None and shown["card"] == activations_card.HINT
    assert shown["state"].face_name == "Current face"
    assert shown["sheet"].value.count("<button") == 64 and shown["sheet"].props["size"] == "small"
    assert "conv2d_1: 64 filters, map 46×46, receptive field 3×3" in shown["slider"]
    assert shown["face_box"].props["picture"].startswith("data:image/png")


def test_normalisation_is_hidden_unless_it_is_asked_for():
    chain = checkpoint.FERModel("compact")
    shown, every = (layer_slider.shown_steps(chain, "conv2d_1", every) for every in (False, True))
    hidden = set(every) - set(shown)
    assert hidden and all(name.startswith("batch_normalization") for name in hidden)
    assert "batch_normalization_1" in layer_slider.shown_steps(chain, "batch_normalization_1", False)


def test_the_slider_names_its_blocks_and_keeps_the_number_of_each_step(weights):
    drawn = layer_slider.render_slider(load_network(weights, "cnn"), "conv2d_2")
    assert [name for name in ("Input", "Block 1", "Block 2", "Classifier", "Output") if f">{name}<" not in drawn] == []
    assert [int(step) for step in re.findall(r'data-step="(\d+)"', drawn)] == list(range(15))


def test_without_a_face_an_example_is_shown_and_named_as_one(weights):
    state = see(weights, None)
    assert state.face_name == "The happy example" and state.face.shape == (48, 48)


def test_eight_visitors_at_once_see_each_their_own_face(weights):
    """Their maps are those of the network's slice, whoever else asks."""
    chain = load_network(weights, "cnn")
    faces = torch.randint(0, 256, (8, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    def visit(number: int) -> bool:
        expected = activations.activation_maps(chain, "conv2d_3", dataset.to_unit(faces[number][None]))[0].numpy()
        sights = [see(weights, faces[number].numpy(), "conv2d_3") for _ in range(5)]
        return all(
            np.array_equal(seen.report.values, expected) and np.array_equal(seen.face, faces[number]) for seen in sights
        )

    with ThreadPoolExecutor(8) as visitors:
        assert all(visitors.map(visit, range(8)))


def selected(weights, face, index, **request) -> dict:
    return handlers.select_layer(ActivationRequest(face, "cnn", **request), clicked(index=index), weights)


def test_every_step_of_the_slider_can_be_looked_at(weights, face):
    """Pixels as one picture, maps as tiles, many neurons as bars, seven values by their classes."""
    sizes = {}
    for step in range(15):
        shown = selected(weights, face, step)
        sizes[shown["layer"]] = (shown["sheet"].props["size"], shown["sheet"].value.count("<button"))
        assert shown["sheet"].value.count('tabindex="0"') == 1
    assert sizes["pixels"] == ("one", 1) and sizes["max_pooling2d_2"] == ("small", 64)
    assert sizes["dense_1"] == ("bars", 512) and sizes["dense_3"] == sizes["probabilities"] == ("classes", 7)


@pytest.mark.parametrize("index", [15, -1, None, "1", True])
def test_a_step_that_is_not_there_cannot_be_selected(weights, face, index):
    with pytest.raises(gr.Error, match="not there any more"):
        selected(weights, face, index)


def test_filters_are_sorted_by_mean_activation_by_similarity_and_by_difference(weights, face):
    seen = see(weights, face, "activation_1", beside="sad")
    sizes = np.abs(seen.report.values).mean((1, 2))
    strongest = activations_state.sort_filters(seen.report, None, activations_state.MEAN)
    assert sizes[strongest[0]] == sizes.max() and (np.diff(sizes[strongest]) <= 0).all()
    similar = activations_state.sort_filters(seen.report, None, activations_state.SIMILARITY)
    assert sorted(similar) == list(range(64)) and abs(similar.index(2) - similar.index(3)) == 1
    ranked = activations_state.sort_filters(seen.report, seen.other, activations_state.DIFFERENCE)
    apart = similarity.map_differences(*(torch.from_numpy(report.values) for report in (seen.report, seen.other)))
    assert len(ranked) == grid.MOST_PAIRS and ranked[0] == apart.argmax()


def test_an_example_to_compare_with_sorts_by_difference_and_none_sorts_as_before(weights, face):
    request = {"face": np.roll(face, 1), "model": "cnn", "layer": "activation_1", "opened": 4}
    shown = handlers.compare(ActivationRequest(**request, compared_with="sad"), weights)
    assert "Left: current face; right: the sad example." in shown["sheet"].props["status"]
    assert shown["order"].value == "difference" and shown["state"].other is not None
    assert shown["sheet"].props["size"] == "pairs"
    shown = handlers.compare(ActivationRequest(**request, order="difference", state=shown["state"]), weights)
    assert shown["order"].value == "number" and shown["sheet"].props["size"] == "small"
    with pytest.raises(gr.Error, match="no example '../x'"):
        handlers.compare(ActivationRequest(**request, compared_with="../x"), weights)


def test_a_map_s_card_frames_the_receptive_field_of_its_maximum_and_names_the_most_correlated(weights, face):
    """Filter 3 for filter 2; every picture has an alternative text."""
    seen = see(weights, face)
    request = ActivationRequest(face, "cnn", "conv2d_1", state=seen)
    shown = handlers.open_card(request, clicked(index=2), weights)
    card = shown["card"]
    row, column = np.unravel_index(seen.report.values[2].argmax(), (46, 46))
    assert shown["opened"] == 2 and f'x="{column}" y="{row}" width="3" height="3"' in card
    assert "Filter 2, conv2d_1 of cnn" in card and 'data-choice="3"' in card and "3: 1.00" in card
    assert "Kernel" in card and "over 20 faces" in card and 'class="visualise"' in card and 'alt=""' not in card
    with pytest.raises(gr.Error, match="not there any more"):
        handlers.open_card(request, clicked(index=64), weights)


def test_a_dead_filter_is_marked_and_a_redundant_one_with_its_representative(weights, face):
    value, _ = grid.render_sheet(see(weights, face, "activation_1").report, [1, 2, 3], None, False, face)
    dead, *others = value.split("<button")[1:]
    assert ">dead<" in dead and sum("redundant with" in tile for tile in others) == 1
    assert "dead (constant)" in activations_card.render_card(*card_of(weights, face, "activation_1", 1))


def card_of(weights, face, layer, number, network="cnn") -> tuple:
    seen = see(weights, face, layer, network)
    return load_network(weights, network), network, seen.report, number, face, 20


def test_the_open_filter_stays_open_behind_its_activation_and_closes_where_there_are_others(weights, face):
    for step, opened in ((2, 5), (3, None)):  # activation_1, and conv2d_2
        assert selected(weights, face, step, state=see(weights, face), opened=5)["opened"] == opened


@pytest.mark.parametrize(
    "layer, leads", [("activation_2", "conv2d_2"), ("probabilities", "dense_3"), ("max_pooling2d_2", "conv2d_3")]
)
def test_a_card_leads_to_the_filter_whose_weights_made_the_map(weights, face, layer, leads):
    """Twice to the same one is two requests."""
    request = ActivationRequest(face, "cnn", layer, state=see(weights, face, layer), opened=4)
    wanted = handlers.visualise(request, None, weights)
    assert wanted == FilterRequest("cnn", leads, 4, 0)
    assert handlers.visualise(request, wanted, weights) != wanted
    assert wanted.query_params["layer"] == leads and wanted.query_params["filter"] == "4"


def test_pixels_lead_nowhere(weights, face):
    assert "visualise" not in activations_card.render_card(*card_of(weights, face, "pixels", 0))
    with pytest.raises(gr.Error, match="Select a map first"):
        handlers.visualise(ActivationRequest(face, "cnn"), None, weights)


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


def test_the_maps_follow_the_webcam_whose_face_becomes_the_current_one(weights, face, tmp_path):
    """Nothing is written; another layer is of the same frozen face, until the tab is opened anew."""
    shown = handlers.show_frame(ActivationRequest(face, "cnn", "conv2d_1", opened=2), frame(scene(True), 7), weights)
    seen = shown["state"]
    assert seen.live and shown["face_box"].props["answered"] == 7 and "Filter 2" in shown["card"]
    assert shown["sheet"].value.count("<button") == 64 and np.array_equal(shown["current_face"], seen.face)
    now = selected(weights, face, 3, layer="conv2d_1", state=seen)["state"]
    assert now.live and np.array_equal(now.face, seen.face) and now.report.layer == "conv2d_2"
    again = handlers.open_tab(ActivationRequest(face, "cnn", "conv2d_1", state=now), weights)["state"]
    assert not again.live and np.array_equal(again.face, face)


def test_without_a_face_in_sight_the_maps_stay(weights):
    shown = handlers.show_frame(ActivationRequest(None, "cnn", "conv2d_1"), frame(scene(False)), weights)
    assert list(shown) == ["face_box"] and shown["face_box"].props["said"] == "No face detected."


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


# ---- redundancy, and markup


def test_the_redundancy_section_has_pruning_and_compares_measured_models(weights):
    text = redundancy.render_redundancy(weights, "cnn")
    assert "<b>4 of the 64</b>" in text and "n 20; 30.0% to 70.0%" in text and "<td>conv2d_1</td><td>64</td>" in text
    missing = redundancy.render_redundancy(weights, "dnn")
    assert "Not available for dnn" in missing and "python" not in missing


def test_names_bring_no_markup_into_the_page(weights, face):
    """Whatever a checkpoint calls its labels, and whatever is asked for."""
    seen = see(weights, face, "dense_3")
    report = LayerReport("dense_3", seen.report.values, ("<b>${x}</b>",) * 7)
    drawn, _ = grid.render_sheet(report, [0], None, False, face)
    drawn += activations_card.render_card(load_network(weights, "cnn"), "<b>", report, 0, face, 0)
    drawn += redundancy.render_redundancy(weights, "<b>")
    assert "<b>$" not in drawn and "<b> " not in drawn and "of <b>" not in drawn and "&lt;b&gt;" in drawn
    assert "{{" not in static.text("activations.html", "activations.css", "layer_slider.js", "sheet.js", "card.js")
