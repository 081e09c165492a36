"""The Filters tab's handlers as functions, and its markup."""

import re
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
import torch
from torch import nn

from fer.app import dataset_images, gpu, static
from fer.app.filters import card as filters_card
from fer.app.filters import handlers, menus, sheet
from fer.app.filters import job as filters_job
from fer.models import checkpoint
from fer.models.layers import NamedSequential
from fer.utils import artifacts
from tests.pages import write_atlas, write_predictions

FACE = np.full((48, 48), 128, np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A `cnn` before training, whose filter 1 of the first layer is dead behind its ReLU and whose 3 is nearly 2.

    Its highest answer to a real face is 4, for happy.
    """
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = checkpoint.FERModel("cnn")
    first = network["conv2d_1"]
    first.bias.data[1] = -100
    first.weight.data[3] = first.weight.data[2] * 2 + 0.01 * torch.randn(1, 3, 3)
    checkpoint.save_model(network, folder / "cnn")
    write_predictions(folder / "cnn")
    return folder


def choices(layer="conv2d_1", which="0-3", preset="clear", steps=5.0, seed=0, face=None, **more) -> tuple:
    rest = [more.get("origin", handlers.NOISE), more.get("budget", 0.1), face, *more.get("parts", ())]
    return ("cnn", layer, which, preset, steps, seed, *rest)


def run(weights: Path, *arguments, **options) -> list[dict]:
    """What the visitor sees and the state behind it, step by step."""
    first, *steps = handlers.run(begun(), sheet.ORDERS[0], *choices(*arguments, **options), weights=weights)
    assert first["sheet"].props["status"].startswith("Preparing ")
    return steps


def begun() -> filters_job.JobToken:
    """After a visitor's first click on Run."""
    token = filters_job.JobToken()
    token.begin()
    return token


def last_state(weights: Path, *arguments, **options) -> filters_job.VisualizationState:
    return run(weights, *arguments, **options)[-1]["state"]


def clicked(index) -> SimpleNamespace:
    return SimpleNamespace(index=index)


# ---- menus


def test_the_layer_menu_has_receptive_fields_and_opens_on_the_classes(weights):
    found = menus.layer_menus("cnn", weights=weights)
    assert found["layer"]["choices"][1:] == [
        ("conv2d_2: 64 filters, receptive field 5×5", "conv2d_2"),
        ("conv2d_3: 64 filters, receptive field 10×10", "conv2d_3"),
        ("dense_1: 512 neurons", "dense_1"),
        ("dense_2: 256 neurons", "dense_2"),
        ("dense_3: the 7 classes", "dense_3"),
    ]
    assert found["layer"]["value"] == "dense_3" and found["which"]["value"] == "0-6"
    assert menus.filter_pages("cnn", "conv2d_3", weights=weights)["choices"] == [
        "0-15", "16-31", "32-47", "48-63", "0-63",
    ]  # fmt: skip


def test_a_model_that_is_not_there_leaves_an_empty_menu(weights):
    found = menus.layer_menus("nothing", weights=weights)
    assert found["layer"]["choices"] == found["which"]["choices"] == [] and found["layer"]["value"] is None


@pytest.mark.parametrize(
    "layer, which, kept",
    [
        ("conv2d_2", "5,60", ("conv2d_2", "5,60")),
        ("conv2d_2", "64", ("conv2d_2", "0-15")),
        ("conv2d_9", "5", ("dense_3", "0-6")),
    ],
)
def test_a_layer_and_filters_stay_where_the_model_has_them(weights, layer, which, kept):
    found = menus.layer_menus("cnn", layer, which, weights=weights)
    assert (found["layer"]["value"], found["which"]["value"]) == kept


@pytest.mark.parametrize("which", ["0-3", "3,1", "2"])
def test_the_menus_follow_what_is_on_the_sheet_whatever_they_showed_before(weights, which):
    state = last_state(weights, "conv2d_2", which, steps=1)
    found = handlers.change_model(state, None, None, "by number", *choices("conv2d_9", "0-15"), weights=weights)
    assert [found[name]["value"] for name in ("layer", "which")] == ["conv2d_2", which]


def test_the_layer_is_remembered_for_each_model(weights):
    """It was lost on the way to another model and back; a model that is new opens on its classes."""
    chosen = handlers.browse(None, None, None, "by number", *choices("conv2d_2", "5-9"), weights=weights)
    assert chosen["remembered"] == {"cnn": ("conv2d_2", "5-9")}
    back = handlers.change_model(
        None, chosen["remembered"], None, "by number", *choices("dense_1", "0-15"), weights=weights
    )
    assert [back[name]["value"] for name in ("layer", "which")] == ["conv2d_2", "5-9"]
    new = handlers.change_model(None, {}, None, "by number", *choices("conv2d_2", "5-9"), weights=weights)
    assert [new[name]["value"] for name in ("layer", "which")] == ["dense_3", "0-6"]


# ---- the sheet


def test_steps_are_different_images_with_a_button_for_every_filter(weights):
    steps = run(weights)
    assert [step["state"].step for step in steps] == [0, 4, 5]
    pictures = [step["sheet"].props["picture"] for step in steps]
    assert len(set(pictures)) == 3 and all(url.startswith("data:image/png;base64,") for url in pictures)
    drawn = steps[-1]["sheet"]
    assert drawn.value.count("<button") == 4 and (drawn.props["columns"], drawn.props["rows"]) == (4, 1)
    assert drawn.props["status"] == "conv2d_1 of cnn, 5 steps, done." and drawn.props["progress"] == ""


def test_a_run_shows_its_progress_and_the_time_left(weights):
    first, second, _ = run(weights)
    assert (
        first["sheet"].props["status"] == "conv2d_1 of cnn, step 0 of 5." and first["sheet"].props["progress"] == "0%"
    )
    assert "step 4 of 5, about 1 s left." in second["sheet"].props["status"]
    assert second["sheet"].props["progress"] == "80%"


def test_every_tile_shows_its_own_part_of_the_picture():
    """Of 2 rows of 3, tile 4 lies in the middle of the second row; of a single tile there is nothing to move."""
    drawn = sheet.tiles(range(6), "abcdef", [0.0] * 6, [False] * 6, (2, 3))
    assert 'data-choice="4"' in drawn.split('<i style="background-position: 50.0000% 100.0000%">')[0]
    assert "background-position: 0.0000% 0.0000%" in sheet.tiles([0], "a", [0.0], [False], (1, 1))


def test_the_sheet_is_one_tab_stop_at_the_open_tile():
    for opened, entry in ((None, 3), (2, 2)):
        drawn = sheet.tiles([3, 2, 1, 0], "abcd", [0.0] * 4, [False] * 4, (1, 4), opened)
        assert drawn.count('tabindex="0"') == 1 and f'data-choice="{entry}" tabindex="0"' in drawn


def test_a_dead_filter_is_marked_as_dead(weights):
    step = run(weights, preset="report")[-1]
    assert step["state"].dead == (False, True, False, False)
    assert "filter 1, activation 0.00, dead" in step["sheet"].value and "1 dead" in step["sheet"].props["status"]


def test_stopping_keeps_the_image(weights):
    request = filters_job.make_request(weights, "cnn", "conv2d_1", "0", "clear", 40, 0)
    state = next(filters_job.run(request, weights))
    running, stopped = (sheet.render_sheet(state, sheet.ORDERS[0], stopped=stopped) for stopped in (False, True))
    assert running.props["status"] == "conv2d_1 of cnn, step 0 of 40."
    assert stopped.props["status"] == "conv2d_1 of cnn, step 0 of 40, stopped."
    assert stopped.props["picture"] == running.props["picture"]


def test_a_run_whose_time_is_over_ends_with_what_it_has(weights, monkeypatch):
    """After no seconds that is the first step; as many as it likes take it to the last."""
    monkeypatch.setattr(filters_job, "MAX_SECONDS", -1)
    (step,) = run(weights)
    assert step["state"].timed_out and step["state"].step == 0
    assert "step 0 of 5, ended after -1 seconds" in step["sheet"].props["status"]
    monkeypatch.setattr(filters_job, "MAX_SECONDS", 1e9)
    assert not last_state(weights).timed_out and last_state(weights).step == 5


def test_every_sheet_brings_all_that_its_template_names(weights):
    """The empty one as well: Gradio forgets the properties that are left out."""
    template = static.text("filters.html")
    for state in (None, last_state(weights, steps=1)):
        properties = sheet.render_sheet(state, sheet.ORDERS[0]).props
        assert all(re.search(rf"\b{name}\b", template) for name in properties)

        assert {"status", "progress", "picture", "size", "columns", "rows"} == set(properties)


def test_a_card_that_was_opened_during_a_run_is_up_to_date_at_its_end(weights):
    state = last_state(weights, which="2,3", steps=5)
    end = handlers.finish(begun(), state, sheet.ORDERS[0], 1, None, weights=weights)
    assert "<h3>Filter 3, conv2d_1 of cnn</h3>" in end["card"] and "5 of 5" in end["card"]
    assert 'data-choice="1" tabindex="0"' in end["sheet"].value and end["run"]["visible"]
    assert "card" not in handlers.finish(begun(), state, sheet.ORDERS[0], None, None, weights=weights)


def test_run_gives_way_to_stop_while_a_run_goes_on(weights):
    """A stop is shown at once, and once more when the run has ended; it closes no card."""
    token = filters_job.JobToken()
    queued = handlers.begin(token)
    assert (queued["run"]["visible"], queued["stop"]["visible"]) == (False, True)
    assert queued["sheet"].props["status"] == "Queued."
    steps = handlers.run(token, sheet.ORDERS[0], *choices(), weights=weights)
    next(steps)
    state = next(steps)["state"]
    stopped = handlers.stop(token, state, sheet.ORDERS[0], 1)
    assert stopped["run"]["visible"] and "step 0 of 5, stopped" in stopped["sheet"].props["status"]
    assert "card" not in stopped and list(steps) == []
    end = handlers.finish(token, state, sheet.ORDERS[0], 1, None, weights=weights)
    assert "stopped" in end["sheet"].props["status"] and "<h3>Filter 1" in end["card"]


def test_a_new_run_replaces_one_that_is_being_stopped_whose_end_changes_nothing(weights):
    token = begun()
    steps = handlers.run(token, sheet.ORDERS[0], *choices(), weights=weights)
    next(steps)
    state = next(steps)["state"]
    token.end()
    assert handlers.begin(token)["opened"] is None
    assert list(steps) == []
    assert handlers.finish(token, state, sheet.ORDERS[0], 1, None, weights=weights) == {}
    assert len(list(handlers.run(token, sheet.ORDERS[0], *choices(), weights=weights))) == 4


def test_a_run_that_was_stopped_while_it_was_queued_does_not_begin(weights):
    token = begun()
    token.end()
    assert list(handlers.run(token, "by number", weights=weights)) == []


def test_a_request_for_a_filter_that_is_not_there_closes_the_card(weights):
    """Its button stayed, and compared what was not shown any more."""
    token, state = filters_job.JobToken(), last_state(weights, steps=1)
    assert handlers.begin(token)["opened"] is None
    with pytest.raises(gr.Error, match="No such filter"):
        list(handlers.run(token, sheet.ORDERS[0], *choices(which="999"), weights=weights))
    assert handlers.fail(token)["run"]["visible"] and not token.wanted
    with pytest.raises(gr.Error, match="Select an image first"):
        next(handlers.try_seed(state, None, None, None, weights=weights))


def test_sorted_by_activation_the_highest_comes_first_and_keeps_its_number(weights):
    state = last_state(weights)
    ordered = sheet.render_sheet(state, sheet.BY_ACTIVATION, opened=2).value
    best = max(range(4), key=lambda index: state.values[index])
    assert ordered.index(f'data-choice="{best}"') == min(ordered.index(f'data-choice="{index}"') for index in range(4))
    assert f'aria-label="filter {best},' in ordered
    assert ordered.count('aria-pressed="true"') == 1 and 'data-choice="2" tabindex="0"' in ordered


def test_before_the_first_step_nothing_is_compared_with_real_faces():
    """ "Half of them get -0.0 times" stood above noise."""
    request = filters_job.VisualizationRequest("cnn", "conv2d_1", (0, 1), "clear", 9, 0)
    parts = (request, ("a", "b"), np.zeros((2, 8, 8)), (False, False))
    noise = filters_job.VisualizationState(*parts, ((9, (-0.1, -0.2)),), (2.0, 2.0))
    assert "strongest" not in filters_job.status(noise) and "-0.0" not in filters_job.status(noise)
    done = filters_job.VisualizationState(*parts, ((9, (5.0, 5.0)),), (2.0, 2.0))
    assert "Median 2.5× the strongest test face." in filters_job.status(done)


def test_classes_carry_their_labels(weights):
    state = last_state(weights, "dense_3", "0-6", steps=1)
    assert state.names[3] == "happy" and state.images.shape == (7, 48, 48)


def test_from_a_face_the_first_step_is_the_face_and_the_last_is_within_the_budget(weights):
    """A budget of .05 is reached by 40 steps, from 0 at the first."""
    steps = run(weights, which="0", steps=40, face=FACE, origin=handlers.FACE, budget=0.05)
    distances = [np.sqrt(np.square(step["state"].images[0] - FACE / 255).mean()) for step in steps]
    assert distances[0] < 0.01 < distances[-1] <= 0.0501


def test_noise_is_the_initial_image_although_there_is_a_current_face(weights):
    assert last_state(weights, face=FACE, steps=1).request.face is None


@pytest.mark.parametrize(
    "options, words",
    [
        ({"layer": "conv2d_9"}, "no layer 'conv2d_9'"),
        ({"which": "0-64"}, "0 to 63"),
        ({"which": "<b>"}, "expected numbers and ranges"),
        ({"preset": "wild"}, "Choose a preset"),
        ({"parts": ["clay"]}, "no such part of a preset"),
        ({"steps": 129}, "1 to 128 steps"),
        ({"steps": float("nan")}, "1 to 128 steps"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"origin": handlers.FACE}, "no current face"),
        ({"origin": handlers.FACE, "face": FACE, "budget": 0}, "more than 0 and at most 1"),
    ],
)
def test_a_request_that_cannot_be_run_is_refused_in_a_sentence(weights, options, words):
    with pytest.raises(gr.Error, match=words):
        run(weights, **options)


