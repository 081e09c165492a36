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
from fer.app.confusion import examples, matrix, upload
from fer.app.confusion import handlers as confusion_handlers
from fer.app.confusion import tab as confusion_tab
from fer.attribution.confusion_pairs import ConfusionPair, Filter
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


def asked(**changes) -> list:
    """What the handlers take: network, split, counting, against, threshold, without duplicates, members, own faces."""
    usual = {"network": "compact", "split": "PrivateTest", "counting": matrix.COUNTINGS[0], "against": ""}
    usual |= {"threshold": 0.0, "without_duplicates": False, "members": [], "own": None}
    return list((usual | changes).values())


def shown(weights: Path, chosen: int | None = None, **changes) -> tuple:
    return confusion_handlers.show(*asked(**changes), chosen, weights=weights)


def clicked(weights: Path, index: object, side: bool = False, **changes) -> tuple:
    return confusion_handlers.choose(*asked(**changes), event=SimpleNamespace(index=index), side=side, weights=weights)


def cells(table: str) -> list[str]:
    return re.findall(r">([^<]*)</button>", table)


def test_the_matrix_is_a_table_of_49_buttons_each_with_its_words(weights):
    table, *_ = shown(weights)
    assert len(cells(table)) == 49 and cells(table)[SAD * 7 + NEUTRAL] == "3"
    assert 'aria-label="sad read as neutral: 3 faces, 75%"' in table
    assert table.count('scope="col"') == table.count('scope="row"') == 7


def test_rows_and_columns_are_shares_of_their_own_sums(weights):
    """Neutral is read three times, always of a sad face: 75 % of sad's row, 100 % of neutral's column."""
    by_row, by_column = (cells(shown(weights, counting=counting)[0]) for counting in matrix.COUNTINGS[1:])
    assert (by_row[SAD * 7 + NEUTRAL], by_column[SAD * 7 + NEUTRAL]) == ("75%", "100%")


def test_the_summary_says_accuracy_with_n_and_interval(weights):
    low, high = metrics.wilson_interval(5, 8)
    words = shown(weights)[2]
    assert f"<b>0.6250</b>n 8; 95 % interval {low:.3f} to {high:.3f}" in words


def test_every_number_of_the_summary_and_the_table_is_that_of_evaluate(weights):
    """To the four and three digits that are shown."""
    figures = metrics.classification_metrics(
        *predictions.load_logits(weights / "compact", "PrivateTest"), temperature=2.0
    )
    _, _, words, _, _, table, _ = shown(weights)
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "ece"):
        assert f"<b>{figures[key]:.4f}</b>" in words
    for row in figures["per_class"]:
        assert f">{row['support']}</td>" in table and f">{row['precision']:.3f}</td>" in table


def test_duplicates_can_be_left_out(weights):
    """One of the four happy faces is a duplicate: 4 of 7 are right without it."""
    assert "<b>0.5714</b>n 7;" in shown(weights, without_duplicates=True)[2]


def test_unsure_answers_can_be_left_out(weights):
    """At temperature 2 the three mistakes have a top probability of .53: above .8, five of eight answers stay."""
    words = shown(weights, threshold=0.8)[2]
    assert "<b>1.0000</b>n 5;" in words and "<b>62.5%</b>of 8 faces" in words
    table, sentence, *_ = shown(weights, threshold=0.95)
    assert table == "" and "lower the threshold" in sentence


def test_the_table_names_what_each_emotion_is_mistaken_for_beside_report_2(weights):
    found = confusion_handlers.ConfusionRequest(*asked()).found(weights)
    rows = matrix.emotions(found.figures(), found.labels, metrics.top_confusion(found.confusion()))
    assert rows[SAD] == ["sad", "4", "1.000", "0.250", "0.400", "neutral (3, 75%)", "neutral"]
    assert rows[HAPPY] == ["happy", "4", "1.000", "1.000", "1.000", "-", "neutral"]


def test_a_cell_of_mistakes_says_how_sure_how_often_second_and_the_other_way_round(weights):
    table, words, _, chosen = clicked(weights, SAD * 7 + NEUTRAL)
    assert words.startswith("**sad read as neutral**: 3 of 4 faces (75%), ")
    assert words.endswith("In 67% of them sad came second. The other way round: 0.")
    assert table.count('aria-pressed="true"') == 1 and chosen == SAD * 7 + NEUTRAL


def test_the_chosen_cell_stays_when_the_network_changes(weights):
    table, words, *_, chosen = shown(weights, chosen=SAD * 7 + NEUTRAL, network="cnn")
    assert words == "**sad read as neutral**: no face." and chosen == SAD * 7 + NEUTRAL
    assert 'data-choice="34" title="sad read as neutral' in table
    assert shown(weights, chosen=49)[-1] is None


