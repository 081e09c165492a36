"""regions: where on the face a network looks, as shares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fer import data, regions


def test_every_pixel_has_one_region_and_the_mouth_has_a_tenth_of_them():
    """23 columns of 10 rows, of 2,304 pixels."""
    assert torch.equal(regions.masks().sum(0), torch.ones(48, 48, dtype=torch.long))
    assert regions.areas()[regions.REGIONS.index("mouth")].item() == pytest.approx(230 / 2304)


def test_shares_are_of_the_sizes_whatever_their_sign():
    """3 on the mouth and -1 in a corner are .75 and .25; a map of zeros has no shares."""
    maps = torch.zeros(2, 1, 48, 48)
    maps[0, 0, 36, 24], maps[0, 0, 0, 0] = 3, -1
    found = regions.shares(maps)
    assert dict(zip(regions.REGIONS, found[0].tolist(), strict=True)) == {
        "eyes": 0, "brows": 0, "mouth": 0.75, "nose": 0, "cheeks": 0, "rest": 0.25,
    }  # fmt: skip
    assert found[1].tolist() == [0.0] * 6


def mouth_reader() -> nn.Module:
    """Says 1 where the mouth is bright, else 0."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 2)).eval()
    weight = torch.zeros(2, 48, 48)
    weight[1] = regions.masks()[regions.REGIONS.index("mouth")]
    weight[0] = -weight[1]
    network[1].weight.data, network[1].bias.data = weight.flatten(1), torch.tensor([230.0, 0.0])
    return network


def some_faces() -> data.Faces:
    """Noise; the first six are labelled 1, whose mouths are bright but for the sixth; four are labelled 0."""
    pixels = torch.randint(0, 100, (10, 48, 48), generator=torch.Generator().manual_seed(0))
    pixels[:5, 32:42] += 150
    return data.Faces(pixels.byte(), torch.tensor([1] * 6 + [0] * 4), None, torch.zeros(10, dtype=torch.bool))


def test_a_network_that_reads_the_mouth_is_found_to_look_at_the_mouth(tmp_path: Path):
    """All of its maps lie there, ten times as much as its area has; right and wrong answers are told apart."""
    look = regions.measure(mouth_reader(), some_faces(), ("closed", "open"), quiet=True)
    assert look.counts.tolist() == [[4, 0], [5, 1]]
    assert look.rows()[1]["mouth"] == pytest.approx(1, abs=1e-4) and look.rows()[1]["faces"] == 6
    assert look.density()["mouth"] == pytest.approx(2304 / 230, rel=0.01) and look.density()["rest"] == 0
    regions.write(look, tmp_path)
    again = regions.read(tmp_path)
    assert again.labels == look.labels and again.rows() == look.rows()
    assert np.abs(again.maps).max() == 1 and np.array_equal(again.face, look.face)


def test_as_many_faces_of_each_label_are_taken_as_there_are():
    """Three of six and three of four, none with a twin."""
    faces = some_faces()
    assert regions.some(faces, 3).labels.bincount().tolist() == [3, 3]
    assert regions.some(faces, 5).labels.bincount().tolist() == [4, 5]
    faces.twin[6:] = True
    assert regions.some(faces, 3).labels.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="each is 0"):
        regions.some(faces, 0)


@pytest.mark.parametrize("broken", [None, b"", b"PK", b"no archive"])
def test_a_broken_file_counts_as_not_measured(tmp_path: Path, broken: bytes | None):
    if broken is not None:
        (tmp_path / regions.FILE).write_bytes(broken)
    assert regions.read(tmp_path) is None
