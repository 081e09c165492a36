"""The Filters tab's handlers as functions, and its markup."""

import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
import torch
from torch import nn

from fer.app import dataset_images, gpu
from fer.app.filters import card as filters_card
from fer.app.filters import job as filters_job
from fer.app.filters import menus, sheet
from fer.app.filters import tab as filters_tab
from fer.app.filters import view as filters_view
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


def grow(weights: Path, layer="conv2d_1", which="0-3", preset="clear", steps=5.0, seed=0, face=None, **more):
    """What the visitor sees and what is behind it, frame by frame."""
    rest = [more.get("origin", filters_tab.NOISE), more.get("budget", 0.1), face, *more.get("parts", ())]
    choices = (sheet.ORDERS[0], "cnn", layer, which, preset, steps, seed, *rest)
    frames = list(filters_tab.grow(begun(), *choices, weights=weights))
    assert frames.pop() == (gr.skip(), gr.skip())
    return frames


def begun() -> filters_job.JobToken:
    """After a visitor's first Start."""
    turn = filters_job.JobToken()
    turn.begin()
    return turn


def grown(weights: Path, *arguments, **options) -> filters_job.VisualizationState:
    return grow(weights, *arguments, **options)[-1][1]


def clicked(index) -> SimpleNamespace:
    return SimpleNamespace(index=index)


# ---- menus


def test_the_menu_says_what_each_layer_sees(weights):
    layers, which = menus.menu("cnn", weights=weights)
    assert layers["choices"][1:] == [
        ("conv2d_2: 64 filters see 5 x 5", "conv2d_2"),
        ("conv2d_3: 64 filters see 10 x 10", "conv2d_3"),
        ("dense_1: 512 neurons", "dense_1"),
        ("dense_2: 256 neurons", "dense_2"),
        ("dense_3: the 7 classes", "dense_3"),
    ]
    assert layers["value"] == "conv2d_3"
    assert which["choices"] == ["0-15", "16-31", "32-47", "48-63", "0-63"] and which["value"] == "0-15"
    assert menus.pages("cnn", "dense_3", weights=weights)["choices"] == ["0-6"]


def test_a_network_that_is_not_there_leaves_an_empty_menu(weights):
    layers, which = menus.menu("nothing", weights=weights)
    assert layers["choices"] == which["choices"] == [] and layers["value"] is None


@pytest.mark.parametrize(
    "layer, which, kept",
    [
        ("conv2d_2", "5,60", ("conv2d_2", "5,60")),
        ("conv2d_2", "64", ("conv2d_2", "0-15")),
        ("conv2d_9", "5", ("conv2d_3", "0-15")),
    ],
)
def test_another_network_keeps_the_layer_and_the_filters_that_it_has_too(weights, layer, which, kept):
    assert tuple(update["value"] for update in menus.menu("cnn", layer, which, weights=weights)) == kept


@pytest.mark.parametrize("which, written", [("0-3", "0-3"), ("3,1", "3,1"), ("2", "2")])
def test_the_menus_follow_what_is_on_the_sheet_whatever_they_showed_before(weights, which, written):
    found = grown(weights, "conv2d_2", which, steps=1)
    updates = menus.menu_after("cnn", "conv2d_9", "0-15", found, weights=weights)
    assert [update["value"] for update in updates] == ["conv2d_2", written]
    updates = menus.menu_after("cnn", "conv2d_1", "0-15", None, weights=weights)
    assert [update["value"] for update in updates] == ["conv2d_1", "0-15"]


# ---- the sheet


def test_frames_are_different_pictures_with_a_button_for_every_filter(weights):
    frames = grow(weights)
    assert [found.step for _, found in frames] == [0, 4, 5]
    pictures = [view.props["picture"] for view, _ in frames]
    assert len(set(pictures)) == 3 and all(url.startswith("data:image/png;base64,") for url in pictures)
    view, _ = frames[-1]
    assert view.value.count("<button") == 4 and (view.props["columns"], view.props["rows"]) == (4, 1)
    assert view.props["status"] == "conv2d_1 of cnn, step 5 of 5, done."


