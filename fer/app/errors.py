from contextlib import contextmanager

import gradio as gr

from fer.data import image_io


@contextmanager
def image_errors_as_messages():
    """Turns what is wrong with a picture into a message on the page."""
    try:
        yield
    except image_io.ImageError as error:
        raise user_error(str(error)) from None


def user_error(sentence: str) -> gr.Error:
    """A message for the visitor, without a trace in the server's log."""
    return gr.Error(sentence, title="That did not work", print_exception=False)
