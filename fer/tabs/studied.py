"""The Networks tab's studies: the reports' experiments with the reports' numbers beside ours, as `fer study` left them.

A study's folder, weights/studies/<name>/, holds table.json, curves.csv and figure.png.
"""

import base64
import json
from html import escape
from pathlib import Path

import gradio as gr

from fer.tabs import exhibits
from fer.tabs.shared import refusal

NONE = '<div class="empty">No study was run yet: <code>python -m fer study NAME</code> runs one.</div>'


def names(weights: Path) -> list[str]:
    """The studies that were run, in the order of their names."""
    return sorted(path.parent.name for path in (weights / "studies").glob("*/table.json"))


def show(name: str, *, weights: Path) -> str:
    """A study's question, table, figure and notes."""
    if name not in names(weights):
        raise refusal(f"There is no study {str(name)[:40]!r} here.")
    folder = weights / "studies" / name
    table = json.loads((folder / "table.json").read_text())
    rows, notes = table["rows"], "".join(f"<p>{escape(note)}</p>" for note in table["notes"])
    columns = list(dict.fromkeys(key for row in rows for key in row if any(one.get(key) is not None for one in rows)))
    heads = [column.replace("_", " ") for column in columns]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    picture = _picture(folder / "figure.png", name)
    return f"<p><b>{escape(table['question'])}</b></p>{exhibits.table(heads, cells, name, name)}{picture}{notes}"


def _picture(path: Path, name: str) -> str:
    if not path.is_file():
        return ""
    address = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    save = f'<p class="take">Save as <a href="{address}" download="{escape(name)}.png">PNG</a></p>'
    return f'<figure><img src="{address}" alt="The figure of {escape(name)}">{save}</figure>'


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " to ".join(f"{part:.3f}" for part in value)
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) <= 1 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def section(weights: Path) -> None:
    """Lays the studies out, closed; a study is read when the section is opened, or another one is chosen."""
    known = names(weights)
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    with gr.Accordion("The reports' experiments, repeated", open=False) as accordion:
        menu = gr.Dropdown(
            known, value=known[0] if known else None, label="Study", elem_id="study", visible=bool(known)
        )
        view = exhibits.box("" if known else NONE, "studied")
    if known:
        gr.on([menu.change, accordion.expand], lambda name: show(name, weights=weights), menu, view, **quiet)
