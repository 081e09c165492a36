"""parts: whose pixels are whose on a face of FER-2013's frame."""

import pytest
import torch

from fer.attribution import face_regions


def test_every_pixel_has_one_part_and_the_mouth_has_a_tenth_of_them():
    """23 columns of 10 rows, of 2,304 pixels."""
    assert torch.equal(face_regions.region_masks().sum(0), torch.ones(48, 48, dtype=torch.long))
    assert face_regions.region_areas()[face_regions.FACE_REGIONS.index("mouth")].item() == pytest.approx(230 / 2304)


def test_shares_are_of_the_sizes_whatever_their_sign():
    """3 on the mouth and -1 in a corner are .75 and .25; a map of zeros has no shares."""
    maps = torch.zeros(2, 1, 48, 48)
    maps[0, 0, 36, 24], maps[0, 0, 0, 0] = 3, -1
    found = face_regions.region_shares(maps)
    assert dict(zip(face_regions.FACE_REGIONS, found[0].tolist(), strict=True)) == {
        "eyes": 0, "brows": 0, "mouth": 0.75, "nose": 0, "cheeks": 0, "rest": 0.25,
    }  # fmt: skip
    assert found[1].tolist() == [0.0] * 6
