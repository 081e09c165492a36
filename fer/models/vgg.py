from collections.abc import Iterable

from torch import nn

from fer.models.registry import lecun_normal, register_model

# All three take over the weights of a smaller network: it spares most of the hours of training from fresh weights.


@register_model("vgg16-relu", init_from="compact-small", epochs=8, learning_rate=0.03, aux_votes_weight=1.0)
def vgg16_relu(classes: int) -> Iterable[nn.Module]:
    """The VGG16 of a second coursework report: thirteen 3x3 convolutions in five blocks, each with batch normalisation
    and ReLU, then dense layers of 4096 and 1000.
    """
    return _vgg16(classes, nn.ReLU)


@register_model(
    "vgg16-selu",
    init=lecun_normal,
    init_from="vgg16-relu",
    epochs=7,
    learning_rate=0.02,
    teacher="compact-small",
    distill_weight=0.5,
    aux_votes_weight=1.0,
)
def vgg16_selu(classes: int) -> Iterable[nn.Module]:
    """The VGG16 of a second coursework report with SELU in place of ReLU, against dead units."""
    return _vgg16(classes, nn.SELU)


@register_model(
    "vgg19-selu", init=lecun_normal, init_from="compact", epochs=4, learning_rate=0.015, aux_votes_weight=1.0
)
def vgg19_selu(classes: int) -> Iterable[nn.Module]:
    """The VGG19 of a second coursework report, its largest network and its best: sixteen 3x3 convolutions with batch
    normalisation and SELU, then two dense layers of 4096 and one of 1000.
    """
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
