"""The Models tab's handlers."""

import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from fer.app import components
from fer.app.model_cache import outline
from fer.app.models import studies
from fer.app.models import tab as models_tab
from fer.app.models import table as models_table
from fer.models import checkpoint
from fer.plotting import evaluation, training
from fer.release import model_card
from fer.studies.published_results import PUBLIC, REPORTS


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact` with a card and two epochs of history, and a broken `dnn`."""
    folder = tmp_path_factory.mktemp("weights")
    measured = {"accuracy": 0.7, "n": 3589, "ci95": [0.685, 0.715], "accuracy_deduplicated": 0.69}
    measured |= {
        "n_deduplicated": 3279,
        "ci95_deduplicated": [0.674, 0.706],
        "balanced_accuracy": 0.65,
        "macro_f1": 0.66,
        "ece": 0.02,
    }
    network = checkpoint.FERModel("compact", metrics={"private_test": measured})
    for name in ("compact", "dnn"):
        checkpoint.save_model(network, folder / name)
    model_card.write_card(network, folder / "compact")
    header = "epoch,size,lr,loss,accuracy,public_loss,public_accuracy,public_accuracy_deduplicated"
    (folder / "compact" / "history.csv").write_text(
        f"{header}\n1,48,1,2,.2,2,.2,.2\n2,48,1,1,.5,1,.5,.5\n", encoding="utf-8"
    )
    (folder / "dnn" / "model.safetensors").write_bytes(b"broken")
    return folder


def test_a_network_shows_its_facts_its_curves_its_layers_and_its_card(weights):
    facts, curves, layers, recipe, card = models_tab.show("compact", weights=weights)
    assert "<b>0.7000</b>n 3,589; 0.685 to 0.715" in facts and "<b>3.09 M</b>3,089,319" in facts
    assert 'src="data:image/svg+xml;base64,' in curves and 'download="compact-history.csv"' in curves
    assert 'download="compact-layers.csv"' in layers and "without its training recipe" in recipe
    assert "## Use and limits" in card and "license:" not in card


def test_the_layer_table_ends_with_the_sum():
    table = models_tab.layer_table(checkpoint.FERModel("compact"))
    assert table[1] == ["conv2d_1", "Conv2d", "32 x 48 x 48", "288"]
    assert table[-1] == ["total", "", "", f"{sum(int(row[3].replace(',', '')) for row in table[:-1]):,}"]


def test_the_overview_lists_the_sound_networks_only(weights):
    drawn = models_table.render(models_tab.all_models(weights))
    assert 'data-name="compact"' in drawn and 'data-name="dnn"' not in drawn and ">Robust</button>" in drawn
    assert "accuracy-against-parameters.svg" in models_tab.chart(weights)


def test_a_row_selects_its_model_and_no_other_number_does(weights):
    assert models_tab.chosen(SimpleNamespace(index=0), weights=weights) == "compact"
    with pytest.raises(gr.Error, match="not there any more"):
        models_tab.chosen(SimpleNamespace(index=9), weights=weights)


def test_training_stages_are_marked_where_one_history_has_several():
    """Of 34, 16 and 40 epochs: after 34 and after 50."""
    config = {"epochs": 40, "previous_stage": {"epochs": 16, "previous_stage": {"epochs": 34}}}
    assert models_tab.stages(config) == [34, 50] and models_tab.stages({"epochs": 5}) == models_tab.stages(None) == []
    figure = training.training_curves(
        [{"epoch": 1, "loss": 1, "accuracy": 0, "public_loss": 1, "public_accuracy": 0}], [1]
    )
    assert len(figure.axes[0].lines) == 3


def test_a_network_without_history_and_card_says_so(weights, tmp_path):
    checkpoint.save_model(checkpoint.FERModel("compact"), tmp_path / "compact")
    facts, curves, _, _, card = models_tab.show("compact", weights=tmp_path)
    assert "without its history" in curves and "without a card" in card and "not measured" in facts


def test_only_measured_networks_of_seven_labels_are_set_beside_the_public_ones(weights):
    assert models_tab.placed(checkpoint.load_meta("compact", weights)).accuracy == 0.7
    assert models_tab.placed(checkpoint.FERModel("cnn")) is None


def test_every_public_system_has_its_source_and_no_two_names_lie_on_each_other():
    """Sources are web addresses, but for the reports'; the names are those of the shipped networks and all others'."""
    assert all(system.source.startswith("https://") for system in PUBLIC) and "ResMaskingNet" in models_tab.sources()
    shipped = [outline(checkpoint.WEIGHTS, name) for name in checkpoint.list_models()]
    ours = [point for network in shipped if (point := models_tab.placed(network))]
    figure = evaluation.accuracy_against_parameters(ours, [*REPORTS, *PUBLIC])
    names = {text.get_text(): text for text in figure.axes[0].texts}
    assert names.keys() == {system.name for system in (*PUBLIC, *REPORTS, *ours)}
    figure.savefig("/dev/null", format="png", dpi=72)
    boxes = [text.get_window_extent().shrunk(0.9, 0.7) for text in names.values()]
    overlaps = [(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :] if a.overlaps(b)]
    assert overlaps == []


def test_an_ensemble_s_long_name_may_break_at_its_members():
    """Unbroken it pushes the last of ten columns out of a page of 1280 pixels."""
    assert '<td class="long">ensemble:compact+<wbr>compact-small</td>' in components.table(
        ["network", "n"], [["ensemble:compact+compact-small", "1"]], "networks", "All"
    )


def test_a_network_is_timed(weights):
    assert " ms</b>the median of 2 forwards of compact on this machine" in models_tab.clock(
        "compact", weights=weights, repeats=2
    )


def test_a_study_shows_the_report_s_numbers_beside_ours(tmp_path):
    """Columns that are empty in every row are left out; a name that is not there is refused."""
    folder = tmp_path / "studies" / "one"
    folder.mkdir(parents=True)
    rows = [{"network": "cnn", "accuracy": 0.5, "report": 0.6, "empty": None, "ci95": [0.4, 0.6], "n": 3589}]
    (folder / "results.json").write_text(
        json.dumps({"question": "<i>?", "rows": rows, "notes": ["Note."]}), encoding="utf-8"
    )
    assert studies.names(tmp_path) == ["one"]
    page = studies.show("one", weights=tmp_path)
    assert '0.5000</td><td class="number">0.6000</td><td>0.400 to 0.600</td>' in page and "empty" not in page
    assert "&lt;i&gt;?" in page and "Note." in page
    with pytest.raises(gr.Error, match="no study"):
        studies.show("../studies/one", weights=tmp_path)


def test_a_card_on_the_page_has_no_pictures_which_lie_beside_it(tmp_path):
    """The page could not find them."""
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\n---\n\n# cnn\n\nBefore.\n\n![curve](curve.png)\n\nAfter.\n", encoding="utf-8"
    )
    assert models_tab.card(tmp_path) == "Before.\n\nAfter.\n"
