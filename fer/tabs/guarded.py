"""A page that strangers may call with anything: whatever comes of it is a sentence, without markup or a path."""

import logging
from html import escape

import gradio as gr

from fer.tabs.shared import refusal

log = logging.getLogger(__name__)

OTHER_FORM = "What was sent has not the form that is expected here. Please load the page again."
UNFORESEEN = "Something went wrong on the server, and was noted there. Please try again, or try something else."


class Guarded(gr.Blocks):
    """Gradio's own, but for what it says of a failure: it would draw a message as markup, pictures of other hosts
    included, and has no words at all for a request that its components cannot read.
    """

    async def preprocess_data(self, *args, **kwargs):
        try:
            return await super().preprocess_data(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:  # each component has its own kind for what it cannot read
            log.info("Not read: %s", error)
            raise refusal(OTHER_FORM) from None

    async def process_api(self, *args, **kwargs):
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:
            error.message = escape(str(error.message), quote=False)
            raise
        except Exception:  # whatever it is, it is logged with its trace, and told
            log.exception("A request failed")
            raise refusal(UNFORESEEN) from None
