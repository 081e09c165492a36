from collections.abc import Iterable
from typing import Any

from torch import nn

from fer.models.registry import register_model

# Report 1's own recipe; its faces are augmented by flips alone.
REPORT_1_RECIPE: dict[str, Any] = {
    "optimizer": "adadelta",
    "learning_rate": 1.0,
    "schedule": "constant",
    "epochs": 25,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "clip_grad_norm": 0.0,
    "augmentation": {},
}


@register_model("cnn", **REPORT_1_RECIPE)
def cnn(classes: int) -> Iterable[nn.Module]:
    """The convolutional network of a first coursework report: three valid 3x3 convolutions of 64, dense 512 (ReLU) and
    dense 256 (sigmoid).
    """
    yield from (nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25))
    yield from (nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten())
    yield from (nn.Linear(6400, 512), nn.ReLU(), nn.Dropout(0.48))
    yield from (nn.Linear(512, 256), nn.Sigmoid(), nn.Dropout(0.48), nn.Linear(256, classes))
