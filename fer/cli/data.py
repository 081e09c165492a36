"""The command that says what would be read: data."""

from dataclasses import dataclass
from pathlib import Path

from fer.cli.output import print_json, print_report
from fer.cli.settings import Settings, Subparsers, add_command, argument


@dataclass(frozen=True, kw_only=True)
class DataReportSettings(Settings):
    path: str | None = argument(None, "PATH", positional=True)
    """A folder, zip or CSV file of labelled faces. By default where FER-2013 is: $FER2013_ROOT, else data/."""


def data(settings: DataReportSettings) -> None:
    """Say which faces of a folder, zip or CSV file would be read and which not, and why."""
    from fer.data import fer2013, zip_dataset

    path = settings.path
    is_zip = path is not None and Path(path).suffix.lower() == ".zip" and Path(path).is_file()
    report = zip_dataset.read(path).report if is_zip else fer2013.survey(path)
    if settings.json:
        print_json(report.as_json())
    else:
        for name, labels in report.splits.items():
            counts = ", ".join(f"{count:,} {label}" for label, count in labels.items())
            print(f"{name}: {sum(labels.values()):,} faces ({counts})")
        for part in report.left_out:
            print(f"left out: {part.count:,} {part.what} ({part.why})")
        for remark in report.remarks:
            print(f"note: {remark}")
    print_report(report)


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, data, DataReportSettings)
