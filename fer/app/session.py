"""What the tabs share: one face and one model for each visitor, which stand in the strip under the title.

Every `tab(session)` gets the page's one `Session`:

    session.model                       the one Model menu, a gr.Dropdown: use it as an event input (the model's name)
    session.face                        the current face, a gr.State of uint8 (48, 48); never None, see `examples.py`;
                                        a tab sets it by listing it among an event's outputs
    session.filter_request              what the Filters tab is to show next, a gr.State of FilterRequest or None
    on_model_change(session, f, *outputs, inputs=())    f(name, *inputs) after another model was chosen, wherever
    on_face_change(session, f, *outputs, inputs=())     f(face, *inputs) after another face was chosen, wherever
    session.address["method"] = menu    the menu's value stands in the page's address, see `address.py`
    session.model_change_in("Saliency") an event: another model was chosen while this tab is open. For slow work, with
                                        the tab's own `select` for what was chosen while it was not.

The first two are quick work only: all of it is one request. A tab has no model menu of its own.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType

import gradio as gr
from gradio.components import Component
from gradio.events import EventListener

from fer.features.presets import PRESETS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilterRequest:
    """A filter to be shown in the Filters tab; `visit` tells a repeated request for the same filter from the first."""

    network: str
    layer: str
    filter: int
    visit: int

    @property
    def query_params(self) -> dict[str, str]:
        """As a link to the filter's card would have it."""
        asked = {"model": self.network, "layer": self.layer, "filter": str(self.filter)}
        return {"tab": "Filters", **asked, "preset": "clear", "steps": str(PRESETS["clear"].steps), "seed": "0"}


@dataclass(frozen=True)
class Listener:
    """What is called with the new value and with the inputs' values, and the components that take what it returns."""

    function: Callable
    inputs: tuple[Component, ...]
    outputs: tuple[Component, ...]


@dataclass(frozen=True)
class Session:
    """See the top of this module. The components are one for all visitors; their values are each visitor's own."""

    weights: Path  # the folder that holds the models
    names: list[str]  # those of them that are sound, and the selected ensemble; see `integrity.py`
    model: gr.Dropdown
    face: gr.State
    filter_request: gr.State
    strip: gr.HTML
    tabs: gr.Tabs  # as an output, `gr.Tabs(selected="Saliency")` opens a tab
    address: dict[str, gr.Dropdown | gr.Radio] = field(default_factory=dict)  # see `address.py`
    model_listeners: list[Listener] = field(default_factory=list)
    face_listeners: list[Listener] = field(default_factory=list)

    def model_change_in(self, tab: str) -> Callable:
        """The event of another model that was chosen while this tab is open, as `component.change` is one."""
        return MethodType(EventListener(f"model_{tab.lower()}").listener, self.strip)  # `gr.on` takes no partial
