"""Maps of a layer, what filters have in common over faces, and networks with fewer of them."""

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fer.data import ferplus
from fer.data.dataset import FaceDataset
from fer.features import activations, layer_report, pruning, pruning_curve, receptive_field, redundancy, similarity
from fer.models import checkpoint, summary
from fer.models import registry as models_registry
from fer.models.layers import NamedSequential
from fer.plotting import maps


def network_of(*named: tuple[str, nn.Module]) -> NamedSequential:
    return NamedSequential(OrderedDict(named)).eval()


def pixels(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def small(seed: int = 0, activation: type[nn.Module] = nn.ReLU, norm: bool = False) -> NamedSequential:
    """Six filters of 3x3, pooled, four of 3x3, pooled, and two classes."""
    torch.manual_seed(seed)
    layers = [("conv2d_1", nn.Conv2d(1, 6, 3))]
    layers += [("batch_normalization_1", nn.BatchNorm2d(6))] if norm else []
    layers += [("activation_1", activation()), ("max_pooling2d_1", nn.MaxPool2d(2))]
    layers += [("conv2d_2", nn.Conv2d(6, 4, 3)), ("activation_2", activation()), ("max_pooling2d_2", nn.MaxPool2d(4))]
    layers += [("flatten_1", nn.Flatten()), ("dense_1", nn.Linear(4 * 5 * 5, 2))]
    chain = network_of(*layers)
    if norm:
        chain["batch_normalization_1"].running_mean.copy_(torch.arange(6) / 10)
        chain["batch_normalization_1"].weight.data.uniform_(0.5, 2)
    return chain


# ---- maps


@pytest.mark.parametrize("architecture", ["cnn", "dnn", "compact", "vgg16-selu"])
def test_maps_are_exactly_what_a_plain_forward_has_passed_through(architecture):
    """Every layer, to the last bit; the other networks are of the same kinds of layers."""
    torch.manual_seed(0)
    network = checkpoint.FERModel(architecture, models_registry.label_set(architecture)).eval()
    values = faces = torch.rand(1, 1, 48, 48)
    with torch.no_grad():
        for name, layer in network.named_children():
            values = layer(values)
            assert torch.equal(activations.activation_maps(network, name, faces), values), name


def test_only_what_makes_something_new_is_a_step():
    """Neither dropout nor flattening."""
    network = checkpoint.FERModel("cnn").eval()
    assert activations.active_layers(network)[:5] == [
        "conv2d_1",
        "activation_1",
        "conv2d_2",
        "activation_2",
        "max_pooling2d_1",
    ]
    assert layer_report.list_steps(network)[0] == "pixels" and layer_report.list_steps(network)[-2:] == [
        "dense_3",
        "probabilities",
    ]
    assert not any(name.startswith(("dropout", "flatten")) for name in layer_report.list_steps(network))


def test_eight_visitors_at_once_get_each_their_own():
    """Forty maps each, of one network."""
    network, faces = small(), pixels(8)
    expected = [activations.activation_maps(network, "conv2d_2", face[None, None] / 255) for face in faces]

    def visit(number: int) -> bool:
        found = (activations.activation_maps(network, "conv2d_2", faces[number][None, None] / 255) for _ in range(40))
        return all(torch.equal(each, expected[number]) for each in found)

    with ThreadPoolExecutor(8) as visitors:
        assert all(visitors.map(visit, range(8)))


@pytest.mark.parametrize(
    "layer, faces, words",
    [("conv2d_9", torch.zeros(1, 1, 48, 48), "no layer 'conv2d_9'"), ("conv2d_1", torch.zeros(1, 3, 48, 48), "faces")],
)
def test_what_has_no_maps_is_told(layer, faces, words):
    with pytest.raises(ValueError, match=words):
        activations.activation_maps(small(), layer, faces)
    with pytest.raises(ValueError, match="training mode"):
        activations.activation_maps(small().train(), "conv2d_1", torch.zeros(1, 1, 48, 48))


@pytest.mark.parametrize("layer, place", [("conv2d_1", (3, 5)), ("max_pooling2d_1", (7, 2)), ("conv2d_2", (0, 20))])
def test_the_window_holds_exactly_the_pixels_that_can_change_a_place(layer, place):
    """Those with a gradient, once no maximum and no negative answer hides any."""
    network = small()
    for name in ("max_pooling2d_1", "max_pooling2d_2"):
        network._modules[name] = nn.AvgPool2d(network[name].kernel_size)
        network._modules[name].padding = 0
    smooth = network_of(
        *((name, nn.Identity() if isinstance(part, nn.ReLU) else part) for name, part in network.named_children())
    )
    face = torch.rand(1, 1, 48, 48, requires_grad=True)
    smooth[:layer](face)[0, :, *place].sum().backward()
    rows, columns = face.grad[0, 0].abs().sum(1).nonzero(), face.grad[0, 0].abs().sum(0).nonzero()
    seen = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert receptive_field.receptive_box(small(), layer, *place) == tuple(int(edge) for edge in seen)


def test_a_padded_window_ends_with_the_face():
    """Place 0 of a padded 3x3 sees two pixels a side; a dense layer sees all of them."""
    network = network_of(("conv2d_1", nn.Conv2d(1, 1, 3, padding=1)), ("flatten_1", nn.Flatten()))
    assert receptive_field.receptive_box(network, "conv2d_1", 0, 47) == (0, 46, 2, 48)
    assert receptive_field.receptive_box(network, "flatten_1", 0, 0) == (0, 0, 48, 48)


def test_a_map_lies_over_the_face_where_its_windows_have_their_middles():
    """Of a valid 3x3 convolution, one pixel further in; of a pool behind it, over two pixels each."""
    network = small()
    values = torch.zeros(46, 46)
    values[10, 20] = 1
    assert receptive_field.upsample_to_input(network, "conv2d_1", values).nonzero().tolist() == [[11, 21]]
    assert receptive_field.upsample_to_input(network, "conv2d_1", torch.ones(46, 46)).sum() == 46 * 46
    pooled = torch.zeros(23, 23)
    pooled[5, 6] = 1  # sees rows 10 to 13 and columns 12 to 15
    assert receptive_field.upsample_to_input(network, "max_pooling2d_1", pooled).nonzero().tolist() == [
        [11, 13], [11, 14], [12, 13], [12, 14]
    ]  # fmt: skip


# ---- among filters


def test_likeness_is_the_correlation_and_a_flat_filter_is_like_none():
    values = torch.tensor([[1.0, 2, 3, 4], [2, 4, 6, 8], [4, 3, 2, 1], [5, 5, 5, 5]])
    expected = [[1, 1, -1, 0], [1, 1, -1, 0], [-1, -1, 1, 0], [0, 0, 0, 0]]
    assert torch.allclose(similarity.map_correlation(values), torch.tensor(expected, dtype=torch.double))


def test_each_filter_is_followed_by_the_most_like_it():
    alike = torch.tensor([[1, 0.1, 0.9, 0.2], [0.1, 1, 0.3, 0.8], [0.9, 0.3, 1, 0.4], [0.2, 0.8, 0.4, 1]])
    assert similarity.seriate(alike) == [0, 2, 3, 1]


def test_a_stand_in_is_a_near_twin_of_each_that_it_stands_for():
    """1 is near 0 and 2, which are not near each other: 1 stands for all three; 3 stands alone."""
    alike = torch.tensor([[1, 0.97, 0.9, 0], [0.97, 1, 0.96, 0], [0.9, 0.96, 1, 0], [0, 0, 0, 1]])
    assert similarity.representatives(alike).tolist() == [1, 1, 1, 3]


def test_filters_differ_by_0_from_themselves_and_by_1_from_their_negative():
    values = torch.tensor([[[1.0, -2]], [[3, 4]], [[0, 0]]])
    assert similarity.map_differences(values, values).tolist() == [0, 0, 0]
    assert similarity.map_differences(values, -values).tolist() == [1, 1, 0]


# ---- redundancy


def planted() -> NamedSequential:
    """Filter 3 is filter 1 half as loud, filter 4 is dead behind its ReLU, filter 5 is always on."""
    network = small()
    first = network["conv2d_1"]
    first.weight.data[3], first.bias.data[3] = first.weight.data[1] / 2, first.bias.data[1] / 2
    first.bias.data[4], first.bias.data[5] = -100, 100
    return network


def test_a_planted_duplicate_and_a_planted_dead_filter_are_found():
    found = redundancy.measure_redundancy(planted(), pixels(70), quiet=True)
    layer = found["activation_1"]
    assert layer.most_similar[3, 0] == 1 and layer.similarity[3, 0] > 0.999 and layer.representative_corr[3] > 0.999
    assert layer.representative[3] == layer.representative[1] and layer.dead.tolist() == [False] * 4 + [True, False]
    assert layer.always_active.tolist() == [False] * 5 + [True]
    row = layer.row()
    assert (row["filters"], row["dead"], row["always_active"]) == (6, 1, 1) and row["redundant"] >= 1
    assert layer.positive_share[4] == 0 and layer.positive_share[5] == 1
    assert not found["conv2d_1"].dead.any()  # before its ReLU the filter still answers


def test_what_is_summed_block_by_block_is_the_correlation_of_all_answers():
    """70 faces are two blocks."""
    network, faces = small(1), pixels(70)
    values = activations.activation_maps(network, "conv2d_1", faces[:, None] / 255).transpose(0, 1).flatten(1)
    expected = torch.corrcoef(values).fill_diagonal_(-2).topk(3)
    layer = redundancy.measure_redundancy(network, faces, quiet=True)["conv2d_1"]
    assert np.allclose(layer.similarity, expected.values, atol=1e-3)
    assert np.allclose(layer.mean, values.mean(1), atol=1e-4)
    assert np.allclose(layer.spread, values.std(1, correction=0), rtol=1e-3)


@pytest.mark.parametrize(
    "alike, rank", [(torch.eye(4), 4), (torch.ones(4, 4), 1), (torch.zeros(3, 3), 0), (torch.eye(2).repeat(2, 2), 2)]
)
def test_the_effective_rank_counts_filters_that_have_nothing_in_common(alike, rank):
    assert redundancy.effective_rank(alike) == pytest.approx(rank)


def test_a_sigmoid_is_not_called_always_on():
    """It is above 0 by nature."""
    network = network_of(("flatten_1", nn.Flatten()), ("dense_1", nn.Linear(2304, 3)), ("activation_1", nn.Sigmoid()))
    assert redundancy.measure_redundancy(network, pixels(9), quiet=True)["activation_1"].row()["always_active"] == 0


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    checkpoint.save_model(checkpoint.FERModel("dnn"), tmp_path / "dnn")
    return tmp_path / "dnn"


def test_what_is_kept_beside_the_weights_is_read_back_and_belongs_to_them_alone(folder):
    row = {"kept": 6, "accuracy": 0.5, "n": 9, "ci95": [0.2, 0.8]}
    thinned = [{"layer": "conv2d_1", "filters": 6, "strategies": {"reconstruct": {"rows": [row], "removable": 0}}}]
    found = redundancy.Redundancy(9, redundancy.measure_redundancy(small(), pixels(9), quiet=True), thinned)
    redundancy.save_redundancy(found, folder)
    read = redundancy.load_redundancy(folder)
    assert read.rows() == found.rows() and read.faces == 9 and read.pruned == found.pruned
    assert all((read.layers["conv2d_2"].most_similar == found.layers["conv2d_2"].most_similar).flatten())
    torch.manual_seed(1)
    checkpoint.save_model(checkpoint.FERModel("dnn"), folder)
    assert redundancy.load_redundancy(folder) is None
    (folder / redundancy.FILE).write_bytes(b"broken")
    assert redundancy.load_redundancy(folder) is None


# ---- pruning


def test_a_network_with_all_its_filters_answers_as_before():
    network, faces = small(), pixels(5)[:, None] / 255
    first = next(
        iter(
            pruning.prune_sequence(
                network, "conv2d_1", pruning.second_moments(network, "conv2d_1", pixels(5)), "reconstruct"
            )
        )
    )
    assert torch.allclose(first.network()(faces), network(faces), atol=1e-6)


@pytest.mark.parametrize("way", pruning.STRATEGIES)
@pytest.mark.parametrize("layer, norm", [("conv2d_1", False), ("conv2d_1", True), ("conv2d_2", False)])
def test_filters_really_go_one_by_one(way, layer, norm):
    """From all of them to one; the smaller network has the shapes of one that was built so."""
    network = small(norm=norm)
    steps = list(pruning.prune_sequence(network, layer, pruning.second_moments(network, layer, pixels(20)), way))
    filters = len(network[layer].weight)
    assert [len(step.kept) for step in steps] == list(range(filters, 0, -1))
    smaller = steps[-2].network()
    assert activations.activation_maps(smaller, layer, torch.rand(1, 1, 48, 48)).shape[1] == 2
    assert summary.count_parameters(smaller) < summary.count_parameters(network) and smaller(
        torch.rand(3, 1, 48, 48)
    ).shape == (3, 2)


@pytest.mark.parametrize("way", ["reconstruct", "nearest"])
def test_a_duplicate_and_a_dead_filter_go_first_and_nothing_changes(way):
    """A twin half as loud is spoken for exactly."""
    network, faces = planted(), pixels(40)
    network["conv2d_1"].bias.data[5] = 0
    steps = list(pruning.prune_sequence(network, "conv2d_1", pruning.second_moments(network, "conv2d_1", faces), way))
    assert set(range(6)) - set(steps[2].kept) in ({1, 4}, {3, 4})
    fresh = pixels(10, seed=7)[:, None] / 255
    assert torch.allclose(steps[2].network()(fresh), network(fresh), atol=1e-4)


def test_the_mean_of_a_filter_that_is_cut_stays():
    """A constant filter is replaced by its mean without loss."""
    network = small()
    network["conv2d_1"].weight.data[2], network["conv2d_1"].bias.data[2] = 0, 3
    steps = list(
        pruning.prune_sequence(network, "conv2d_1", pruning.second_moments(network, "conv2d_1", pixels(9)), "mean")
    )
    faces = pixels(5, seed=3)[:, None] / 255
    assert 2 not in steps[1].kept and torch.allclose(steps[1].network()(faces), network(faces), atol=1e-5)


def test_the_network_that_is_thinned_keeps_its_own_weights():
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    *_, last = pruning.prune_sequence(
        network, "conv2d_1", pruning.second_moments(network, "conv2d_1", pixels(9)), "reconstruct"
    )
    last.network()["conv2d_2"].weight.data.fill_(9)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("layer", ["dense_1", "activation_1", "nothing"])
def test_what_nothing_reads_cannot_be_thinned(layer):
    with pytest.raises(ValueError, match="expected one of conv2d_1, conv2d_2"):
        pruning.next_layer(small(), layer)


def test_a_curve_ends_where_too_much_is_lost_and_finds_the_last_filter_that_can_go():
    """Labels are the network's own answers, of which it loses none until a filter goes that matters."""
    network, faces = planted(), pixels(200)
    labels = network(faces[:, None] / 255).argmax(1)
    judged = FaceDataset(faces, labels, None, torch.zeros(200, dtype=torch.bool))
    found = pruning_curve.measure_pruning(network, "conv2d_1", pixels(50, seed=5), judged, quiet=True)
    assert found["filters"] == 6 and list(found["strategies"]) == list(pruning.STRATEGIES)
    for curve in found["strategies"].values():
        kept = [row["kept"] for row in curve["rows"]]
        assert kept[0] == 6 and kept == sorted(kept, reverse=True) and curve["rows"][0]["accuracy"] == 1
        assert all(row["n"] == 200 and row["ci95"][0] < row["accuracy"] for row in curve["rows"])
        fewest = 6 - curve["removable"]
        assert fewest == 1 or fewest - 1 in kept  # the border was looked for
    assert found["strategies"]["reconstruct"]["removable"] >= 2


@pytest.mark.parametrize("accuracies, gone", [([0.6, 0.598, 0.58], 1), ([0.6, 0.59, 0.6], 0), ([0.6, 0.61, 0.596], 2)])
def test_what_can_go_is_counted_down_to_the_first_loss_of_half_a_point(accuracies, gone):
    rows = [{"kept": 3 - number, "accuracy": accuracy} for number, accuracy in enumerate(accuracies)]
    assert pruning_curve.num_removable(rows) == gone


# ---- pictures


def test_0_is_white_above_it_red_and_below_it_blue():
    tiles = np.array([[[0.0, 1], [-1, 0.5]]])
    picture = np.asarray(
        maps.palette_image(maps.tile_signed_maps(tiles, maps.map_scales(tiles), 1)).convert("RGB")
    ).astype(int)
    assert picture[0, 0].min() > 240 and picture[0, 1, 0] > picture[0, 1, 2] + 50
    assert picture[1, 0, 2] > picture[1, 0, 0] + 50


def test_tiles_lie_row_by_row_with_gaps_between_them_only():
    tiles = np.ones((3, 2, 2)) * np.array([1, 0, -1])[:, None, None]
    picture = maps.tile_signed_maps(tiles, np.ones(3), 2, scale=2, gap=1)
    assert picture.shape == (9, 9) and picture[0, 0] == 255 and picture[0, 5] == 128 and picture[5, 0] == 1
    assert (picture[4] == maps.GAP_INDEX).all() and (picture[:, 4] == maps.GAP_INDEX).all()


@pytest.mark.parametrize("common, full", [(False, [2.0, 8.0, 0.0]), (True, [8.0, 8.0, 8.0])])
def test_maps_have_a_scale_each_or_one_for_all(common, full):
    tiles = np.array([[[2.0, -2]], [[8, -8]], [[0, 0]]])
    assert maps.map_scales(tiles, common).tolist() == pytest.approx(full, rel=0.01)


# ---- the answer to a face


def test_a_layer_s_answer_names_its_filters_and_those_that_say_the_same():
    """Without a measurement, on this face: the planted twin."""
    network = planted()
    network.labels, network.temperature = ("happy", "sad"), 1.0
    face = pixels(1)[0].numpy()
    found = layer_report.layer_report(network, "activation_1", face).summary()
    assert found["layer"] == "activation_1" and len(found["filters"]) == 6 and found["redundant_over"] == "this face"
    assert {(row["filter"], row["representative"]) for row in found["redundant"]} & {(1, 3), (3, 1)}
    assert found["filters"][4] == {"filter": 4, "mean": 0.0, "lowest": 0.0, "highest": 0.0}
    assert layer_report.layer_report(network, "dense_1", face).name(1) == "sad"
    assert layer_report.layer_report(network, "probabilities", face).values.sum() == pytest.approx(1)


def test_a_layer_is_drawn_into_a_file(tmp_path):
    """Six maps of 46 pixels in a row, each twice as large, with two pixels between them; numbers as bars."""
    network = small()
    network.labels, network.temperature = ("happy", "sad"), 1.0
    for layer in ("conv2d_1", "dense_1"):
        layer_report.save_picture(
            layer_report.layer_report(network, layer, pixels(1)[0].numpy()), tmp_path / f"{layer}.png"
        )
    with Image.open(tmp_path / "conv2d_1.png") as picture:
        assert picture.size == (6 * (46 * 2 + 2) - 2, 46 * 2)
    assert (tmp_path / "dense_1.png").stat().st_size > 1000


def test_a_network_of_other_labels_is_thinned_by_those():
    """Of 12 faces, eight that all FER+'s taggers call neutral and four on which they differ: 8 count."""
    votes = torch.zeros(12, 10, dtype=torch.uint8)
    votes[:8, 0], votes[8:, :5] = 10, 2
    faces = FaceDataset(pixels(12), torch.zeros(12, dtype=torch.long), votes, torch.zeros(12, dtype=torch.bool))
    network = checkpoint.FERModel("compact-ferplus", ferplus.FERPLUS).eval()
    splits = {"Training": faces, "PublicTest": faces}
    (found,) = pruning_curve.update_redundancy(network, None, splits, 12, "conv2d_1", quiet=True).pruned
    assert found["strategies"]["mean"]["rows"][0]["n"] == 8
