"""What a network takes over from an earlier one."""

import pytest
import torch

from fer.checkpoint import Network
from fer.inheritance import _begin_as_identities, inherit
from fer.networks import FERPLUS


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_of_the_same_layers_it_takes_all_the_weights() -> None:
    earlier, network = Network("compact").eval(), Network("compact").eval()
    inherit(network, earlier)
    faces = torch.rand(2, 1, 48, 48)
    assert torch.equal(network(faces), earlier(faces))


def test_of_other_labels_it_takes_all_but_the_last_layer() -> None:
    earlier, network = Network("compact"), Network("compact-ferplus", FERPLUS)
    inherit(network, earlier)
    assert torch.equal(network["conv2d_7"].weight, earlier["conv2d_7"].weight)
    assert network["dense_1"].weight.shape == (8, 512)


def test_vgg19_takes_vgg16s_convolutions_and_its_three_new_ones_hand_on_what_they_get() -> None:
    earlier, network = Network("vgg16-selu"), Network("vgg19-selu")
    inherit(network, earlier)
    pairs = dict(zip([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 15], range(1, 14), strict=True))
    for mine, theirs in pairs.items():
        assert torch.equal(network[f"conv2d_{mine}"].weight, earlier[f"conv2d_{theirs}"].weight)
    values = torch.rand(2, 512, 3, 3)
    for new in (12, 16):
        assert torch.equal(network[f"conv2d_{new}"](values), values)
    assert torch.equal(network["dense_3"].weight, earlier["dense_2"].weight)


def test_behind_relu_a_new_convolution_with_its_normalisation_changes_nothing() -> None:
    """Of six channels, normalised to means -2 to 2: within 1e-6 when measured, within .1 by a batch's own moments."""
    above, activation, layer, norm = (
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Conv2d(6, 6, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(6),
    )
    above.bias.data = torch.linspace(-2, 2, 6)
    chain = torch.nn.Sequential(above, activation, layer, norm, torch.nn.ReLU())
    _begin_as_identities(chain, {layer})
    values = chain[:2](torch.randn(64, 6, 12, 12))
    assert (chain.eval()[2:](values) - values).abs().max() < 1e-5
    assert (chain.train()[2:](values) - values).abs().max() < 0.1


def test_a_network_without_a_place_for_one_of_the_earlier_layers_says_so() -> None:
    with pytest.raises(ValueError, match="start is a vgg19-selu: its layers are not those of vgg16-selu"):
        inherit(Network("vgg16-selu"), Network("vgg19-selu"))