# ---- precomputed images


@pytest.fixture(scope="module")
def precomputed(weights) -> Path:
    """The same with made-up images of its second convolution."""
    write_atlas(weights / "cnn", "conv2d_2", 64, 10)
    return weights


def browse(weights: Path, shown=(None, None), layer="conv2d_2", which="0-63", steps=48, **change) -> dict:
    state, opened = shown
    made = choices(layer, which, steps=steps, **change)
    return handlers.browse(state, None, opened, sheet.ORDERS[0], *made, weights=weights)


def test_precomputed_images_are_shown_at_once(precomputed):
    found = browse(precomputed, which="5,7")
    state, drawn = found["state"], found["sheet"]
    assert state.precomputed and state.values == (5, 7)
    place = "conv2d_2 of cnn, precomputed; 1 dead (no gradient)."
    assert drawn.props["status"] == place + " Median 3.5× the strongest test face."
    assert drawn.value.count("<button") == 2 and (found["card"], found["opened"]) == (handlers.HINT, None)
    assert [step for step, _ in state.history] == [0, 8, 16, 24, 32, 40, 48]


def test_a_single_filter_has_no_median(precomputed):
    drawn = browse(precomputed, which="5")["sheet"]
    assert drawn.props["status"] == "conv2d_2 of cnn, precomputed. 2.5× the strongest test face."


