"""The Confusion tab: which emotions a network mixes up, and how sure it was.

tab(shared)     lays it out, inside a `gr.Tab`
/confusion      the same for programs: (network, split, without_twins, threshold) -> figures and matrix

Everything is computed from the logits that `python -m fer evaluate` left in predictions.npz, so no data set is needed.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr
import torch
from torch import Tensor

from fer import evaluation, plots
from fer.tabs import markup, matrix
from fer.tabs.shared import Shared, choices, load_network, network_menu, picked, refusal

SPLITS = ("PrivateTest", "PublicTest")


@dataclass(frozen=True)
class Answers:
    """What a network answered on the faces that are left after the visitor's choice, and how many there were."""

    labels: tuple[str, ...]
    probabilities: Tensor  # (N, K), calibrated
    logits: Tensor  # (N, K)
    truth: Tensor  # (N,)
    twin: Tensor  # (N,)
    asked: int
    temperature: float

    def confusion(self) -> Tensor:
        return evaluation.confusion(self.logits.argmax(1), self.truth, len(self.labels))


def answers(weights: Path, name: str, split: str, without_twins: bool, threshold: float) -> Answers:
    """The network's kept answers; those whose probability is below ``threshold`` are left out."""
    if split not in SPLITS:
        raise refusal(f"There is no split {str(split)[:40]!r}. Choose one of: {', '.join(SPLITS)}.")
    if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
        raise refusal("The threshold must be a probability from 0 to below 1.")
    network = load_network(weights, name)
    try:
        logits, truth, twin = evaluation.kept(weights / name, split)
    except ValueError as error:
        raise refusal(f"{error}.") from None
    asked = ~twin if without_twins else torch.ones_like(twin)
    probabilities = (logits / network.temperature).softmax(1)
    keep = asked & (probabilities.max(1).values >= threshold)
    rows = (part[keep] for part in (probabilities, logits, truth, twin))
    return Answers(network.labels, *rows, asked=int(asked.sum()), temperature=network.temperature)


# ---- handlers: they return the page's outputs (matrix, cell, summary, emotions, reliability)


def show(name: str, split: str, without_twins: bool, threshold: float, counting: str, *, weights: Path) -> tuple:
    """The whole tab for a choice of network, faces, threshold and counting; a sentence where there is nothing."""
    try:
        found = answers(weights, name, split, without_twins, threshold)
        if counting not in matrix.COUNTINGS:
            raise refusal(f"There is no counting {str(counting)[:40]!r}.")
    except gr.Error as error:
        return "", str(error), "", "", ""
    if len(found.truth) == 0:
        return "", "No answer is as sure as that. Lower the threshold.", "", "", ""
    counts = found.confusion()
    figures = evaluation.figures(found.logits, found.truth, found.twin, found.temperature)
    diagram = plots.reliability(
        evaluation.reliability(found.logits.softmax(1), found.truth),
        evaluation.reliability(found.probabilities, found.truth),
    )
    return (
        matrix.table(counts, found.labels, counting),
        NO_CELL,
        summary(found, figures),
        matrix.emotions(figures, found.labels, evaluation.mistaken_for(counts)),
        f'<img src="{plots.figure_url(diagram)}" alt="How often answers of each confidence are right">',
    )


def choose(
    name: str, split: str, without_twins: bool, threshold: float, counting: str, event: gr.EventData, *, weights: Path
) -> tuple:
    """The matrix with a cell chosen, and what there is to say about it."""
    found = answers(weights, name, split, without_twins, threshold)
    size = len(found.labels)
    index = picked(event, size * size)
    return matrix.table(found.confusion(), found.labels, counting, index), about(found, *divmod(index, size))


def about(found: Answers, row: int, column: int) -> str:
    """A sentence or two on one cell."""
    truth, answer = found.labels[row], found.labels[column]
    inside = (found.truth == row) & (found.logits.argmax(1) == column)
    count, support = int(inside.sum()), int((found.truth == row).sum())
    if count == 0:
        return f"**{truth} read as {answer}**: no face."
    sure = found.probabilities[inside].max(1).values.mean().item()
    back = int(((found.truth == column) & (found.logits.argmax(1) == row)).sum())
    words = (
        f"**{truth} read as {answer}**: {count} of {support} faces ({count / support:.0%}), {sure:.0%} sure on average."
    )
    if row == column:
        return words
    second = found.probabilities[inside].topk(2, 1).indices[:, 1] == row
    return f"{words} In {second.float().mean():.0%} of them {truth} came second. The other way round: {back}."


