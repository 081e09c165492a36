"""The command that says what would be read: data."""

from pathlib import Path

from fer.cli.output import print_json, print_report
from fer.data import fer2013


def data(root: str | None, as_json: bool) -> None:
    """Says which faces of a folder, a zip or a CSV file would be read and which not, and why."""
    from fer.data import zip_dataset

    is_zip = root is not None and Path(root).suffix.lower() == ".zip" and Path(root).is_file()
    report = zip_dataset.read(root).report if is_zip else fer2013.survey(root)
    if as_json:
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
