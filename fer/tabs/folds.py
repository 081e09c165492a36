"""What is measured of a network and slow to draw: a fold that is filled when it is opened.

fold(shared, title, tell, **box)     lays it out; tell(name) gives the markup
"""

from collections.abc import Callable

import gradio as gr

from fer.tabs.shared import QUIET, Shared, follow


def fold(shared: Shared, title: str, tell: Callable[[str], str], **box) -> gr.HTML:
    """The box in the fold. While it is open it follows the network; closed, it costs nobody any time."""
    with gr.Accordion(title, open=False) as part:
        shown = gr.HTML("", apply_default_css=False, **box)
    is_open = gr.State(False)
    part.expand(lambda name: (tell(name), True), shared.network, [shown, is_open], **QUIET)
    part.collapse(lambda: False, None, is_open, **QUIET)
    follow(shared, lambda name, is_open: tell(name) if is_open else "", shown, given=(is_open,))
    return shown
