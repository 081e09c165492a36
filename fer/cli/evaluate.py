"""Commands that measure models: evaluate, confusion, ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fer.cli.output import print_json, print_metrics, print_report, with_interval
from fer.cli.settings import DataSettings, Settings, Subparsers, add_command, argument

if TYPE_CHECKING:
    from torch import nn

    from fer.data.dataset import FaceDataset
    from fer.data.image_folder import LabelledFaces
    from fer.data.read_report import ReadReport
    from fer.models.checkpoint import FERModel

Split = Literal["PublicTest", "PrivateTest"]


# ------------------------------------------------------------------------------------------------ evaluate


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(DataSettings):
    model: str
    """A model in weights/, a folder, OWNER/NAME on the Hub, an .onnx file, or an ensemble as in ensemble:a+b."""
    split: Split = "PublicTest"
    """PublicTest for choices, PrivateTest once they are made."""
    tta: bool = False
    """Average over ten crops of each face (ten-crop TTA)."""
    corruptions: bool = False
    """Measure under the eleven corruptions of FER-2013-C, at three strengths each."""
    calibrate: bool = False
    """First fit temperature, thresholds and logit adjustment anew, on PublicTest and PublicTest-C."""
    speed: bool = False
    """Also time one face on one core, for the model card."""
    rewrite: bool = False
    """Also rewrite stored predictions and metrics that differ from the new ones by rounding alone."""

    def __post_init__(self) -> None:
        if self.tta and self.corruptions:
            raise ValueError("--tta and --corruptions exclude each other: robust accuracy is that of one view")


def evaluate(settings: EvaluateSettings) -> None:
    """Measure a model on FER-2013 or on faces of your own.

    Stores its logits in predictions.npz, its metrics in config.json and the model card, all beside the weights. What
    was stored of the same weights and faces stays as it is where only rounding differs, unless --rewrite is given.
    """
    import torch

    from fer.evaluation import inference
    from fer.models import checkpoint
    from fer.release import model_card

    model = checkpoint.load_model(settings.model)
    (faces,), report = labelled_splits(settings.data, model.labels, settings.split)
    folder = checkpoint.resolve_path(settings.model)
    if settings.calibrate:
        before = model.offsets()
        calibrate(model, settings.data)
        if folder is not None and not torch.equal(before, model.offsets()):
            _forget_measurements(model, folder)
    metrics = _measure(settings, model, faces, folder)
    if folder is not None:
        _record(settings, model, folder, metrics)
        if settings.speed:
            model_card.record_speed(model, folder, inference.measure_latency(model))
    print_metrics(metrics, model.labels, settings.json)
    print_report(report)


def calibrate(model: "FERModel", root: str | None) -> None:
    """Fits temperature, thresholds and logit adjustment on PublicTest and PublicTest-C."""
    from fer.data import fer2013
    from fer.evaluation import calibration

    splits = fer2013.get_splits(fer2013.load_fer2013(root), "Training", "PublicTest")
    faces, validation = (fer2013.labelled_by_most(split, model.labels) for split in splits)
    prior = calibration.label_frequencies(faces.labels, len(model.labels))
    calibration.calibrate_network(model, validation, prior)


def _forget_measurements(model: "FERModel", folder: Path) -> None:
    """Takes out what was measured of the logits before their adjustment, on either split."""
    from fer.evaluation import predictions
    from fer.release import model_card

    (folder / predictions.PREDICTIONS).unlink(missing_ok=True)
    model.metrics = {key: value for key, value in model.metrics.items() if key == model_card.LATENCY_KEY}


def _measure(settings: EvaluateSettings, model: "nn.Module", faces: "FaceDataset", folder: Path | None) -> dict:
    if not settings.corruptions:
        from fer.evaluation import predictions

        return predictions.evaluate(model, settings.split, faces, settings.tta, folder, settings.rewrite)
    from fer.evaluation.corruptions import corrupted_logits, robust_metrics

    logits = corrupted_logits(model, faces.pixels)
    metrics = robust_metrics(logits, faces, model.temperature, model.prediction_set)
    return {"model": model.name, "split": f"{settings.split}-C", "tta": False} | metrics


def _record(settings: EvaluateSettings, model: "FERModel", folder: Path, metrics: dict) -> None:
    """Puts metrics into config.json and the card; plain ones as they follow from the stored logits."""
    from fer.evaluation import predictions
    from fer.release import model_card

    if not settings.tta and not settings.corruptions:
        model_card.record_metrics(model, folder, predictions.metrics_from_stored(model, settings.split, folder))
    elif settings.rewrite or not model_card.is_recorded(model, metrics):
        model_card.record_metrics(model, folder, metrics)


def labelled_splits(root: str | None, labels: Sequence[str], *names: str) -> tuple[list["FaceDataset"], "ReadReport"]:
    """The named splits, their faces that carry one of ``labels``, and what was read and left out."""
    from fer.data import fer2013
    from fer.data.dataset import DataError, with_label_set

    dataset = fer2013.read_dataset(root)
    try:
        splits = fer2013.get_splits(dataset.splits, *names)
    except DataError as error:
        raise DataError(f"{error} ({dataset.report.line()})") from None
    kept = [with_label_set(split, labels) for split in splits]
    report = dataset.report
    if dropped := sum(map(len, splits)) - sum(map(len, kept)):
        remark = f"{dropped:,} of {' and '.join(names)} are not used, as FER+'s annotators do not agree on them"
        report = replace(report, remarks=(*report.remarks, remark))
    return kept, report


# ------------------------------------------------------------------------------------------------ confusion


@dataclass(frozen=True, kw_only=True)
class ConfusionSettings(Settings):
    model: str
    """A model in weights/ that was evaluated, or an ensemble of such as in ensemble:a+b."""
    split: Split = "PrivateTest"
    """The split whose stored predictions are taken."""
    no_duplicates: bool = False
    """Leave out faces that have a duplicate in Training."""
    threshold: float = argument(0.0, "P")
    """Leave out predictions whose confidence is below P."""
    against: str | None = argument(None, "MODEL")
    """Compare with another model, by McNemar's test."""
    faces: str | None = argument(None, "PATH")
    """Measure on a folder or zip of your own instead, with a folder for each emotion."""