def test_every_tile_shows_its_own_part_of_the_picture():
    """Of 2 rows of 3, tile 4 lies in the middle of the second row; of a single tile there is nothing to move."""
    drawn = filters_view.buttons(range(6), "abcdef", [0.0] * 6, [False] * 6, (2, 3))
    assert 'data-choice="4"' in drawn.split('<i style="background-position: 50.0000% 100.0000%">')[0]
    assert "background-position: 0.0000% 0.0000%" in filters_view.buttons([0], "a", [0.0], [False], (1, 1))


def test_a_dead_filter_is_said_to_be_dead(weights):
    view, found = grow(weights, preset="report")[-1]
    assert found.dead == (False, True, False, False)
    assert "filter 1, ascent value 0.00, dead" in view.value and "1 dead" in view.props["status"]


def test_stopping_keeps_the_picture_and_says_so(weights):
    asked = filters_job.ask(weights, "cnn", "conv2d_1", "0", "clear", 40, 0)
    found = next(filters_job.grow(asked, weights))
    climbing, stopped = (sheet.view(found, sheet.ORDERS[0], stopped=stopped) for stopped in (False, True))
    assert climbing.props["status"] == "conv2d_1 of cnn, step 0 of 40."
    assert stopped.props["status"] == "conv2d_1 of cnn, step 0 of 40, stopped."
    assert stopped.props["picture"] == climbing.props["picture"]


def test_an_ascent_whose_time_is_over_ends_with_what_it_has_and_says_so(weights, monkeypatch):
    """After no seconds that is the first frame; as many as it likes take it to the last step."""
    monkeypatch.setattr(filters_job, "TURN", -1)
    ((drawn, found),) = grow(weights)
    assert found.late and found.step == 0 and "step 0 of 5, ended: -1 seconds were over" in drawn.props["status"]
    monkeypatch.setattr(filters_job, "TURN", 1e9)
    assert not grown(weights).late and grown(weights).step == 5


def test_every_view_brings_all_that_its_template_names(weights):
    """The empty one as well: Gradio forgets the properties that are left out."""
    for found in (None, grown(weights, steps=1)):
        properties = sheet.view(found, sheet.ORDERS[0]).props
        assert all(f"${{{name}" in filters_view.SHEET for name in properties)
        assert {"status", "picture", "size", "columns", "rows"} == set(properties)


def test_a_card_that_was_opened_on_the_way_is_brought_up_to_date_at_the_end(weights):
    found = grown(weights, which="2,3", steps=5)
    view, card = sheet.settle(found, sheet.ORDERS[0], 1, None, weights=weights)
    assert "<h3>Filter 3, conv2d_1 of cnn</h3>" in card and "5 of 5" in card
    assert 'data-choice="1" aria-pressed="true"' in view.value
    assert sheet.settle(found, sheet.ORDERS[0], None, None, weights=weights)[1] == ""


def test_a_stop_ends_what_grows_and_says_so_and_closes_no_card(weights):
    """At step 0 of 5; the page hears "stopped" at once, and once more when the ascent has ended."""
    choices = (sheet.ORDERS[0], "cnn", "conv2d_1", "0-3", "clear", 5, 0, filters_tab.NOISE, 0.1, None)
    turn = begun()
    frames = filters_tab.grow(turn, *choices, weights=weights)
    _, found = next(frames)
    for opened, card in ((None, gr.skip()), (1, "<h3>Filter 1")):
        drawn, shown = filters_tab.stop(turn, found, sheet.ORDERS[0], opened, None, weights=weights)
        assert "step 0 of 5, stopped" in drawn.props["status"]
        assert shown == card if opened is None else card in shown
    assert list(frames) == [(gr.skip(), gr.skip())]
    assert "stopped" in sheet.rest(turn, found, sheet.ORDERS[0], None, None, weights=weights)[0].props["status"]


