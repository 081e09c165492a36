"""CONTRIBUTING.md: a network, a saliency method and a tab are added by one function and one line each."""

from collections.abc import Iterable
from pathlib import Path

import gradio as gr
import pytest
import torch
from pages import write_networks
from torch import Tensor, nn

import demo
from fer import ascent, attributions, checkpoint, data, networks, prediction, saliency, training
from fer.recipes import recipe
from fer.tabs import methods
from fer.tabs.shared import Shared


def toy(classes: int) -> Iterable[nn.Module]:
    """A network of 4 filters."""
    yield from (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def darkness(q: attributions.Question) -> Tensor:
    """Dark pixels count: a map that knows nothing of the network."""
    return 1 - q.faces


def about(shared: Shared) -> None:
    gr.Markdown("What this is.", elem_id="about")


def test_a_network_is_a_function_and_a_line(folder_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is trained, saved, loaded, read with, explained and looked into by its name alone."""
    monkeypatch.setitem(networks.ARCHITECTURES, "toy", toy)
    splits = data.load(folder_data)
    config = recipe("toy", epochs=1, batch_size=70)
    training.fit(config, splits["Training"], splits["PublicTest"], tmp_path / "toy", quiet=True)
    network, faces = checkpoint.load("toy", tmp_path), torch.rand(2, 1, 48, 48)
    assert [row.name for row in networks.table(network)][:2] == ["conv2d_1", "activation_1"]
    assert prediction.calibrated(network, faces).sum(1).tolist() == pytest.approx([1, 1])
    assert saliency.explain(network, faces, "gradient", target=0).shape == (2, 1, 48, 48)
    *_, frame = ascent.ascend(network, "conv2d_1", [0, 1], steps=1)
    assert len(frame.images) == 2 and "toy" in checkpoint.available(tmp_path)


def test_a_saliency_method_is_a_function_and_a_line(monkeypatch: pytest.MonkeyPatch):
    """`explain` gives its maps, every network's menu offers it, and the page says its docstring of it."""
    monkeypatch.setitem(attributions.METHODS, "darkness", darkness)
    network, faces = checkpoint.Network("dnn").eval(), torch.rand(2, 1, 48, 48)
    torch.testing.assert_close(saliency.explain(network, faces, "darkness", target=0), 1 - faces)
    assert "darkness" in saliency.offered(network)
    assert methods.described("darkness") == "Dark pixels count: a map that knows nothing of the network."


def test_a_tab_is_a_function_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The page has it beside the others."""
    monkeypatch.setitem(demo.TABS, "About", about)
    page = demo.build(write_networks(tmp_path))
    assert "about" in {block.elem_id for block in page.blocks.values()}
