"""The Saliency tab: why the network answers the face from the Predict tab as it does, and how far to trust the map.

tab(shared)     lays it out, inside a `gr.Tab`
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from gradio.context import get_render_context
from torch import nn

from fer import faithfulness, reasons, trust
from fer.reasons import Reason
from fer.saliency import methods_for, offered
from fer.tabs import habits, maps
from fer.tabs.shared import Shared, load_network, network_menu, refusal

METHODS = {
    "integrated-gradients": "What each pixel adds on the way from the blurred face to this one.",
    "occlusion": "How far the answer falls when a square of the face is blurred.",
    "gradient": "Where a small change would change the answer most; report 1's method.",
    "input-x-gradient": "The gradient times the pixel's brightness; black pixels get nothing.",
    "smoothgrad": "The mean gradient over 32 noisy copies of the face, which calms it.",
    "gradient-shap": "Gradients at random points between the blurred face and noisy copies of this one.",
    "deeplift": "Hands the difference from the blurred face down, layer by layer, to the pixels.",
    "ablation": "How far the answer falls when one cell of an 8x8 grid is blurred.",
    "hirescam": "Where the maps of a late convolution speak for the answer; coarse.",
    "grad-cam": "The maps of a late convolution, each weighed as a whole; coarse.",
    "guided-backprop": "A gradient without what is negative on its way; sharp, but it mostly draws edges.",
    "guided-grad-cam": "Guided backpropagation where Grad-CAM is positive.",
    "deconvolution": "A gradient that is rectified on its way back, whatever the face was like.",
}
FORGET = {"Let it forget its last layer": "last", "Let it forget all": "all"}
TRUSTED = "Which methods are faithful to this network"
COMPARE = "All methods side by side"
OWN, NOTHING = "its answer", "nothing"  # no label can be chosen by these: "" stands for them


UNSEEN = ("", maps.NO_FACE, "", "", "", "", "", None)  # hint, explained, left, trust, curves, forgot, all, Shown


@dataclass(frozen=True)
class Shown:
    """What a visitor has before them; kept in a `gr.State`."""

    network: str
    reason: Reason


# ---- handlers: `show` returns (method, target, against, *what UNSEEN lists)


def show(
    face: np.ndarray | None, name: str, method: str, target: str, against: str, keep: float, smooth: bool,
    *, weights: Path,
) -> tuple:  # fmt: skip
    """The outputs for a face and a question about it; what the network does not offer is chosen no longer."""
    if face is None:
        return *[gr.skip()] * 3, *UNSEEN
    network, measured = load_network(weights, name), trust.read(weights / name)
    methods = order(network, measured)
    method = method if method in methods else methods[0]
    target, against = (label if label in network.labels else "" for label in (target, against))
    with said():
        reason = reasons.of(network, face, method, target or None, against or None, keep / 100)
    return (
        gr.update(choices=methods, value=method),
        gr.update(choices=[(OWN, ""), *network.labels], value=target),
        gr.update(choices=[(NOTHING, ""), *network.labels], value=reason.against or ""),
        hint(network, method, measured),
        maps.explained(reason, smooth),
        maps.left(reason, reason.masked, reason.chances[1], reason.keep),
        maps.trust(reason),
        *[""] * 3,
        Shown(name, reason),
    )


def opened(
    face: np.ndarray | None, name: str, method: str, keep: float, smooth: bool, before: Shown | None, *, weights: Path
) -> tuple | dict:
    """The same when the tab is opened: another face or network is asked for its own answer, what is there stays."""
    if before and face is not None and before.network == name and np.array_equal(before.reason.face, face):
        return gr.skip()
    method = method if before else ""  # at first the network's most faithful one
    return show(face, name, method, "", "", keep, smooth, weights=weights)


def remask(shown: Shown | None, keep: float, *, weights: Path) -> str | dict:
    """The masked face for another share, read again by the network."""
    if shown is None:
        return gr.skip()
    network, reason = load_network(weights, shown.network), shown.reason
    with said():
        pixels, chances = reasons.mask(network, reason.face, torch.from_numpy(reason.map)[None, None], keep / 100)
    return maps.left(reason, pixels, chances[reasons.number(network, reason.target)], keep / 100)


def redraw(shown: Shown | None, smooth: bool) -> str | dict:
    """The map with its grain, or without."""
    return maps.explained(shown.reason, smooth) if shown else gr.skip()


def curve(shown: Shown | None, *, weights: Path) -> str:
    """The deletion and insertion curves of the map that is shown."""
    if shown is None:
        return ""
    return maps.curves(shown.reason.target, *reasons.curves(load_network(weights, shown.network), shown.reason))


def compare(shown: Shown | None, smooth: bool, *, weights: Path) -> Iterator[str]:
    """All methods' maps side by side, as they come."""
    found = []
    for one in reasons.side_by_side(load_network(weights, _there(shown).network), shown.reason):
        found.append(one)
        yield maps.side_by_side(shown.reason.face, found, smooth)


def forget(shown: Shown | None, *, which: str, weights: Path) -> str:
    """The map of a network that has forgotten its last layer, or all, with its badge."""
    values, rank = reasons.forgotten(load_network(weights, _there(shown).network), shown.reason, which)
    return maps.forgot(shown.reason, values, rank, which)