def test_a_start_takes_the_place_of_what_grows_whose_end_changes_nothing(weights):
    """Stopped or not: the next is waiting for its turn, or has frames of its own, when the last one ends."""
    choices = (sheet.ORDERS[0], "cnn", "conv2d_1", "0-3", "clear", 5, 0, filters_tab.NOISE, 0.1, None)
    turn = begun()
    frames = filters_tab.grow(turn, *choices, weights=weights)
    _, found = next(frames)
    turn.end()
    drawn, card, opened = filters_tab.wait(turn)
    assert drawn.props["status"] == "Waiting for its turn." and (card, opened) == ("", None)
    assert list(frames) == [(gr.skip(), gr.skip())]
    late = sheet.rest(turn, found, sheet.ORDERS[0], 1, None, weights=weights)
    assert late == (gr.skip(), gr.skip())
    assert len(list(filters_tab.grow(turn, *choices, weights=weights))) == 4


def test_what_was_stopped_while_it_waited_for_others_does_not_begin(weights):
    turn = begun()
    turn.end()
    assert list(filters_tab.grow(turn, "by number", weights=weights)) == [(gr.skip(), gr.skip())]


def test_by_ascent_value_the_highest_comes_first_and_keeps_its_number(weights):
    found = grown(weights)
    ordered = sheet.view(found, sheet.ORDERS[1], opened=2).value
    best = max(range(4), key=lambda index: found.values[index])
    assert ordered.index(f'data-choice="{best}"') == min(ordered.index(f'data-choice="{index}"') for index in range(4))
    assert f'aria-label="filter {best},' in ordered
    assert ordered.count('aria-pressed="true"') == 1 and 'data-choice="2" aria-pressed="true"' in ordered


def test_classes_carry_their_labels(weights):
    found = grown(weights, "dense_3", "0-6", steps=1)
    assert found.names[3] == "happy" and found.images.shape == (7, 48, 48)


def test_from_a_face_the_first_frame_is_the_face_and_the_last_is_within_the_budget(weights):
    """A budget of .05 is reached by 40 steps, from 0 at the first frame."""
    frames = grow(weights, which="0", steps=40, face=FACE, origin=filters_tab.FACE, budget=0.05)
    distances = [np.sqrt(np.square(found.images[0] - FACE / 255).mean()) for _, found in frames]
    assert distances[0] < 0.01 < distances[-1] <= 0.0501


def test_noise_is_the_start_although_a_face_was_chosen(weights):
    assert grown(weights, face=FACE, steps=1).asked.face is None


@pytest.mark.parametrize(
    "options, words",
    [
        ({"layer": "conv2d_9"}, "no layer 'conv2d_9'"),
        ({"which": "0-64"}, "0 to 63"),
        ({"which": "<b>"}, "expected numbers and ranges"),
        ({"preset": "wild"}, "Choose a preset"),
        ({"parts": ["clay"]}, "no such part of an ascent"),
        ({"steps": 129}, "1 to 128 steps"),
        ({"steps": float("nan")}, "1 to 128 steps"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"origin": filters_tab.FACE}, "no face yet"),
        ({"origin": filters_tab.FACE, "face": FACE, "budget": 0}, "more than 0 and at most 1"),
    ],
)
def test_what_cannot_be_climbed_is_told_in_a_sentence(weights, options, words):
    with pytest.raises(gr.Error, match=words):
        grow(weights, **options)


# ---- the atlas


@pytest.fixture(scope="module")
def with_atlas(weights) -> Path:
    """The same with a made-up atlas of its second convolution."""
    write_atlas(weights / "cnn", "conv2d_2", 64, 10)
    return weights


def browse(
    weights: Path, layer="conv2d_2", which="0-63", preset="clear", steps=48, seed=0, parts=(), shown=(None, None)
) -> tuple:
    rest = [filters_tab.NOISE, 0.1, None, *parts]
    return filters_tab.browse(*shown, sheet.ORDERS[0], "cnn", layer, which, preset, steps, seed, *rest, weights=weights)


