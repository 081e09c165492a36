"""units: dead ones are found, whatever the activation."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from fer.features import redundancy
from fer.models import layers


def test_dead_units_are_those_that_answer_no_face():
    """Of four filters one is shut, one answers the 200th face alone; SELU's shut filter is changeless, not dead."""
    pixels = torch.zeros(200, 48, 48, dtype=torch.uint8)
    pixels[199] = 255
    conv = nn.Conv2d(1, 4, 1)
    with torch.no_grad():
        conv.weight[:, 0, 0, 0] = torch.tensor([0.0, 2.0, 1.0, -1.0])
        conv.bias.copy_(torch.tensor([-20.0, -1.0, 0.5, 0.5]))
    for activation, dead in ((nn.ReLU(), 1), (nn.SELU(), 0)):
        chain = layers.NamedSequential(OrderedDict(conv2d_1=conv, activation_1=activation))
        assert redundancy.count_dead(chain, pixels) == [redundancy.Units("activation_1", 4, dead, 1)]
    with pytest.raises(ValueError, match="no faces"):
        redundancy.count_dead(chain, pixels[:0])
