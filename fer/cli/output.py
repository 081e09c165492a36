"""What commands print for programs, and where they write."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fer.data.dataset import to_unit
from fer.data.read_report import ReadReport
from fer.models import checkpoint, summary
from fer.models.ensemble import PREFIX, SELECTED
from fer.release import model_card
from fer.utils import outputs

# ------------------------------------------------------------------------------------------------ printing


def _describe(network: checkpoint.FERModel) -> dict:
    measured = {
        key: network.metrics.get(key)
        for key in ("public_test", "private_test", "private_test_tta", model_card.LATENCY_KEY)
    }
    return {"name": network.name, "parameters": summary.count_parameters(network), "labels": network.labels, **measured}


def _share(figures: dict | None, key: str = "accuracy") -> str:
    return f"{figures[key]:.4f}" if figures else "-"


def _with_interval(figures: dict | None) -> str:
    return "{:.4f} ({:.3f} to {:.3f})".format(figures["accuracy"], *figures["ci95"]) if figures else "-"


def _print_figures(figures: dict, labels: Iterable[str], as_json: bool) -> None:
    if as_json:
        return print_json(figures)
    print(f"{figures['network']} on {figures['split']}{', ten views' if figures['tta'] else ''}")
    for suffix, words in (("", "all faces"), ("_deduplicated", "without duplicates")):
        low, high = figures[f"ci95{suffix}"]
        print(f"  {words:14} {figures[f'accuracy{suffix}']:.4f}  (n {figures[f'n{suffix}']}, {low:.4f} to {high:.4f})")
    for key in ("macro_f1", "balanced_accuracy", "ece", "set_coverage", "set_size", "set_single"):
        if key in figures:
            print(f"  {key.replace('_', ' '):17} {figures[key]:.4f}")
    print(f"  {'':10} precision  recall      F1  support   read as")
    for label, row, counts in zip(labels, figures["per_class"], figures["confusion"], strict=True):
        numbers = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:7.3f} {row['support']:8}"
        print(f"  {label:10} {numbers}   {' '.join(f'{count:4}' for count in counts)}")
    for row in figures.get("corruptions", []):
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


def files_of(network: str) -> list[Path]:
    """The files here that are read for the network of that name, so that a command does not write over them."""
    files = []
    for name in network.removeprefix(PREFIX).split("+"):
        folder = checkpoint.resolve_path(name)
        if name.endswith(".onnx"):
            files.append(Path(name))
        elif name == SELECTED:
            files += [path for path in checkpoint.WEIGHTS.glob("**/*") if path.is_file()]
        elif folder:
            files += [path for path in folder.iterdir() if path.is_file()]
    return files


def load_detector(quiet: bool = False):
    """The face detector, which is named on standard error: which one it is depends on what this machine has."""
    from fer.faces import detector

    found = detector.load_detector()  # which may look for YuNet for three seconds
    if not quiet:
        print(detector.detector_sentence(found.name), file=sys.stderr)
    return found


def largest_face(image: str, trained: checkpoint.FERModel, whole: bool) -> Tensor:
    """The largest face of a photograph, (1, 1, 48, 48) in 0..1."""
    from fer.data import image_io
    from fer.inference import predictor

    found = predictor.predict_image(image_io.open_image(image), trained, load_detector(quiet=whole), whole).faces
    if not found:
        raise ValueError(f"no face was found in {image}; --whole takes the whole picture as a face")
    return to_unit(torch.from_numpy(np.array(found[0].crop))[None])
