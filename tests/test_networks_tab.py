"""The Networks tab's handlers."""

from pathlib import Path

import pytest

from fer import cards, checkpoint
from fer.tabs import networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact` with a card and two epochs of history, and a broken `dnn`."""
    folder = tmp_path_factory.mktemp("weights")
    network = checkpoint.Network("compact")
    for name in ("compact", "dnn"):
        checkpoint.save(network, folder / name)
    cards.write(network, folder / "compact")
    header = "epoch,size,rate,loss,accuracy,public_loss,public_accuracy,public_accuracy_without_twins"
    (folder / "compact" / "history.csv").write_text(f"{header}\n1,48,1,2,.2,2,.2,.2\n2,48,1,1,.5,1,.5,.5\n")
    (folder / "dnn" / "model.safetensors").write_bytes(b"broken")
    return folder


def test_a_network_shows_its_curves_its_layers_and_its_card(weights):
    curves, layers, card = networks.show("compact", weights=weights)
    assert 'src="data:image/svg+xml;base64,' in curves
    assert layers[1] == ["conv2d_1", "Conv2d", "32 x 48 x 48", "288"]
    assert layers[-1] == ["total", "", "", f"{sum(int(row[3].replace(',', '')) for row in layers[:-1]):,}"]
    assert "## Use and limits" in card and "license:" not in card


def test_the_overview_lists_the_sound_networks_only(weights):
    table = networks.overview(weights)
    assert "`compact`" in table and "`dnn`" not in table


def test_a_network_without_history_and_card_says_so(weights, tmp_path):
    checkpoint.save(checkpoint.Network("compact"), tmp_path / "compact")
    curves, _, card = networks.show("compact", weights=tmp_path)
    assert "without its history.csv" in curves and "without a card" in card