def test_what_the_atlas_holds_is_shown_at_once(with_atlas):
    view, found, card, opened = browse(with_atlas, which="5,7")
    assert found.of_atlas and found.values == (5, 7)
    place = "conv2d_2 of cnn, step 48 of 48, from the atlas; 1 dead: no gradient from the start."
    assert view.props["status"] == place + " Half of them get 3.5 times what their best real face gets, or more."
    assert view.value.count("<button") == 2 and (card, opened) == ("", None)
    assert [step for step, _ in found.history] == [0, 8, 16, 24, 32, 40, 48]


def test_of_a_single_filter_there_is_no_half(with_atlas):
    place = "conv2d_2 of cnn, step 48 of 48, from the atlas."
    view, *_ = browse(with_atlas, which="5")
    assert view.props["status"] == place + " It gets 2.5 times what its best real face gets."


@pytest.mark.parametrize(
    "change",
    [{"layer": "conv2d_3"}, {"which": "64"}, {"seed": 1}, {"steps": 47}, {"preset": "report"}, {"parts": ["pixels"]}],
)
def test_what_the_atlas_has_not_leaves_the_sheet_alone(with_atlas, change):
    """It and the open card are sent once more in full, since Gradio forgets what it is not told."""
    shown = grown(with_atlas, which="2,3", steps=1)
    view, found, card, opened = browse(with_atlas, **change, shown=(shown, 1))
    assert found is shown and opened == 1 and "<h3>Filter 3, conv2d_1 of cnn</h3>" in card
    assert view.value == sheet.view(shown, sheet.ORDERS[0], 1).value


def test_of_a_stale_atlas_the_visitor_is_told(with_atlas, monkeypatch):
    monkeypatch.setattr(artifacts, "weights_digest", lambda folder: "another")
    view, found, *_ = browse(with_atlas)
    assert found is None and "python -m fer atlas cnn" in view.props["status"] and view.props["picture"] == ""


def test_after_a_link_to_another_network_its_picture_stays(with_atlas):
    _, found, *_ = browse(with_atlas, which="5")
    choices = [sheet.ORDERS[0], "cnn", "conv2d_2", "0-15", "clear", 48, 0, filters_tab.NOISE, 0.1, None]
    assert filters_tab.browse_after(found, 0, *choices, weights=with_atlas)[1] is found
    assert filters_tab.browse_after(None, None, *choices, weights=with_atlas)[1].asked.filters == tuple(range(16))


def test_the_card_tells_what_the_atlas_knows(with_atlas, monkeypatch):
    """Agreement of .50, a best real face of 2 against 5, and that face where the data set is at hand."""
    monkeypatch.setattr(dataset_images, "own", lambda: None)
    _, found, *_ = browse(with_atlas, which="5")
    card = filters_card.card(found, 0, None, with_atlas)
    assert "0.50 (1 is the same picture" in card and "2.00; this picture has 2.5 times as much" in card
    assert "excite it most" not in card and "Most alike weights: " in card
    monkeypatch.setattr(dataset_images, "own", lambda: torch.zeros(1, 48, 48, dtype=torch.uint8))
    assert "The faces of PublicTest that excite it most" in filters_card.card(found, 0, None, with_atlas)


def test_sums_over_a_map_are_not_set_beside_one_neuron_s_answers(with_atlas):
    """A best real face of 2 is known of the middle neuron, as `clear` climbs it, and not of report's sum."""
    assert grown(with_atlas, "conv2d_2", "5", steps=1).best == (2,)
    assert grown(with_atlas, "conv2d_2", "5", "report", steps=1).best == (None,)
    assert grown(with_atlas, "conv2d_2", "5", steps=1, parts=["preset", "preset", "mean"]).best == (None,)
    assert grown(with_atlas, "dense_3", "3", "report", steps=1).best == (4,)


