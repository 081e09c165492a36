"""What was measured of a network's maps, as markup."""

from pathlib import Path

import numpy as np
import pytest

from fer.app.saliency import benchmarks
from fer.attribution import benchmark, region_benchmark
from fer.attribution.face_regions import FACE_REGIONS
from fer.attribution.region_benchmark import RegionAttribution, RegionClaim


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_figure_an_emotion_says_where_it_is_looked_at_most(weights):
    """Half of one's map lies on the mouth, .3 on the eyes; a name cannot bring markup."""
    shares = np.tile([0.3, 0.0, 0.5, 0.05, 0.05, 0.1], (2, 1))
    maps = np.random.default_rng(0).normal(size=(2, 2, 48, 48))
    face = np.full((48, 48), 128, np.uint8)
    look = RegionAttribution(
        ("happy", "<b>sad"), face, maps, np.array([[3, 1], [4, 0]]), shares, RegionClaim(2.5, 2.0, 3.0, 1.1)
    )
    region_benchmark.save_region_attribution(look, weights / "net")
    drawn = benchmarks.mean_saliency(weights, "net")
    assert "<b>happy</b>mouth 50%, eyes 30%; 3 of 4 faces" in drawn and "<b>happy</b>1 of 4 faces" in drawn
    assert drawn.count("<figure>") == 4  # the parts on the mean face, two emotions read right, one also read wrong
    assert drawn.count("<rect") == 8 and "2.50 times as much of the map (95 %: 2.00 to 3.00)" in drawn
    assert "8 validation faces" in drawn and "&lt;b&gt;sad" in drawn and "<b>sad" not in drawn
    times = look.shares[0][FACE_REGIONS.index("mouth")] / (230 / 2304)
    assert f"<span>{times:.2f}</span>" in drawn.split("<span>mouth</span>")[1].split("<span>eyes</span>")[0]


def test_methods_and_controls_stand_in_their_order_with_what_forgetting_leaves(weights):
    """The control is grey and has no bracket; what does not depend on the network is marked."""
    rows = [
        {
            "method": "occlusion",
            "faithfulness_correlation": 0.6,
            "ci95_half_width": 0.1,
            "infidelity_score": 0.3,
            "randomization_rank_corr": 0.31,
            "n": 9,
        },
        {
            "method": "blob",
            "faithfulness_correlation": -0.1,
            "ci95_half_width": 0.1,
            "infidelity_score": 0.0,
            "randomization_rank_corr": None,
            "n": 9,
        },
        {
            "method": "guided",
            "faithfulness_correlation": -0.2,
            "ci95_half_width": 0.1,
            "infidelity_score": 0.0,
            "randomization_rank_corr": 0.9,
            "n": 9,
        },
    ]
    benchmark.save_benchmark(rows, weights / "net")
    drawn = benchmarks.method_benchmark(weights, "net")
    first, second = drawn.split('class="scores">')[1].split("<span>centre Gaussian</span>")
    assert "Occlusion (0.31)" in first and 'class="bar own signed"' in first and "+0.60" in first
    assert 'class="bar signed"' in second and "left:45.0%;width:5.0%" in second
    assert '<span class="badge">guided (0.90)</span>' in drawn


@pytest.mark.parametrize("render", [benchmarks.mean_saliency, benchmarks.method_benchmark])
def test_what_was_not_measured_is_not_available_and_no_command_is_named(weights, render):
    assert "Not available for net" in render(weights, "net") and "python" not in render(weights, "net")