def confusion(settings: ConfusionSettings) -> None:
    """Print the confusion matrix of a model from its stored predictions, or on faces of your own.

    Needs no data set: `evaluate` stored the predictions.
    """
    from fer.evaluation import comparison, predictions
    from fer.models import checkpoint

    own = _own_faces(settings.faces) if settings.faces else None

    def found(name: str) -> predictions.Predictions:
        if own is None:
            stored = predictions.load_predictions(checkpoint.load_meta(name), settings.split)
        else:
            model = checkpoint.load_model(name)
            stored = predictions.predict_own_faces(own, model, predictions.predict_split(model, own.pixels))
        return stored.select(settings.no_duplicates).above_confidence(settings.threshold)

    report = comparison.report(found(settings.model), found(settings.against) if settings.against else None)
    if settings.json:
        print_json(report)
    else:
        title = own.title if own else settings.split
        print_metrics(report | {"split": title, "tta": False}, report["labels"], as_json=False)
        for name in ("annotators", "compared"):
            if facts := report.get(name):
                print(f"  {name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items()))
    if own is not None:
        print_report(own.report.restricted(report["labels"]))


def _own_faces(place: str) -> "LabelledFaces":
    """The faces of a folder or a zip."""
    from fer.data import image_folder, zip_dataset
    from fer.data.labels import ALL_LABELS

    if not Path(place).is_dir():
        return zip_dataset.read(place)
    own = image_folder.read_labelled(Path(place), ALL_LABELS)
    if not own.names:
        raise ValueError(f"there is no face in {place}: {own.report.line()}")
    return own


# ------------------------------------------------------------------------------------------------ ensemble


def ensemble(settings: Settings) -> None:
    """Select the ensemble that is most accurate on PublicTest without duplicates; writes weights/ensemble.json."""
    from fer.evaluation import ensemble_selection
    from fer.models import checkpoint

    rows = ensemble_selection.rank_ensembles(checkpoint.WEIGHTS)
    selected = ensemble_selection.select_ensemble(rows, checkpoint.WEIGHTS)
    if settings.json:
        metrics = {"selected": selected.name, **selected.metrics} if selected else {"selected": None}
        return print_json(metrics | {"candidates": rows})
    print(f"{'PublicTest without duplicates':>29}  {'all faces':>9}")
    for row in rows:
        print(f"{row['accuracy_deduplicated']:29.4f}  {row['accuracy']:9.4f}  {' + '.join(row['members'])}")
    if selected is None:
        print(f"none is selected: {rows[0]['members'][0]} alone is more accurate than any ensemble")
    else:
        print(f"selected: {selected.name}; PrivateTest {with_interval(selected.metrics['private_test'])}")
    return None


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, evaluate, EvaluateSettings)
    add_command(subparsers, confusion, ConfusionSettings)
    add_command(subparsers, ensemble, Settings)
