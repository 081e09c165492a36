"""ascent: a known kernel is found, filters do not touch each other, and the network stays what it was."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from fer.features import quality, receptive_field, visualization
from fer.features.objectives import centre_neuron, direction_objective
from fer.features.presets import PRESETS, random_shift
from fer.models import registry as models_registry
from fer.models.layers import NamedSequential

KERNEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def chain(*modules: nn.Module) -> NamedSequential:
    return NamedSequential(OrderedDict((f"layer_{number}", module) for number, module in enumerate(modules, 1)))


def edges() -> NamedSequential:
    """One convolution of four filters: Sobel's kernel in its four directions, each with a ReLU."""
    convolution = nn.Conv2d(1, 4, 3, bias=False)
    convolution.weight.data = torch.stack([KERNEL.rot90(turns) for turns in range(4)])[:, None]
    return chain(convolution, nn.ReLU())


def deep() -> NamedSequential:
    """Two random convolutions with batch normalisation, ReLU and a pool."""
    torch.manual_seed(0)
    first = (nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    return chain(*first, nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())


def last(frames) -> visualization.Snapshot:
    *_, frame = frames
    return frame


def correlation(first: Tensor, second: Tensor) -> float:
    return torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1].item()


def test_a_hand_set_kernel_is_found_in_every_direction():
    """What one linear neuron likes best is its own kernel: where it looks, the correlation is above .85."""
    images = last(visualization.visualize(edges(), "layer_1")).images
    assert images.shape == (4, 1, 8, 8) and 0 <= images.min() <= images.max() <= 1
    for turns, image in enumerate(images):
        assert correlation(image[0, 3:6, 3:6], KERNEL.rot90(turns)) > 0.85


@pytest.mark.parametrize("preset", PRESETS)
def test_every_filter_s_value_goes_up(preset: str):
    """From the noise of step 0 to the last step, in both presets; a frame comes every four steps and at the end."""
    frames = list(visualization.visualize(deep(), "layer_5", range(6), PRESETS[preset], steps=10))
    assert [frame.step for frame in frames] == [0, 4, 8, 10]
    assert (frames[-1].values > frames[0].values).all()


def test_a_frame_s_values_are_those_of_its_pictures():
    """The network itself, given the picture, answers with the value: the middle of the map, unshaken."""
    network = edges()
    frame = last(visualization.visualize(network, "layer_1", [2], steps=3))
    assert frame.values.item() == pytest.approx(network["layer_1"](frame.images)[0, 2, 3, 3].item(), abs=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_filter_s_picture_is_the_same_alone_and_in_a_batch(preset: str):
    """Noise, movements and steps are its own: the same within .001 after twelve steps, in whatever order."""
    options = {"preset": PRESETS[preset], "steps": 12}
    together = last(visualization.visualize(deep(), "layer_5", [5, 1, 3], **options))
    alone = last(visualization.visualize(deep(), "layer_5", [1], **options))
    assert torch.allclose(together.images[1], alone.images[0], atol=1e-3)
    other = last(visualization.visualize(deep(), "layer_5", [1], seed=1, **options))
    assert not torch.allclose(other.images, alone.images, atol=1e-2)


def test_rounding_depends_on_the_batch_only_where_that_was_asked_for(monkeypatch: pytest.MonkeyPatch):
    """`atlas.grow` asks for it, as it takes every filter in one and the same batch."""
    asked = []
    monkeypatch.setattr(visualization, "use_bf16", lambda device, same: bool(asked.append(same)))
    last(visualization.visualize(deep(), "layer_5", [1], steps=1))
    last(visualization.visualize(deep(), "layer_5", [1], steps=1, same=False))
    assert asked == [True, False]


def test_a_large_batch_passes_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch):
    """Parts of three of eight filters."""
    whole = last(visualization.visualize(deep(), "layer_5", steps=4))
    monkeypatch.setattr(visualization, "BATCH_SIZE", 3)
    assert torch.allclose(last(visualization.visualize(deep(), "layer_5", steps=4)).images, whole.images, atol=1e-3)


def test_the_network_is_left_bit_identical():
    """Weights, statistics, gradients, training mode and hooks are what they were, though it was in training."""
    network = deep().train()
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    last(visualization.visualize(network, "layer_6", steps=4))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all((parameter.grad == 7).all() and parameter.requires_grad for parameter in network.parameters())
    assert network.training and network["layer_2"].training
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_a_dead_filter_is_flagged_and_a_live_one_is_not():
    """A ReLU that never opens has no gradient: the noise stays. Before its activation the same filter is alive."""
    network = edges()
    network["layer_1"].bias = nn.Parameter(torch.tensor([0.0, -100.0, 0.0, 0.0]))
    report = list(visualization.visualize(network, "layer_1", preset=PRESETS["report"], steps=4))
    assert report[0].dead.tolist() == report[-1].dead.tolist() == [False, True, False, False]
    assert torch.equal(report[0].images[1], report[-1].images[1])
    assert not last(visualization.visualize(network, "layer_2", steps=2)).dead.any()
    network["layer_1"].weight.data[3] = 0
    assert last(visualization.visualize(network, "layer_1", steps=2)).dead.tolist() == [False, False, False, True]


