"""The page's address: tab, view, model and what else is registered follow in it, and restore the page on load.

    session.address["method"] = method      in a tab: this Dropdown's or Radio's value stands in the address as `method`
    bind(session, tabs, views)              once, after all tabs

The face is never part of it. A filter's card has an address of its own, see `filters/card.py`.
"""

import json
from collections.abc import Mapping

import gradio as gr

from fer.app import static
from fer.app.events import QUIET
from fer.app.session import Session

TAB, VIEW = "tab", "view"


def bind(session: Session, tabs: dict[str, gr.Tab], views: dict[str, gr.Tab]) -> None:
    """Writes the address whenever a registered value changes or a tab is opened, and reads it once, on load.

    tabs: the page's, the first of which needs no mention; views: those within Predict.
    """
    names, components = list(session.address), list(session.address.values())
    defaults = [component.value for component in components]
    gr.on(
        [component.change for component in components], None, components, None,
        js=_write(names, defaults), **QUIET,
    )  # fmt: skip
    for name, kind in ((TAB, tabs), (VIEW, views)):
        for title, part in kind.items():
            default = next(iter(kind))
            part.select(None, None, None, js=_write([name], [default], [title]), **QUIET)

    def restored(request: gr.Request) -> tuple:
        return restore(session, dict(request.query_params), list(tabs), list(views))

    outputs = [session.tabs, next(iter(views.values())).parent, *components]
    load = gr.on(None, restored, None, outputs, **QUIET)  # in the queue: outside of it no gr.Info is shown
    load.then(None, None, None, js="() => { document.addressRestored = true; }", **QUIET)


def _write(names: list[str], defaults: list, values: list | None = None) -> str:
    """JavaScript that puts values, by default those of the event's inputs, into the address; defaults are left out."""
    given = "values" if values is None else json.dumps(values)
    return f"(...values) => ({static.text('address.js')})({json.dumps(names)}, {json.dumps(defaults)}, {given})"


def restore(session: Session, query: Mapping[str, str], tabs: list[str], views: list[str]) -> tuple:
    """Updates of the tabs, of the views and of every registered component; unknown values are ignored, and named."""
    known = {TAB: tabs, VIEW: views}
    known |= {name: [value for _, value in component.choices] for name, component in session.address.items()}
    updates = {
        name: gr.Tabs(selected=query[name]) if name in (TAB, VIEW) else gr.update(value=query[name])
        for name, values in known.items()
        if query.get(name) in values
    }
    unknown = [f"{name}={query[name]}" for name in known if query.get(name) and name not in updates]
    if unknown:
        told = ", ".join(unknown)[:200]
        gr.Info(f"The address has values that are not known here and were ignored: {told}.", title="")
    return tuple(updates.get(name, gr.skip()) for name in known)