@pytest.mark.parametrize(
    "change",
    [{"layer": "conv2d_3"}, {"which": "64"}, {"seed": 1}, {"steps": 47}, {"preset": "report"}, {"parts": ["pixels"]}],
)
def test_where_nothing_is_precomputed_the_sheet_stays(precomputed, change):
    """It and the open card are sent once more in full, since Gradio forgets what it is not told."""
    state = last_state(precomputed, which="2,3", steps=1)
    found = browse(precomputed, (state, 1), **change)
    assert found["state"] is state and found["opened"] == 1
    assert "<h3>Filter 3, conv2d_1 of cnn</h3>" in found["card"]
    assert found["sheet"].value == sheet.render_sheet(state, sheet.ORDERS[0], 1).value


def test_stale_precomputed_images_are_not_shown_and_no_command_is_named(precomputed, monkeypatch):
    monkeypatch.setattr(artifacts, "weights_digest", lambda folder: "another")
    found = browse(precomputed)
    assert found["state"] is None and found["sheet"].props["picture"] == ""
    assert "of earlier weights" in found["sheet"].props["status"] and "python" not in found["sheet"].props["status"]


def test_after_another_model_was_chosen_nothing_of_the_last_one_stays(precomputed):
    """Menus of one model stood above the images of another."""
    state = replace(
        last_state(precomputed, steps=1), request=replace(last_state(precomputed, steps=1).request, network="x")
    )
    found = handlers.change_model(state, None, 0, sheet.ORDERS[0], *choices("conv2d_9", "0"), weights=precomputed)
    assert found["state"] is None and found["sheet"].props["picture"] == "" and found["opened"] is None


