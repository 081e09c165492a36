"""CONTRIBUTING.md: a network, a study, a saliency method and a tab are each a function and a line or decorator."""

from collections.abc import Iterable
from pathlib import Path

import gradio as gr
import pytest
import torch
from torch import Tensor, nn

from fer.app import page as app_page
from fer.app.saliency import method_menu
from fer.app.session import Session
from fer.attribution import explain, faithfulness, methods
from fer.cli.main import main
from fer.data import fer2013
from fer.data.ferplus import FERPLUS
from fer.features import visualization
from fer.inference import predictor
from fer.models import checkpoint, summary
from fer.models import registry as models_registry
from fer.studies import registry as studies_registry
from fer.studies.results import GroupedBars, Result
from fer.studies.runner import StudyConfig
from fer.training import trainer
from fer.training.config import default_config
from tests.pages import write_networks


def toy(classes: int) -> Iterable[nn.Module]:
    """A network of 4 filters."""
    yield from (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def about(shared: Session) -> None:
    gr.Markdown("What this is.", elem_id="about")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registries that are as they were after the test."""
    for registry in (models_registry.ARCHITECTURES, studies_registry.STUDIES):
        for name in ("toy", "toy-study"):
            monkeypatch.setitem(registry, name, None)
            del registry[name]


def test_a_network_is_a_function_with_one_decorator(registered: None, folder_data: Path, tmp_path: Path):
    """It has its recipe, and is trained, saved, loaded, used, explained and looked into by its name alone."""
    models_registry.register_model("toy", labels=FERPLUS[:7], epochs=1, batch_size=70, degrees=3)(toy)
    config = default_config("toy")
    assert (config.epochs, config.batch_size, config.augmentation.degrees) == (1, 70, 3)
    assert models_registry.label_set("toy") == FERPLUS[:7]
    assert models_registry.ARCHITECTURES["toy"].description == "A network of 4 filters."
    models_registry.ARCHITECTURES.pop("toy")
    models_registry.register_model("toy", epochs=1, batch_size=70)(toy)
    config, splits = default_config("toy"), fer2013.load_fer2013(folder_data)
    trainer.fit(config, splits["Training"], splits["PublicTest"], tmp_path / "toy", quiet=True)
    network, faces = checkpoint.load_model("toy", tmp_path), torch.rand(2, 1, 48, 48)
    assert [row.name for row in summary.layer_table(network)][:2] == ["conv2d_1", "activation_1"]
    assert predictor.calibrated_probabilities(network, faces).sum(1).tolist() == pytest.approx([1, 1])
    assert explain.explain(network, faces, "gradient", target=0).shape == (2, 1, 48, 48)
    *_, frame = visualization.visualize(network, "conv2d_1", [0, 1], steps=1)
    assert len(frame.images) == 2 and "toy" in checkpoint.list_checkpoints(tmp_path)


def test_a_recipe_with_an_unknown_setting_is_refused(registered: None):
    """The message names it; so does that of a name that is registered twice."""
    models_registry.register_model("toy", epoch=1)(toy)
    with pytest.raises(ValueError, match="no setting epoch: expected fields of TrainConfig"):
        default_config("toy")
    with pytest.raises(ValueError, match="network 'toy' is registered twice"):
        models_registry.register_model("toy")(toy)


def test_a_study_is_a_function_with_one_decorator(registered: None, tmp_path: Path, capsys: pytest.CaptureFixture):
    """The command runs it, prints what it asks and writes its table and its figure."""

    def toy_study(config: StudyConfig) -> Result:
        """How many seeds are there?"""
        return Result([{"seeds": config.seeds}], bars=GroupedBars(["all"], {"seeds": [config.seeds]}, "seeds"))

    studies_registry.register_study("toy-study", seeds=2)(toy_study)
    assert main(["study", "toy-study", "--out", str(tmp_path)]) == 0
    assert "How many seeds are there?\n\n| seeds |" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} >= {"results.json", "README.md", "figure.png"}


def test_a_saliency_method_is_a_function_with_one_decorator(monkeypatch: pytest.MonkeyPatch):
    """`explain` gives its maps, every network's menu offers it, the page says its docstring of it, and its infidelity
    score is that of what it is: slopes of a linear network foretell every change, taken as contributions they do not.
    """
    known = {}
    for module in (methods, explain, method_menu):
        monkeypatch.setattr(module, "METHODS", known)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 2)).eval()
    network.name = "linear"

    def toy_slopes(q: methods.AttributionRequest) -> Tensor:
        """The weights of the target's logit."""
        return network[1].weight.detach()[q.target].view_as(q.faces)

    for kind in ("gradient", "contribution"):
        methods.METHODS.clear()
        methods.register_method(kind=kind)(toy_slopes)
        faces = torch.rand(2, 1, 48, 48)
        maps = explain.explain(network, faces, "toy-slopes", target=1)
        changes = faithfulness.output_changes(network, faces, 1)
        _, score = faithfulness.faithfulness_scores(maps, explain.to_contributions(maps, faces, "toy-slopes"), changes)
        assert (score > 0.99).all() if kind == "gradient" else (score < 0.9).all()
    assert "toy-slopes" in explain.list_methods(network)
    assert method_menu.hint(network, "toy-slopes", []) == "The weights of the target's logit."


@pytest.mark.parametrize("wrong", [{}, {"kind": "slope"}, {"kind": "gradient", "passes": 0}])
def test_a_method_must_say_what_it_is(wrong: dict):
    """No kind, or an unknown one, is no method: its scores would be wrong without a word."""
    with pytest.raises((TypeError, ValueError), match="kind|passes"):
        methods.register_method(**wrong)(lambda q: q.faces)


def test_a_tab_is_a_function_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The page has it beside the others."""
    monkeypatch.setitem(app_page.TABS, "About", about)
    page = app_page.build(write_networks(tmp_path))
    assert "about" in {block.elem_id for block in page.blocks.values()}
