"""trust: which methods are faithful to a network, on many faces."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fer.attribution import benchmark
from fer.data import dataset


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Of a network that adds up the upper left quarter of a face."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 2)).eval()
    weight = torch.zeros(2, 48, 48)
    weight[0, :24, :24] = 1.0
    network[1].weight.data = weight.flatten(1)
    network[1].bias.data = torch.tensor([0.0, -1.0])
    return benchmark.run_benchmark(network, noisy_faces(), quiet=True)


def noisy_faces() -> Tensor:
    return torch.rand(18, 1, 48, 48, generator=torch.Generator().manual_seed(0))


def test_an_exact_method_is_faithful_and_a_map_of_noise_is_not(rows: list[dict]):
    """Integrated gradients of a sum are right to .95; noise stays within .1 of 0."""
    scores = {row["method"]: row["faithfulness_correlation"] for row in rows}
    assert scores["integrated-gradients"] > 0.95 and abs(scores["noise"]) < 0.1
    fidelities = {row["method"]: row["infidelity_score"] for row in rows}
    assert fidelities["integrated-gradients"] > 0.95 and fidelities["gradient"] > 0.95 and fidelities["noise"] < 0.1


def test_the_most_faithful_method_stands_first_and_what_does_not_hold_is_left_out(rows: list[dict]):
    """No convolution, so no Grad-CAM; controls have no network that could forget."""
    correlations = [row["faithfulness_correlation"] for row in rows]
    assert correlations == sorted(correlations, reverse=True) and all(row["n"] == 18 for row in rows)
    forgotten = {row["method"]: row["randomization_rank_corr"] for row in rows}
    assert "grad-cam" not in forgotten and forgotten["edges"] is None and -1 <= forgotten["gradient"] <= 1


def test_the_faces_are_always_the_same_and_have_no_duplicate():
    """Four of six; more than there are is refused."""
    pixels = torch.arange(6).view(6, 1, 1).expand(6, 48, 48).byte()
    split = dataset.FaceDataset(
        pixels, torch.zeros(6).long(), None, torch.tensor([False, True, False, False, True, False])
    )
    chosen = benchmark.sample_faces(split, 4)
    assert torch.equal(chosen, benchmark.sample_faces(split, 4))
    assert sorted((255 * chosen[:, 0, 0, 0]).round().int().tolist()) == [0, 2, 3, 5]
    with pytest.raises(ValueError, match="faces is 5: expected 2 to 4"):
        benchmark.sample_faces(split, 5)


ROW = {
    "method": "gradient",
    "faithfulness_correlation": 0.5,
    "ci95_half_width": 0.1,
    "infidelity_score": 0.2,
    "randomization_rank_corr": 0.3,
    "n": 2,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize("broken", ["{", '{"a": 1}', '[{"method": 3}]', "[1]", '{"weights": "?", "rows": []}'])
def test_a_broken_file_counts_as_not_measured(folder: Path, broken: str):
    """As does a missing one; a sound one is read back."""
    assert benchmark.load_benchmark(folder) == []
    (folder / benchmark.FILE).write_text(broken, encoding="utf-8")
    assert benchmark.load_benchmark(folder) == []
    benchmark.save_benchmark([ROW], folder)
    assert benchmark.load_benchmark(folder) == [ROW]
    kept = json.loads((folder / benchmark.FILE).read_text(encoding="utf-8"))
    for bad in ({"method": 3}, {"n": "many"}):
        (folder / benchmark.FILE).write_text(json.dumps(kept | {"rows": [ROW | bad]}), encoding="utf-8")
        assert benchmark.load_benchmark(folder) == []


def test_what_was_measured_of_other_weights_counts_no_longer(folder: Path):
    """Trained anew, a network is measured anew."""
    benchmark.save_benchmark([ROW], folder)
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert benchmark.load_benchmark(folder) == []
