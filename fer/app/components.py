"""Figures and tables to look at and to take away, for the tabs that show many of them: as SVG and PNG, and as CSV.

Files are `data:` addresses in the page: nothing is written on the server. The PNG is painted in the browser from the
SVG, at three times its size.
"""

import base64
from collections.abc import Callable, Sequence
from html import escape

import gradio as gr
from matplotlib.figure import Figure

from fer.app import static
from fer.app.events import QUIET, on_model_change
from fer.app.session import Session
from fer.plotting import encode
from fer.utils import tables

CSS = """
figure { margin: 0; min-width: 0; }
figure img { display: block; max-width: 100%; margin: 0 auto; }
figure.wide > div { overflow-x: auto; }
figure.wide img { max-width: none; width: 100%; min-width: 620px; }
figcaption, p { margin: 0 0 6px; font-size: var(--text-sm); line-height: 1.45; color: var(--body-text-color); }
figcaption b, h4 { font-size: var(--text-md); font-weight: 600; color: var(--body-text-color); }
h4 { margin: 16px 0 6px; }
.take { margin: 6px 0 0; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
a { color: var(--link-text-color); text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 0; font: 13px/1.35 var(--font); color: var(--body-text-color);
  font-variant-numeric: tabular-nums; }
th, td { padding: 6px 8px; text-align: left; border: 0; border-bottom: 1px solid var(--border-color-primary);
  background: none; white-space: nowrap; }
td.long a { overflow-wrap: anywhere; }
td.long { white-space: normal; min-width: 132px; }
th { font-weight: 600; }
.number { text-align: right; }
.empty { padding: 32px 24px; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius); }
"""

JS = """element.addEventListener('click', event => {
  const link = event.target.closest('[data-png]');
  if (!link) return;
  event.preventDefault();
  const picture = link.closest('figure').querySelector('img'), canvas = document.createElement('canvas');
  const drawn = new Image();
  drawn.onload = () => {
    canvas.width = 3 * drawn.naturalWidth;
    canvas.height = 3 * drawn.naturalHeight;
    canvas.getContext('2d').drawImage(drawn, 0, 0, canvas.width, canvas.height);
    const saved = document.createElement('a');
    saved.download = link.dataset.png;
    saved.href = canvas.toDataURL('image/png');
    saved.click();
  };
  drawn.src = picture.src;
});"""


def choices(value: str, js: str = "", **properties) -> gr.HTML:
    """Markup with a `choice` event, whose `index` is the `data-choice` of the element that was clicked."""
    return gr.HTML(value, js_on_load=js or static.text("choice.js"), apply_default_css=False, **properties)


def box(value: str, elem_id: str, css: str = "", **place) -> gr.HTML:
    """Where figures and tables are shown."""
    return gr.HTML(
        value, css_template=CSS + css, js_on_load=JS, apply_default_css=False, padding=False, elem_id=elem_id, **place
    )


