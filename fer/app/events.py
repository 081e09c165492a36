from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import partial, wraps

import gradio as gr
from gradio.components import Component

from fer.app.errors import user_error
from fer.app.session import Listener, Session
from fer.utils.model_files import SELECTED

QUIET = {"api_visibility": "private", "show_progress": "hidden"}


def on_model_change(
    session: Session, function: Callable, *outputs: Component, inputs: tuple[Component, ...] = ()
) -> None:
    """What function(name, *inputs) returns goes into the outputs after another model was chosen, on whatever tab.

    For what is quick: all of it is one request, which `bind_changes` makes. Sent one by one, a dozen of them hold a
    browser up for a third of a second.
    """
    session.model_listeners.append(Listener(function, inputs, outputs))


def on_face_change(
    session: Session, function: Callable, *outputs: Component, inputs: tuple[Component, ...] = ()
) -> None:
    """The same with function(face, *inputs) after another face was chosen, on whatever tab."""
    session.face_listeners.append(Listener(function, inputs, outputs))


def bind_changes(session: Session) -> None:
    """Wires all listeners; call once, when every tab is laid out."""
    for source, listeners in ((session.model, session.model_listeners), (session.face, session.face_listeners)):
        if not listeners:
            continue
        inputs = [part for listener in listeners for part in listener.inputs]
        outputs = [part for listener in listeners for part in listener.outputs]
        source.change(partial(_notify, listeners), [source, *inputs], outputs, trigger_mode="always_last", **QUIET)


def _notify(listeners: list[Listener], value: object, *given: object) -> object:
    """What all listeners return, in the order of their outputs; of one output its value, as Gradio takes it."""
    rest, values = iter(given), []
    for listener in listeners:
        arguments = [next(rest) for _ in listener.inputs]
        values.extend(_values(listener, value, *arguments))
    return values if len(values) > 1 else values[0]


def _values(listener: Listener, *arguments: object) -> Iterable:
    try:
        values = listener.function(*arguments)
    except gr.Error:  # told where the model is used
        return [gr.skip()] * len(listener.outputs)
    return values if len(listener.outputs) > 1 else [values]


def fields_in_order(handler: Callable) -> Callable:
    """The handler with the fields of the dataclass that it returns as a tuple, as Gradio takes outputs."""

    def handle(*arguments, **named) -> tuple:
        result = handler(*arguments, **named)
        return tuple(getattr(result, field.name) for field in fields(result))

    return handle


def visible_if(names: list[str]) -> list[str]:
    """The networks, without the selected ensemble."""
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


def by_name(components: Mapping[str, Component], handler: Callable[..., dict]) -> Callable[..., dict]:
    """The handler, which returns values by name, as Gradio takes them: by component. What is not named stays."""

    @wraps(handler)
    def call(*values) -> dict:
        return _by_component(components, handler(*values))

    return call


def by_name_steps(
    components: Mapping[str, Component], handler: Callable[..., Iterator[dict]]
) -> Callable[..., Iterator[dict]]:
    """The same for a generator. Where it yields nothing, everything stays: Gradio alone would empty the components."""

    @wraps(handler)
    def call(*values) -> Iterator[dict]:
        named = None
        for named in handler(*values):
            yield _by_component(components, named)
        if named is None:
            yield _by_component(components, {})

    return call


def _by_component(components: Mapping[str, Component], named: Mapping[str, object]) -> dict:
    return {components[name]: value for name, value in named.items()} or {next(iter(components.values())): gr.skip()}
