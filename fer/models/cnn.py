from collections.abc import Iterable

from torch import nn

# ------------------------------------------------------------------------------------------------ the networks


def cnn(classes: int) -> Iterable[nn.Module]:
    """Report 1's CNN: three valid 3x3 convolutions of 64, then dense 512 (ReLU) and 256 (sigmoid)."""
    yield from (nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25))
    yield from (nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten())
    yield from (nn.Linear(6400, 512), nn.ReLU(), nn.Dropout(0.48))
    yield from (nn.Linear(512, 256), nn.Sigmoid(), nn.Dropout(0.48), nn.Linear(256, classes))
