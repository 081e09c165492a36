"""saliency: maps of networks small enough to know them by hand; no method in another's place, no thread in another."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fer.attribution import explain as attribution_explain
from fer.attribution import face_regions
from fer.attribution.explain import explain, method_applicability
from fer.attribution.methods import METHODS
from fer.attribution.target_layer import default_layer, target_layers
from fer.models import checkpoint
from fer.models import registry as models_registry
from fer.models.ensemble import Ensemble
from fer.models.layers import NamedSequential
from tests import pages


def chain(*layers: nn.Module) -> NamedSequential:
    named = NamedSequential()
    for number, layer in enumerate(layers):
        named.add_module(f"layer_{number}", layer)
    return named.eval()


def dense(*rows: list[float], bias: float = 0.0) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight.data, layer.bias.data = torch.tensor(rows), torch.full((len(rows),), bias)
    return layer


def small(seed: int = 0, activation: type[nn.Module] = nn.ReLU) -> NamedSequential:
    """Two convolutions and a dense layer over faces of 48x48, with random weights."""
    torch.manual_seed(seed)
    first = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), activation(), nn.MaxPool2d(4))
    return chain(*first, nn.Conv2d(4, 6, 3), activation(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(600, 5))


def shaped(architecture: str) -> NamedSequential:
    """A registered network without its weights."""
    with torch.device("meta"):
        return NamedSequential(models_registry.build_layers(architecture, 7)).eval()


def faces(count: int = 2, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


# ---- maps known by hand


WEIGHTS = [[1.0, -2.0, 3.0, 0.5], [0.0, 1.0, 1.0, -1.0]]
PIXELS = torch.tensor([[[[0.5, 0.25], [1.0, 0.0]]]])


def test_the_gradient_of_a_linear_network_is_its_weights():
    """With their signs, for one target or a target a face."""
    network = chain(nn.Flatten(), dense(*WEIGHTS))
    assert explain(network, PIXELS, "gradient", 0).flatten().tolist() == WEIGHTS[0]
    both = explain(network, PIXELS.expand(2, -1, -1, -1), "gradient", torch.tensor([1, 0]))
    assert both.flatten(1).tolist() == [WEIGHTS[1], WEIGHTS[0]]


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients", "occlusion", "ablation", "deeplift"])
def test_against_black_a_linear_network_gives_every_pixel_its_weight_times_its_value(method):
    """Which is all that a linear network can say: .5, -.5, 3 and 0."""
    network = chain(nn.Flatten(), dense(*WEIGHTS))
    maps = explain(network, PIXELS, method, 0, baseline="black")
    assert maps.flatten().tolist() == pytest.approx([0.5, -0.5, 3.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("method", ["integrated-gradients", "deeplift"])
def test_a_network_of_two_layers_has_known_contributions(method):
    """ReLU(x + y - 1) at (1, 1) against black is 1; it wakes half way, so each pixel gets .5 where its slope is 1."""
    network = chain(nn.Flatten(), dense([1.0, 1.0], bias=-1.0), nn.ReLU(), dense([1.0], [0.0]))
    maps = explain(network, torch.ones(1, 1, 1, 2), method, 0, baseline="black")
    assert maps.flatten().tolist() == pytest.approx([0.5, 0.5], abs=1e-5)
    assert explain(network, torch.ones(1, 1, 1, 2), "gradient", 0).flatten().tolist() == [1.0, 1.0]


def test_guided_backpropagation_and_deconvolution_change_what_passes_a_relu():
    """-ReLU(x) - ReLU(-x) at .5 has the slope -1; one lets nothing negative through, the other rectifies it away."""
    network = chain(nn.Flatten(), dense([1.0], [-1.0]), nn.ReLU(), dense([-1.0, 2.0], [1.0, 2.0]))
    face = torch.full((1, 1, 1, 1), 0.5)
    methods = ("gradient", "guided-backprop", "deconvolution")
    found = {method: explain(network, face, method, 0).item() for method in methods}
    assert (found["gradient"], found["guided-backprop"], found["deconvolution"]) == (-1.0, 0.0, -2.0)


def test_grad_cam_weighs_by_the_mean_gradient_and_hirescam_by_each():
    """Maps of twice the pixels; gradients 1, -2, 3 and .5 have the mean .625."""
    convolution = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(convolution.weight, 2.0)
    network = chain(convolution, nn.ReLU(), nn.Flatten(), dense(*WEIGHTS))
    assert explain(network, PIXELS, "hirescam", 0).flatten().tolist() == [1.0, -1.0, 6.0, 0.0]
    assert explain(network, PIXELS, "grad-cam", 0).flatten().tolist() == [0.625, 0.3125, 1.25, 0.0]
    assert explain(network, PIXELS, "grad-cam", 0, layer="layer_0").shape == PIXELS.shape


def test_the_parts_of_a_face_share_out_what_they_add_together():
    """A network that multiplies the mouth's sum and the eyes': each gets half; the rest nothing, which is exact."""

    class Product(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            eyes, mouth = (
                values[:, 0, places].sum(1)
                for places in (face_regions.region_masks()[0], face_regions.region_masks()[2])
            )
            return torch.stack([eyes * mouth / 1e4, eyes / 1e2], 1)

    ones = torch.ones(1, 1, 48, 48)
    product, linear = (explain(Product().eval(), ones, "region-shap", label, baseline="black") for label in (0, 1))
    areas = face_regions.region_masks().sum((1, 2)).double()
    found = [(face_regions.region_masks() * maps[0, 0]).sum((1, 2)).tolist() for maps in (product, linear)]
    half = (areas[0] * areas[2] / 2e4).item()
    assert found[0] == pytest.approx([half, 0, half, 0, 0, 0], abs=1e-4)
    assert found[1] == pytest.approx([areas[0].item() / 1e2, 0, 0, 0, 0, 0], abs=1e-4)


def test_slopes_become_amounts_and_amounts_stay():
    """A slope of 2 where the face is .5 brighter than its blurred self amounts to 1; occlusion is an amount already."""
    face, maps = faces(1), torch.full((1, 1, 48, 48), 2.0)
    assert torch.allclose(
        attribution_explain.to_contributions(maps, face, "gradient"), 2 * (face - attribution_explain.blur(face))
    )
    assert torch.equal(attribution_explain.to_contributions(maps, face, "occlusion"), maps)


def test_smoothgrad_rounds_off_a_corner():
    """ReLU(x - .5) at .5 has no slope or 1; over noise it has the share of the noise above 0, near .5."""
    network = chain(nn.Flatten(), dense([1.0], bias=-0.5), nn.ReLU(), dense([1.0], [0.0]))
    face = torch.full((1, 1, 1, 1), 0.5)
    assert 0.3 < explain(network, face, "smoothgrad", 0).item() < 0.7
    assert explain(network, face, "smoothgrad", 0, seed=7) != explain(network, face, "smoothgrad", 0, seed=8)


def test_a_baseline_of_ones_own_counts_as_nothing():
    """A face that equals it gets a map of 0."""
    mean = faces(1)[0]
    assert not explain(small(), faces(1), "integrated-gradients", 0, baseline=mean).any()
    assert explain(small(), faces(1), "integrated-gradients", 0).any()


# ---- completeness


def shrunk(architecture: str) -> NamedSequential:
    """The layers of a registered network in their order, an eighth as wide, with random weights."""
    torch.manual_seed(0)
    layers = []
    for layer in shaped(architecture):
        if isinstance(layer, nn.Conv2d):
            layer = nn.Conv2d(max(1, layer.in_channels // 8), layer.out_channels // 8, 3, padding=layer.padding)
        elif isinstance(layer, nn.Linear):
            layer = nn.Linear(layer.in_features // 8, max(7, layer.out_features // 8))
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer = type(layer)(layer.num_features // 8)
        # With PyTorch's own initialisation the output hardly depends on the face.
        models_registry.init_layer(layer, models_registry.get_architecture(architecture))
        layers.append(layer)
    return chain(*layers)


@pytest.mark.parametrize("method", ["integrated-gradients", "deeplift"])
@pytest.mark.parametrize("architecture", ["compact", "cnn", "vgg16-selu"])
def test_the_map_sums_to_the_difference_of_the_outputs(architecture, method):
    """Within 1 %, for the label that gains the most by the face, and for it against the one that loses the most."""
    network, batch = shrunk(architecture), faces()
    with torch.no_grad():
        differences = network(batch) - network(attribution_explain.blur(batch))  # (B, 7)
    (gains, best), (losses, worst) = differences.max(1), differences.min(1)
    for against, expected in ((None, gains), (worst, gains - losses)):
        sums = explain(network, batch, method, best, against).flatten(1).sum(1)
        assert sums.tolist() == pytest.approx(expected.tolist(), rel=0.01)


@pytest.mark.parametrize("name", checkpoint.list_checkpoints())
def test_the_maps_of_a_shipped_network_sum_to_the_difference_of_the_outputs(name):
    """Within 1 %, or .1 % of the sum of sizes where all but cancels out, by both methods that promise it."""
    network, pixels = checkpoint.load_model(name), np.array(pages.example_face(48))
    face = torch.from_numpy(pixels)[None, None].float() / 255
    with torch.no_grad():
        differences = (network(face) - network(attribution_explain.blur(face)))[0]
    label = int(differences.abs().argmax())
    for method in ("integrated-gradients", "deeplift"):
        maps = explain(network, face, method, label)
        allowed = max(0.01 * abs(differences[label].item()), 0.001 * maps.abs().sum().item())
        assert maps.sum().item() == pytest.approx(differences[label].item(), abs=allowed)


# ---- batches, pairs, threads


@pytest.mark.parametrize("method", METHODS)
def test_a_faces_map_does_not_depend_on_the_others_of_its_batch(method):
    """Whatever is explained of them; and it has the face's shape, varies, and wants no gradient."""
    network, batch = small(), faces(3)
    together = explain(network, batch, method, torch.tensor([0, 1, 2]), 4)
    alone = explain(network, batch[1:2], method, 1, 4)
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    assert together.shape == batch.shape and together.std() > 0 and not together.requires_grad