def test_a_link_to_what_the_atlas_holds_opens_at_once(with_atlas):
    _, found, *_ = browse(with_atlas, which="5")
    (end,) = visit(filters_card.link(found, 0), with_atlas)
    assert end[-3].of_atlas and "<h3>Filter 5, conv2d_2 of cnn</h3>" in end[-2]


def test_real_faces_lie_three_in_a_row_with_what_was_seen_framed():
    """Four faces of 48 pixels, three times enlarged: two rows; the window's edge is amber, a whole face has none."""
    windows = [(0, 0, 48, 48), (10, 20, 30, 40), (0, 0, 48, 48), (0, 0, 48, 48)]
    picture = dataset_images.framed(np.zeros((4, 48, 48), np.uint8), windows)
    assert picture.shape == (288, 432, 3)
    assert tuple(picture[30, 144 + 60]) == dataset_images.FRAME and not picture[:142, :142].any()


# ---- the card


def test_a_tile_opens_its_card_with_the_kernel_and_the_map_of_the_face(weights):
    found = grown(weights)
    without, index, other = filters_card.choose(found, None, clicked(2), weights=weights)
    assert (index, other) == (2, None)
    assert "<h3>Filter 2, conv2d_1 of cnn</h3>" in without and without.count("<img") == 3
    assert f"{found.values[2]:.3f}" in without and "Its kernel" in without
    assert "Its map of your face" in filters_card.card(found, 2, FACE, weights)
    assert "Most on your face" in filters_card.card(grown(weights, "dense_3", "3", steps=1), 0, FACE, weights)


def test_the_curve_has_a_point_for_every_frame(weights):
    found = grown(weights, steps=9)
    assert [step for step, _ in found.history] == [0, 4, 8, 9]
    assert found.history[-1][1] == found.values and found.history[0][1] != found.values


def test_the_card_names_the_filter_whose_kernel_is_nearly_the_same(weights):
    """Filter 3 is filter 2 twice over and a hundredth of noise."""
    assert "<dt>Most alike weights</dt><dd>3 (1.00), " in filters_card.card(grown(weights), 2, None, weights)


def test_a_class_is_set_beside_the_highest_real_face(weights):
    """Its best real face has a happy logit of 4; a picture of 10 has 2.5 times as much, one of 3 is not beyond it."""
    chain = checkpoint.load_model("cnn", weights)
    assert filters_job.best_logit(weights / "cnn", 3) == 4
    (best,) = filters_job.best(weights, "cnn", chain, "dense_3", [3])
    (_, facts), (_, short) = (filters_card.reality(best, value) for value in (10.0, 3.0))
    assert facts == {"Highest of the real faces": "4.00; this picture has 2.5 times as much"}
    assert short == {"Highest of the real faces": "4.00"}
    assert filters_job.best(weights, "cnn", chain, "dense_2", [3, 4]) == (None, None)
    assert filters_card.reality(None, 10.0) == ({}, {})


def test_each_comparison_takes_the_next_seed_and_a_picture_agrees_with_itself_at_1(weights):
    found = grown(weights, which="2,3", steps=8)
    *_, (card, other) = filters_card.compare(found, 1, None, None, weights=weights)
    assert other.asked.filters == (3,) and other.asked.seed == 1 and other.step == 8
    assert "From seed 1, step 8" in card and "Agreement of two seeds" in card
    *_, (card, other) = filters_card.compare(found, 1, other, None, weights=weights)
    assert other.asked.seed == 2
    same = filters_card.seeds(
        found.images[1],
        filters_job.VisualizationState(other.asked, ("",), found.images[1:], (False,), other.history, (None,)),
    )
    assert same[1]["Agreement of two seeds"].startswith("1.00")


def test_nothing_is_compared_before_a_tile_is_open(weights):
    with pytest.raises(gr.Error, match="Choose a tile first"):
        next(filters_card.compare(grown(weights, steps=1), None, None, None, weights=weights))


