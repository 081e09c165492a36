"""The way from one class to another, as functions and as markup."""

from pathlib import Path

import gradio as gr
import pytest
import torch

from fer.app.filters import interpolation
from fer.app.filters.job import JobToken
from fer.models import checkpoint
from tests.pages import write_predictions


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A `dnn` before training; the highest happy logit that it gave to a real face is 4, the highest of angry 0."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    checkpoint.save_model(checkpoint.FERModel("dnn"), folder / "dnn")
    write_predictions(folder / "dnn")
    return folder


def begun() -> JobToken:
    """As a Start leaves it."""
    turn = JobToken()
    turn.begin()
    return turn


def test_a_frame_shows_nine_pictures_each_with_what_it_is_read_as(weights):
    """Untrained, the happy end is read as happy once it has grown, and the sad end as sad."""
    *_, view, _ = interpolation.grow(begun(), "dnn", "happy", "sad", weights=weights)
    words = [part.split("<")[0].split()[0] for part in view.value.split("</i>")[1:]]
    assert len(words) == 9 and (words[0], words[-1]) == ("happy", "sad")
    assert view.props["status"].startswith("Done. The happy end&#x27;s happy logit is")
    assert view.props["picture"].startswith("data:image/png;base64,")


def test_a_stop_ends_it_with_its_next_frame_and_says_where(weights):
    turn = begun()
    frames = interpolation.grow(turn, "dnn", "happy", "sad", weights=weights)
    next(frames)
    assert interpolation.stop(turn).props["status"] == "Stopped."
    (last,) = frames
    assert last.props["status"].startswith("Stopped at step 4 of 48. The happy end&#x27;s")


def test_a_start_meanwhile_ends_it_without_another_word(weights):
    """Nor does one that was stopped while it waited say anything."""
    turn = begun()
    frames = interpolation.grow(turn, "dnn", "happy", "sad", weights=weights)
    next(frames)
    interpolation.wait(turn)
    assert list(frames) == [gr.skip()]
    interpolation.stop(turn)
    assert list(interpolation.grow(turn, "dnn", "happy", "sad", weights=weights)) == [gr.skip()]


def test_a_stop_after_the_end_leaves_what_is_there(weights):
    turn = begun()
    list(interpolation.grow(turn, "dnn", "happy", "sad", weights=weights))
    assert interpolation.stop(turn) == gr.skip()


def test_the_ends_are_set_beside_the_highest_real_face(weights):
    """Happy climbed to 9 where no real face got above 4; of a network that was not measured nothing is said."""
    logits = torch.zeros(9, 7)
    logits[0, 3] = 9
    lines = interpolation.beyond(["happy", "angry"], [3, 0], logits, weights / "dnn")
    assert lines[0] == "The happy end's happy logit is 9.0; the highest of any real face is 4.0."
    assert interpolation.beyond(["happy", "angry"], [3, 0], logits, weights / "nowhere") == []


@pytest.mark.parametrize(
    "first, second, words",
    [("happy", "happy", "two different classes"), ("joy", "sad", "no class 'joy'"), (None, "sad", "no class 'None'")],
)
def test_what_has_no_way_between_is_told_in_a_sentence(weights, first, second, words):
    with pytest.raises(gr.Error, match=words):
        next(interpolation.grow(begun(), "dnn", first, second, weights=weights))


def test_the_menus_hold_the_network_s_classes_and_start_with_happy_and_surprise(weights):
    first, second = interpolation.classes("dnn", weights=weights)
    assert (first["value"], second["value"], len(first["choices"])) == ("happy", "surprise", 7)
    assert interpolation.classes("nothing", weights=weights)[0]["choices"] == []


def test_labels_and_templates_bring_no_markup_into_the_page():
    assert "<b>" not in interpolation.strip(["<b>"] * 7, torch.zeros(9, 7))
    assert "{{" not in interpolation.VIEW + interpolation.CSS
