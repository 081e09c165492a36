"""Why two labels are mixed up, on a network of two filters whose part in it is known."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from fer.attribution import confusion_pairs
from fer.models.layers import NamedSequential


def halves() -> NamedSequential:
    """Filter 0 answers the mean of a face's left half, filter 1 that of its right; so do labels 0 and 1."""
    dense = nn.Linear(48 * 48, 2, bias=False)
    weights = torch.zeros(2, 48, 48)
    weights[0, :, :24] = weights[1, :, 24:] = 1 / 1152
    dense.weight.data = weights.flatten(1)
    last = nn.Linear(2, 2, bias=False)
    last.weight.data = torch.eye(2)
    layers = OrderedDict(flatten_1=nn.Flatten(), dense_1=dense, activation_1=nn.ReLU(), dense_2=last)
    return NamedSequential(layers).eval()


def faces(left: int, right: int, count: int = 4) -> torch.Tensor:
    """Faces of two greys, each a little brighter than the one before."""
    pixels = torch.zeros(count, 48, 48)
    pixels[:, :, :24], pixels[:, :, 24:] = left, right
    return (pixels + torch.arange(count)[:, None, None]).byte()


def test_the_filter_that_makes_the_mistake_is_named_and_matters():
    """Faces of label 1 read as 0 are bright on the left: filter 0 answers them more, and without it the gap turns."""
    found = confusion_pairs.explain_pair(halves(), faces(200, 100), faces(50, 100), answer=0, truth=1)
    assert found.layer == "activation_1" and found.filters[0].number == 0 and found.filters[0].distance > 10
    before, without, chance = found.gap
    assert before == pytest.approx(100 / 255, abs=0.01) and without == pytest.approx(-101.5 / 255, abs=0.01)
    assert without < chance
    assert found.map.shape == (48, 48) and (found.faces, found.mapped) == (4, 4)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_without_right_faces_the_map_is_all_there_is_to_say():
    found = confusion_pairs.explain_pair(halves(), faces(200, 100), faces(0, 0, 0), answer=0, truth=1)
    assert found.filters == () and found.gap is None


def test_a_network_that_is_no_chain_has_no_layer_to_watch():
    class Whole(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values.flatten(1)[:, :2]

    assert confusion_pairs.compared_layer(Whole()) is None
    with pytest.raises(ValueError, match="no face is mistaken"):
        confusion_pairs.explain_pair(halves(), faces(0, 0, 0), faces(0, 0), answer=0, truth=1)
