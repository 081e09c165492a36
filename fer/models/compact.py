from collections.abc import Iterable
from typing import Any

from torch import nn

from fer.data.ferplus import FERPLUS
from fer.models.layers import fer2013_normalization
from fer.models.registry import he_normal, register_model

# Random crops of 42 pixels, and faces degraded as webcams degrade them, from the first epoch to the last.
_RECIPE: dict[str, Any] = {
    "aux_votes_weight": 1.0,
    "weight_decay": 1e-3,
    "crop_size": 42,
    "degrees": 12,
    "translate": 0.04,
    "scale": 0.12,
    "erase_prob": 0.3,
    "mixup_alpha": 0.2,
    "degrade_prob": 0.7,
}


@register_model(
    "compact",
    init=he_normal,
    epochs=100,
    low_res_epochs=50,
    low_res_size=36,
    full_size_epochs=8,
    folds=3,
    distill_weight=0.5,
    **_RECIPE,
)
def compact(classes: int) -> Iterable[nn.Module]:
    """The laboratory's own network and its demo's default: a plain chain of ten 3x3 convolutions with ReLU, then the
    average over the face and one dense layer.

    It halves the picture early, where a convolution costs most, and widens as it halves. The average over the face
    makes Grad-CAM and HiResCAM exact for the last convolution.
    """
    return _compact(classes, (32, 1), (64, 2), (128, 3), (256, 3), (512, 1))


@register_model("compact-small", init=he_normal, epochs=44, low_res_epochs=30, full_size_epochs=4, **_RECIPE)
def compact_small(classes: int) -> Iterable[nn.Module]:
    """What `compact` began as: a plain chain of seven 3x3 convolutions with ReLU, then the average over the face and
    one dense layer.
    """
    return _compact(classes, (32, 1), (64, 1), (128, 2), (256, 2), (512, 1))


@register_model("compact-ferplus", labels=FERPLUS, init=he_normal, epochs=34, low_res_epochs=28)
def compact_ferplus(classes: int) -> Iterable[nn.Module]:
    """The layers of `compact-small`, trained on how ten people voted on each face (FER+): eight labels, contempt among
    them.
    """
    return compact_small(classes)


def _compact(classes: int, *blocks: tuple[int, int]) -> Iterable[nn.Module]:
    yield fer2013_normalization()
    channels = 1
    for width, depth in blocks:
        if channels > 1:
            yield nn.MaxPool2d(2)
        for _ in range(depth):
            yield from (nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            channels = width
    yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, classes))
