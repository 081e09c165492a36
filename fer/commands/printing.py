"""What commands print for programs, and where they write."""

import json
import sys
from pathlib import Path

from fer.read_report import ReadReport


def print_json(value: object) -> None:
    """One JSON value on a line of standard output."""
    print(json.dumps(value))


def print_report(report: ReadReport, unit: str = "faces") -> None:
    """What was read and what was left out: the last line on standard error of a command that reads files."""
    print(report.line(unit), file=sys.stderr)


def file_for(out: str | None, usual: str) -> Path:
    """The file that a command is to write, by default `usual` in this folder.

    Raises ValueError, before anything is computed, for a folder and for one in a folder that is not there.
    """
    file = Path(out or usual)
    if file.is_dir() or not file.parent.is_dir():
        raise ValueError(f"out is {str(file)!r}: expected a file in a folder that is there")
    return file