def _there(shown: Shown | None) -> Shown:
    if shown is None:
        raise refusal("There is no map yet: choose a face in the Predict tab.")
    return shown


def order(network: nn.Module, measured: list[dict]) -> list[str]:
    """The methods that hold for the network: those that were measured first, the most faithful of them foremost."""
    known = offered(network)
    ranked = [row["method"] for row in measured if row["method"] in known]
    return ranked + [method for method in known if method not in ranked]


def hint(network: nn.Module, method: str, measured: list[dict]) -> str:
    """What the method does, how faithful it was found, and which others do not hold for this network, and why."""
    missing: dict[str, list[str]] = {}
    for other, reason in methods_for(network).items():
        if reason:
            missing.setdefault(reason, []).append(other)
    left_out = [f"Not for {network.name}: {', '.join(names)}. {reason}" for reason, names in missing.items()]
    return "\n\n".join([METHODS[method], *_measured(method, measured), *left_out])


def _measured(method: str, rows: list[dict]) -> list[str]:
    """Its mean region correlation over many faces beside that of the best map that knows nothing of the network."""
    scores = {row["method"]: row for row in rows}
    if method not in scores:
        return []
    control = max((name for name in scores if name in faithfulness.CONTROLS), key=lambda n: scores[n]["correlation"])
    return [
        f"Over {scores[method]['faces']} faces its region correlation is {scores[method]['correlation']:+.2f} on "
        f"average; the map {control!r}, which knows nothing of the network, has {scores[control]['correlation']:+.2f}."
    ]


@contextmanager
def said():
    """Turns a question that cannot be answered into a message on the page."""
    try:
        yield
    except ValueError as error:
        raise refusal(str(error)) from None


# ---- layout


def tab(shared: Shared) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`, whose opening asks for the map."""
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            network = network_menu(shared, "saliency-network")
            method = gr.Dropdown(list(METHODS), value=next(iter(METHODS)), label="Method", elem_id="method")
            words = gr.Markdown(elem_id="hint")
            with gr.Row():
                target = gr.Dropdown([(OWN, "")], value="", label="Why", min_width=140, elem_id="target")
                against = gr.Dropdown([(NOTHING, "")], value="", label="and not", min_width=140, elem_id="against")
            smooth = gr.Checkbox(True, label="Draw the map without its grain", elem_id="smooth")
        with gr.Column(min_width=300, scale=3):
            with gr.Row():
                explained = _html("explained", maps.NO_FACE, min_width=240)
                left = _html("masked", min_width=120)
            keep = gr.Slider(0, 100, 20, step=1, label="Kept by the mask, %", elem_id="keep")
    with gr.Row():
        with gr.Column(min_width=300):
            trusted = _html("trust")
        with gr.Column(min_width=300):
            curves = _html("curves")
    with gr.Row():
        buttons = [gr.Button(words, size="sm", min_width=150) for words in (*FORGET, COMPARE, "Stop")]
    forgot, everything = _html("forgot"), _html("all-methods")
    known = {}
    for title, drawn in (("Where this network looks, emotion by emotion", habits.looks), (TRUSTED, habits.ranking)):
        with gr.Accordion(title, open=False):
            known[drawn] = _html(drawn.__name__, drawn(shared.weights, shared.network.value or ""))
    question = [shared.face, network, method, target, against, keep, smooth]
    answer = [words, explained, left, trusted, curves, forgot, everything, gr.State(None)]
    wire(shared, question, answer, buttons)
    for drawn, box in known.items():
        shared.network.change(
            partial(drawn, shared.weights), shared.network, box, api_visibility="private", show_progress="hidden"
        )


def wire(shared: Shared, question: list, answer: list, buttons: list[gr.Button]) -> None:
    """Every event of the tab."""
    face, name, method, target, against, keep, smooth = question
    _, explained, left, _, curves, forgot, everything, shown = answer
    weights = {"weights": shared.weights}
    ours = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": explained}
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    outputs = [method, target, against, *answer]
    asked = [field.input(partial(show, **weights), question, outputs, **ours) for field in question[1:5]]
    entered = get_render_context().select(
        partial(opened, **weights), [face, name, method, keep, smooth, shown], outputs, **ours
    )
    for event in (*asked, entered):
        event.success(partial(curve, **weights), shown, curves, **quiet)
        # After an error, the map of an earlier question must not stand beside this one.
        event.failure(lambda: UNSEEN, None, answer, **ours)
    keep.input(partial(remask, **weights), [shown, keep], left, trigger_mode="always_last", **quiet)
    smooth.input(redraw, [shown, smooth], explained, **quiet)
    for which, button in zip(FORGET.values(), buttons, strict=False):
        button.click(partial(forget, which=which, **weights), shown, forgot, **quiet)
    comparing = buttons[2].click(partial(compare, **weights), [shown, smooth], everything, **quiet)
    buttons[3].click(None, cancels=[comparing], **quiet)


def _html(name: str, value: str = "", **place) -> gr.HTML:
    return gr.HTML(value, css_template=maps.CSS, apply_default_css=False, padding=False, elem_id=name, **place)