def test_the_card_has_what_is_precomputed(precomputed, monkeypatch):
    """A similarity of .50, a maximum on the test set of 2 against 5, and that face where the data set is at hand."""
    monkeypatch.setattr(dataset_images, "own", lambda: None)
    state = browse(precomputed, which="5")["state"]
    card = filters_card.card(state, 0, None, precomputed)
    assert "0.50 (1: the same image" in card and "2.00; this image has 2.5 times as much" in card
    assert "Validation faces" not in card and "Nearest filters: " in card
    monkeypatch.setattr(dataset_images, "own", lambda: torch.zeros(1, 48, 48, dtype=torch.uint8))
    assert "Validation faces with the highest activation" in filters_card.card(state, 0, None, precomputed)


def test_sums_over_a_map_are_not_compared_with_single_activations(precomputed):
    """A maximum of 2 is known of the centre neuron, the objective of `clear`, and not of the sum of `report`."""
    assert last_state(precomputed, "conv2d_2", "5", steps=1).best == (2,)
    assert last_state(precomputed, "conv2d_2", "5", "report", steps=1).best == (None,)
    assert last_state(precomputed, "conv2d_2", "5", steps=1, parts=["preset", "preset", "mean"]).best == (None,)
    assert last_state(precomputed, "dense_3", "3", "report", steps=1).best == (4,)


