"""What commands print for programs, and where they write."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from fer import checkpoint, outputs
from fer.committee import ELECTED, PREFIX
from fer.read_report import ReadReport


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
        folder = checkpoint.find(name)
        if name.endswith(".onnx"):
            files.append(Path(name))
        elif name == ELECTED:
            files += [path for path in checkpoint.WEIGHTS.glob("**/*") if path.is_file()]
        elif folder:
            files += [path for path in folder.iterdir() if path.is_file()]
    return files
