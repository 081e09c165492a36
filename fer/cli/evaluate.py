from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from fer.cli.output import _print_figures, _with_interval, print_json, print_report
from fer.data import fer2013
from fer.data.dataset import DataError, FaceDataset, with_label_set
from fer.data.image_folder import LabelledFaces
from fer.data.read_report import ReadReport
from fer.evaluation import inference, predictions
from fer.models import checkpoint
from fer.release import model_card


def evaluate(
    network: str, split: str, tta: bool, corruptions: bool, calibrate: bool, speed: bool, keep: bool,
    root: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Measures a network on real data; keeps its logits in predictions.npz and its figures in config.json and card.

    What was kept of the same weights and faces stays as it is where only rounding differs, unless --keep is given.
    """
    if tta and corruptions:
        raise ValueError("--tta and --corruptions exclude each other: robust accuracy is that of one view")
    trained = checkpoint.load_model(network)
    (faces,), report = _labelled_splits(root, trained.labels, split)
    folder = checkpoint.resolve_path(network)
    if calibrate:
        before = trained.offsets()
        _calibrate(trained, root)
        if folder is not None and not torch.equal(before, trained.offsets()):
            _forget_measurements(trained, folder)
    figures = _measured(trained, split, faces, tta, corruptions, folder, keep)
    if folder is not None:
        if not tta and not corruptions:
            model_card.record_metrics(trained, folder, predictions.metrics_from_stored(trained, split, folder))
        elif keep or not model_card.is_recorded(trained, figures):
            model_card.record_metrics(trained, folder, figures)
        if speed:
            model_card.record_speed(trained, folder, inference.measure_latency(trained))
    _print_figures(figures, trained.labels, as_json)
    print_report(report)


def _calibrate(trained: checkpoint.FERModel, root: str | None) -> None:
    """Fits what makes the network's answers honest on PublicTest and PublicTest-C."""
    from fer.evaluation import calibration

    splits = fer2013.get_splits(fer2013.load_fer2013(root), "Training", "PublicTest")
    faces, validation = (fer2013.labelled_by_most(split, trained.labels) for split in splits)
    prior = calibration.label_frequencies(faces.labels, len(trained.labels))
    calibration.calibrate_network(trained, validation, prior)


def _forget_measurements(trained: checkpoint.FERModel, folder: Path) -> None:
    """Takes out what was measured of the logits before their adjustment, on either split."""
    (folder / predictions.PREDICTIONS).unlink(missing_ok=True)
    trained.metrics = {key: value for key, value in trained.metrics.items() if key == model_card.LATENCY_KEY}


def _measured(
    trained: nn.Module, split: str, faces: FaceDataset, tta: bool, corrupted: bool, folder: Path | None, keep: bool
) -> dict:
    if not corrupted:
        return predictions.evaluate(trained, split, faces, tta, folder, keep)
    from fer.evaluation.corruptions import corrupted_logits, robust_metrics

    logits = corrupted_logits(trained, faces.pixels)
    figures = robust_metrics(logits, faces, trained.temperature, trained.prediction_set)
    return {"network": trained.name, "split": f"{split}-C", "tta": False} | figures


def confusion(
    network: str, split: str, without_duplicates: bool, threshold: float, against: str | None, faces: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Prints what the Confusion tab says, from the kept answers or on faces of your own: no data set is needed."""
    from fer.evaluation import comparison, predictions

    own = _own_faces(faces) if faces else None

    def found(name: str) -> predictions.Predictions:
        if own is None:
            kept = predictions.load_predictions(checkpoint.load_meta(name), split)
        else:
            trained = checkpoint.load_model(name)
            kept = predictions.predict_own_faces(own, trained, predictions.predict_split(trained, own.pixels))
        return kept.select(without_duplicates).above_confidence(threshold)

    report = comparison.report(found(network), found(against) if against else None)
    if as_json:
        print_json(report)
    else:
        _print_figures(report | {"split": own.title if own else split, "tta": False}, report["labels"], as_json)
        for name in ("taggers", "compared"):
            if facts := report.get(name):
                print(f"  {name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items()))
    if own is not None:
        print_report(own.report.restricted(report["labels"]))


def _own_faces(place: str) -> LabelledFaces:
    """The faces of a folder or a zip."""
    from fer.data import image_folder, zip_dataset
    from fer.data.labels import ALL_LABELS

    if not Path(place).is_dir():
        return zip_dataset.read(place)
    own = image_folder.read_labelled(Path(place), ALL_LABELS)
    if not own.names:
        raise ValueError(f"there is no face in {place}: {own.report.line()}")
    return own


def _labelled_splits(root: str | None, labels: Sequence[str], *names: str) -> tuple[list[FaceDataset], ReadReport]:
    """The named splits, their faces that carry one of ``labels``, and what was read and left out."""
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


def ensemble(as_json: bool) -> None:
    """Elects the default ensemble on PublicTest without duplicates, by the kept answers; writes
    weights/ensemble.json."""
    from fer.evaluation import ensemble_selection

    rows = ensemble_selection.rank_ensembles(checkpoint.WEIGHTS)
    elected = ensemble_selection.select_ensemble(rows, checkpoint.WEIGHTS)
    if as_json:
        figures = {"elected": elected.name, **elected.metrics} if elected else {"elected": None}
        return print_json(figures | {"sets": rows})
    print(f"{'PublicTest without duplicates':>24}  {'all faces':>9}")
    for row in rows:
        print(f"{row['accuracy_deduplicated']:24.4f}  {row['accuracy']:9.4f}  {' + '.join(row['members'])}")
    if elected is None:
        print(f"none is elected: {rows[0]['members'][0]} alone reads more than any of them together")
    else:
        print(f"elected: {elected.name}; PrivateTest {_with_interval(elected.metrics['private_test'])}")
    return None
