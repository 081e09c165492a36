from collections.abc import Iterable

from torch import nn

from fer.models.layers import SIDE, _centred


def dnn(classes: int) -> Iterable[nn.Module]:
    """Report 1's network without convolutions, of about the CNN's size."""
    yield from (_centred(), nn.Flatten())
    for inputs, outputs in ((SIDE * SIDE, 1024), (1024, 512), (512, 512)):
        yield from (nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.25))
    yield nn.Linear(512, classes)
