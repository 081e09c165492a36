"""cards: what the README and the cards say is what config.json holds."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from fer.features import redundancy
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.release import model_card
from fer.training import config as training_config
from fer.training import history
from fer.training.config import default_config

README = Path(__file__).parents[2] / "README.md"
SHIPPED = checkpoint.list_checkpoints()


def figures(accuracy: float, split: str = "PrivateTest") -> dict:
    row = dict.fromkeys(("macro_f1", "balanced_accuracy", "ece"), 0.5) | {"split": split, "tta": False}
    for suffix, n in (("", 3589), ("_deduplicated", 3279)):
        row |= {f"accuracy{suffix}": accuracy, f"n{suffix}": n, f"ci95{suffix}": [accuracy - 0.015, accuracy + 0.015]}
    return row


def test_a_card_says_accuracy_n_and_interval(tmp_path: Path):
    """The measured line stands in the card, and goes when the figure does."""
    network = FERModel("dnn")
    model_card.record_metrics(network, tmp_path, figures(0.4321))
    assert "| PrivateTest | 0.4321 (n 3,589; 0.417 to 0.447) |" in (tmp_path / "README.md").read_text(encoding="utf-8")
    model_card.record_metrics(network, tmp_path, figures(0.5))
    assert "0.4321" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_cards_front_matter_tells_the_hub_what_was_measured(tmp_path: Path):
    """Four metrics of PrivateTest, of which the second is .6 of 3,279 faces; a second measurement replaces them."""
    network = FERModel("dnn")
    for accuracy in (0.5, 0.6):
        model_card.record_metrics(network, tmp_path, figures(accuracy))
    told = ModelCard.load(tmp_path / "README.md").data
    assert told.license == "mit" and len(told.eval_results) == 4
    second = told.eval_results[1]
    assert second.metric_value == 0.6 and second.metric_name == "PrivateTest: accuracy without duplicates (n 3,279)"


def test_a_setting_that_is_empty_is_written_so_that_a_shell_hands_it_over():
    """vgg16-selu is taught by another network unless told otherwise."""
    told = training_config.training_commands(asdict(default_config("vgg16-selu", teacher="")))
    assert told == "python -m fer train vgg16-selu --teacher ''"


def test_a_card_gives_the_commands_of_both_stages():
    """Only what differs from the network's own recipe is a flag; one that teaches what comes of it is EARLIER too."""
    first = asdict(default_config("dnn", epochs=9))
    second = asdict(default_config("dnn", init_from="weights/dnn", degrees=5.0)) | {"previous_stage": first}
    lines = [
        "python -m fer train dnn --epochs 9 --out EARLIER",
        "python -m fer train dnn --init-from EARLIER --degrees 5.0",
    ]
    assert training_config.training_commands(second).splitlines() == lines
    taught = training_config.training_commands(second | {"teacher": "weights/dnn"}).splitlines()
    assert taught[1] == "python -m fer train dnn --init-from EARLIER --teacher EARLIER --degrees 5.0"


def test_the_table_has_a_line_for_every_network_and_dashes_for_what_is_not_measured():
    """dnn is measured on PrivateTest only."""
    network = FERModel("dnn", metrics={"private_test": figures(0.4321), model_card.LATENCY_KEY: 1.25})
    line = model_card.models_table([network]).splitlines()[2]
    assert line == "| `dnn` | 3,151,367 | 6.3 MB | - | 0.4321 (0.417 to 0.447) | 0.4321 | - | - | 0.500 | 0.500 | 1.2 |"


def test_the_readmes_table_agrees_with_the_shipped_networks():
    """`python -m fer models --readme` was run after the last measurement."""
    start, end = model_card.README_MARKS
    stands = README.read_text(encoding="utf-8").split(start)[1].split(end)[0].strip()
    assert stands == model_card.models_table([checkpoint.load_model(name) for name in checkpoint.list_models()])


def test_the_readme_says_of_five_networks_how_many_first_filters_can_be_merged_as_was_measured():
    """59 of `cnn`'s, 49 of `vgg16-relu`'s 64 ...: the counts of filter_redundancy.npz."""
    words = README.read_text(encoding="utf-8").split("They would:")[1].split("(`python")[0]
    said = {name: int(count) for count, name in re.findall(r"(\d+) of `([\w-]+)`'s", words)}
    measured = {
        name: redundancy.load_redundancy(checkpoint.WEIGHTS / name).pruned[0]["strategies"]["reconstruct"]
        for name in said
    }
    assert len(said) == 5 and said == {name: way["removable"] for name, way in measured.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_card_agrees_with_its_config(name: str):
    """The figures between the card's marks are those of config.json, and all faces of PrivateTest are among them."""
    network = checkpoint.load_model(name)
    card = (checkpoint.WEIGHTS / name / "README.md").read_text(encoding="utf-8")
    assert model_card.figures_table(network) in card and card.startswith(
        f"---\n{model_card.front_matter(network)}\n---\n"
    )
    assert network.metrics["private_test"]["n"] == {7: 3589, 8: 3153}[len(network.labels)]


@pytest.mark.parametrize("name", SHIPPED)
def test_float16_changes_the_accuracy_of_no_shipped_network_by_more_than_a_thousandth(name: str):
    """On PublicTest: the epoch that was chosen, measured while it was trained in float32, and what was kept of it."""
    network, key = checkpoint.load_model(name), "public_accuracy_deduplicated"
    epochs = history.read_history(checkpoint.WEIGHTS / name)[-network.train_config["epochs"] :]
    before = max(epochs, key=lambda row: row[key])
    after = network.metrics["public_test"]
    assert after["accuracy"] == pytest.approx(before["public_accuracy"], abs=0.001)
    assert after["accuracy_deduplicated"] == pytest.approx(before[key], abs=0.001)
