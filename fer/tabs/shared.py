"""What the tabs share: one face and one network for each visitor; networks and the detector once for all of them."""

import functools
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import gradio as gr
import numpy as np
import torch
from gradio.components import Component

from fer import checkpoint, faces, prediction
from fer.committee import ELECTED, PREFIX, Committee
from fer.presets import PRESETS
from fer.tabs import markup

log = logging.getLogger(__name__)
AFTERWARDS = "name => new Promise(done => setTimeout(() => done(name), 250))"
QUIET = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Wanted:
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
class Shared:
    """Handed to every `tab(shared)`. The states are a visitor's own: read them as event inputs, never elsewhere.

    Another tab follows the visitor with `shared.face.change(...)`, `shared.network.change(...)` and `follow`.
    """

    weights: Path  # the folder that holds the networks
    names: list[str]  # those of them that are sound, and the elected committee; see `soundness.py`
    network: gr.State  # the chosen network's name
    face: gr.State  # the chosen face as the network sees it, uint8 (48, 48), or None
    wanted: gr.State  # what the Filters tab is to show next, a Wanted, or None
    followers: list[tuple[Callable, tuple[Component, ...], tuple[Component, ...]]] = field(
        default_factory=list
    )  # see `follow`


def load_network(weights: Path, name: str) -> checkpoint.Network:
    """The network `name` of a folder, loaded once for all visitors. Do not hook or alter it: copy it for that.

    Raises gr.Error for any other name than those of the folder's own networks, and for a broken one.
    """
    names = checkpoint.available(weights)
    if name not in names:
        raise refusal(f"There is no network {str(name)[:40]!r} here. Choose one of: {', '.join(names) or 'none yet'}.")
    try:
        return _load(name, weights)
    except checkpoint.CheckpointError as error:
        log.error("%s", error)  # it names files of the server, which are not a visitor's business
        raise refusal(f"The network {name!r} is broken on the server. Please choose another one.") from None


def outline(weights: Path, name: str) -> checkpoint.Network | Committee:
    """The network or committee `name` as far as its config.json tells, without weights: labels, figures, shapes.

    Raises gr.Error as `load_network` does.
    """
    members = members_of(name)
    if len(set(members)) < len(members):
        raise refusal("A committee needs networks that are not the same.")
    known = checkpoint.shipped(weights)
    for member in members:
        if member not in known:
            there = ", ".join(known) or "none yet"
            raise refusal(f"There is no network {member[:40]!r} here. Choose one of: {there}.")
    try:
        return _outline(name, weights)
    except checkpoint.CheckpointError as error:
        log.error("%s", error)
        if len(members) > 1 and all(_sound(member, weights) for member in members):
            raise refusal("These networks tell other labels apart, so they are no committee.") from None
        raise refusal(f"The network {name!r} is broken on the server. Please choose another one.") from None


def load_any(weights: Path, name: str) -> checkpoint.Network | Committee:
    """The network or committee `name`, its weights shared with `load_network`. Raises gr.Error."""
    found = outline(weights, name)
    if not isinstance(found, Committee):
        return load_network(weights, name)
    members = [load_network(weights, member.name) for member in found.members]
    return Committee(members, found.temperature, found.unsure, found.figures).eval()


def members_of(name: str) -> list[str]:
    """The networks that a committee's name lists, or the one network."""
    return str(name).removeprefix(PREFIX).split("+")


def _sound(name: str, weights: Path) -> bool:
    try:
        return bool(_outline(name, weights))
    except checkpoint.CheckpointError:
        return False


_outline = functools.lru_cache(maxsize=64)(checkpoint.outline)
_load = functools.lru_cache(maxsize=16)(checkpoint.load)


@functools.lru_cache(maxsize=1)
def load_detector() -> faces.Detector:
    """The face detector, loaded once."""
    return faces.load_detector()


def read(picture: np.ndarray, weights: Path, name: str, whole_picture: bool = False) -> prediction.Reading:
    """Every face of an RGB picture, uint8 (H, W, 3), through the network `name`."""
    return prediction.read(picture, load_network(weights, name), load_detector(), whole_picture=whole_picture)