def test_a_link_to_precomputed_images_opens_at_once(precomputed):
    state = browse(precomputed, which="5")["state"]
    (end,) = visit(filters_card.link(state, 0), precomputed)
    assert end["state"].precomputed and "<h3>Filter 5, conv2d_2 of cnn</h3>" in end["card"]


def test_real_faces_lie_three_in_a_row_with_what_was_seen_framed():
    """Four faces of 48 pixels, three times enlarged: two rows; the window's edge is amber, a whole face has none."""
    windows = [(0, 0, 48, 48), (10, 20, 30, 40), (0, 0, 48, 48), (0, 0, 48, 48)]
    picture = dataset_images.framed(np.zeros((4, 48, 48), np.uint8), windows)
    assert picture.shape == (288, 432, 3)
    assert tuple(picture[30, 144 + 60]) == dataset_images.FRAME and not picture[:142, :142].any()


# ---- the card


def test_a_tile_opens_its_card_with_the_kernel_and_the_map_of_the_face(weights):
    state = last_state(weights)
    opened = handlers.open_card(state, None, clicked(2), weights=weights)
    card = opened["card"]
    assert (opened["opened"], opened["other"]) == (2, None)
    assert "<h3>Filter 2, conv2d_1 of cnn</h3>" in card and card.count("<img") == 3 and 'alt=""' not in card
    assert f"{state.values[2]:.3f}" in card and "Kernel" in card
    assert "Its map of your face" in filters_card.card(state, 2, FACE, weights)
    assert "Max on your face" in filters_card.card(last_state(weights, "dense_3", "3", steps=1), 0, FACE, weights)


