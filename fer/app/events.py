from collections.abc import Callable, Iterable

import gradio as gr
from gradio.components import Component

from fer.app.errors import user_error
from fer.app.session import Session
from fer.models.ensemble import SELECTED

AFTERWARDS = "name => new Promise(done => setTimeout(() => done(name), 250))"
QUIET = {"api_visibility": "private", "show_progress": "hidden"}


def on_model_change(shared: Session, function: Callable, *boxes: Component, given: tuple[Component, ...] = ()) -> None:
    """What function(name, *given) returns goes into the boxes whenever another network is chosen, on whatever tab.

    For what is quick. All that follows is one event of the page, which `keep_up` makes: sent one by one, a dozen of
    them hold a browser up for a third of a second.
    """
    shared.followers.append((function, given, boxes))


def bind_model_change(shared: Session) -> None:
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


def visible_if(names: list[str]) -> list[str]:
    """The networks, without the elected ensemble."""
    return [name for name in names if name != SELECTED]


def event_value(event: gr.EventData, name: str) -> object:
    """What the browser sent with an event under this name; None where it sent nothing."""
    try:
        return getattr(event, name, None)
    except TypeError:  # of an event without data, Gradio looks into None
        return None


def validated_index(event: gr.EventData, count: int) -> int:
    """The number that a click in our own markup sent, checked: it comes from the browser."""
    index = event_value(event, "index")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
        raise user_error("What you clicked is not there any more. Please choose another one.")
    return index


def fill_choices(value: str) -> dict:
    """An update of a box of markup, which takes no room on the page while it is empty."""
    return gr.update(value=value, visible=bool(value))
