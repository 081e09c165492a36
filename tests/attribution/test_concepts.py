"""Concepts: planted factors are found, and shares add up to the logits."""

import pytest
import torch
from sklearn.decomposition import NMF
from torch import Tensor, nn

from fer.attribution import concepts, face_regions


def planted(count: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Values (M, C) made of three non-negative directions (3, C) that overlap little."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.eye(3).repeat_interleave(3, 1) * (0.5 + torch.rand(3, 9, generator=generator))
    codes = torch.rand(count, 3, generator=generator) * (torch.rand(count, 3, generator=generator) > 0.5)
    return codes @ basis, basis


def network() -> nn.Sequential:
    """Maps of 6 channels at 4x4 places, a ReLU, then pooling and two linear layers with batch norm between them."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3, stride=12), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout()]
    chain = nn.Sequential(*layers, nn.Linear(24, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).eval()
    chain[6].running_mean += torch.arange(5.0)
    return chain


def test_planted_factors_are_found_again():
    """Each within a cosine of .99, and the error is no larger than scikit-learn's by a twentieth."""
    values, basis = planted()
    found = concepts.factorize(values, 3, seed=1)
    assert concepts.matched_cosine(found.basis, basis).min() > 0.99
    noisy = values + 0.1 * torch.rand(values.shape, generator=torch.Generator().manual_seed(2))
    ours = concepts.factorize(noisy, 4)
    error = (noisy - ours.codes @ ours.basis).norm()
    oracle = NMF(4, init="random", random_state=0, max_iter=500, solver="mu").fit(noisy.numpy())
    assert error < 1.05 * oracle.reconstruction_err_
    assert ours.codes.min() >= 0 and ours.basis.min() >= 0
    assert torch.allclose(ours.basis.norm(dim=1), torch.ones(4), atol=1e-5)


def test_a_seed_gives_the_same_factors():
    values, _ = planted()
    assert torch.equal(concepts.factorize(values, 3, 5).basis, concepts.factorize(values, 3, 5).basis)


def test_a_face_is_read_in_known_concepts():
    """`encode` finds the strengths that the values were made of, to 1e-3."""
    _, basis = planted()
    basis = nn.functional.normalize(basis)
    codes = torch.tensor([[0.5, 0.0, 2.0], [1.0, 1.0, 0.0]])
    assert torch.allclose(concepts.encode(codes @ basis, basis), codes, atol=1e-3)


def test_shares_and_residual_add_up_to_the_logit():
    """To 1e-4 through pooling, two dense layers and a batch norm, for any basis."""
    chain, faces = network(), torch.rand(7, 1, 48, 48)
    body, tail = concepts.split_at_linear_tail(chain)
    basis = nn.functional.normalize(torch.rand(4, 6))
    found = concepts.concept_shares(body, tail, basis, faces)
    total = found.contributions.sum(1) + found.residual + found.constant
    assert torch.allclose(total, chain(faces), atol=1e-4, rtol=0)
    assert found.residual.abs().max() > 1e-2 and (found.unexplained < 1).all()
    assert found.strengths.shape == (7, 4)


def test_removing_a_concept_is_removing_it_from_the_maps():
    """`without` gives the logits of maps from which the concept was taken away; kept whole, the network's own."""
    chain, faces = network(), torch.rand(3, 1, 48, 48)
    body, tail = concepts.split_at_linear_tail(chain)
    basis = nn.functional.normalize(torch.rand(4, 6))
    found = concepts.concept_shares(body, tail, basis, faces)
    assert torch.allclose(concepts.without(found, torch.ones(4)), chain(faces), atol=1e-5)
    maps = body(faces)
    taken = found.codes[..., 2, None] * basis[2]  # (B, P, C)
    left = maps - taken.transpose(1, 2).view_as(maps)
    assert torch.allclose(concepts.without(found, torch.tensor([1.0, 1, 0, 1])), tail(left), atol=1e-4)


def test_a_network_is_split_after_its_last_activation():
    body, tail = concepts.split_at_linear_tail(network())
    assert isinstance(body[-1], nn.ReLU) and isinstance(tail[0], nn.AdaptiveAvgPool2d)
    with pytest.raises(ValueError, match="training mode"):
        concepts.split_at_linear_tail(network().train())
    with pytest.raises(ValueError, match="linear layers after an activation"):
        concepts.split_at_linear_tail(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval())


def test_values_below_zero_are_refused():
    with pytest.raises(ValueError, match="expected none below 0"):
        concepts.factorize(torch.tensor([[1.0, -1.0], [1.0, 1.0]]), 1)
    with pytest.raises(ValueError, match="rank is 3"):
        concepts.factorize(torch.ones(2, 2), 3)


def test_bases_are_matched_one_to_one():
    """A basis in another order is matched wholly; a concept that both want goes to the more alike."""
    basis = torch.eye(3)
    assert torch.allclose(concepts.matched_cosine(basis, basis[[2, 0, 1]]), torch.ones(3))
    twice = torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    assert concepts.matched_cosine(torch.eye(2), twice).tolist() == pytest.approx([1.0, 0.0995], abs=1e-3)


def test_a_concept_of_the_mouth_lies_on_the_mouth():
    """One that answers bright pixels of the mouth's box weakens by nothing else."""
    masks = face_regions.region_masks()
    mouth = face_regions.FACE_REGIONS.index("mouth")
    dense = nn.Linear(48 * 48, 1, bias=False)
    dense.weight.data = masks[mouth].float().flatten()[None] / masks[mouth].sum()
    body = nn.Sequential(nn.Flatten(), dense, nn.ReLU()).eval()
    faces = 0.5 + 0.4 * torch.rand(4, 1, 48, 48)
    found = concepts.region_shares(body, torch.ones(1, 1), faces, torch.zeros_like(faces), 0)
    assert found[mouth] == pytest.approx(1)
