"""What the tabs share: one face and one network for each visitor; networks and the detector once for all of them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from gradio.components import Component

from fer.features.presets import PRESETS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilterRequest:
    """A filter that the visitor wants to see in the Filters tab; `visit` makes the same one twice two wishes."""

    network: str
    layer: str
    filter: int
    visit: int

    @property
    def query_params(self) -> dict[str, str]:
        """As a link to the filter's card would have it."""
        asked = {"network": self.network, "layer": self.layer, "filter": str(self.filter)}
        return {"tab": "Filters", **asked, "preset": "clear", "steps": str(PRESETS["clear"].steps), "seed": "0"}


@dataclass(frozen=True)
class Session:
    """Handed to every `tab(shared)`. The states are a visitor's own: read them as event inputs, never elsewhere.

    Another tab follows the visitor with `shared.face.change(...)`, `shared.network.change(...)` and `follow`.
    """

    weights: Path  # the folder that holds the networks
    names: list[str]  # those of them that are sound, and the elected ensemble; see `integrity.py`
    network: gr.State  # the chosen network's name
    face: gr.State  # the chosen face as the network sees it, uint8 (48, 48), or None
    wanted: gr.State  # what the Filters tab is to show next, a Wanted, or None
    followers: list[tuple[Callable, tuple[Component, ...], tuple[Component, ...]]] = field(
        default_factory=list
    )  # see `follow`
