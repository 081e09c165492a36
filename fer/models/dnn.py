from collections.abc import Iterable

from torch import nn

from fer.models.cnn import REPORT_1_RECIPE
from fer.models.layers import SIDE, fer2013_normalization
from fer.models.registry import register_model


@register_model("dnn", **REPORT_1_RECIPE)
def dnn(classes: int) -> Iterable[nn.Module]:
    """The network without convolutions that the first report sets against its CNN, of about the same size."""
    yield from (fer2013_normalization(), nn.Flatten())
    for inputs, outputs in ((SIDE * SIDE, 1024), (1024, 512), (512, 512)):
        yield from (nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.25))
    yield nn.Linear(512, classes)
