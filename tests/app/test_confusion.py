"""The Confusion tab's handlers and markup, on answers set by hand."""

import base64
import io
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from fer.app import components
from fer.app.confusion import explanation, handlers, matrix, upload
from fer.app.confusion import faces as confusion_faces
from fer.app.confusion import tab as confusion_tab
from fer.app.confusion.request import OWN, ConfusionRequest
from fer.attribution.confusion_pairs import ConfusionPair, FilterContrast
from fer.data.dataset import FaceDataset
from fer.data.ferplus import FERPLUS
from fer.data.image_folder import LabelledFaces
from fer.evaluation import metrics, predictions
from fer.models import checkpoint

SAD, HAPPY, NEUTRAL = 4, 3, 6


def logits_of(answer: int, second: int, strength: float) -> torch.Tensor:
    return strength * torch.eye(7)[answer] + torch.eye(7)[second]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact`: eight faces of PrivateTest, four happy read as such, four sad of which three are read as neutral.

    `cnn` reads all of them as sad; `compact-ferplus` tells other labels, and was not measured.
    """
    folder = tmp_path_factory.mktemp("weights")
    checkpoint.save_model(checkpoint.FERModel("compact", temperature=2.0), folder / "compact")
    rows = [logits_of(HAPPY, NEUTRAL, 8)] * 4 + [logits_of(SAD, NEUTRAL, 8)]
    rows += [logits_of(NEUTRAL, SAD, 4)] * 2 + [logits_of(NEUTRAL, HAPPY, 4)]
    truth, is_duplicate = torch.tensor([HAPPY] * 4 + [SAD] * 4), torch.arange(8) == 0
    faces = FaceDataset(torch.zeros(8, 48, 48), truth, None, is_duplicate)
    predictions.save_predictions(folder / "compact" / "predictions.npz", "PrivateTest", torch.stack(rows), faces)
    checkpoint.save_model(checkpoint.FERModel("cnn"), folder / "cnn")
    sad = torch.stack([logits_of(SAD, HAPPY, 8)] * 8)
    predictions.save_predictions(folder / "cnn" / "predictions.npz", "PrivateTest", sad, faces)
    checkpoint.save_model(checkpoint.FERModel("compact-ferplus", FERPLUS), folder / "compact-ferplus")
    return folder


def request(**changes) -> ConfusionRequest:
    return ConfusionRequest(**{"model": "compact", "split": "PrivateTest", "normalize": matrix.COUNTS} | changes)


def rendered(weights: Path, selected: int | None = None, **changes) -> dict:
    return handlers.render(request(**changes), selected, weights)


def clicked(weights: Path, index: object, in_comparison: bool = False, **changes) -> dict:
    return handlers.select(request(**changes), SimpleNamespace(index=index), in_comparison, weights)


def cells(table: str) -> list[str]:
    return re.findall(r"<b>([^<]*)</b>(?:<small>[^<]*</small>)?</button>", table)


def test_the_matrix_is_a_table_of_49_buttons_each_with_count_share_and_a_label(weights):
    table = rendered(weights)["matrix"]
    assert len(cells(table)) == 49 and cells(table)[SAD * 7 + NEUTRAL] == "3"
    assert 'aria-label="true sad, predicted neutral: 3 faces, 75%"' in table and "<b>3</b><small>75%</small>" in table
    assert table.count('scope="col"') == table.count('scope="row"') == 7
    assert "Predicted →" in table and "True ↓" in table


def test_the_matrix_is_one_tab_stop_at_the_selected_cell(weights):
    for selected, entry in ((None, 0), (SAD * 7 + NEUTRAL, SAD * 7 + NEUTRAL)):
        table = rendered(weights, selected)["matrix"]
        assert table.count('tabindex="0"') == 1 and f'data-choice="{entry}" tabindex="0"' in table


def test_rows_and_columns_are_shares_of_their_own_sums(weights):
    """Neutral is predicted three times, always of a sad face: 75 % of sad's row, 100 % of neutral's column."""
    by_row, by_column = (cells(rendered(weights, normalize=normalize)["matrix"]) for normalize in matrix.NORMALIZE[1:])
    assert (by_row[SAD * 7 + NEUTRAL], by_column[SAD * 7 + NEUTRAL]) == ("75%", "100%")


def test_the_summary_has_accuracy_with_n_and_interval(weights):
    low, high = metrics.wilson_interval(5, 8)
    assert f"<b>0.6250</b>n 8; 95 % interval {low:.3f} to {high:.3f}" in rendered(weights)["summary"]


def test_every_number_of_the_summary_and_the_table_is_that_of_evaluate(weights):
    """To the four and three digits that are shown."""
    figures = metrics.classification_metrics(
        *predictions.load_logits(weights / "compact", "PrivateTest"), temperature=2.0
    )
    shown = rendered(weights)
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "ece"):
        assert f"<b>{figures[key]:.4f}</b>" in shown["summary"]
    for row in figures["per_class"]:
        assert f">{row['support']}</td>" in shown["classes"] and f">{row['precision']:.3f}</td>" in shown["classes"]


def test_duplicates_can_be_left_out(weights):
    """One of the four happy faces is a duplicate: 4 of 7 are correct without it."""
    assert "<b>0.5714</b>n 7;" in rendered(weights, no_duplicates=True)["summary"]


def test_predictions_below_the_confidence_threshold_are_left_out(weights):
    """At temperature 2 the three errors have a top probability of .53: above .8, five of eight predictions stay."""
    summary = rendered(weights, threshold=0.8)["summary"]
    assert "<b>1.0000</b>n 5;" in summary and "<b>62.5%</b>of 8 faces" in summary
    shown = rendered(weights, threshold=0.95)
    assert shown["matrix"] == "" and "lower the threshold" in shown["cell"]


def test_the_table_names_the_most_frequent_mistake_beside_that_of_report_2(weights):
    found = request().predictions(weights)
    rows = matrix.class_rows(found.compute_metrics(), found.labels, metrics.top_confusion(found.confusion()))
    assert rows[SAD] == ["sad", "4", "1.000", "0.250", "0.400", "neutral (3, 75%)", "neutral"]
    assert rows[HAPPY] == ["happy", "4", "1.000", "1.000", "1.000", "-", "neutral"]


def test_a_cell_of_errors_has_confidence_rank_and_its_reverse(weights):
    shown = clicked(weights, SAD * 7 + NEUTRAL)
    assert "<b>True sad, predicted neutral</b>: 3 of 4 faces (75%), mean confidence" in shown["cell"]
    assert "In 67% of them sad is ranked 2nd. Reverse: 0." in shown["cell"]
    assert shown["matrix"].count('aria-pressed="true"') == 1 and shown["selected"] == SAD * 7 + NEUTRAL


def test_the_selected_cell_stays_when_the_model_changes(weights):
    shown = rendered(weights, SAD * 7 + NEUTRAL, model="cnn")
    assert "<b>True sad, predicted neutral</b>: no faces." in shown["cell"] and shown["selected"] == SAD * 7 + NEUTRAL
    assert rendered(weights, 49)["selected"] is None


@pytest.mark.parametrize("index", [-1, 49, "3", None, True, 2.0])
def test_a_cell_that_is_not_there_is_refused(weights, index):
    with pytest.raises(gr.Error, match="not there any more"):
        clicked(weights, index)


def test_two_models_are_subtracted_cell_by_cell(weights):
    """Of four sad faces one model predicts 1 correctly, the other 4: three fewer, and three more as neutral."""
    shown = rendered(weights, compare_with="cnn")
    table, box = shown["matrix"], shown["comparison"]
    by_cell = cells(table)
    assert by_cell[SAD * 7 + SAD] == "-3" and by_cell[SAD * 7 + NEUTRAL] == "+3" and by_cell[HAPPY * 7 + HAPPY] == "+4"
    assert 'aria-label="true sad, predicted sad: 1 by compact and 4 by cnn"' in table
    assert cells(rendered(weights, compare_with="cnn", normalize=matrix.BY_TRUE)["matrix"])[SAD * 7 + SAD] == "-75 pt"
    assert "<b>4</b>only compact is correct" in box["value"] and "<b>3</b>only cnn is correct" in box["value"]
    assert "p = 1.0000, so the difference is not significant" in box["value"] and box["visible"]


def test_the_faces_that_only_one_model_predicts_correctly_can_be_selected(weights):
    shown = clicked(weights, 1, in_comparison=True, compare_with="cnn")
    assert "Faces that <b>cnn</b> predicts correctly and <b>compact</b> does not." in shown["cell"]
    assert 'data-choice="1" aria-pressed="true"' in shown["comparison"]["value"] and shown["selected"] == 50
    assert 'aria-pressed="true"' not in shown["matrix"]
    pair = request(compare_with="cnn")
    found, rows = confusion_faces.select_rows(pair.predictions(weights), pair.other_predictions(weights), 50)
    assert sorted(found.face[rows].tolist()) == [5, 6, 7]


def test_an_ensemble_is_named_by_its_members(weights):
    """Naming the model itself once more changes nothing; one with other labels is left out."""
    ensemble = request(ensemble_with=["compact", "cnn"])
    assert ensemble.name == "ensemble:compact+cnn" and ensemble.predictions(weights).name == "ensemble:compact+cnn"
    for members in (["compact"], ["compact-ferplus"]):
        assert "<b>0.6250</b>" in rendered(weights, ensemble_with=members)["summary"]


def test_only_models_with_the_same_labels_are_offered_for_comparison(weights):
    """Chosen before the model was changed, one with other labels gives way: the matrix is never blank for it."""
    menu = rendered(weights)["compare_with"]
    assert [value if isinstance(value, str) else value[1] for value in menu["choices"]] == ["", "cnn"]
    shown = rendered(weights, compare_with="compact-ferplus", ensemble_with=["compact-ferplus"])
    assert len(cells(shown["matrix"])) == 49 and shown["compare_with"]["value"] == ""
    assert shown["ensemble_with"]["value"] == []


def test_a_model_without_predictions_says_so_without_a_command(weights):
    shown = rendered(weights, split="PublicTest")
    assert shown["matrix"] == "" and "compact has not been measured on Validation yet." in shown["cell"]


def test_faces_behind_a_cell_are_sorted_by_confidence(weights):
    found, rows = confusion_faces.select_rows(request().predictions(weights), None, HAPPY * 8)
    assert sorted(rows.tolist()) == [0, 1, 2, 3]
    confidence = found.probabilities[rows].max(1).values
    assert (confidence.diff() <= 0).all()


def test_without_fer_2013_no_face_is_shown_and_none_can_be_opened_or_explained(weights, monkeypatch):
    monkeypatch.setattr(confusion_faces, "_load_split", lambda split: None)
    shown = handlers.render_faces(request(), SAD * 7 + NEUTRAL, weights)
    assert "may not be redistributed" in shown["faces"]["value"]
    assert not shown["explain"]["visible"] and not shown["open_buttons"]["visible"]
    with pytest.raises(gr.Error, match="no faces here"):
        handlers.explain(request(), SAD * 7 + NEUTRAL, weights)
    with pytest.raises(gr.Error, match="not there any more"):
        handlers.open_face(request(), SAD * 7 + NEUTRAL, SimpleNamespace(index=0), weights)


def test_a_face_opens_with_label_and_prediction_and_becomes_the_current_face(weights, monkeypatch):
    """FER-2013 in another order than the predictions is not shown at all."""
    truth = torch.tensor([HAPPY] * 4 + [SAD] * 4)
    pixels = torch.arange(8).byte()[:, None, None].expand(8, 48, 48)
    monkeypatch.setattr(confusion_faces, "_load_split", lambda split: FaceDataset(pixels, truth, None, truth > 9))
    cell = SAD * 7 + SAD
    shown = handlers.render_faces(request(), cell, weights)
    assert 'aria-label="Face 4, true sad, predicted sad, 89%"' in shown["faces"]["value"]
    assert not shown["explain"]["visible"]
    opened = handlers.open_face(request(), cell, SimpleNamespace(index=0), weights)
    assert (opened["current_face"] == 4).all() and opened["open_buttons"]["visible"]
    assert "True <strong>sad</strong>, predicted <strong>sad</strong>" in opened["face"]["value"]
    assert handlers.render_faces(request(), SAD * 7 + NEUTRAL, weights)["explain"]["visible"]
    monkeypatch.setattr(
        confusion_faces, "_load_split", lambda split: FaceDataset(pixels, truth.flip(0), None, truth > 9)
    )
    assert "another order" in handlers.render_faces(request(), cell, weights)["faces"]["value"]


def test_a_confusion_is_explained_by_a_map(weights, monkeypatch):
    """Of four happy faces that are all predicted as sad none is correct: the map is all there is to show."""
    truth = torch.tensor([HAPPY] * 4 + [SAD] * 4)
    pixels = torch.randint(0, 255, (8, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(confusion_faces, "_load_split", lambda split: FaceDataset(pixels, truth, None, truth > 9))
    card = handlers.explain(request(model="cnn"), HAPPY * 7 + SAD, weights)["explanation"]["value"]
    assert "Red raises the logit of sad over that of happy" in card and "Filters" not in card


def test_the_filters_that_differ_are_linked_to_their_own_tab():
    filters = (FilterContrast(5, 2.0, 1.0, 1.5), FilterContrast(7, 1.0, 2.0, -1.25))
    flat = np.zeros((48, 48))
    pair = ConfusionPair(9, 9, flat.astype(np.uint8), flat, {"mouth": 1.0}, "activation_6", filters, (1.0, -0.5, 0.9))
    card = explanation.explanation_card(pair, "compact", ("happy", "sad"), 1)
    assert "tab=Filters&amp;" in card and "=compact&amp;layer=activation_6&amp;filter=5" in card
    assert "(+1.5 std)" in card and "(-1.2 std)" in card
    assert "the logit of sad exceeds that of happy by +1.00" in card and "more by -0.50, without" in card


def test_own_faces_get_the_same_page_and_nothing_goes_before_they_are_uploaded(weights, tmp_path):
    """Four made-up faces, one of a label that the model does not predict; the predictions are the model's."""
    pixels = torch.randint(0, 255, (4, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    own = LabelledFaces("mine.zip", pixels, ("happy", "sad", "contempt", "happy"))
    assert list(rendered(weights, split=OWN)) == ["cell"] and "Upload" in rendered(weights, split=OWN)["cell"]
    shown = rendered(weights, split=OWN, own_faces=own)
    expected = predictions.predict_split(checkpoint.load_model("compact", weights), pixels).argmax(1)[[0, 1, 3]]
    found = request(split=OWN, own_faces=own).predictions(weights)
    assert torch.equal(found.predicted, expected) and "n 3;" in shown["summary"]
    assert sum(int(cell) for cell in cells(shown["matrix"])) == 3
    cell = int(found.truth[0]) * 7 + int(found.predicted[0])
    faces = handlers.render_faces(request(split=OWN, own_faces=own), cell, weights)["faces"]["value"]
    assert 'class="faces"' in faces


def test_an_upload_is_gone_once_it_is_read_or_refused(tmp_path, monkeypatch):
    """Nothing is left of it, not even its folder; a file elsewhere on the server is neither read nor deleted."""
    uploads = tmp_path / "uploads"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    for content in (b"no archive", zip_of({"happy/1.png": picture()})):
        file = uploads / "0f" / "faces.zip"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        payload = {"path": str(file), "orig_name": "<i>faces.zip"}
        if content == b"no archive":
            with pytest.raises(gr.Error, match="no zip archive"):
                upload.read_upload(payload, detect=False)
        else:
            own, words = upload.read_upload(payload, detect=False)
            assert len(own.names) == 1 and "<strong>1 faces</strong> of &lt;i&gt;faces.zip: 1 happy" in words
        assert list(uploads.iterdir()) == []
    (tmp_path / "other.zip").write_bytes(b"mine")
    with pytest.raises(gr.Error, match="not, or no longer"):
        upload.read_upload({"path": str(tmp_path / "other.zip")}, detect=False)
    assert (tmp_path / "other.zip").exists()


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (48, 48), 99).save(stream, "png")
    return stream.getvalue()


def test_diagrams_are_drawn_once_for_a_request(weights):
    drawn = handlers.render_diagrams(request(), None, weights)
    assert drawn["diagrams"].count("data:image/svg+xml") == 4
    assert 'download="compact-test-reliability.svg"' in drawn["diagrams"]
    assert handlers.render_diagrams(request(), drawn["drawn_for"], weights) == {}
    other = handlers.render_diagrams(request(threshold=0.5, compare_with="cnn"), drawn["drawn_for"], weights)
    assert other["drawn_for"] != drawn["drawn_for"]


def test_the_matrix_is_exported_as_figure_and_table(weights):
    saved = handlers.export(request(), None, weights)["exported"]
    content = base64.b64decode(re.search(r"data:text/csv;base64,([^\"]*)", saved)[1]).decode().splitlines()
    assert content[0] == "true,angry,disgust,fear,happy,sad,surprise,neutral" and content[5] == "sad,0,0,0,0,1,0,3"
    assert 'download="compact-test-matrix.svg"' in saved and 'data-png="compact-test-matrix.png"' in saved


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nothing", "PrivateTest", False, 0.0), "no network 'nothing'"),
        (("ensemble:compact+compact", "PrivateTest", False, 0.0), "not the same"),
        (("ensemble:compact+../x", "PrivateTest", False, 0.0), "no network '../x'"),
        (("compact", "../..", False, 0.0), "No split"),
        (("compact", "PrivateTest", False, 7.0), "threshold is"),
        (("compact", "PrivateTest", False, float("nan")), "threshold is"),
        (("compact", "PrivateTest", False, "high"), "threshold is"),
        (("compact", "PrivateTest", False, 0.0, "compact-ferplus"), "has not been measured"),
    ],
)
def test_the_api_refuses_what_is_not_there_in_a_sentence(weights, arguments, words):
    with pytest.raises(gr.Error, match=words):
        confusion_tab.confusion(*arguments, weights=weights)


def test_the_api_gives_the_numbers_of_evaluate(weights):
    """Equal to figures() on the kept logits, to the digit; with a threshold, the share that is answered."""
    answer = confusion_tab.confusion("compact", "PrivateTest", False, 0.0, "cnn", weights=weights)
    expected = metrics.classification_metrics(
        *predictions.load_logits(weights / "compact", "PrivateTest"), temperature=2.0
    )
    assert {key: answer[key] for key in expected} == expected
    assert answer["compared"]["only_first"] == 4 and answer["mistaken_for"]["sad"] == "neutral"
    assert confusion_tab.confusion("compact", "PrivateTest", False, 0.8, weights=weights)["answered"] == 0.625


def test_labels_are_text_not_markup():
    labels = ("<i>", "${alert(1)}")
    for table in (
        matrix.table(torch.eye(2).long(), labels, matrix.COUNTS),
        matrix.difference(torch.eye(2).long(), torch.ones(2, 2).long(), labels, matrix.COUNTS, ("<i>", "<i>")),
        components.table(labels, [labels], "<i>", "<i>"),
        components.cards({"<i>": ("<i>", "<i>")}),
    ):
        assert "<i>" not in table and "&lt;i&gt;" in table


def test_a_cell_that_is_a_web_address_is_a_link():
    assert components.linked("https://a.org/x?<") == (
        '<a href="https://a.org/x?&lt;" target="_blank" rel="noopener">a.org/x?&lt;</a>'
    )
    assert components.linked("javascript:alert(1)") == "javascript:alert(1)"
