"""The Models tab's studies: the reports' experiments with the reports' numbers beside ours, as `fer study` left them.

A study's folder, weights/studies/<name>/, holds results.json, curves.csv and figure.png.
"""

import base64
import csv
import json
import logging
from html import escape
from pathlib import Path

import gradio as gr

from fer.app import components
from fer.app.errors import user_error
from fer.app.events import QUIET
from fer.plotting import training
from fer.utils import tables
from fer.utils.tables import cell

log = logging.getLogger(__name__)

NONE = '<div class="empty">No study is available.</div>'


def names(weights: Path) -> list[str]:
    """The studies that were run, in the order of their names."""
    return sorted(path.parent.name for path in (weights / "studies").glob("*/results.json"))


def show(name: str, *, weights: Path) -> str:
    """A study's question, table, figure and notes."""
    if name not in names(weights):
        raise user_error(f"There is no study {str(name)[:40]!r} here.")
    try:
        return _drawn(weights / "studies" / name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.error("the study %s cannot be read: %r", name, error)
        raise user_error(f"The study {name} is broken on the server. Please choose another one.") from None


def _drawn(folder: Path) -> str:
    name, table = folder.name, json.loads((folder / "results.json").read_text(encoding="utf-8"))
    rows, notes = table["rows"], "".join(f"<p>{escape(note)}</p>" for note in table["notes"])
    columns = list(dict.fromkeys(key for row in rows for key in row if any(one.get(key) is not None for one in rows)))
    heads = [column.replace("_", " ") for column in columns]
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    question = f"<p><b>{escape(table['question'])}</b></p>"
    return question + components.table(heads, cells, name, name) + _picture(folder) + notes


def _picture(folder: Path) -> str:
    """The study's curves, drawn anew so that they are read on dark too; without any, its figure as it is."""
    name, curves, picture = folder.name, folder / "curves.csv", folder / "figure.png"
    if curves.is_file():
        histories: dict[str, list[dict[str, float]]] = {}
        with curves.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                run = tables.original(row.pop("run"))
                histories.setdefault(run, []).append({key: float(value) for key, value in row.items() if value})
        return components.figure(training.accuracy_curves(histories), name, f"Accuracy by epoch in {name}", wide=True)
    if not picture.is_file():
        return ""
    address = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    save = f'<p class="take">Save as <a href="{address}" download="{escape(name)}.png">PNG</a></p>'
    return f'<figure><img src="{address}" alt="The figure of {escape(name)}">{save}</figure>'


def section(weights: Path) -> None:
    """Lays the studies out, closed; a study is read when the section is opened, or another one is chosen."""
    known = names(weights)
    with gr.Accordion("Reproduced experiments", open=False) as accordion:
        menu = gr.Dropdown(
            known, value=known[0] if known else None, label="Study", elem_id="study", visible=bool(known)
        )
        view = components.box("" if known else NONE, "studied")
    if known:
        gr.on([menu.change, accordion.expand], lambda name: show(name, weights=weights), menu, view, **QUIET)
