"""Which training faces made an answer: against Captum's TracInCPFast, by hand, and on planted examples."""

import pytest
import torch
from captum.influence import TracInCPFast
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from fer.attribution import training_examples_benchmark as benchmark
from fer.attribution.last_layer import features_of, last_layer
from fer.attribution.training_examples import (
    CheckpointFeatures,
    evidence,
    influence,
    prototypes,
    self_influence,
    strongest,
)


class WithOne(nn.Module):
    """Puts a 1 behind the features, whose weights are then the bias: Captum leaves a layer's bias out."""

    def forward(self, features: Tensor) -> Tensor:
        return functional.pad(features, (0, 1), value=1.0)


def network(seed: int, bias_as_weight: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    body, layer = [nn.Flatten(), nn.Linear(36, 8), nn.ReLU()], nn.Linear(8, 4)
    if not bias_as_weight:
        return nn.Sequential(*body, layer).eval()
    wide = nn.Linear(9, 4, bias=False)
    wide.weight.data = torch.cat([layer.weight, layer.bias[:, None]], 1).detach()
    return nn.Sequential(*body, WithOne(), wide).eval()


def faces(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 6, 6, generator=generator), torch.randint(0, 4, (count,), generator=generator)


def table(seed: int, rate: float = 1.0) -> tuple[nn.Sequential, CheckpointFeatures]:
    chain, (pixels, labels) = network(seed), faces(30)
    return chain, CheckpointFeatures.of(last_layer(chain), features_of(chain, pixels), labels, rate)


def test_influence_is_that_of_captums_tracincpfast():
    """To 1e-4 over two checkpoints with their learning rates, the bias's part included; self-influence as well."""
    (pixels, labels), (own, targets) = faces(30), faces(5, seed=1)
    rates = {0: 0.1, 1: 0.03}

    def load(model: nn.Module, seed: int) -> float:
        model.load_state_dict(network(seed, bias_as_weight=True).state_dict())
        return rates[seed]

    model = network(0, bias_as_weight=True)
    oracle = TracInCPFast(
        model, model[-1], TensorDataset(pixels, labels), list(rates), load, nn.CrossEntropyLoss(reduction="sum"), 30
    )
    chains, tables = zip(*(table(seed, rate) for seed, rate in rates.items()), strict=True)
    found = influence(tables, [features_of(chain, own) for chain in chains], targets)
    assert torch.allclose(found, oracle.influence((own, targets)), atol=1e-4, rtol=0)
    expected = oracle.self_influence()
    assert torch.allclose(sum(self_influence(part) for part in tables), expected, atol=1e-4, rtol=0)


def test_a_step_on_a_proponent_lowers_the_loss_and_one_on_an_opponent_raises_it():
    """By as much as the influence says times the rate of the step, to first order."""
    chain, checkpoint = table(0)
    (pixels, labels), (own, targets) = faces(30), faces(1, seed=1)
    values = influence([checkpoint], [features_of(chain, own)], targets)[0]
    layer, rate = last_layer(chain), 1e-3
    for row in (values.argmax(), values.argmin()):
        before = functional.cross_entropy(chain(own), targets).item()
        gradients = torch.autograd.grad(
            functional.cross_entropy(chain(pixels[row : row + 1]), labels[row : row + 1]), [layer.weight, layer.bias]
        )
        kept = [part.detach().clone() for part in (layer.weight, layer.bias)]
        with torch.no_grad():
            for part, gradient in zip((layer.weight, layer.bias), gradients, strict=True):
                part -= rate * gradient
        after = functional.cross_entropy(chain(own), targets).item()
        with torch.no_grad():
            for part, value in zip((layer.weight, layer.bias), kept, strict=True):
                part.copy_(value)
        assert before - after == pytest.approx(rate * values[row].item(), rel=0.05, abs=1e-7)


def planted() -> tuple[CheckpointFeatures, Tensor]:
    """Four faces on two axes: 0 and 1 of label 0 on the first, 2 of label 1 beside them, 3 of label 1 on the second."""
    features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    labels = torch.tensor([0, 0, 1, 1])
    layer = nn.Linear(2, 2)
    layer.weight.data, layer.bias.data = torch.zeros(2, 2), torch.zeros(2)
    return CheckpointFeatures.of(layer, features, labels), labels


def test_evidence_names_the_planted_faces():
    """Proponents carry the answer's label; the strongest opponent, alike but of another label, is nearest unlike."""
    checkpoint, labels = planted()
    found = evidence([checkpoint], [torch.tensor([[1.0, 0.0]])], labels, target=0, count=2)
    assert found.proponents.rows == [1, 0] and found.proponents.values == pytest.approx([3 * 0.5, 2 * 0.5])
    assert found.opponents.rows == [2, 3] and found.opponents.values == pytest.approx([-2 * 0.5, -1 * 0.5])
    assert found.total == pytest.approx(1.5 + 1 + 1 + 0.5)
    assert set(found.nearest.rows) == {0, 1} and found.unlike.rows == [2, 3]


def test_a_prototype_is_the_face_nearest_to_its_labels_mean():
    """Label 2 has no face, and so no prototype."""
    features = torch.tensor([[1.0, 0.0], [0.8, 0.2], [0.6, 0.4], [0.0, 1.0]])
    labels = torch.tensor([0, 0, 0, 1])
    found = prototypes(CheckpointFeatures.of(nn.Linear(2, 3), features, labels), labels)
    assert [part.rows for part in found] == [[1], [3], []]


def test_strongest_leaves_out_what_is_excluded():
    assert strongest(torch.tensor([1.0, -torch.inf, 3.0]), 5).rows == [2, 0]


def test_influence_needs_a_checkpoint():
    with pytest.raises(ValueError, match="0 checkpoints"):
        influence([], [], torch.tensor([0]))


def test_two_threads_get_their_own_answers():
    """200 answers each to two faces at once are those of one thread: there is no hook and no state."""
    from concurrent.futures import ThreadPoolExecutor

    chain, checkpoint = table(0)
    own, targets = faces(2, seed=1)

    def answer(face: int) -> Tensor:
        return influence([checkpoint], [features_of(chain, own[face : face + 1])], targets[face : face + 1])

    alone = [answer(0), answer(1)]
    with ThreadPoolExecutor(2) as pool:
        for number, found in enumerate(pool.map(answer, [0, 1] * 200)):
            assert torch.equal(found, alone[number % 2])


# ------------------------------------------------------------------------------------------------ the benchmark


def test_the_answer_falls_without_its_proponents_and_not_without_faces_of_another_kind():
    """Of 120 faces in three groups, each label's proponents are of its group; random ones matter less."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 3
    features = functional.one_hot(labels, 6).float() + 0.3 * torch.randn(120, 6, generator=generator)
    layer = nn.Linear(6, 3)
    layer.weight.data, layer.bias.data = torch.eye(3, 6), torch.zeros(3)
    checkpoint = CheckpointFeatures.of(layer, features, labels)
    noise = CheckpointFeatures.of(layer, torch.randn(120, 6, generator=generator), labels)
    own, targets = features[:9] + 0.1, labels[:9]
    found = benchmark.measure(checkpoint, labels, own, targets, benchmark.Control(noise, own), count=20)
    rows = {row.removed: row for row in found}
    assert set(rows) == {"proponents", "random", "nearest", "nearest_same_label", "randomised_weights"}
    assert rows["proponents"].low > 0 and rows["proponents"].fall > 2 * rows["random"].fall
    assert rows["random"].difference_low > 0
    assert rows["proponents"].same_label == 1 and rows["random"].same_label < 0.6
    assert rows["proponents"].row()["n"] == 9


def test_overlap_is_the_share_of_the_first():
    assert benchmark.overlap([1, 2, 3, 4], [2, 4, 9]) == 0.5


def test_a_checkpoint_agrees_with_itself():
    """Wholly; and with one whose features are noise about as often as chance does."""
    generator = torch.Generator().manual_seed(0)
    layer, labels = nn.Linear(6, 3), torch.arange(300) % 3
    tables = [CheckpointFeatures.of(layer, torch.randn(300, 6, generator=generator), labels) for _ in range(2)]
    own, targets = torch.randn(8, 6, generator=generator), torch.arange(8) % 3
    same, noise = (
        benchmark.agreement(tables[0], own, targets, benchmark.Control(table, own), count=30) for table in tables
    )
    assert same == [1, 1, 1] and noise[0] < 0.4
