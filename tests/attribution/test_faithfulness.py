"""faithfulness: scores of maps whose worth is known, of networks that look at one place."""

import pytest
import torch
from captum import metrics
from torch import Tensor, nn

from fer.attribution import faithfulness
from fer.attribution.explain import blur, explain
from fer.models.ensemble import Ensemble
from fer.models.layers import NamedSequential


def looking_at(*places: tuple[slice, slice]) -> NamedSequential:
    """A linear network whose logit k is the sum of the face's pixels at the k-th place, over 20."""
    weights = torch.zeros(len(places), 48, 48)
    for row, place in zip(weights, places, strict=True):
        row[place] = 0.05
    layer = nn.Linear(2304, len(places), bias=False)
    layer.weight.data = weights.flatten(1)
    network = NamedSequential()
    network.add_module("flatten_1", nn.Flatten())
    network.add_module("dense_1", layer)
    network.temperature, network.labels, network.name = 1.0, tuple(map(str, range(len(places)))), "looking"
    return network.eval()


MOUTH, EYES = (slice(32, 44), slice(14, 34)), (slice(14, 22), slice(8, 40))


def faces(count: int = 2) -> Tensor:
    """Grey, with a bright mouth and bright eyes, on faint noise."""
    made = 0.2 + 0.05 * torch.rand(count, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    for rows, columns in (MOUTH, EYES):
        made[:, :, rows, columns] += 0.5
    return made


# ---- region correlation


def test_squares_are_49_of_one_size_that_reach_every_pixel():
    """12x12 each, the first in the corner, the last in the opposite one."""
    squares = faithfulness._occlusion_masks(faces())
    assert squares.shape == (49, 48, 48) and squares.sum((1, 2)).tolist() == [144] * 49
    assert squares.any(0).all() and squares[0, :12, :12].all() and squares[-1, 36:, 36:].all()


def test_the_map_of_what_a_linear_network_loses_correlates_fully():
    """The fall of its logit is the sum of weight times (face - blurred), so that map scores 1 and its negative -1."""
    network, batch = looking_at(MOUTH, EYES), faces()
    drops = faithfulness.occlusion_drops(network, batch, torch.tensor([0, 1]))
    maps = network[-1].weight.detach().view(2, 1, 48, 48) * (batch - blur(batch))
    assert faithfulness.faithfulness_correlation(maps, drops).tolist() == pytest.approx([1, 1], abs=1e-4)
    assert faithfulness.faithfulness_correlation(-1e-9 * maps, drops).tolist() == pytest.approx([-1, -1], abs=1e-4)
    assert faithfulness.faithfulness_correlation(maps.flip(0), drops).max() < 0.5


def test_the_difference_of_two_labels_falls_by_the_difference():
    """Falls of 0 against 1 = drops of 0 less drops of 1."""
    network, batch = looking_at(MOUTH, EYES), faces()
    mouth, eyes, both = (faithfulness.occlusion_drops(network, batch, *pair) for pair in ((0,), (1,), (0, 1)))
    assert torch.allclose(both, mouth - eyes, atol=1e-5) and both.abs().max() > 0.5


def test_a_map_at_random_scores_about_nothing():
    """Within .1 of 0 on average over 200 maps, and a map without any difference exactly 0."""
    network, batch = looking_at(MOUTH, EYES), faces(1)
    drops = faithfulness.occlusion_drops(network, batch, 0)
    noise = torch.randn(200, 1, 48, 48, generator=torch.Generator().manual_seed(3))
    assert abs(faithfulness.faithfulness_correlation(noise, drops.expand(200, -1)).mean()) < 0.1
    assert faithfulness.faithfulness_correlation(torch.full((1, 1, 48, 48), 0.3), drops).item() == pytest.approx(
        0, abs=1e-6
    )


# ---- fidelity


def exact(network: NamedSequential, batch: Tensor) -> Tensor:
    """What each pixel adds to the k-th logit for the k-th face, against the blurred one."""
    return network[-1].weight.detach().view(2, 1, 48, 48) * (batch - blur(batch))


def test_the_amounts_of_a_linear_network_foretell_every_rise():
    """Fidelity 1 at any scale, 0 for the negative, and little for the amounts of another logit."""
    network, batch = looking_at(MOUTH, EYES), faces()
    perturbations = faithfulness.perturb(network, batch, torch.tensor([0, 1]))
    maps = exact(network, batch)
    assert faithfulness.infidelity_score(maps, perturbations).tolist() == pytest.approx([1, 1], abs=1e-4)
    assert faithfulness.infidelity_score(1e-9 * maps, perturbations).tolist() == pytest.approx([1, 1], abs=1e-4)
    assert faithfulness.infidelity_score(-maps, perturbations).tolist() == [0, 0]
    assert faithfulness.infidelity_score(maps.flip(0), perturbations).max() < 0.3


def test_a_map_at_random_foretells_nothing():
    """Below .1 on average over 200 maps; a map of zeros exactly 0."""
    perturbations = faithfulness.perturb(looking_at(MOUTH, EYES), faces(1), 0)
    several = faithfulness.Perturbations(perturbations.detail_gain, perturbations.logit_changes.expand(200, -1))
    noise = torch.randn(200, 1, 48, 48, generator=torch.Generator().manual_seed(3))
    assert faithfulness.infidelity_score(noise, several).mean() < 0.1
    assert faithfulness.infidelity_score(torch.zeros(1, 1, 48, 48), perturbations).item() == 0


def test_the_infidelity_score_is_captums_infidelity_bounded():
    """1 - infidelity (normalised) / infidelity of a map of zeros, over the same changes."""
    network, batch = looking_at(MOUTH, EYES), faces(1)
    perturbations = faithfulness.perturb(network, batch, 0)
    maps = exact(network, faces(2))[:1] + 0.001 * torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    rows = iter(perturbations.detail_gain)

    def change(given: Tensor) -> tuple[Tensor, Tensor]:
        detail = torch.stack([next(rows) for _ in given])[:, None]
        return -detail, given + detail * (batch - blur(batch))

    def infidelity(amounts: Tensor, normalize: bool) -> float:
        nonlocal rows
        rows = iter(perturbations.detail_gain)
        return metrics.infidelity(
            network, change, batch, amounts, target=0, n_perturb_samples=48, normalize=normalize
        ).item()

    bounded = 1 - infidelity(maps, True) / infidelity(torch.zeros_like(maps), False)
    assert 0.1 < bounded < 0.99 and faithfulness.infidelity_score(maps, perturbations).item() == pytest.approx(
        bounded, abs=1e-4
    )


# ---- the masked face and its curves


def test_all_of_the_face_is_the_face_and_none_of_it_its_blurred_self():
    """Bit for bit; between them, the highest share of the map stays."""
    batch = faces()
    maps = torch.arange(2304.0).view(1, 1, 48, 48).expand(2, -1, -1, -1)
    assert torch.equal(faithfulness.keep_top_pixels(batch, maps, 1.0), batch)
    assert torch.equal(faithfulness.keep_top_pixels(batch, maps, 0.0), blur(batch))
    half = faithfulness.keep_top_pixels(batch, maps, torch.tensor([0.5, 0.25]))
    assert torch.equal(half[0, :, 24:], batch[0, :, 24:]) and torch.equal(half[0, :, :24], blur(batch)[0, :, :24])
    assert torch.equal(half[1, :, 36:], batch[1, :, 36:]) and torch.equal(half[1, :, :36], blur(batch)[1, :, :36])
    with pytest.raises(ValueError, match="share is .*20.0.*expected 0 to 1"):
        faithfulness.keep_top_pixels(batch, maps, 20)


def test_a_smoothed_map_keeps_its_sum_and_spreads_a_pixel_to_its_neighbours():
    """One pixel of 1 becomes a hill of .07, a fifth lower a pixel further."""
    maps = torch.zeros(1, 1, 48, 48)
    maps[0, 0, 20, 20] = 1
    hill = faithfulness.smooth(maps)[0, 0]
    assert hill.sum().item() == pytest.approx(1, abs=1e-5)
    assert hill[20, 20].item() == pytest.approx(0.0716, abs=1e-3) and hill[20, 21] / hill[20, 20] == pytest.approx(
        0.8, abs=0.01
    )


def test_curves_run_from_the_face_to_its_blurred_self_and_back():
    """A map of the place that counts makes deletion fall and insertion rise sooner than one of another place."""
    network, batch = looking_at(MOUTH, EYES), faces()
    right, wrong = (explain(network, batch, "gradient", label) for label in (0, 1))
    deletion, insertion = faithfulness.deletion_insertion_curves(network, batch, right, 0, steps=8)
    ends = [network(end).softmax(1)[:, 0].double() for end in (batch, blur(batch))]
    assert deletion.shape == insertion.shape == (2, 9)
    assert torch.allclose(deletion[:, [0, -1]], torch.stack(ends, 1), atol=1e-5)
    assert torch.allclose(insertion[:, [-1, 0]], torch.stack(ends, 1), atol=1e-5)
    other = faithfulness.deletion_insertion_curves(network, batch, wrong, torch.tensor([0, 0]), steps=8)
    assert (faithfulness.area_under_curve(deletion) < faithfulness.area_under_curve(other[0])).all()
    assert (faithfulness.area_under_curve(insertion) > faithfulness.area_under_curve(other[1])).all()


def test_the_area_under_a_curve_is_its_mean_height():
    """1, .5, 0 has the mean .5, and a flat curve its own height."""
    curves = torch.tensor([[1.0, 0.5, 0.0], [0.2, 0.2, 0.2]])
    assert faithfulness.area_under_curve(curves).tolist() == pytest.approx([0.5, 0.2])


# ---- controls


def test_edges_lie_where_brightness_steps_and_the_blob_in_the_middle():
    """A step of .5 has a Sobel strength of 2 on both sides of it; the blob drops off from the centre."""
    step = torch.zeros(1, 1, 48, 48)
    step[..., 24:] = 0.5
    strengths = faithfulness.edge_map(step)[0, 0, 5]
    assert strengths[[22, 23, 24, 25]].tolist() == pytest.approx([0, 2, 2, 0], abs=1e-6)
    blob = faithfulness.centre_blob(step)[0, 0]
    assert blob.argmax().item() in (23 * 48 + 23, 23 * 48 + 24, 24 * 48 + 23, 24 * 48 + 24)
    assert blob[0, 0] < 0.01 < blob.max()


def test_controls_have_the_shape_of_maps():
    """For every face, and the same noise at every call."""
    for control in faithfulness.CONTROL_MAPS.values():
        assert control(faces(3)).shape == (3, 1, 48, 48)
    assert torch.equal(faithfulness.noise_map(faces()), faithfulness.noise_map(faces()))


def test_noise_scores_about_nothing_beside_a_map():
    """Within .1 of 0 for each face by both scores, as the mean of its draws; one of its own may be off by more."""
    changes = faithfulness.output_changes(looking_at(MOUTH, EYES), faces(3), 0)
    scores = faithfulness.control_scores(faces(3), changes)
    assert list(scores) == ["edges", "blob", "noise"] and scores["noise"].shape == (2, 3)
    assert scores["noise"].abs().max() < 0.1


# ---- what was learnt


def test_ranks_of_equal_values_share_their_mean():
    """1 1 5 3 has the ranks 1.5 1.5 4 3."""
    assert faithfulness._ranks(torch.tensor([1.0, 1.0, 5.0, 3.0])).tolist() == [1.5, 1.5, 4, 3]


def test_rank_correlation_compares_sizes_in_order():
    """1 for any map that grows alike, signs aside; -1 for the reverse; 0 for a map that is the same all over."""
    first = torch.tensor([[[[1.0, -2.0], [3.0, -4.0]]]])
    assert faithfulness.rank_correlation(first, first**3).item() == pytest.approx(1)
    assert faithfulness.rank_correlation(first, 1 / first).item() == pytest.approx(-1)
    assert faithfulness.rank_correlation(first, torch.ones(1, 1, 2, 2)).item() == 0


def test_what_is_randomised_is_a_copy():
    """The last layer alone or all of them, in every member of an ensemble; the network itself stays as it was."""
    network = NamedSequential()
    for name, layer in (("flatten", nn.Flatten()), ("dense_1", nn.Linear(2304, 8)), ("dense_2", nn.Linear(8, 3))):
        network.add_module(name, layer)
    network.labels, network.name, network.temperature = ("a", "b", "c"), "network", 1.0
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for copied, changed in (
        (faithfulness.randomize_parameters(network, "last"), ["dense_2"]),
        (faithfulness.randomize_parameters(network, "all"), ["dense_1", "dense_2"]),
        (faithfulness.randomize_parameters(Ensemble([network, network]), "last").members[1], ["dense_2"]),
    ):
        found = [name for name in ("dense_1", "dense_2") if not torch.equal(copied[name].weight, network[name].weight)]
        assert found == changed
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    new = faithfulness.randomize_parameters(network, "all")["dense_1"].weight
    assert new.std().item() == pytest.approx(network["dense_1"].weight.std().item(), rel=0.05)
    with pytest.raises(ValueError, match="which is 'first': expected last or all"):
        faithfulness.randomize_parameters(network, "first")


def test_a_linear_networks_gradient_forgets_all_with_its_only_layer():
    """Its map is that layer: the rank correlation with a new one is near 0, far below the badge's .8."""
    network = looking_at(MOUTH, EYES)
    network["dense_1"].weight.data += 0.01 * torch.randn(2, 2304, generator=torch.Generator().manual_seed(9))
    maps = [explain(which, faces(), "gradient", 0) for which in (network, faithfulness.randomize_parameters(network))]
    assert faithfulness.rank_correlation(*maps).abs().max() < 0.15 < faithfulness.INSENSITIVE_CORRELATION
