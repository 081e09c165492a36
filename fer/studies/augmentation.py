from dataclasses import asdict

from fer.data.transforms import Augmentation
from fer.studies.registry import register_study
from fer.studies.results import History, Result, comparison_bars, report_accuracies
from fer.studies.runner import NO_AUGMENTATION, PLAIN, StudyConfig, train_seeds
from fer.training.config import default_config

# All at full size: without augmentation the best epoch comes early, where the recipe's epochs are at low resolution.
_FROM_SCRATCH = {"aux_votes_weight": 0.0, "epochs": 24, "low_res_epochs": 0}
_AUGMENTATION = {
    "none": {"validation": 0.623, "public": 0.60713},
    "rotation, shift, zoom": {"validation": 0.67335, "public": 0.67818},
}


@register_study("augmentation")
def augmentation(settings: StudyConfig) -> Result:
    """How much does each kind of augmentation gain a network that begins with fresh weights?"""
    rows: list[dict] = []
    curves: dict[str, History] = {}
    full = default_config("compact-small", **PLAIN).augmentation
    for number, (arm, changes) in enumerate(augmentations(full).items()):
        config = settings.config("compact-small", **PLAIN | _FROM_SCRATCH | asdict(changes))
        runs = train_seeds(settings, f"{number}-{arm.replace(', ', '-').replace(' ', '-')}", config)
        curves[arm] = runs.history
        amounts = ", ".join(f"{key} {value:g}" for key, value in vars(changes).items() if value) or "none"
        rows.append({"augmentation": arm, "amounts": amounts} | runs.scores | report_accuracies(_AUGMENTATION, arm))
    notes = [
        f"compact-small, {_FROM_SCRATCH['epochs']} epochs from fresh weights; everything but the augmentation is the "
        "same. Accuracies are on PublicTest, at the best epoch. Report 2 augmented VGG16 by Keras's rotation, shift "
        "and zoom; VGG16 from fresh weights takes ten times as long, and the shipped one begins with a network that "
        "has seen all augmentation.",
    ]
    return Result(rows, notes, curves, comparison_bars("augmentation", rows, "report_public"))


def augmentations(full: Augmentation) -> dict[str, Augmentation]:
    """The four settings that are compared, the last of them ``full``."""
    moved = Augmentation(hflip_prob=0.0, degrees=full.degrees, translate=full.translate, scale=full.scale)
    return {
        "none": NO_AUGMENTATION,
        "flips": Augmentation(hflip_prob=full.hflip_prob),
        "rotation, shift, zoom": moved,
        "full": full,
    }