def test_a_stopped_ascent_leaves_nothing_behind():
    """Closed after a frame: no thread more, gradients still on, and a frame in between never switches them."""
    threads = threading.active_count()
    frames = visualization.visualize(deep(), "layer_5", range(2))
    next(frames)
    assert torch.is_grad_enabled()
    with torch.no_grad():
        next(frames)
        assert not torch.is_grad_enabled()
    frames.close()
    assert torch.is_grad_enabled() and threading.active_count() == threads


def test_two_visitors_at_once_get_their_own_results():
    """Two threads on one network, different filters and seeds: each as it would be alone."""
    network, seeds = deep(), (1, 4)

    def visit(seed: int) -> Tensor:
        return last(visualization.visualize(network, "layer_5", [seed, seed + 1], seed=seed, steps=8)).images

    with ThreadPoolExecutor(2) as visitors:
        together = list(visitors.map(visit, seeds))
    for seed, images in zip(seeds, together, strict=True):
        assert torch.allclose(images, visit(seed), atol=1e-3)


def test_a_face_is_changed_within_its_budget():
    """The root mean square of the change is at most .05, and the filter answers more."""
    face = torch.linspace(0.1, 0.9, 48).expand(1, 1, 48, 48)
    frames = list(visualization.visualize(deep(), "layer_5", [0, 1], start=face, budget=0.05, steps=12))
    sizes = (frames[-1].images - face).square().mean((1, 2, 3)).sqrt()
    assert frames[-1].images.shape == (2, 1, 48, 48) and (0.01 < sizes).all() and (sizes < 0.0501).all()
    assert (frames[-1].values > frames[0].values).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_all_prototypes_are_of_their_own_class(preset: str):
    """Three classes that look at three thirds of the face: each prototype has its own logit on top."""
    dense = nn.Linear(48 * 48, 3)
    dense.weight.data = torch.block_diag(*[torch.full((1, 768), 0.01)] * 3)
    network = chain(nn.Flatten(), dense)
    frame = last(visualization.visualize_classes(network, PRESETS[preset], steps=20))
    assert network(frame.images).argmax(1).tolist() == [0, 1, 2]


def test_a_direction_is_the_sum_of_its_filters():
    """Along (2, 0, 1) the objective is twice the first filter's middle and once the third's."""
    values = torch.rand(2, 3, 5, 5)
    expected = 2 * values[:, 0, 2, 2] + values[:, 2, 2, 2]
    assert torch.allclose(direction_objective(torch.tensor([2.0, 0.0, 1.0]))(values, torch.tensor([0, 1])), expected)
    assert centre_neuron(values, torch.tensor([1, 2])).tolist() == [values[0, 1, 2, 2], values[1, 2, 2, 2]]


def test_movements_are_drawn_for_each_picture():
    """No draw changes nothing; a full draw to the right takes the picture from two pixels further on."""
    images = torch.rand(1, 1, 48, 48).expand(2, -1, -1, -1)
    moved = random_shift()(images, torch.tensor([[0.0, 0, 0, 0], [0, 0, 1, 0]]))
    assert torch.allclose(moved[0], images[0], atol=1e-5)
    assert torch.allclose(moved[1, 0, :, :46], images[1, 0, :, 2:], atol=1e-4)


@pytest.mark.parametrize("field, layer", [(3, "conv2d_1"), (5, "conv2d_2"), (10, "conv2d_3"), (48, "dense_1")])
def test_receptive_fields_of_cnn(field: int, layer: str):
    """3; + 2 = 5; pooled 6 at stride 2, + 2 * 2 = 10; and a dense layer sees all."""
    assert receptive_field.receptive_field(NamedSequential(models_registry.build_layers("cnn", 7)), layer).size == field


def test_receptive_fields_of_compact_small():
    """By hand: each convolution adds twice the stride, each pool once, and doubles it."""
    network = NamedSequential(models_registry.build_layers("compact-small", 7))
    fields = [receptive_field.receptive_field(network, f"conv2d_{number}").size for number in range(1, 8)]
    assert fields == [3, 8, 18, 26, 46, 62, 102]
    assert [receptive_field.canvas_size(network, f"conv2d_{number}") for number in (1, 3, 4, 5)] == [8, 26, 34, 48]


@pytest.mark.parametrize("number, field", [(1, 3), (2, 8), (3, 18), (4, 26)])
def test_the_middle_neuron_sees_no_edge_of_its_canvas(number: int, field: int):
    """In compact-small with average pools, its gradient covers exactly the receptive field, and no edge."""
    network = NamedSequential(models_registry.build_layers("compact-small", 7)).eval()[: f"conv2d_{number}"]
    side = receptive_field.canvas_size(network, f"conv2d_{number}")
    linear = chain(*[nn.AvgPool2d(2) if isinstance(part, nn.MaxPool2d) else part for part in network])
    linear = chain(*[part for part in linear if not isinstance(part, nn.ReLU)])
    image = torch.rand(1, 1, side, side, requires_grad=True)
    (gradient,) = torch.autograd.grad(centre_neuron(linear(image), torch.tensor([0])).sum(), image)
    seen = [gradient[0, 0].ne(0).any(axis).nonzero().flatten() for axis in (0, 1)]
    assert all(len(pixels) == field and pixels[0] >= 2 and pixels[-1] <= side - 3 for pixels in seen)