def single_threaded(most: int) -> ThreadPoolExecutor:
    """So many threads in each of which torch shares its work with no other one.

    One face is too little to share: on two busy cores, two threads a face read half as many frames as one. Torch's
    setting is a thread's own, but also what threads to come start with, and so is put back.
    """
    threads, started = torch.get_num_threads(), threading.Barrier(most + 1)
    pool = ThreadPoolExecutor(most, initializer=_alone)
    for _ in range(most):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # of all threads: pictures of the page are small as well
    return pool


def _alone() -> None:
    torch.get_num_threads()  # the first look sets a thread's number to the usual one, and so must come before
    torch.set_num_threads(1)


def choices(value: str, js: str = markup.CHOICE_JS, **properties) -> gr.HTML:
    """Markup of ours with a `choice` event for whatever in it has a `data-choice`."""
    return gr.HTML(value, js_on_load=js, apply_default_css=False, **properties)


def network_menu(shared: Shared, elem_id: str, first: bool = False) -> gr.Dropdown:
    """The menu of networks, one on every tab: what is chosen on one is chosen on all.

    first: the tab reads this menu itself, so that the others, which are not seen, may wait until it has answered.
    """
    menu = gr.Dropdown(alone(shared.names), value=shared.network.value, label="Network", elem_id=elem_id)
    # `blur` follows a choice once, where a click sends `input` twice.
    menu.blur(lambda name: name, menu, shared.network, js=AFTERWARDS if first else None, **QUIET)
    follow(shared, lambda name: name, menu)
    return menu


def follow(shared: Shared, function: Callable, *boxes: Component, given: tuple[Component, ...] = ()) -> None:
    """What function(name, *given) returns goes into the boxes whenever another network is chosen, on whatever tab.

    For what is quick. All that follows is one event of the page, which `keep_up` makes: sent one by one, a dozen of
    them hold a browser up for a third of a second.
    """
    shared.followers.append((function, given, boxes))


def keep_up(shared: Shared) -> None:
    """Wires all that was told to `follow`; call once, when every tab is laid out."""

    def answer(name: str, *given: object) -> list:
        rest = iter(given)
        asked = [(function, [next(rest) for _ in few], len(boxes)) for function, few, boxes in shared.followers]
        return [value for function, few, count in asked for value in _values(function, count, name, *few)]

    given = [part for _, few, _ in shared.followers for part in few]
    boxes = [box for *_, several in shared.followers for box in several]
    shared.network.change(answer, [shared.network, *given], boxes, trigger_mode="always_last", **QUIET)


def _values(function: Callable, count: int, *asked: object) -> Iterable:
    try:
        values = function(*asked)
    except gr.Error:  # told where the network is read with
        return [gr.skip()] * count
    return values if count > 1 else [values]


def alone(names: list[str]) -> list[str]:
    """The networks, without the elected committee."""
    return [name for name in names if name != ELECTED]


def sent(event: gr.EventData, name: str) -> object:
    """What the browser sent with an event under this name; None where it sent nothing."""
    try:
        return getattr(event, name, None)
    except TypeError:  # of an event without data, Gradio looks into None
        return None


def picked(event: gr.EventData, count: int) -> int:
    """The number that a click in our own markup sent, checked: it comes from the browser."""
    index = sent(event, "index")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
        raise refusal("What you clicked is not there any more. Please choose another one.")
    return index


@contextmanager
def said_kindly():
    """Turns what is wrong with a picture into a message on the page."""
    try:
        yield
    except faces.PictureError as error:
        raise refusal(str(error)) from None


def filled(value: str) -> dict:
    """An update of a box of markup, which takes no room on the page while it is empty."""
    return gr.update(value=value, visible=bool(value))


def refusal(sentence: str) -> gr.Error:
    """A message for the visitor, without a trace in the server's log."""
    return gr.Error(sentence, title="That did not work", print_exception=False)