@pytest.mark.parametrize("method", ["gradient", "hirescam"])
def test_why_one_and_not_the_other_is_the_difference_of_both_maps(method):
    """Map of 3 against 1 = map of 3 less map of 1."""
    network, batch = small(), faces()
    first, second = (explain(network, batch, method, label) for label in (3, 1))
    assert torch.allclose(explain(network, batch, method, 3, 1), first - second, atol=1e-6)


def test_eight_visitors_at_once_get_the_maps_that_they_get_alone():
    """200 requests, of other methods, faces, targets and networks, of which some are of several; and forwards between.

    Each is answered twice, alone and among the others, and no hook is left on a network.
    """
    nets = [small(), small(1), small(2, nn.SELU), ensemble(small(0), small(1))]
    cases = []
    for seed in range(25):
        network = nets[seed % 4]
        names = [name for name in attribution_explain.list_methods(network) if name not in SLOW]
        cases += [
            (network, faces(1 + turn % 2, seed), names[(seed + turn) % len(names)], (seed + turn) % 5)
            for turn in range(8)
        ]
    alone = [explain(*case) for case in cases]
    logits = [network(faces()) for network in nets]

    def visit(number: int) -> bool:
        same = torch.allclose(explain(*cases[number]), alone[number], atol=1e-5)
        with torch.inference_mode():
            return same and torch.allclose(nets[number % 4](faces()), logits[number % 4], atol=1e-5)

    with ThreadPoolExecutor(8) as visitors:
        assert len(cases) == 200 and all(visitors.map(visit, range(200)))
    assert [hooks(network) for network in nets] == [0] * 4