def summary(found: Answers, figures: dict) -> str:
    """Accuracy with n and interval, the other figures, and how many faces were answered at all."""
    low, high = figures["ci95"]
    answered = len(found.truth) / found.asked
    left_out = f" {answered:.0%} of {found.asked:,} faces are answered." if answered < 1 else ""
    return (
        f"Accuracy **{figures['accuracy']:.4f}** (n {figures['n']:,}; 95 % interval {low:.3f} to {high:.3f})."
        f"{left_out} Macro-F1 {figures['macro_f1']:.3f}, balanced accuracy {figures['balanced_accuracy']:.3f}, "
        f"calibration error {figures['ece']:.3f}."
    )


def confusion(network: str, split: str, without_twins: bool, threshold: float, *, weights: Path) -> dict:
    """A network's confusion matrix and figures on a test split of FER-2013.

    Rows of "confusion" are true labels, columns what the network reads. Answers with a calibrated probability below
    the threshold are left out; "answered" is the share that is left.
    """
    found = answers(weights, network, split, without_twins, threshold)
    figures = evaluation.figures(found.logits, found.truth, found.twin, found.temperature) if len(found.truth) else {}
    return {"labels": list(found.labels), "answered": len(found.truth) / max(found.asked, 1), **figures}


# ---- layout

NO_CELL = "Choose a cell of the matrix to read about it."


def tab(shared: Shared) -> None:
    """Lays the tab out, with the first network's answers in it, and wires it; call inside a `gr.Tab`."""
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            controls = menus(shared)
        table, cell, words, emotions, diagram = show(*(part.value for part in controls), weights=shared.weights)
        with gr.Column(min_width=300, scale=3):
            view = choices(table, js=matrix.JS, css_template=matrix.CSS, elem_id="matrix")
            outputs = [view, gr.Markdown(cell, elem_id="cell")]
    with gr.Row():
        with gr.Column(min_width=300, scale=3):
            outputs += [gr.Markdown(words, elem_id="figures"), gr.Markdown(emotions, elem_id="emotions")]
        with gr.Column(min_width=300, scale=2):
            outputs.append(gr.HTML(diagram, elem_id="reliability", css_template=markup.PICTURE_CSS))
    wire(shared, controls, outputs)
    publish(shared, controls)


def menus(shared: Shared) -> list:
    """The visitor's choices, in the order in which the handlers take them."""
    return [
        network_menu(shared, "confusion-network"),
        gr.Radio(list(SPLITS), value=SPLITS[0], label="Faces", elem_id="split"),
        gr.Checkbox(label="Only faces without a twin in Training", elem_id="without-twins"),
        gr.Slider(0, 0.95, value=0, step=0.05, label="Leave out answers less sure than", elem_id="threshold"),
        gr.Radio(list(matrix.COUNTINGS), value=matrix.COUNTINGS[0], label="Show", elem_id="counting"),
    ]


def wire(shared: Shared, controls: list, outputs: list) -> None:
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    show_all = partial(show, weights=shared.weights)
    for control in controls:
        control.change(show_all, controls, outputs, trigger_mode="always_last", **quiet)

    # Gradio hands an event over only where it can read the parameter's type, which a partial hides.
    def chosen(name: str, split: str, twins: bool, threshold: float, counting: str, event: gr.EventData) -> tuple:
        return choose(name, split, twins, threshold, counting, event, weights=shared.weights)

    outputs[0].choice(chosen, controls, outputs[:2], **quiet)


def publish(shared: Shared, controls: list) -> None:
    """The public endpoint, on a button that is never drawn (see the Predict tab)."""
    gr.Button(visible=False).click(
        partial(confusion, weights=shared.weights),
        controls[:4],
        gr.JSON(visible=False, label="figures"),
        api_name="confusion",
        api_description=confusion.__doc__,
        api_visibility="public",
    )