def test_white_noise_is_fine_and_an_even_slope_is_coarse():
    """.81 of white noise lies above a quarter cycle a pixel, less than .05 of a coarse wave, 0 of a blank."""
    noise = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    assert quality.high_frequency_share(noise).mean().item() == pytest.approx(0.81, abs=0.01)
    wave = torch.sin(torch.arange(48) * 2 * torch.pi / 16).expand(1, 1, 48, 48)
    assert quality.high_frequency_share(wave).item() < 0.05
    assert quality.high_frequency_share(torch.full((1, 1, 48, 48), 0.5)).item() == 0


def test_agreement_ignores_where_but_not_what():
    """1 for a picture moved around the edges, below .15 for two noises of 48 pixels."""
    first, second = torch.rand(2, 3, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(quality.seed_agreement(first, first.roll((5, -9), (2, 3))), torch.ones(3), atol=1e-4)
    assert (quality.seed_agreement(first, second) < 0.15).all()


def test_report_is_noise_and_clear_is_not():
    """On cnn's first convolution, untrained: the middle filter's share is above .6 in `report`, below .3 in `clear`."""
    torch.manual_seed(0)
    network = NamedSequential(models_registry.build_layers("cnn", 7))
    shares = {}
    for name, preset in PRESETS.items():
        frame = last(visualization.visualize(network, "conv2d_1", range(6), preset))
        shares[name] = quality.high_frequency_share(frame.images)
    assert shares["report"].median() > 0.6 and shares["clear"].median() < 0.3


def test_filters_are_listed_as_people_write_them():
    """Numbers and ranges; anything else is named, and a range can never be endless."""
    assert visualization.parse_filters("0-2, 7,1") == [0, 1, 2, 7]
    for words in ("", "a", "1-", "-1", "1-2-3", "0-99999", "1,,2", "1," * 501 + "1"):
        with pytest.raises(ValueError, match="expected numbers and ranges"):
            visualization.parse_filters(words)


def test_a_morph_begins_with_one_class_and_ends_with_another():
    """Of 7 stops from one noise, the first logit falls and the second rises; in the middle the two count alike."""
    torch.manual_seed(0)
    network = NamedSequential(models_registry.build_layers("dnn", 7)).eval()
    frames = list(visualization.interpolate_classes(network, 2, 5, stops=7, steps=48))
    assert torch.allclose(frames[0].images, frames[0].images[:1], atol=1e-6)
    with torch.no_grad():
        logits = network(frames[-1].images)
    (first, second) = (logits[[0, 3, 6], number].diff() for number in (2, 5))
    assert (first < 0).all() and (second > 0).all()
    assert logits[0].argmax() == 2 and logits[-1].argmax() == 5
    assert torch.allclose(frames[-1].values[3], (logits[3, 2] + logits[3, 5]) / 2, atol=1e-4)


@pytest.mark.parametrize(
    "ends, options, words",
    [
        ((0, 7), {}, r"filters 0 to 6, got \[7\]"),
        ((0, 1), {"stops": 1}, "stops is 1"),
        ((0, 1), {"steps": 0}, "steps is 0"),
    ],
)
def test_a_morph_that_leads_nowhere_is_refused_at_once(ends: tuple, options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        visualization.interpolate_classes(NamedSequential(models_registry.build_layers("dnn", 7)), *ends, **options)


def test_alike_ignores_scale_and_offset_but_not_sign():
    """Of Sobel's four, turned by quarters, opposite ones correlate at -1 and neighbours at 0."""
    network = edges()
    network["layer_1"].weight.data[1] = 3 * network["layer_1"].weight.data[0] + 2
    found = quality.nearest_filters(network, "layer_1", 0)
    assert [number for number, _ in found] == [1, 3, 2]
    assert [likeness for _, likeness in found] == pytest.approx([1, 0, -1], abs=1e-5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"layer": "layer_9"}, "no layer 'layer_9': expected one of layer_1"),
        ({"filters": [0, 4]}, r"layer_1 has the filters 0 to 3, got \[4\]"),
        ({"filters": []}, "layer_1 has the filters 0 to 3, got none"),
        ({"steps": 0}, "steps is 0"),
        ({"start": torch.zeros(1, 1, 24, 24)}, r"start is \(1, 1, 24, 24\)"),
        ({"start": torch.full((1, 1, 48, 48), 255.0)}, "start runs from 255 to 255"),
    ],
)
def test_mistakes_are_named_before_the_first_step(options: dict, words: str):
    """When `ascend` is called, not when its first frame is asked for."""
    with pytest.raises(ValueError, match=words):
        visualization.visualize(edges(), **{"layer": "layer_1", **options})
