"""The way from one class to another, as functions and as markup."""

from pathlib import Path

import gradio as gr
import pytest
import torch

from fer.app import static
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
    """As a click on Run leaves it."""
    token = JobToken()
    token.begin()
    return token


def test_a_step_shows_nine_images_each_with_its_prediction(weights):
    """Untrained, the happy end is predicted as happy once it is optimised, and the sad end as sad."""
    *_, step, end = interpolation.run(begun(), "dnn", "happy", "sad", weights=weights)
    sheet = step["sheet"]
    predicted = [part.split("<")[0].split()[0] for part in sheet.value.split("</i>")[1:]]
    assert len(predicted) == 9 and (predicted[0], predicted[-1]) == ("happy", "sad")
    assert sheet.props["status"].startswith("Done. Logit of happy at its end") and end["run"]["visible"]
    assert sheet.props["picture"].startswith("data:image/png;base64,")


def test_a_stop_ends_it_at_its_next_step(weights):
    token = begun()
    steps = interpolation.run(token, "dnn", "happy", "sad", weights=weights)
    next(steps)
    stopped = interpolation.stop(token)
    assert stopped["sheet"].props["status"] == "Stopped." and stopped["run"]["visible"]
    (last,) = steps
    assert last["sheet"].props["status"].startswith("Stopped at step 4 of 48. Logit of happy")


def test_a_new_run_meanwhile_ends_it_silently(weights):
    """So does one that was stopped while it was queued."""
    token = begun()
    steps = interpolation.run(token, "dnn", "happy", "sad", weights=weights)
    next(steps)
    token.begin()
    assert list(steps) == []
    interpolation.stop(token)
    assert list(interpolation.run(token, "dnn", "happy", "sad", weights=weights)) == []


def test_the_ends_are_compared_with_the_maximum_on_the_test_set(weights):
    """Happy reached 9 where no real face got above 4; without predictions of a model there is nothing to compare."""
    logits = torch.zeros(9, 7)
    logits[0, 3] = 9
    lines = interpolation.logit_texts(["happy", "angry"], [3, 0], logits, weights / "dnn")
    assert lines[0] == "Logit of happy at its end 9.0, max on test set 4.0."
    assert interpolation.logit_texts(["happy", "angry"], [3, 0], logits, weights / "nowhere") == []


@pytest.mark.parametrize(
    "first, second, words",
    [("happy", "happy", "two different classes"), ("joy", "sad", "no class 'joy'"), (None, "sad", "no class 'None'")],
)
def test_classes_without_an_interpolation_are_refused_in_a_sentence(weights, first, second, words):
    with pytest.raises(gr.Error, match=words):
        next(interpolation.run(begun(), "dnn", first, second, weights=weights))


def test_the_menus_hold_the_model_s_classes_and_start_with_happy_and_surprise(weights):
    first, second = interpolation.class_menus("dnn", weights=weights)
    assert (first["value"], second["value"], len(first["choices"])) == ("happy", "surprise", 7)
    assert interpolation.class_menus("nothing", weights=weights)[0]["choices"] == []


def test_labels_and_templates_bring_no_markup_into_the_page():
    assert "<b>" not in interpolation.strip(["<b>"] * 7, torch.zeros(9, 7))
    assert "{{" not in static.text("interpolation.html")
