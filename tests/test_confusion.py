"""The Confusion tab's handlers and markup, on answers set by hand."""

import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch

from fer import checkpoint, evaluation
from fer.data import Faces
from fer.tabs import confusion, matrix

SAD, HAPPY, NEUTRAL = 4, 3, 6


def logits_of(answer: int, second: int, strength: float) -> torch.Tensor:
    return strength * torch.eye(7)[answer] + torch.eye(7)[second]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact`: eight faces of PrivateTest, four happy read as such, four sad of which three are read as neutral."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoint.save(checkpoint.Network("compact", temperature=2.0), folder / "compact")
    rows = [logits_of(HAPPY, NEUTRAL, 8)] * 4 + [logits_of(SAD, NEUTRAL, 8)]
    rows += [logits_of(NEUTRAL, SAD, 4)] * 2 + [logits_of(NEUTRAL, HAPPY, 4)]
    truth, twin = torch.tensor([HAPPY] * 4 + [SAD] * 4), torch.arange(8) == 0
    faces = Faces(torch.zeros(8, 48, 48), truth, None, twin)
    evaluation.keep_predictions(folder / "compact" / "predictions.npz", "PrivateTest", torch.stack(rows), faces)
    return folder


def shown(weights: Path, twins: bool = False, threshold: float = 0.0, counting: str = matrix.COUNTINGS[0]) -> tuple:
    return confusion.show("compact", "PrivateTest", twins, threshold, counting, weights=weights)


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
    low, high = evaluation.wilson(5, 8)
    words = shown(weights)[2]
    assert f"Accuracy **0.6250** (n 8; 95 % interval {low:.3f} to {high:.3f})" in words


def test_twins_can_be_left_out(weights):
    """One of the four happy faces is a twin: 4 of 7 are right without it."""
    assert "Accuracy **0.5714** (n 7;" in shown(weights, twins=True)[2]


def test_unsure_answers_can_be_left_out(weights):
    """At temperature 2 the three mistakes have a top probability of .53: above .8, five of eight answers stay."""
    words = shown(weights, threshold=0.8)[2]
    assert "Accuracy **1.0000** (n 5;" in words and "62% of 8 faces are answered" in words
    table, sentence, *_ = shown(weights, threshold=0.95)
    assert table == "" and "Lower the threshold" in sentence


def test_the_table_names_what_each_emotion_is_mistaken_for_beside_report_2(weights):
    emotions = shown(weights)[3]
    assert "| sad | 4 | 1.000 | 0.250 | 0.400 | neutral (3, 75%) | neutral |" in emotions
    assert "| happy | 4 | 1.000 | 1.000 | 1.000 | - | neutral |" in emotions


def test_a_cell_of_mistakes_says_how_sure_how_often_second_and_the_other_way_round(weights):
    event = SimpleNamespace(index=SAD * 7 + NEUTRAL)
    controls = ("compact", "PrivateTest", False, 0.0, matrix.COUNTINGS[0])
    table, words = confusion.choose(*controls, event, weights=weights)
    assert words.startswith("**sad read as neutral**: 3 of 4 faces (75%), ")
    assert words.endswith("In 67% of them sad came second. The other way round: 0.")
    assert table.count('aria-pressed="true"') == 1


@pytest.mark.parametrize("index", [-1, 49, "3", None, True, 2.0])
def test_a_cell_that_is_not_there_is_refused(weights, index):
    with pytest.raises(gr.Error, match="not there any more"):
        confusion.choose(
            "compact", "PrivateTest", False, 0.0, matrix.COUNTINGS[0], SimpleNamespace(index=index), weights=weights
        )


def test_a_network_that_was_not_measured_says_how_to_measure_it(weights):
    table, sentence, *_ = confusion.show("compact", "PublicTest", False, 0.0, matrix.COUNTINGS[0], weights=weights)
    assert table == "" and "`python -m fer evaluate compact --split PublicTest`" in sentence


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nothing", "PrivateTest", False, 0.0), "no network 'nothing'"),
        (("compact", "../..", False, 0.0), "no split"),
        (("compact", "PrivateTest", False, 7.0), "threshold must be"),
        (("compact", "PrivateTest", False, float("nan")), "threshold must be"),
        (("compact", "PrivateTest", False, "high"), "threshold must be"),
    ],
)
def test_the_api_refuses_what_is_not_there_in_a_sentence(weights, arguments, words):
    with pytest.raises(gr.Error, match=words):
        confusion.confusion(*arguments, weights=weights)


def test_the_api_gives_the_numbers_of_evaluate(weights):
    """Equal to figures() on the kept logits, to the digit; with a threshold, the share that is answered."""
    answer = confusion.confusion("compact", "PrivateTest", False, 0.0, weights=weights)
    expected = evaluation.figures(*evaluation.kept(weights / "compact", "PrivateTest"), temperature=2.0)
    assert {key: answer[key] for key in expected} == expected
    assert confusion.confusion("compact", "PrivateTest", False, 0.8, weights=weights)["answered"] == 0.625


def test_labels_are_text_not_markup():
    table = matrix.table(torch.eye(2).long(), ("<b>", "${alert(1)}"), matrix.COUNTINGS[0])
    assert "<b>" not in table and "&lt;b&gt;" in table
