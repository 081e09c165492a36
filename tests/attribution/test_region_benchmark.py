"""regions: where on the face a network looks, as shares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fer.attribution import face_regions, region_benchmark
from fer.data import dataset


def mouth_reader() -> nn.Module:
    """Says 1 where the mouth is bright, else 0."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 2)).eval()
    weight = torch.zeros(2, 48, 48)
    weight[1] = face_regions.region_masks()[face_regions.FACE_REGIONS.index("mouth")]
    weight[0] = -weight[1]
    network[1].weight.data, network[1].bias.data = weight.flatten(1), torch.tensor([230.0, 0.0])
    return network


def some_faces() -> dataset.FaceDataset:
    """Noise; the first six are labelled 1, whose mouths are bright but for the sixth; four are labelled 0."""
    pixels = torch.randint(0, 100, (10, 48, 48), generator=torch.Generator().manual_seed(0))
    pixels[:5, 32:42] += 150
    return dataset.FaceDataset(pixels.byte(), torch.tensor([1] * 6 + [0] * 4), None, torch.zeros(10, dtype=torch.bool))


def test_a_network_that_reads_the_mouth_is_found_to_look_at_the_mouth(tmp_path: Path):
    """All of its maps lie there, ten times as much as its area has; right and wrong answers are told apart."""
    look = region_benchmark.measure_regions(mouth_reader(), some_faces(), ("closed", "open"), quiet=True)
    assert look.counts.tolist() == [[4, 0], [5, 1]]
    assert look.rows()[1]["mouth"] == pytest.approx(1, abs=1e-4) and look.rows()[1]["faces"] == 6
    assert look.density()["mouth"] == pytest.approx(2304 / 230, rel=0.01) and look.density()["rest"] == 0
    assert look.claim.times > 100 and look.claim.detail == pytest.approx(1, abs=0.2)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    region_benchmark.save_region_attribution(look, tmp_path)
    again = region_benchmark.load_region_attribution(tmp_path)
    assert again.claim == look.claim
    assert again.labels == look.labels and again.rows() == look.rows()
    assert np.abs(again.maps).max() == 1 and np.array_equal(again.face, look.face)


def test_as_many_faces_of_each_label_are_taken_as_there_are():
    """Three of six and three of four, none with a duplicate."""
    faces = some_faces()
    assert region_benchmark.sample_faces(faces, 3).labels.bincount().tolist() == [3, 3]
    assert region_benchmark.sample_faces(faces, 5).labels.bincount().tolist() == [4, 5]
    faces.is_duplicate[6:] = True
    assert region_benchmark.sample_faces(faces, 3).labels.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="per_class is 0"):
        region_benchmark.sample_faces(faces, 0)


def test_the_claim_is_answered_with_a_number():
    """Twice as much on a claimed pixel as on one of the rest, in every face: 2, however the faces are drawn again."""
    sizes = torch.ones(1, 1, 48, 48)
    sizes[
        0,
        0,
        face_regions.region_masks()[
            [face_regions.FACE_REGIONS.index(part) for part in region_benchmark.CLAIMED_REGIONS]
        ].any(0),
    ] = 2
    shares = face_regions.region_shares(sizes).numpy().repeat(5, 0)
    even = face_regions.region_shares(torch.ones(1, 1, 48, 48)).numpy()
    claim = region_benchmark._claim(shares, even)
    assert (claim.times, claim.low, claim.high, claim.detail) == pytest.approx((2, 2, 2, 1))
    told = look_with(claim)
    assert "that holds" in told and "2.00 times" in told and "more than that" in told
    against = look_with(region_benchmark.RegionClaim(0.9, 0.8, 1.1, 1.0))
    assert "does not hold" in against and "no more than that" in against


def look_with(claim: region_benchmark.RegionClaim) -> str:
    return region_benchmark.claim_sentence(region_benchmark.RegionAttribution((), *[np.zeros(0)] * 4, claim))


def test_what_was_measured_of_other_weights_counts_no_longer(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    look = region_benchmark.RegionAttribution(
        ("a",),
        np.zeros((48, 48), np.uint8),
        np.ones((1, 2, 48, 48)),
        np.ones((1, 2)),
        np.ones((1, 6)),
        region_benchmark.RegionClaim(2, 1, 3, 1),
    )
    region_benchmark.save_region_attribution(look, tmp_path)
    assert region_benchmark.load_region_attribution(tmp_path).labels == ("a",)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert region_benchmark.load_region_attribution(tmp_path) is None


@pytest.mark.parametrize("broken", [None, b"", b"PK", b"no archive"])
def test_a_broken_file_counts_as_not_measured(tmp_path: Path, broken: bytes | None):
    if broken is not None:
        (tmp_path / region_benchmark.FILE).write_bytes(broken)
    assert region_benchmark.load_region_attribution(tmp_path) is None