def test_the_curve_has_a_point_for_every_step_shown(weights):
    state = last_state(weights, steps=9)
    assert [step for step, _ in state.history] == [0, 4, 8, 9]
    assert state.history[-1][1] == state.values and state.history[0][1] != state.values


def test_the_card_names_the_filter_whose_kernel_is_nearly_the_same(weights):
    """Filter 3 is filter 2 twice over and a hundredth of noise."""
    assert "<dt>Nearest filters</dt><dd>3 (1.00), " in filters_card.card(last_state(weights), 2, None, weights)


def test_a_class_is_compared_with_its_maximum_on_the_test_set(weights):
    """A happy logit of 4; an image of 10 has 2.5 times as much, one of 3 does not exceed it."""
    chain = checkpoint.load_model("cnn", weights)
    assert filters_job.best_logit(weights / "cnn", 3) == 4
    (best,) = filters_job.best(weights, "cnn", chain, "dense_3", [3])
    (_, facts), (_, short) = (filters_card.test_set_maximum(best, value) for value in (10.0, 3.0))
    assert facts == {"Max on test set": "4.00; this image has 2.5 times as much"}
    assert short == {"Max on test set": "4.00"}
    assert filters_job.best(weights, "cnn", chain, "dense_2", [3, 4]) == (None, None)
    assert filters_card.test_set_maximum(None, 10.0) == ({}, {})


def test_each_click_tries_the_next_seed_and_an_image_has_similarity_1_with_itself(weights):
    state = last_state(weights, which="2,3", steps=8)
    *_, step = handlers.try_seed(state, 1, None, None, weights=weights)
    other = step["other"]
    assert other.request.filters == (3,) and other.request.seed == 1 and other.step == 8
    assert "From seed 1, step 8" in step["card"] and "Similarity across seeds" in step["card"]
    *_, step = handlers.try_seed(state, 1, other, None, weights=weights)
    assert step["other"].request.seed == 2
    same = filters_job.VisualizationState(other.request, ("",), state.images[1:], (False,), other.history, (None,))
    _, facts = filters_card.seed_similarity(state.images[1], same)
    assert facts["Similarity across seeds"].startswith("1.00")


def test_the_map_of_a_face_is_the_filter_s_own(weights):
    """A kernel of zeros but for a 1 in its middle gives the face back, without its border."""
    layer = nn.Conv2d(1, 1, 3, bias=False)
    layer.weight.data = torch.zeros(1, 1, 3, 3)
    layer.weight.data[0, 0, 1, 1] = 1
    face = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    answer = filters_card.activation(NamedSequential(OrderedDict(conv2d_1=layer)), "conv2d_1", 0, face)
    assert np.allclose(answer * 255, face[1:-1, 1:-1], atol=1e-3)


@pytest.mark.parametrize("index", [4, -1, True, "1", None])
def test_a_tile_that_is_not_there_cannot_be_opened(weights, index):
    with pytest.raises(gr.Error, match="not there any more"):
        handlers.open_card(last_state(weights, steps=1), None, clicked(index), weights=weights)


