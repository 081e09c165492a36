from contextlib import contextmanager

import gradio as gr

from fer.data import image_io


@contextmanager
def said_kindly():
    """Turns what is wrong with a picture into a message on the page."""
    try:
        yield
    except image_io.PictureError as error:
        raise refusal(str(error)) from None


def refusal(sentence: str) -> gr.Error:
    """A message for the visitor, without a trace in the server's log."""
    return gr.Error(sentence, title="That did not work", print_exception=False)
