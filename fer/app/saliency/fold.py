"""What the folds at the foot of the Saliency tab share: a box for results, emptied when face or model change."""

import gradio as gr

from fer.app import static
from fer.app.events import on_face_change, on_model_change
from fer.app.session import Session


def results(elem_id: str) -> gr.HTML:
    """An empty box for markup, in the tab's styles."""
    styles = static.text("tabs.css", "saliency.css")
    return gr.HTML("", css_template=styles, apply_default_css=False, padding=False, elem_id=elem_id)


def close_on_change(session: Session, fold: gr.Accordion, shown: gr.HTML) -> None:
    """Closes the fold and empties its results after another face or model was chosen."""
    for follow in (on_face_change, on_model_change):
        follow(session, lambda _: (gr.Accordion(open=False), ""), fold, shown)