def test_the_map_of_a_face_is_the_filter_s_own(weights):
    """A kernel of zeros but for a 1 in its middle gives the face back, without its border."""
    layer = nn.Conv2d(1, 1, 3, bias=False)
    layer.weight.data = torch.zeros(1, 1, 3, 3)
    layer.weight.data[0, 0, 1, 1] = 1
    face = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    answer = filters_card.response(NamedSequential(OrderedDict(conv2d_1=layer)), "conv2d_1", 0, face)
    assert np.allclose(answer * 255, face[1:-1, 1:-1], atol=1e-3)


@pytest.mark.parametrize("index", [4, -1, True, "1", None])
def test_a_tile_that_is_not_there_cannot_be_opened(weights, index):
    with pytest.raises(gr.Error, match="not there any more"):
        filters_card.choose(grown(weights, steps=1), None, clicked(index), weights=weights)


# ---- links


def visit(link: str, weights: Path) -> list[tuple]:
    request = SimpleNamespace(query_params=dict(parse_qsl(link.removeprefix("?"))))
    return list(filters_tab.open_link(request, weights=weights))


def test_a_link_grows_the_very_same_picture_and_opens_its_card(weights):
    found = grown(weights, which="1-3", steps=6, seed=7)
    *_, end = first, *_ = visit(filters_card.link(found, 2), weights)
    network, layer, which, preset, steps, seed = first[:6]
    assert (network, layer["value"], which["value"], preset, steps, seed) == ("cnn", "conv2d_1", "3", "clear", 6, 7)
    assert np.allclose(end[-3].images[0], found.images[2], atol=1e-4) and end[-3].step == 6
    assert "<h3>Filter 3, conv2d_1 of cnn</h3>" in end[-2] and end[-1] == 0


def test_exchanged_parts_go_into_the_link_and_come_back(weights):
    found = grown(weights, which="3", steps=1, parts=["pixels", "still"])
    assert found.asked.parts == (("parametrise", "pixels"), ("transform", "still"))
    *_, end = visit(filters_card.link(found, 0), weights)
    assert end[-3].asked.parts == found.asked.parts and end[6:10] == (gr.skip(),) * 4
    assert visit(filters_card.link(found, 0), weights)[0][6:10] == ("pixels", "still", "preset", "preset")


def test_a_face_goes_into_no_link(weights):
    assert filters_card.link(grown(weights, steps=1, face=FACE, origin=filters_tab.FACE), 0) is None


@pytest.mark.parametrize("link", ["", "?tab=Filters", "?tab=Predict&filter=3"])
def test_an_address_that_names_no_filter_leaves_the_choices_and_an_empty_sheet(weights, link):
    ((*chosen, view, found, card, opened),) = visit(link, weights)
    assert chosen == [gr.skip()] * 10 and view.props["picture"] == card == "" and found is opened is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"network": "../cnn"}, "no network '../cnn'"),
        ({"layer": "<b>"}, "no layer '<b>'"),
        ({"filter": "64"}, "0 to 63"),
        ({"steps": "1e3"}, "1 to 128 steps"),
        ({"seed": "9" * 5000}, "seed of 0 or more"),
    ],
)
def test_a_link_that_was_tampered_with_is_refused_in_a_sentence(weights, change, words):
    query = {"tab": "Filters", "network": "cnn", "layer": "conv2d_1", "filter": "3", "preset": "clear"}
    request = SimpleNamespace(query_params=query | {"steps": "5", "seed": "0"} | change)
    with pytest.raises(gr.Error, match=words):
        list(filters_tab.open_link(request, weights=weights))


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
    drawn = filters_view.buttons([0], ['<b>"${x}'], [1.0], [False], (1, 1))
    drawn += filters_view.card("<b>", {"<b>": np.eye(2)}, {"<b>": "<b>"}, "data:,", '"><b>')
    assert "<b>" not in drawn and '"${x}' not in drawn
    assert not any("{{" in text for name, text in vars(filters_view).items() if name.isupper())