def figure(drawing: Figure, name: str, alt: str, caption: str = "", more: str = "", wide: bool = False) -> str:
    """A figure with its title and links that save it, and ``more`` of them; title and links are markup already.

    wide: a phone may scroll in it, where it would be too small to be read.
    """
    address = encode.figure_url(drawing)
    words = f"<figcaption>{caption}</figcaption>" if caption else ""
    links = [
        f'<a href="{address}" download="{escape(name)}.svg">SVG</a>',
        f'<a href="#" role="button" data-png="{escape(name)}.png">PNG</a>',
        *([more] if more else []),
    ]
    take = f'<p class="take">Save as {" · ".join(links)}</p>'
    kind = ' class="wide"' if wide else ""
    return f'<figure{kind}>{words}<div><img src="{address}" alt="{escape(alt)}"></div>{take}</figure>'


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], name: str, alt: str) -> str:
    """A table of texts, numbers to the right, with a link that saves it as CSV."""
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(headers))]
    kinds = [' class="number"' if number else "" for number in numeric]
    heads = "".join(f'<th scope="col"{kind}>{escape(head)}</th>' for head, kind in zip(headers, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind or _long(cell)}>{linked(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        f'<div class="scroll"><table aria-label="{escape(alt)}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody>'
        f'</table></div><p class="take">Save as {csv_link(headers, rows, name)}</p>'
    )


def csv_link(headers: Sequence[str], rows: Sequence[Sequence[object]], name: str, words: str = "CSV") -> str:
    """A link that saves a table."""
    text = "".join(tables.line(map(_for_csv, row)) for row in [headers, *rows])
    content = base64.b64encode(text.encode(errors="replace")).decode()
    return f'<a href="data:text/csv;base64,{content}" download="{escape(name)}.csv">{escape(words)}</a>'


def _for_csv(cell: object) -> object:
    """A number as it is shown; nothing where a table shows that there is none."""
    if cell == "-":
        return ""
    return tables.Number(cell) if isinstance(cell, str) and _is_number(cell) else cell


def linked(cell: str) -> str:
    """A cell as markup: a web address becomes a link that says where it leads; an ensemble may break at its members."""
    if cell.startswith("https://"):
        words = escape(cell.removeprefix("https://").removesuffix("/"))
        return f'<a href="{escape(cell)}" target="_blank" rel="noopener">{words}</a>'
    return escape(cell).replace("+", "+<wbr>")


def _long(cell: str) -> str:
    return ' class="long"' if len(cell) > 24 else ""


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").removesuffix("%").strip() or "x")
    except ValueError:
        return cell == "-"
    return True


def fold(session: Session, title: str, tell: Callable[[str], str], **box) -> gr.HTML:
    """The box in the fold. While it is open it follows the network; closed, it costs nobody any time."""
    with gr.Accordion(title, open=False) as part:
        shown = gr.HTML("", apply_default_css=False, **box)
    is_open = gr.State(False)
    part.expand(lambda name: (tell(name), True), session.model, [shown, is_open], **QUIET)
    part.collapse(lambda: False, None, is_open, **QUIET)
    on_model_change(session, lambda name, is_open: tell(name) if is_open else "", shown, inputs=(is_open,))
    return shown


CARD_CSS = """
.card { display: flex; flex-wrap: wrap; gap: 16px; padding: 16px; border: 1px solid var(--border-color-primary);
  border-radius: var(--block-radius); background: var(--block-background-fill); color: var(--body-text-color); }
.card h3 { width: 100%; margin: 0; font-size: var(--text-lg); color: var(--body-text-color); }
figure { margin: 0; }
figure img { display: block; height: 192px; margin: 0; image-rendering: pixelated; border-radius: var(--radius-md); }
figcaption { margin-top: 6px; max-width: 192px; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
figure.curve img { height: 192px; max-width: 100%; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 4px 12px; align-content: start; margin: 0;
  flex: 1 1 min(400px, 100%); }
@media (max-width: 480px) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }
dt { color: var(--body-text-color-subdued); } dd { margin: 0; font-variant-numeric: tabular-nums; }
a { color: var(--link-text-color); text-decoration: underline; }
"""


def cards(facts: dict[str, tuple[str, str]]) -> str:
    """Facts by name, each a large word and small ones, as cards."""
    return f'<dl class="cards">{"".join(_card(name, *words) for name, words in facts.items())}</dl>'


def _card(name: str, large: str, small: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd><b>{escape(large)}</b>{escape(small)}</dd></div>"


def choice_attributes(index: int, label: str, pressed: bool, entry: bool) -> str:
    """The attributes of a button that `choice.js` listens to.

    index: what its `choice` event brings. label: as markup. entry: whether it is its group's tab stop.
    """
    return (
        f'type="button" data-choice="{index}" tabindex="{0 if entry else -1}" aria-pressed="{str(pressed).lower()}" '
        f'aria-label="{label}" title="{label}"'
    )


def class_bars(labels: Sequence[str], probabilities: Sequence[float]) -> str:
    """Each class's probability, 0..1, as a bar, the highest first."""
    ranked = sorted(zip(labels, probabilities, strict=True), key=lambda entry: -entry[1])
    bars = (
        f"<span>{escape(name)}</span><i style='width:{share:.1%}'></i><span>{share:.0%}</span>"
        for name, share in ranked
    )
    return f'<div class="class-bars">{"".join(bars)}</div>'
