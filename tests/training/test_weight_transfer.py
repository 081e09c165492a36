"""What a network takes over from an earlier one."""

import pytest
import torch

from fer.data.ferplus import FERPLUS
from fer.models.checkpoint import FERModel
from fer.training.weight_transfer import _relu_to_selu, transfer_weights

FACES = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_of_the_same_layers_it_takes_all_the_weights() -> None:
    earlier, network = FERModel("compact").eval(), FERModel("compact").eval()
    transfer_weights(network, earlier, FACES)
    faces = torch.rand(2, 1, 48, 48)
    assert torch.equal(network(faces), earlier(faces))


def test_of_other_labels_it_takes_all_but_the_last_layer() -> None:
    earlier, network = FERModel("compact-small"), FERModel("compact-ferplus", FERPLUS)
    transfer_weights(network, earlier, FACES)
    assert torch.equal(network["conv2d_7"].weight, earlier["conv2d_7"].weight)
    assert network["dense_1"].weight.shape == (8, 512)


def test_vgg19_takes_vgg16s_layers_and_its_new_ones_hand_on_what_they_get() -> None:
    """Three convolutions and a dense layer are new, with their normalisations."""
    earlier, network = FERModel("vgg16-selu"), FERModel("vgg19-selu")
    transfer_weights(network, earlier, FACES)
    pairs = dict(zip([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 15], range(1, 14), strict=True))
    for mine, theirs in pairs.items():
        assert torch.equal(network[f"conv2d_{mine}"].weight, earlier[f"conv2d_{theirs}"].weight)
    values = torch.rand(2, 512, 3, 3)
    for new in (12, 16):
        assert torch.equal(network[f"conv2d_{new}"](values), values)
    assert torch.equal(network["dense_1"].weight, earlier["dense_1"].weight)
    assert torch.equal(network["dense_2"].weight, torch.eye(4096))
    assert torch.equal(network["dense_3"].weight, earlier["dense_2"].weight)


def test_vgg16_grows_out_of_compact_small_and_begins_by_answering_as_that() -> None:
    """Twice as wide and six convolutions deeper: the same logits of a face."""
    earlier, network = FERModel("compact-small").eval(), FERModel("vgg16-relu").eval()
    earlier[0].mean = 0.0  # what pads a convolution is black then, in both
    transfer_weights(network, earlier, FACES)
    assert torch.allclose(network(FACES), earlier(FACES), atol=1e-3)


def test_a_channel_that_is_new_has_no_share_in_those_taken_over() -> None:
    earlier, network = FERModel("compact-small"), FERModel("vgg16-relu")
    transfer_weights(network, earlier, FACES)
    weight = network["conv2d_3"].weight  # (128, 64, 3, 3), of which compact-small has (64, 32, 3, 3)
    assert torch.equal(weight[:64, :32], earlier["conv2d_2"].weight)
    assert not weight[:64, 32:].any()
    assert weight[64:].std() > 0.01


def test_pixels_that_were_normalised_by_a_layer_are_normalised_by_the_first_convolution() -> None:
    """Inside the frame: a grey face of Training's mean, .5077, gives nothing but the bias it had, 0."""
    earlier, network = FERModel("compact-small"), FERModel("vgg16-relu")
    transfer_weights(network, earlier, FACES)
    values = network["conv2d_1"](torch.full((1, 1, 48, 48), 0.5077))  # (1, 64, 48, 48)
    assert values[:, :32, 1:-1, 1:-1].abs().max() < 1e-5


def test_a_new_normalisation_restores_the_mean_and_the_deviation_that_it_takes_from_a_batch() -> None:
    """So that it changes nothing, be it by the moments it was given or by the batch's own."""
    earlier, network = FERModel("compact-small"), FERModel("vgg16-relu")
    transfer_weights(network, earlier, FACES)
    norm, values = network["batch_normalization_13"], torch.rand(64, 512, 3, 3)
    scale, shift = (norm.running_var + norm.eps).sqrt(), norm.running_mean  # (512,)
    assert torch.allclose(norm.eval()(values), values, atol=1e-5)
    assert torch.allclose(norm.weight, scale) and torch.allclose(norm.bias, shift)


def test_selu_begins_as_the_relu_that_its_weights_were_learnt_with_the_nearer_the_more_it_is_stretched() -> None:
    """Numbers of deviation 1 through two activations: off by less than .2 at 64 times, by a tenth of that at 1,024."""
    values, errors = torch.randn(64, 4, 6, 6), []
    for stretch in (64.0, 1024.0):
        rectified, chain = _small_chain(torch.nn.ReLU), _small_chain(torch.nn.SELU)
        rectified(values)
        chain.load_state_dict(rectified.state_dict())
        _relu_to_selu(chain, set(), stretch)
        errors.append((chain.eval()(values) - rectified.eval()(values)).abs().max())
    assert errors[0] < 0.2
    assert errors[1] < errors[0] / 10


def _small_chain(activation: type[torch.nn.Module]) -> torch.nn.Sequential:
    """Drawn alike whatever the activation, with moments that are the last batch's own."""
    torch.manual_seed(0)
    first, second = torch.nn.BatchNorm2d(4, momentum=1.0), torch.nn.BatchNorm1d(3, momentum=1.0)
    convolution, dense = torch.nn.Conv2d(4, 5, 3, bias=True), torch.nn.Linear(80, 3)
    return torch.nn.Sequential(
        first, activation(), convolution, activation(), torch.nn.Flatten(), dense, second, torch.nn.Linear(3, 2)
    )


def test_a_network_without_a_place_for_one_of_the_earlier_layers_says_so() -> None:
    with pytest.raises(ValueError, match="init_from is a vgg19-selu: its layers are not those of vgg16-selu"):
        transfer_weights(FERModel("vgg16-selu"), FERModel("vgg19-selu"), FACES)