@pytest.mark.parametrize("index", [-1, 49, "3", None, True, 2.0])
def test_a_cell_that_is_not_there_is_refused(weights, index):
    with pytest.raises(gr.Error, match="not there any more"):
        clicked(weights, index)


def test_two_networks_are_subtracted_cell_by_cell(weights):
    """Of four sad faces one network reads 1 right, the other 4: three fewer, and three more read as neutral."""
    table, _, _, box, *_ = shown(weights, against="cnn")
    by_cell = cells(table)
    assert by_cell[SAD * 7 + SAD] == "-3" and by_cell[SAD * 7 + NEUTRAL] == "+3" and by_cell[HAPPY * 7 + HAPPY] == "+4"
    assert 'aria-label="sad read as sad: 1 by compact and 4 by cnn"' in table
    assert cells(shown(weights, against="cnn", counting=matrix.COUNTINGS[1])[0])[SAD * 7 + SAD] == "-75 pt"
    assert "<b>4</b>only compact is right" in box["value"] and "<b>3</b>only cnn is right" in box["value"]
    assert "p 1.0000, so this may well be chance" in box["value"] and box["visible"]


def test_the_faces_that_only_one_network_reads_right_can_be_chosen(weights):
    table, words, box, chosen = clicked(weights, 1, side=True, against="cnn")
    assert words == "Faces that **cnn** reads right and **compact** does not." and chosen == 50
    assert 'data-choice="1" aria-pressed="true"' in box["value"] and 'aria-pressed="true"' not in table
    chosen = confusion_handlers.ConfusionRequest(*asked(against="cnn"))
    found, rows = examples.rows_of(chosen.found(weights), chosen.other(weights), 50)
    assert sorted(found.face[rows].tolist()) == [5, 6, 7]


def test_an_ensemble_is_named_by_its_members(weights):
    """The other members are asked beside the network; naming it once more changes nothing."""
    question = confusion_handlers.ConfusionRequest(*asked(members=["compact", "cnn"]))
    assert question.name == "ensemble:compact+cnn" and question.found(weights).name == "ensemble:compact+cnn"
    assert "<b>0.6250</b>" in shown(weights, members=["compact"])[2]
    assert "tell other labels apart" in shown(weights, members=["compact-ferplus"])[1]


def test_a_network_that_was_not_measured_says_how_to_measure_it(weights):
    table, sentence, *_ = shown(weights, split="PublicTest")
    assert table == "" and "`python -m fer evaluate compact --split PublicTest`" in sentence


def test_faces_behind_a_cell_come_surest_first(weights):
    found, rows = examples.rows_of(confusion_handlers.ConfusionRequest(*asked()).found(weights), None, HAPPY * 8)
    assert sorted(rows.tolist()) == [0, 1, 2, 3]
    sure = found.probabilities[rows].max(1).values
    assert (sure.diff() <= 0).all()


def test_without_fer_2013_the_faces_say_how_to_get_it(weights, monkeypatch):
    monkeypatch.setattr(examples, "_at_hand", lambda split: None)
    tiles, card, because, row, why = confusion_handlers.faces(*asked(), SAD * 7 + NEUTRAL, weights=weights)
    assert "fer2013.csv" in tiles["value"] and not why["visible"] and not row["visible"]
    with pytest.raises(gr.Error, match="no faces here"):
        confusion_handlers.why(*asked(), SAD * 7 + NEUTRAL, weights=weights)
    with pytest.raises(gr.Error, match="not there any more"):
        confusion_handlers.open_face(*asked(), SAD * 7 + NEUTRAL, event=SimpleNamespace(index=0), weights=weights)


def test_a_face_opens_with_its_label_its_reading_and_as_the_visitor_s_face(weights, monkeypatch):
    """FER-2013 in another order than the answers is not shown at all."""
    truth = torch.tensor([HAPPY] * 4 + [SAD] * 4)
    pixels = torch.arange(8).byte()[:, None, None].expand(8, 48, 48)
    monkeypatch.setattr(examples, "_at_hand", lambda split: FaceDataset(pixels, truth, None, truth > 9))
    cell = SAD * 7 + SAD
    tiles, *_, why = confusion_handlers.faces(*asked(), cell, weights=weights)
    assert 'aria-label="Face 4, label sad, read as sad, 89%"' in tiles["value"] and not why["visible"]
    tiles, card, row, face = confusion_handlers.open_face(
        *asked(), cell, event=SimpleNamespace(index=0), weights=weights
    )
    assert (face == 4).all() and "Label <strong>sad</strong>" in card["value"] and row["visible"]
    assert confusion_handlers.faces(*asked(), SAD * 7 + NEUTRAL, weights=weights)[-1]["visible"]
    monkeypatch.setattr(examples, "_at_hand", lambda split: FaceDataset(pixels, truth.flip(0), None, truth > 9))
    assert "another order" in confusion_handlers.faces(*asked(), cell, weights=weights)[0]["value"]


