"""The Saliency tab's handlers: a question in the menus -> a map, then what it takes to trust it.

A visitor asks faster than some methods answer: `hurry` notes what is wanted now, and whatever works on something else
leaves off. The map comes first, its scores and curves after it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from torch import nn

from fer.app.errors import user_error
from fer.app.jobs import JobResult, run_with_progress
from fer.app.model_cache import load_network
from fer.app.saliency import view
from fer.app.saliency.method_menu import hint, order
from fer.app.saliency.view import Drawing
from fer.attribution import benchmark, explanation, target_layer
from fer.attribution.explain import list_methods
from fer.attribution.explanation import Explanation
from fer.attribution.faithfulness import OutputChanges
from fer.attribution.methods import METHODS

GRAIN, ALONE, COMMON = DRAWINGS = ("without grain", "without the face", "one scale for all maps")
OWN, NOTHING, CHOSEN = "its answer", "nothing", "the last with 6x6 pixels"  # what "" stands for in the menus


@dataclass(frozen=True)
class ExplainRequest:
    """A question as it stands in the menus, to be told from another."""

    face: bytes
    network: str
    method: str
    target: str
    against: str
    baseline: str
    layer: str


@dataclass
class CurrentRequest:
    """What a visitor wants to see now; the one object of a session that handlers share while they work."""

    asked: ExplainRequest | None = None
    begun: ExplainRequest | None = None  # what was last worked on


@dataclass(frozen=True)
class ExplanationState:
    """What a visitor has before them; kept in a `gr.State`."""

    network: str
    reason: Explanation
    asked: ExplainRequest


@dataclass(frozen=True)
class FaithfulnessCache:
    """What becomes of the answer when the face is changed, for all maps of one question; and which map was the last."""

    question: tuple
    changes: OutputChanges
    shown: ExplanationState


# ---- handlers: the map. `show` yields (method, target, against, layer, hint, *what `placed` gives)


def show(
    face: np.ndarray | None, name: str, method: str, target: str, against: str, baseline: str, layer: str,
    keep: float, drawn: list[str], wish: CurrentRequest, *, weights: Path,
) -> Iterator[tuple]:  # fmt: skip
    """The outputs for a face and a question about it; what the network does not offer is chosen no longer.

    What fails leaves no map, as that of an earlier question must not stand beside this one.
    """
    mine = wish.asked = wish.begun = (
        None if face is None else asked(face, name, method, target, against, baseline, layer)
    )
    if face is None:
        yield *[gr.skip()] * 4, "", *placed(view.NO_FACE)
        return
    try:
        yield from _answer(face, name, method, target, against, baseline, layer, keep, drawn, wish, mine, weights)
    except Exception:  # raised again: Gradio tells it
        if wish.asked == mine:
            yield *[gr.skip()] * 4, *stop(face, wish)
        raise


def _answer(
    face: np.ndarray, name: str, method: str, target: str, against: str, baseline: str, layer: str,
    keep: float, drawn: list[str], wish: CurrentRequest, mine: ExplainRequest, weights: Path,
) -> Iterator[tuple]:  # fmt: skip
    network, measured = load_network(weights, name), benchmark.load_benchmark(weights / name)
    methods = order(network, measured)
    method = method if method in methods else methods[0]
    target, against = (label if label in network.labels else "" for label in (target, against))
    layers = target_layer.target_layers(network) if METHODS[method].layered else []
    layer = layer if layer in layers else ""
    question = (method, target or None, against or None, keep / 100, baseline, layer or None)
    menus = (
        gr.update(choices=methods, value=method),
        gr.update(choices=[(OWN, ""), *network.labels], value=target),
        gr.update(choices=[(NOTHING, ""), *network.labels], value=against),
        gr.update(choices=[(CHOSEN, ""), *layers], value=layer, visible=bool(layers)),
    )
    words = hint(network, method, measured)
    with said():
        for step in run_with_progress(
            lambda watch: explanation.explain_face(network, face, *question, watch), lambda: wish.asked == mine
        ):
            if not isinstance(step, JobResult):
                yield *menus, words, *placed(view.waiting(face, method, step, METHODS[method].passes))
                continue
            reason = step.result
            seen = (
                view.explained(reason, drawing(drawn)),
                view.left(reason, reason.masked, reason.probabilities[1], keep / 100),
            )
            yield *menus, words, *placed(*seen, ExplanationState(name, reason, mine))
            return
    yield (gr.skip(),) * 13  # something else is wanted now; without a yield, Gradio would empty them all


def opened(
    face: np.ndarray | None, name: str, method: str, baseline: str, keep: float, drawn: list[str], wish: CurrentRequest,
    before: ExplanationState | None, *, weights: Path,
) -> Iterator[tuple]:  # fmt: skip
    """The same when the tab is opened: another face or network is asked for its own answer, what is there stays."""
    if before and face is not None and before.network == name and np.array_equal(before.reason.face, face):
        yield (gr.skip(),) * 13
        return
    method = method if before else ""  # at first the network's most faithful one
    yield from show(face, name, method, "", "", baseline, "", keep, drawn, wish, weights=weights)


def asked(face: np.ndarray, *rest: str) -> ExplainRequest:
    return ExplainRequest(face.tobytes(), *rest)


def hurry(face: np.ndarray | None, *rest) -> None:
    """Notes what is wanted now, so that work on anything else ends."""
    *menus, wish = rest
    wish.asked = None if face is None else asked(face, *menus)


def stop(face: np.ndarray | None, wish: CurrentRequest) -> tuple:
    """The face without a map."""
    wish.asked = None
    return "", *placed(view.NO_FACE if face is None else view.stopped(face))


def refused(face: np.ndarray | None, wish: CurrentRequest) -> tuple:
    """The same for a question that nobody began on, as too many others wait.

    What follows a failure follows a Stop as well, and late: then another question may be worked on.
    """
    return (gr.skip(),) * 9 if wish.begun == wish.asked else stop(face, wish)


def placed(explained: str, left: str = "", shown: ExplanationState | None = None) -> tuple:
    """What the page has when the map changes: (explained, left, Shown, trust, curves, forgot, all maps, found)."""
    coming = (view.MEASURING, view.SPACE) if shown else ("", "")
    return explained, left, shown, *coming, hidden(), hidden(), None


def drawing(chosen: list[str]) -> Drawing:
    """How maps are drawn, from what is ticked."""
    return Drawing(GRAIN in chosen, ALONE in chosen, COMMON in chosen)


# ---- handlers: what comes after the map


def measure(
    shown: ExplanationState | None, known: FaithfulnessCache | None, wish: CurrentRequest, *, weights: Path
) -> Iterator[tuple]:
    """The map's scores beside the controls', and its curves: (trust, curves, Known)."""
    if shown is None or shown.asked != wish.asked or (known and known.shown is shown):
        yield ("", "", None) if shown is None else (gr.skip(),) * 3
        return
    network, reason = load_network(weights, shown.network), shown.reason
    known = changes_of(network, shown, known)
    yield view.trust(explanation.score_explanation(reason, known.changes)), gr.skip(), known
    yield gr.skip(), view.curves(reason.target, *explanation.deletion_insertion(network, reason)), known


def changes_of(network: nn.Module, shown: ExplanationState, known: FaithfulnessCache | None) -> FaithfulnessCache:
    """What is known already, or else found now: it is the same for every method."""
    question = (shown.network, shown.asked.face, shown.reason.target, shown.reason.against)
    same = known is not None and known.question == question
    return FaithfulnessCache(
        question, known.changes if same else explanation.measure_output_changes(network, shown.reason), shown
    )


def hidden() -> dict:
    return gr.update(value="", visible=False)


def there(markup: str) -> dict:
    return gr.update(value=markup, visible=True)


def remask(shown: ExplanationState | None, keep: float, *, weights: Path) -> str | dict:
    """The masked face for another share, read again by the network."""
    if shown is None:
        return gr.skip()
    pixels, chance = _masked(shown, keep, weights)
    return view.left(shown.reason, pixels, chance, keep / 100)


def catch_up(shown: ExplanationState | None, keep: float, *, weights: Path) -> str | dict:
    """The masked face for the share that was set while its map was still being made."""
    return (
        gr.skip() if shown is None or shown.reason.top_fraction == keep / 100 else remask(shown, keep, weights=weights)
    )


def _masked(shown: ExplanationState, keep: float, weights: Path) -> tuple[np.ndarray, float]:
    network, reason = load_network(weights, shown.network), shown.reason
    with said():
        pixels, chances = explanation.masked_face(
            network, reason.face, torch.from_numpy(reason.map)[None, None], keep / 100
        )
    return pixels, chances[explanation.label_index(network, reason.target)]


def redraw(shown: ExplanationState | None, found: tuple | None, drawn: list[str]) -> tuple:
    """The map and those side by side, drawn otherwise."""
    if shown is None:
        return gr.skip(), gr.skip()
    face = shown.reason.face
    grid = view.side_by_side(face, *found, drawing(drawn)) if found else gr.skip()
    return view.explained(shown.reason, drawing(drawn)), grid


def compare(
    shown: ExplanationState | None,
    known: FaithfulnessCache | None,
    drawn: list[str],
    wish: CurrentRequest,
    *,
    which: str,
    weights: Path,
) -> Iterator[tuple]:
    """The maps of all methods, or of all emotions, as they come: (all maps, what they show)."""
    network, reason = load_network(weights, _there(shown).network), shown.reason
    if which == "methods":
        names, each = (
            list_methods(network),
            partial(explanation.explain_by_method, network, reason, changes_of(network, shown, known).changes),
        )
    else:
        names, each = network.labels, partial(explanation.explain_label, network, reason)
    found, grid = [], ""
    for name in names:
        reads = METHODS[name if which == "methods" else reason.method].passes
        for step in run_with_progress(
            lambda watch, name=name: each(name, on_forward=watch), lambda: wish.asked == shown.asked
        ):
            if isinstance(step, JobResult):
                found = [*found, step.result]
                grid = view.side_by_side(reason.face, found, which, drawing(drawn))
                yield there(grid), (found, which)
            else:
                yield there(view.unfinished(grid, name, step, reads)), (found, which)
        if wish.asked != shown.asked:
            break
    yield gr.skip(), gr.skip()


def stop_comparing(shown: ExplanationState | None, found: tuple | None, drawn: list[str]) -> dict:
    """The maps that there are."""
    return there(view.side_by_side(shown.reason.face, *found, drawing(drawn))) if shown and found else hidden()


def forget(shown: ExplanationState | None, drawn: list[str], *, which: str, weights: Path) -> dict:
    """The map of a network that has forgotten its last layer, or all, with its badge."""
    values, rank = explanation.randomized_map(load_network(weights, _there(shown).network), shown.reason, which)
    return gr.update(value=view.forgot(shown.reason, values, rank, which, drawing(drawn)), visible=True)


def download(shown: ExplanationState | None, keep: float, drawn: list[str], *, weights: Path) -> tuple[str, str]:
    """The three pictures as the address of a PNG, and its name."""
    pixels, _ = _masked(_there(shown), keep, weights)
    name = f"{shown.reason.method}-{shown.reason.target}.png"
    return view.png(shown.reason, pixels, drawing(drawn)), "".join(c for c in name if c.isalnum() or c in "-.")


def _there(shown: ExplanationState | None) -> ExplanationState:
    if shown is None:
        raise user_error("There is no map yet: choose a face in the Predict tab.")
    return shown


@contextmanager
def said():
    """Turns a question that cannot be answered into a message on the page."""
    try:
        yield
    except ValueError as error:
        raise user_error(str(error)) from None
