from dataclasses import asdict

from fer.data.transforms import Augmentation
from fer.studies.normalization import _FRESH, _NONE, _arm, _theirs
from fer.studies.runner import PLAIN, Result, StudyConfig, comparison_bars
from fer.training.config import default_config

_AUGMENTATION = {
    "none": {"validation": 0.623, "public": 0.60713},
    "rotation, shift, zoom": {"validation": 0.67335, "public": 0.67818},
}


# ------------------------------------------------------------------------------------------------ augmentation


def augmentation(settings: StudyConfig) -> Result:
    """How much does each kind of augmentation gain a network that begins with fresh weights?"""
    rows, curves = [], {}
    for number, (arm, changes) in enumerate(
        augmentations(default_config("compact-small", **PLAIN).augmentation).items()
    ):
        config = settings.config("compact-small", **PLAIN | _FRESH | asdict(changes))
        row, curves[arm], _ = _arm(settings, f"{number}-{arm.replace(', ', '-').replace(' ', '-')}", config)
        amounts = ", ".join(f"{key} {value:g}" for key, value in vars(changes).items() if value) or "none"
        rows.append({"augmentation": arm, "amounts": amounts} | row | _theirs(_AUGMENTATION, arm))
    notes = [
        f"compact-small, {_FRESH['epochs']} epochs from fresh weights; everything but the augmentation is the same. "
        "Accuracies are on PublicTest, at the best epoch. Report 2 augmented VGG16 by Keras's rotation, shift and "
        "zoom; VGG16 from fresh weights takes ten times as long, and the shipped one begins with a network that has "
        "seen all augmentation.",
    ]
    return Result(rows, notes, curves, comparison_bars("augmentation", rows, "report_public"))


def augmentations(full: Augmentation) -> dict[str, Augmentation]:
    """The four settings that are compared, the last of them ``full``."""
    moved = Augmentation(hflip_prob=0.0, degrees=full.degrees, translate=full.translate, scale=full.scale)
    return {
        "none": _NONE,
        "flips": Augmentation(hflip_prob=full.hflip_prob),
        "rotation, shift, zoom": moved,
        "full": full,
    }
