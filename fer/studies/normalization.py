from dataclasses import asdict
from statistics import mean

from fer.data.dataset import FaceDataset
from fer.evaluation import inference
from fer.features import redundancy
from fer.models.checkpoint import FERModel
from fer.studies.registry import register_study
from fer.studies.results import History, Result, report_accuracies
from fer.studies.runner import NO_AUGMENTATION, StudyConfig, train_seeds

# Report 2's figures: "validation" is a part of Training, "public" Kaggle's public score.
_NORMALISATION = {
    "0..255": {"validation": 0.2547},
    "0..1, batch normalisation": {"validation": 0.623, "public": 0.60713},
}


# What Keras does unless told otherwise, as report 2 names no optimiser; nothing that would rescue a bad scale.
_KERAS = {"optimizer": "adamw", "learning_rate": 1e-3, "schedule": "constant", "epochs": 8, "low_res_epochs": 0}
_KERAS |= {"weight_decay": 0.0, "clip_grad_norm": 0.0, "label_smoothing": 0.0, "aux_votes_weight": 0.0, "init_from": ""}
# At a constant rate the average of normalised weights has a smaller norm: it predicts one label for many epochs.
_KERAS |= {"ema_decay": 0.0}


@register_study("normalisation")
def normalisation(settings: StudyConfig) -> Result:
    """Does VGG16 with ReLU predict one label for all faces without normalisation, and do its units die?"""
    arms = {"0..255": "vgg16-relu-raw", "0..1": "vgg16-relu-plain", "0..1, batch normalisation": "vgg16-relu"}
    rows: list[dict] = []
    curves: dict[str, History] = {}
    for arm, architecture in arms.items():
        config = settings.config(architecture, **_KERAS, **asdict(NO_AUGMENTATION))
        runs = train_seeds(settings, architecture, config)
        dead = [redundancy.total(redundancy.count_dead(model, settings.splits[1].pixels)) for model in runs.models]
        row: dict = {"answers": max(_count_predicted_labels(model, settings.splits[1]) for model in runs.models)}
        row |= {"units": dead[0]["units"]}
        row |= {key: mean(each[key] for each in dead) for key in ("dead", "changeless")}
        rows.append({"pixels": arm} | runs.scores | row | report_accuracies(_NORMALISATION, arm))
        curves[arm] = runs.history
    most = settings.splits[1].labels.bincount().max().item() / len(settings.splits[1])
    notes = [
        f'The commonest label has {most:.4f} of PublicTest: a network that gives one answer ("answers" 1) gets no '
        f"more. {_KERAS['epochs']} epochs without augmentation (report 2: 25); the best one is measured.",
        "A unit is an output channel of an activation layer. It is dead if it is 0 for every face of PublicTest, and "
        "changeless if it varies by less than 0.001 (the dead ones included); means over seeds.",
    ]
    return Result(rows, notes, curves)


def _count_predicted_labels(model: FERModel, faces: FaceDataset) -> int:
    """How many different labels the model predicts for ``faces``."""
    return len(inference.predict_logits(model, faces.pixels).argmax(1).unique())
