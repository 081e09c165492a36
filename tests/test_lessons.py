"""lessons: what a face is taught as."""

import pytest
import torch

from fer import data
from fer.lessons import targets
from fer.recipes import recipe


def test_targets_are_smoothed_labels_or_for_ferplus_the_share_of_votes():
    """.1 spread over seven labels leaves .9 + .1/7 on the own; 7 happy, 2 fear and 1 unknown of ten are 7/9 and 2/9."""
    votes = torch.zeros(1, 10, dtype=torch.uint8)
    votes[0, [1, 6, 8]] = torch.tensor([7, 2, 1], dtype=torch.uint8)
    face = data.Faces(torch.zeros(1, 48, 48), torch.tensor([3]), votes, torch.tensor([False]))
    smoothed = targets(recipe("compact", label_smoothing=0.1), face)[0]
    assert smoothed.tolist() == pytest.approx([0.1 / 7] * 3 + [0.9 + 0.1 / 7] + [0.1 / 7] * 3)
    shares = targets(recipe("compact-ferplus"), face)[0]
    assert shares.tolist() == pytest.approx([0, 7 / 9, 0, 0, 0, 0, 2 / 9, 0])
