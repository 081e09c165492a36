"""networks: the reports' counts and names, slices, and what every registered network must do."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from fer.models import registry as models_registry
from fer.models import summary
from fer.models.layers import NamedSequential

EVERY = pytest.mark.parametrize("name", models_registry.ARCHITECTURES)


@pytest.fixture(scope="module")
def chains() -> dict[str, NamedSequential]:
    torch.manual_seed(0)
    return {
        name: NamedSequential(models_registry.build_layers(name, 7)).eval() for name in models_registry.ARCHITECTURES
    }


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("cnn", 3_484_935),
        ("dnn", 3_151_367),
        ("vgg16-relu", 20_941_735),
        ("vgg16-selu", 20_941_735),
        ("vgg19-selu", 43_070_631),
    ],
)
def test_counts_are_the_reports(chains: dict[str, NamedSequential], name: str, parameters: int):
    """As Keras counts: statistics of batch normalisation included. The table's lines add up to the same."""
    assert summary.count_parameters(chains[name]) == parameters
    assert sum(row.parameters for row in summary.layer_table(chains[name])) == parameters


def test_compact_has_at_most_five_million_in_widths_of_32(chains: dict[str, NamedSequential]):
    """A plain chain whose convolutions are all multiples of 32 wide."""
    assert summary.count_parameters(chains["compact"]) <= 5_000_000
    widths = [layer.out_channels for layer in chains["compact"] if isinstance(layer, nn.Conv2d)]
    assert widths and all(width % 32 == 0 for width in widths)


@EVERY
def test_logits_are_finite_and_one_for_each_label(chains: dict[str, NamedSequential], name: str):
    """Two faces in, (2, 7) out; another number of labels is as easy."""
    logits = chains[name](torch.rand(2, 1, 48, 48))
    assert logits.shape == (2, 7) and logits.isfinite().all()
    assert list(models_registry.build_layers(name, 8).values())[-1].out_features == 8


@EVERY
def test_every_parameter_learns(chains: dict[str, NamedSequential], name: str):
    """After one backward pass each has a gradient."""
    chain = chains[name]
    functional.cross_entropy(chain(torch.rand(4, 1, 48, 48)), torch.tensor([0, 1, 2, 3])).backward()
    assert all(parameter.grad is not None for parameter in chain.parameters())
    chain.zero_grad(set_to_none=True)


@EVERY
def test_a_fresh_network_knows_nothing(chains: dict[str, NamedSequential], name: str):
    """In training mode its loss lies near log(7) = 1.95: no label is preferred strongly at the start."""
    torch.manual_seed(0)
    chain = NamedSequential(models_registry.build_layers(name, 7)).train()
    loss = functional.cross_entropy(chain(torch.rand(64, 1, 48, 48)), torch.arange(64) % 7)
    assert math.log(7) - 0.2 < loss.item() < math.log(7) + 0.9


def test_names_follow_the_reports_tables(chains: dict[str, NamedSequential]):
    """Layers are numbered by kind, as Keras numbers them."""
    names = list(dict(chains["cnn"].named_children()))
    assert names[:6] == ["conv2d_1", "activation_1", "conv2d_2", "activation_2", "max_pooling2d_1", "dropout_1"]
    assert names[-3:] == ["activation_5", "dropout_4", "dense_3"]
    assert "conv2d_16" in dict(chains["vgg19-selu"].named_children())


def test_shapes_follow_the_reports_tables(chains: dict[str, NamedSequential]):
    """Valid convolutions: 48 -> 46 -> 44, pool 22 -> 20, pool 10."""
    shapes = {row.name: row.shape for row in summary.layer_table(chains["cnn"])}
    assert shapes["conv2d_2"] == (64, 44, 44) and shapes["conv2d_3"] == (64, 20, 20)
    assert shapes["flatten_1"] == (6400,) and shapes["dense_3"] == (7,)


def test_a_slice_by_name_ends_with_that_layer(chains: dict[str, NamedSequential]):
    """The rest of the chain, applied to the slice's output, gives the whole chain's answer, exactly."""
    chain, faces = chains["cnn"], torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        middle = chain[:"max_pooling2d_1"](faces)
        assert middle.shape == (3, 64, 22, 22)
        assert torch.equal(chain["dropout_1":](middle), chain(faces))
    assert chain["conv2d_1"] is next(iter(chain))


def test_an_unknown_layer_is_named_with_those_there_are(chains: dict[str, NamedSequential]):
    """KeyError: no layer 'conv2d_9': expected one of conv2d_1, ..."""
    with pytest.raises(KeyError, match="no layer 'conv2d_9': expected one of conv2d_1"):
        chains["cnn"][:"conv2d_9"]
    with pytest.raises(ValueError, match="no network 'resnet': expected one of cnn"):
        models_registry.build_layers("resnet", 7)