SLOW = ("occlusion", "ablation", "integrated-gradients", "region-shap")  # dozens of forwards, and no hooks at all


# ---- hooks


def hooks(network: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


class Watching(nn.Module):
    """Counts the hooks of a network while a copy of it runs, and fails on demand."""

    network, counted, broken = None, 0, False

    def forward(self, values: Tensor) -> Tensor:
        if values.device.type != "meta":
            Watching.counted = max(Watching.counted, hooks(Watching.network))
            if Watching.broken:
                raise ArithmeticError("broken on purpose")
        return values


@pytest.mark.parametrize("method", ["guided-backprop", "deconvolution", "guided-grad-cam", "grad-cam", "hirescam"])
def test_no_hook_is_ever_on_the_shared_network(monkeypatch, method):
    """None during a call, after it, or after one that failed half way."""
    network = chain(Watching(), *small())
    monkeypatch.setattr(Watching, "network", network)
    explain(network, faces(1), method, 0)
    monkeypatch.setattr(Watching, "broken", True)
    with pytest.raises(ArithmeticError):
        explain(network, faces(1), method, 0)
    assert (Watching.counted, hooks(network)) == (0, 0)


class Enough(Exception):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_a_call_can_be_watched_and_ended(method):
    """It tells how many faces go through the network, as many as are foretold; what the callback raises ends it."""
    network, read = small(), []
    explain(network, faces(1), method, 0, on_forward=read.append)
    passes = METHODS[method].passes
    foretold = passes if passes > 1 else 0
    assert sum(read) >= foretold and (method == "integrated-gradients" or sum(read) <= foretold + 2)

    def end(count: int) -> None:
        raise Enough

    if read:
        with pytest.raises(Enough):
            explain(network, faces(1), method, 0, on_forward=end)
    assert hooks(network) == 0


def test_nothing_of_a_call_stays(monkeypatch):
    """Neither on the faces, nor in the weights' gradients or values."""
    network, batch = small(), faces()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        explain(network, batch, "integrated-gradients", 0)
    assert not batch.requires_grad and all(value.grad is None for value in network.parameters())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


# ---- what holds where


@pytest.mark.parametrize(
    "architecture, missing",
    [
        ("cnn", []),
        ("compact", []),
        ("vgg16-relu", []),
        ("dnn", ["hirescam", "grad-cam", "guided-grad-cam"]),
        ("vgg16-selu", ["guided-backprop", "guided-grad-cam", "deconvolution"]),
        ("vgg19-selu", ["guided-backprop", "guided-grad-cam", "deconvolution"]),
    ],
)
def test_a_method_that_does_not_hold_is_left_out_with_a_sentence(architecture, missing):
    """Layers need a convolution, guided gradients need ReLU."""
    reasons = method_applicability(shaped(architecture))
    assert list(reasons) == list(METHODS)
    assert [method for method, reason in reasons.items() if reason] == missing
    assert all(reasons[method].endswith(".") for method in missing)


def ensemble(*members: nn.Module) -> Ensemble:
    for number, member in enumerate(members):
        member.labels, member.name, member.temperature = tuple("abcde"), str(number), 1.0
    return Ensemble(members).eval()


def test_an_ensemble_is_explained_by_its_gradients_but_not_by_layers():
    """Its map of the logarithm of the mean probability lies between the members'."""
    pair = ensemble(small(0), small(1))
    missing = [method for method, reason in method_applicability(pair).items() if reason]
    assert missing == ["deeplift", "hirescam", "grad-cam", "guided-grad-cam"]
    duplicates = ensemble(small(0), small(0))
    logits = explain(small(0), faces(), "gradient", 1, 3)
    assert torch.allclose(explain(duplicates, faces(), "gradient", 1, 3), logits, atol=1e-5)
    assert explain(pair, faces(), "guided-backprop", 1).any()


@pytest.mark.parametrize(
    "architecture, layer, side",
    [("cnn", "activation_3", 20), ("compact", "activation_9", 6), ("vgg19-selu", "activation_12", 6)],
)
def test_maps_are_weighed_at_the_last_activation_with_6x6_pixels(architecture, layer, side):
    """3x3, which both others end with, would say little more of a face than that it is in the middle."""
    network = shaped(architecture)
    assert default_layer(network) == layer and layer in target_layers(network)
    assert network[:layer](torch.empty(1, 1, 48, 48, device="meta")).shape[2:] == (side, side)


# ---- mistakes


@pytest.mark.parametrize(
    "change, words",
    [
        ({"faces": torch.rand(2, 48, 48)}, r"\(2, 48, 48\): expected floats \(B, 1, H, W\)"),
        ({"faces": 255 * faces()}, "expected 0..1"),
        ({"method": "magic"}, "no method 'magic': expected one of integrated-gradients"),
        ({"target": 5}, r"target is 5: expected 0 to 4"),
        ({"target": torch.tensor([0, 1, 2])}, "expected an index or 2 of them"),
        ({"against": -1}, "against is -1"),
        ({"baseline": "white"}, "no baseline 'white': expected one of blurred, black"),
        ({"baseline": torch.zeros(1, 24, 24)}, r"expected \(1, 48, 48\)"),
        ({"layer": "layer_1"}, "layer is 'layer_1': expected none for gradient"),
        ({"method": "grad-cam", "layer": "layer_8"}, "expected one of layer_0, layer_1"),
        ({"network": small().train()}, "in training mode"),
        ({"network": small(activation=nn.SELU), "method": "guided-backprop"}, "does not hold .* SELU layers are no"),
    ],
)
def test_mistakes_are_told_with_what_would_be_right(change, words):
    """Before anything is computed."""
    call = {"network": small(), "faces": faces(), "method": "gradient", "target": 0} | change
    with pytest.raises(ValueError, match=words):
        explain(**call)
