"""What the page says of networks that are broken, and of what is stale beside them; nothing where all is sound.

section(troubles)     lays it out, closed, above the tabs
"""

import logging
import re
from collections.abc import Sequence
from html import escape

import gradio as gr

from fer.soundness import Trouble

log = logging.getLogger(__name__)

CSS = """
ul { margin: 0; padding-left: 20px; list-style: disc; line-height: 1.6; color: var(--body-text-color); }
code { overflow-wrap: anywhere; }
"""


def section(troubles: Sequence[Trouble]) -> None:
    if not troubles:
        return
    for trouble in troubles:
        log.warning("%s: %s", trouble.network, trouble.words)
    with gr.Accordion(title(troubles), open=False, elem_id="unsound"):
        gr.HTML(listed(troubles), css_template=CSS, apply_default_css=False)


def title(troubles: Sequence[Trouble]) -> str:
    left_out = [trouble.network for trouble in troubles if trouble.left_out]
    if left_out:
        return f"Not all networks are sound: {', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} left out"
    names = ", ".join(dict.fromkeys(trouble.network for trouble in troubles))
    return f"Not everything is at hand of {names}"


def listed(troubles: Sequence[Trouble]) -> str:
    """A line for each, as markup; commands as code."""
    lines = (f"<li><b>{escape(one.network)}</b>: {_coded(one.words)}.</li>" for one in troubles)
    return f"<ul>{''.join(lines)}</ul>"


def _coded(words: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(words))
