"""Public systems and the two reports, with their parameters and their accuracy on FER-2013, each with its source.

As their authors state them; what they were measured on and how, where that is told, stands in ``note``.
"""

from dataclasses import dataclass

_GITHUB = "https://github.com/"


@dataclass(frozen=True)
class System:
    """A network somewhere: accuracy is a share of PrivateTest, of 3,589 faces unless ``note`` says otherwise.

    kind: what it learnt from: "FER-2013 alone", or "more data" (pretraining, a teacher), or "reports". ci95: only for
    those that were measured here.
    """

    name: str
    parameters: float
    accuracy: float
    kind: str = "FER-2013 alone"
    note: str = ""
    source: str = ""
    ci95: tuple[float, float] | None = None


PUBLIC = (
    System(
        "LetheSec ResNet18", 11.17e6, 0.7370, note="ten crops; epoch chosen on PrivateTest",
        source=f"{_GITHUB}LetheSec/Fer2013-Facial-Emotion-Recognition-Pytorch",
    ),
    System(
        "WuJie VGG19", 20.04e6, 0.7311, note="ten crops; epoch chosen on PrivateTest",
        source=f"{_GITHUB}WuJie1010/Facial-Expression-Recognition.Pytorch",
    ),
    System(
        "Pramerdorfer VGG", 1.8e6, 0.727, note="several views; the best of three single networks",
        source="https://arxiv.org/abs/1612.02903",
    ),
    System("DeepFace", 1.486e6, 0.5743, note="the author's tutorial", source=f"{_GITHUB}serengil/deepface/issues/247"),
    System(
        "TinyFER-Lite", 0.932e6, 0.6707, note="pretraining not stated",
        source="https://engrxiv.org/preprint/view/7466",
    ),
    System(
        "ResMaskingNet", 142.9e6, 0.7414, "more data", "ImageNet; ten-crop TTA; its users report 65.7 to 73.6 %",
        f"{_GITHUB}phamquiluan/ResidualMaskingNetwork",
    ),
    System(
        "CBAM ResNet50", 28.5e6, 0.7339, "more data", "ImageNet; eight views",
        f"{_GITHUB}phamquiluan/ResidualMaskingNetwork",
    ),
    System(
        "DenseNet121", 6.9e6, 0.7316, "more data", "ImageNet; eight views",
        f"{_GITHUB}phamquiluan/ResidualMaskingNetwork",
    ),
    System(
        "MicroExpNet-2026", 1.2e6, 0.712, "more data", "taught by a ResNet50 of VGGFace2",
        "https://www.eduresearchjournal.com/index.php/ijtrs/article/view/573",
    ),
    System(
        "vit-face-expression", 85.8e6, 0.7116, "more data", "a ViT-B of ImageNet-21k",
        "https://huggingface.co/trpakov/vit-face-expression",
    ),
)  # fmt: skip

# Report 2's scores are on a hidden test set, and are drawn where they would be on PrivateTest.
REPORTS = (
    System("report 2's VGG16, ReLU", 20_941_735, 0.66982, "reports", "a hidden test set", "report 2"),
    System("report 2's VGG16, SELU", 20_941_735, 0.68180, "reports", "a hidden test set", "report 2"),
    System("report 2's VGG19, SELU", 43_070_631, 0.69295, "reports", "a hidden test set", "report 2"),
)
