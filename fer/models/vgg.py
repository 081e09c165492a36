from collections.abc import Iterable

from torch import nn


def vgg16_relu(classes: int) -> Iterable[nn.Module]:
    """Report 2's VGG16 with ReLU."""
    return _vgg16(classes, nn.ReLU)


def vgg16_selu(classes: int) -> Iterable[nn.Module]:
    """Report 2's VGG16 with SELU in place of ReLU, against dead units."""
    return _vgg16(classes, nn.SELU)


def vgg19_selu(classes: int) -> Iterable[nn.Module]:
    """Report 2's VGG19 with SELU: its largest network, and its best."""
    yield from _vgg_blocks((64, 2), (128, 2), (256, 4), (512, 4), (512, 4), activation=nn.SELU)
    yield from (nn.Flatten(), nn.BatchNorm1d(512), nn.Dropout(0.5), nn.SELU())
    for inputs in (512, 4096):
        yield from (nn.Linear(inputs, 4096), nn.BatchNorm1d(4096), nn.Dropout(0.5), nn.SELU())
    yield from (nn.Linear(4096, 1000), nn.BatchNorm1d(1000), nn.Linear(1000, classes))


def _vgg16(classes: int, activation: type[nn.Module]) -> Iterable[nn.Module]:
    yield from _vgg_blocks((64, 2), (128, 2), (256, 3), (512, 3), (512, 3), activation=activation)
    yield from (nn.Flatten(), nn.BatchNorm1d(512), nn.Dropout(0.5), activation())
    yield from (nn.Linear(512, 4096), nn.Dropout(0.5), activation())
    yield from (nn.Linear(4096, 1000), nn.BatchNorm1d(1000), nn.Linear(1000, classes))


def _vgg_blocks(*blocks: tuple[int, int], activation: type[nn.Module]) -> Iterable[nn.Module]:
    channels = 1
    for width, depth in blocks:
        for _ in range(depth):
            yield from (nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), activation())
            channels = width
        yield from (nn.MaxPool2d(2), nn.Dropout(0.25))
