"""What commands print for people and programs, and where they write."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fer.data.read_report import ReadReport
from fer.utils import outputs

if TYPE_CHECKING:
    from torch import nn

    from fer.faces.detector import Detector
    from fer.inference.predictor import FacePrediction

# ------------------------------------------------------------------------------------------------ printing


def share(metrics: dict | None, key: str = "accuracy") -> str:
    """A share of 0 to 1 among the metrics of a split, with four digits; a dash where the split was not measured."""
    return f"{metrics[key]:.4f}" if metrics else "-"


def with_interval(metrics: dict | None) -> str:
    """An accuracy with its 95 % interval."""
    return "{:.4f} ({:.3f} to {:.3f})".format(metrics["accuracy"], *metrics["ci95"]) if metrics else "-"


def print_metrics(metrics: dict, labels: Iterable[str], as_json: bool) -> None:
    """What `evaluate` measured: accuracies with n and interval, then precision, recall and confusion by label."""
    if as_json:
        return print_json(metrics)
    print(f"{metrics['model']} on {metrics['split']}{', ten-crop TTA' if metrics['tta'] else ''}")
    for suffix, words in (("", "all faces"), ("_deduplicated", "without duplicates")):
        low, high = metrics[f"ci95{suffix}"]
        print(f"  {words:18} {metrics[f'accuracy{suffix}']:.4f}  (n {metrics[f'n{suffix}']}, {low:.4f} to {high:.4f})")
    for key in ("macro_f1", "balanced_accuracy", "ece", "set_coverage", "set_size", "set_single"):
        if key in metrics:
            print(f"  {key.replace('_', ' '):18} {metrics[key]:.4f}")
    print(f"  {'':10} precision  recall      F1  support   predicted as")
    for label, row, counts in zip(labels, metrics["per_class"], metrics["confusion"], strict=True):
        numbers = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:7.3f} {row['support']:8}"
        print(f"  {label:10} {numbers}   {' '.join(f'{count:4}' for count in counts)}")
    for row in metrics.get("corruptions", []):
        low, high = row["ci95"]
        kind = f"{row['corruption']} {row['setting']:g} ({row['unit']})"
        print(f"  {kind:40} {row['accuracy']:.4f}  (n {row['n']}, {low:.4f} to {high:.4f})")
    return None


def print_json(value: object) -> None:
    """One JSON value on a line of standard output."""
    print(json.dumps(value))


def print_report(report: ReadReport, unit: str = "faces") -> None:
    """What was read and what was left out: the last line on standard error of a command that reads files."""
    print(report.line(unit), file=sys.stderr)


# ------------------------------------------------------------------------------------------------ files


def file_for(out: str | None, usual: str, inputs: Iterable[str | Path]) -> Path:
    """The file that a command is to write, by default `usual` in this folder.

    inputs: the files that it reads. Raises ValueError, before anything is computed, for a folder, for a file in a
    folder that is not there, and for what `outputs.check_outputs` refuses.
    """
    file = Path(out or usual)
    if file.is_dir() or not file.parent.is_dir():
        raise ValueError(f"out is {str(file)!r}: expected a file in a folder that is there")
    outputs.check_outputs(inputs, [file])
    return file


def files_of(model: str) -> list[Path]:
    """The files here that are read for the model of that name, so that a command does not write over them."""
    from fer.models import checkpoint
    from fer.utils.model_files import PREFIX, SELECTED

    files = []
    for name in model.removeprefix(PREFIX).split("+"):
        folder = checkpoint.resolve_path(name)
        if name.endswith(".onnx"):
            files.append(Path(name))
        elif name == SELECTED:
            files += [path for path in checkpoint.WEIGHTS.glob("**/*") if path.is_file()]
        elif folder:
            files += [path for path in folder.iterdir() if path.is_file()]
    return files


# ------------------------------------------------------------------------------------------------ photographs


def load_detector(quiet: bool = False) -> "Detector":
    """The face detector, which is named on standard error: which one it is depends on what this machine has."""
    from fer.faces import detector

    found = detector.load_detector()  # which may look for YuNet for three seconds
    if not quiet:
        print(detector.detector_sentence(found.name), file=sys.stderr)
    return found


def largest_face(image: str, model: "nn.Module", no_detect: bool) -> "FacePrediction":
    """The largest face of a photograph; with ``no_detect`` the whole photograph is the face."""
    from fer.data import image_io
    from fer.inference import predictor

    found = predictor.predict_image(image_io.open_image(image), model, load_detector(quiet=no_detect), no_detect).faces
    if not found:
        raise ValueError(f"no face was found in {image}; --no-detect takes the whole picture as a face")
    return found[0]
