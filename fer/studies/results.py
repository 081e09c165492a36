"""The results of a study: rows of scores, a figure's data, and the files that are written of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from torch import Tensor

from fer.evaluation.metrics import round_metrics, wilson_interval
from fer.training.history import write_rows
from fer.utils.io import write_text
from fer.utils.tables import markdown

SPLITS = ("PublicTest", "PrivateTest")
History = list[dict[str, float]]


def scores(rights: Sequence[Tensor], duplicates: Sequence[Tensor]) -> dict:
    """Accuracy, averaged over trainings, with the number of faces that each was judged on and its 95 % interval.

    rights, duplicates: for each training, which faces it read right and which have a duplicate in what it was trained
    on, bool (N,). The interval is that of one training's N faces: trainings judged on the same faces do not narrow it.
    """
    shares = [hits.float().mean().item() for hits in rights]
    alone = [hits[~is_duplicate].float().mean().item() for hits, is_duplicate in zip(rights, duplicates, strict=True)]
    row = share(mean(shares), len(rights[0])) | {"without_duplicates": mean(alone)}
    return row | ({"lowest": min(shares), "highest": max(shares), "seeds": len(shares)} if len(shares) > 1 else {})


def share(accuracy: float, n: int) -> dict:
    """An accuracy as every table has it: with n and its 95 % interval (Wilson 1927)."""
    return {"accuracy": accuracy, "n": n, "ci95": wilson_interval(round(accuracy * n), n)}


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class GroupedBars:
    """What a figure of bars shows: for every series a value, or None, for every group; ``what`` is the axis."""

    groups: list[str]
    series: Mapping[str, Sequence[float | None]]
    what: str


def comparison_bars(group: str, rows: list[dict], theirs: str) -> GroupedBars:
    """Our accuracies beside a report's: one group of bars a row, named by its column ``group``."""
    series = {"ours": [row["accuracy"] for row in rows], "report": [row.get(theirs) for row in rows]}
    return GroupedBars([row[group] for row in rows], series, "accuracy")


@dataclass(frozen=True)
class Result:
    """What a study found. Its figure shows ``bars`` if there are any, else ``curves``: a history for every run."""

    rows: list[dict]
    notes: list[str] = field(default_factory=list)
    curves: dict[str, History] = field(default_factory=dict)
    bars: GroupedBars | None = None


def write_results(study: str, question: str, result: Result, folder: Path, quick: bool, seeds: int) -> dict:
    """Writes results.json, README.md and curves.csv into the study's folder; the table as it is in results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {"study": study, "question": question, "quick": quick, "seeds": seeds}
    hurried = ["A quick run, of few faces and small networks: it shows that the study runs, and nothing about faces."]
    table |= {"rows": round_metrics(result.rows), "notes": hurried * quick + result.notes}
    write_text(folder / "results.json", json.dumps(table, indent=2) + "\n")
    write_text(folder / "README.md", page(table))
    if result.curves:
        rows = [{"run": run} | row for run, history in result.curves.items() for row in history]
        write_rows(rows, folder / "curves.csv")
    return table


def page(table: dict) -> str:
    """A study's README: what was asked, the table, what has to be known of it, and the figure."""
    command = f"python -m fer study {table['study']} --seeds {table['seeds']}{' --quick' if table['quick'] else ''}"
    notes = "".join(f"- {note}\n" for note in table["notes"])
    return (
        f"# {table['study']}\n\n{table['question']}\n\n{markdown(table['rows'])}\n\n{notes}\n"
        f"![{table['study']}](figure.png)\n\n"
        f"Written by `{command}`.\n"
    )


def report_accuracies(report: dict[str, dict[str, float]], setting: str) -> dict:
    """Report 2's validation and public accuracy of a setting, None where it prints none."""
    printed = report.get(setting, {})
    return {f"report_{key}": printed.get(key) for key in ("validation", "public")}