def test_why_answers_with_a_map(weights, monkeypatch):
    """Of four happy faces that are all read as sad there is no right one: the map is all there is to say."""
    truth = torch.tensor([HAPPY] * 4 + [SAD] * 4)
    pixels = torch.randint(0, 255, (8, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(examples, "_at_hand", lambda split: FaceDataset(pixels, truth, None, truth > 9))
    told = confusion_handlers.why(*asked(network="cnn"), HAPPY * 7 + SAD, weights=weights)["value"]
    assert "what speaks for sad (red) rather than happy (blue)" in told and "Filters" not in told


def test_the_filters_that_differ_lead_to_their_own_tab():
    filters = (Filter(5, 2.0, 1.0, 1.5), Filter(7, 1.0, 2.0, -1.25))
    flat = np.zeros((48, 48))
    mixup = ConfusionPair(9, 9, flat.astype(np.uint8), flat, {"mouth": 1.0}, "activation_6", filters, (1.0, -0.5, 0.9))
    told = examples.told(mixup, "compact", ("happy", "sad"), 1)
    assert "tab=Filters&amp;network=compact&amp;layer=activation_6&amp;filter=5" in told
    assert "(1.5 deviations more)" in told and "(1.2 deviations less)" in told
    assert "The logit of sad is +1.00 above that of happy on average" in told and "it is -0.50, without" in told


def test_own_faces_get_the_same_page(weights, tmp_path):
    """Four made-up faces, one of a label that the network does not tell; the answers are those of the network."""
    pixels = torch.randint(0, 255, (4, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    own = LabelledFaces("mine.zip", pixels, ("happy", "sad", "contempt", "happy"))
    assert "There are no faces of yours yet" in shown(weights, split=confusion_handlers.OWN)[1]
    table, _, words, *_ = shown(weights, split=confusion_handlers.OWN, own=own)
    expected = predictions.predict_split(checkpoint.load_model("compact", weights), pixels).argmax(1)[[0, 1, 3]]
    found = confusion_handlers.ConfusionRequest(*asked(split=confusion_handlers.OWN, own=own)).found(weights)
    assert torch.equal(found.read, expected) and "n 3;" in words
    assert sum(int(cell) for cell in cells(table)) == 3
    cell = int(found.truth[0]) * 7 + int(found.read[0])
    assert (
        'class="faces"'
        in confusion_handlers.faces(*asked(split=confusion_handlers.OWN, own=own), cell, weights=weights)[0]["value"]
    )


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
                upload.take(payload, find=False)
        else:
            own, words = upload.take(payload, find=False)
            assert len(own.names) == 1 and "<strong>1 faces</strong> of &lt;i&gt;faces.zip: 1 happy" in words
        assert list(uploads.iterdir()) == []
    (tmp_path / "other.zip").write_bytes(b"mine")
    with pytest.raises(gr.Error, match="not, or no longer"):
        upload.take({"path": str(tmp_path / "other.zip")}, find=False)
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


def test_diagrams_are_drawn_once_for_a_choice(weights):
    drawn, key = confusion_handlers.draw(*asked(), None, weights=weights)
    assert drawn.count("data:image/svg+xml") == 4 and 'download="compact-PrivateTest-reliability.svg"' in drawn
    assert confusion_handlers.draw(*asked(), key, weights=weights) == (gr.skip(), gr.skip())
    assert confusion_handlers.draw(*asked(threshold=0.5, against="cnn"), key, weights=weights)[1] != key


def test_the_matrix_is_saved_as_figure_and_table(weights):
    saved = confusion_handlers.to_save(*asked(), weights=weights)
    content = base64.b64decode(re.search(r"data:text/csv;base64,([^\"]*)", saved)[1]).decode().splitlines()
    assert content[0] == "label,angry,disgust,fear,happy,sad,surprise,neutral" and content[5] == "sad,0,0,0,0,1,0,3"
    assert 'download="compact-PrivateTest-matrix.svg"' in saved and 'data-png="compact-PrivateTest-matrix.png"' in saved


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
        matrix.table(torch.eye(2).long(), labels, matrix.COUNTINGS[0]),
        matrix.difference(torch.eye(2).long(), torch.ones(2, 2).long(), labels, matrix.COUNTINGS[0], ("<i>", "<i>")),
        components.table(labels, [labels], "<i>", "<i>"),
        components.cards({"<i>": ("<i>", "<i>")}),
    ):
        assert "<i>" not in table and "&lt;i&gt;" in table


def test_a_cell_that_is_a_web_address_is_a_link():
    assert components.linked("https://a.org/x?<") == (
        '<a href="https://a.org/x?&lt;" target="_blank" rel="noopener">a.org/x?&lt;</a>'
    )
    assert components.linked("javascript:alert(1)") == "javascript:alert(1)"
