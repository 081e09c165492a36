"""Gradio's two classes of a page with our guards: whatever strangers send, a sentence comes back, and no path.

Guarded     the page's blocks
Server      the page's ASGI application
"""

import errno
import logging
from html import escape

import gradio as gr
from fastapi.responses import JSONResponse
from gradio.routes import App, ORJSONResponse
from starlette.requests import Request

from fer.app.clients import Sessions
from fer.app.errors import user_error
from fer.app.queue import Listening
from fer.app.security import FULL, Hosts, Secured

log = logging.getLogger(__name__)

OTHER_FORM = "What was sent has not the form that is expected here. Please load the page again."
UNFORESEEN = "Something went wrong on the server, and was noted there. Please try again, or try something else."
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
            raise user_error(OTHER_FORM) from None

    async def process_api(self, *args, **kwargs):
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:
            error.message = escape(str(error.message), quote=False)
            raise
        except Exception:  # whatever it is, it is logged with its trace, and told
            log.exception("A request failed")
            raise user_error(UNFORESEEN) from None

    def get_config_file(self) -> dict:
        """Without the functions of components, which Gradio would give by their addresses in memory."""
        config = super().get_config_file()
        for component in config["components"]:
            component["props"] = {name: value for name, value in component["props"].items() if not _is_function(value)}
        return config


def _is_function(value: object) -> bool:
    return callable(value) or (isinstance(value, str) and value.startswith("<") and " at 0x" in value)


class Server(App):
    """Gradio's own with our middleware around all of its, and our store of visitors' states."""

    def __init__(self, hosts: Hosts, listening: Listening):
        super().__init__(default_response_class=ORJSONResponse)
        self.hosts, self.listening, self.state_holder = hosts, listening, Sessions()
        self.add_exception_handler(OSError, _no_room)

    def build_middleware_stack(self):
        self.listening.app = super().build_middleware_stack()
        return Secured(self.listening, self.hosts, told_session=self.state_holder.told)


async def _no_room(request: Request, error: OSError) -> JSONResponse:
    """507 where the disk is full, or takes no file of this size; else 500."""
    if error.errno in NO_ROOM:
        return JSONResponse({"detail": FULL}, 507)
    log.error("A request failed", exc_info=error)
    return JSONResponse({"detail": UNFORESEEN}, 500)
