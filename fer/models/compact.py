from collections.abc import Iterable

from torch import nn

from fer.models.layers import _centred


def compact(classes: int) -> Iterable[nn.Module]:
    """Ours: a plain chain of ten 3x3 convolutions with ReLU, then the average over the face and one dense layer.

    It halves the picture early, where a convolution costs most and sees least, and widens as it halves. The average
    over the face makes Grad-CAM and HiResCAM exact for the last convolution.
    """
    return _compact(classes, (32, 1), (64, 2), (128, 3), (256, 3), (512, 1))


def compact_small(classes: int) -> Iterable[nn.Module]:
    """The same with seven convolutions: what compact began as."""
    return _compact(classes, (32, 1), (64, 1), (128, 2), (256, 2), (512, 1))


def _compact(classes: int, *blocks: tuple[int, int]) -> Iterable[nn.Module]:
    yield _centred()
    channels = 1
    for width, depth in blocks:
        if channels > 1:
            yield nn.MaxPool2d(2)
        for _ in range(depth):
            yield from (nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            channels = width
    yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, classes))