# ---- links


def visit(link: str, weights: Path) -> list[dict]:
    request = SimpleNamespace(query_params=dict(parse_qsl(link.removeprefix("?"))))
    return list(handlers.open_link(request, weights=weights))


def test_a_link_makes_the_very_same_image_and_opens_its_card(weights):
    state = last_state(weights, which="1-3", steps=6, seed=7)
    *_, end = first, *_ = visit(filters_card.link(state, 2), weights)
    chosen = [first[name]["value"] for name in ("layer", "which")]
    chosen += [first[name] for name in ("model", "preset", "steps", "seed")]
    assert chosen == ["conv2d_1", "3", "cnn", "clear", 6, 7]
    assert np.allclose(end["state"].images[0], state.images[2], atol=1e-4) and end["state"].step == 6
    assert "<h3>Filter 3, conv2d_1 of cnn</h3>" in end["card"] and end["opened"] == 0


def test_replaced_parts_go_into_the_link_and_come_back(weights):
    state = last_state(weights, which="3", steps=1, parts=["pixels", "still"])
    assert state.request.parts == (("parametrise", "pixels"), ("transform", "still"))
    first, *_, end = visit(filters_card.link(state, 0), weights)
    assert end["state"].request.parts == state.request.parts and "preset" not in end
    parts = [first[name] for name in ("parametrise", "transform", "objective", "loop")]
    assert parts == ["pixels", "still", "preset", "preset"]


def test_a_face_goes_into_no_link(weights):
    assert filters_card.link(last_state(weights, steps=1, face=FACE, origin=handlers.FACE), 0) is None


@pytest.mark.parametrize("link", ["", "?tab=Filters", "?tab=Predict&filter=3"])
def test_an_address_that_names_no_filter_leaves_the_choices_and_an_empty_sheet(weights, link):
    (first,) = visit(link, weights)
    assert set(first) == {"sheet", "state", "card", "opened", "other", "compare"}
    assert first["sheet"].props["picture"] == "" and first["state"] is first["opened"] is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"model": "../cnn"}, "no network '../cnn'"),
        ({"layer": "<b>"}, "no layer '<b>'"),
        ({"filter": "64"}, "0 to 63"),
        ({"steps": "1e3"}, "1 to 128 steps"),
        ({"seed": "9" * 5000}, "seed of 0 or more"),
    ],
)
def test_a_link_that_was_tampered_with_is_refused_in_a_sentence(weights, change, words):
    query = {"tab": "Filters", "model": "cnn", "layer": "conv2d_1", "filter": "3", "preset": "clear"}
    request = SimpleNamespace(query_params=query | {"steps": "5", "seed": "0"} | change)
    with pytest.raises(gr.Error, match=words):
        list(handlers.open_link(request, weights=weights))


# ---- a lent GPU


def test_without_a_lent_gpu_nothing_changes(weights):
    work = lambda: 1  # noqa: E731
    network = nn.Linear(1, 1)
    assert gpu.on_gpu(duration=lambda: 1)(work) is work and gpu.placed(network) is network


def test_on_a_zerogpu_space_the_ascent_is_lent_one(monkeypatch):
    """Hugging Face's `spaces` is asked for as many seconds as the call's own arguments say."""
    lent = {}
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lambda **how: lent.update(how) or (lambda f: f)))
    assert gpu.on_gpu(duration=lambda steps: 2 * steps)(len) is len and lent["duration"](4) == 8


# ---- markup


def test_labels_and_templates_bring_no_markup_into_the_page():
    drawn = sheet.tiles([0], ['<b>"${x}'], [1.0], [False], (1, 1))
    drawn += sheet.render_card("<b>", {"<b>": np.eye(2)}, {"<b>": "<b>"}, "data:,", '"><b>')
    assert "<b>" not in drawn and '"${x}' not in drawn
    assert "{{" not in static.text("filters.html", "filters.css", "tabs.css")
