"""The README's table of the reports' claims: every figure in it is one that was measured and kept."""

import json
import re
from pathlib import Path

import pytest
import torch

from fer.attribution import region_benchmark
from fer.evaluation import metrics, predictions
from fer.features import redundancy
from fer.models import checkpoint

README = Path(__file__).parent.parent / "README.md"
SECTION = README.read_text(encoding="utf-8").split("## What the reports said")[1].split("\n## ")[0]
ROWS = [line.strip("| ").split(" | ") for line in SECTION.splitlines() if re.match(r"\| [12] \|", line)]
STUDIES = {found[1]: row for row in ROWS if (found := re.search(r"0\.\d.*weights/studies/([\w-]+)", row[3]))}
TAKEN_FOR = {
    "angry": "sad", "disgust": "angry", "fear": "sad", "happy": "neutral", "sad": "neutral", "surprise": "fear",
    "neutral": "sad",
}  # fmt: skip


def row(word: str) -> list[str]:
    return next(each for each in ROWS if word in each[1])


def numbers(text: str) -> set[float]:
    return {float(number) for number in re.findall(r"0\.\d+", text)}


def matrix(name: str) -> torch.Tensor:
    """The confusion matrix (K, K) of a shipped network on PrivateTest."""
    logits, labels, _ = predictions.load_logits(checkpoint.WEIGHTS / name, "PrivateTest")
    return metrics.confusion_matrix(logits.argmax(1), labels, logits.shape[1])


def table(study: str) -> list[dict]:
    return json.loads((checkpoint.WEIGHTS / "studies" / study / "results.json").read_text(encoding="utf-8"))["rows"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_s_figures_are_those_of_its_table(name: str):
    """Ours are accuracies in results.json, rounded to four places; the report's stand in it beside them."""
    rows = table(name)
    ours = {round(each["accuracy"], 4) for each in rows if each.get("accuracy") is not None}
    theirs = {value for each in rows for key, value in each.items() if key.startswith("report")}
    assert numbers(STUDIES[name][3]) <= ours and numbers(STUDIES[name][2]) <= theirs


def test_what_duplicates_are_worth_is_what_the_study_found():
    """Three accuracies of the network that was trained with them, three of the one without."""
    said = (
        README.read_text(encoding="utf-8")
        .split("How much of a published accuracy is memory?")[1]
        .split("weights/studies/duplicates")[0]
    )
    rows = [each for each in table("duplicates") if "trained" in each["network"]]
    keys = ("accuracy", "with_duplicate", "without_duplicate")
    assert len(rows) == 2 and {each["n_with_duplicate"] for each in rows} == {294}
    assert re.findall(r"0\.\d{4}", said) == [f"{each[key]:.4f}" for key in keys for each in rows]


def test_no_unit_is_dead_with_relu_or_with_selu():
    counts = [each for each in table("relu-against-selu") if each["layer"] == "all"]
    assert row("SELU cures")[3].startswith("0 of 8,832 are dead")
    assert [(each["dead"], each["units"]) for each in counts] == [(0, 8832), (0, 8832)]


def test_so_many_units_are_dead_without_normalisation():
    raw, unit, _ = table("normalisation")
    said = [int(share) for share in re.findall(r"(\d+) %", row("sticks")[3])]
    assert said == [round(100 * each["dead"] / each["units"]) for each in (raw, unit)]


def test_the_three_vggs_read_what_their_configs_say():
    names = ("vgg16-relu", "vgg16-selu", "vgg19-selu")
    kept = [checkpoint.load_meta(name).metrics["private_test"]["accuracy"] for name in names]
    assert [float(number) for number in row("VGG16")[3].split(", ")] == [round(accuracy, 4) for accuracy in kept]


def test_cnn_finds_happy_fear_and_sad_as_often_as_its_answers_say():
    recall = [each["recall"] for each in metrics.per_class_metrics(matrix("cnn"))]
    assert re.findall(r"0\.\d+", row("Happy")[3]) == [f"{recall[label]:.3f}" for label in (3, 2, 4)]


def test_so_many_emotions_are_taken_for_the_same_as_in_the_report():
    """Each for the one that it is read as most often by mistake."""
    said = {name: int(count) for count, name in re.findall(r"(\d) (?:of 7 the same )?for `([\w-]+)`", row("taken")[3])}
    assert len(said) == 4
    for name, count in said.items():
        labels = checkpoint.load_meta(name).labels
        found = [labels[answer] for answer, _ in metrics.top_confusion(matrix(name))]
        assert sum(TAKEN_FOR[label] == answer for label, answer in zip(labels, found, strict=True)) == count


def test_filters_that_can_go_and_pixels_that_matter_are_as_measured():
    first = redundancy.load_redundancy(checkpoint.WEIGHTS / "cnn").pruned[0]
    assert row("first filters see")[3].startswith(f"{first['strategies']['reconstruct']['removable']} of 64")
    assert (
        f"{region_benchmark.load_region_attribution(checkpoint.WEIGHTS / 'compact').claim.times:.2f} times"
        in row("Eyes")[3]
    )
