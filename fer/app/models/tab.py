"""The Models tab: every model with its figures, its layers, its curves, its recipe and its card; the studies.

tab(session)    lays it out, inside a `gr.Tab`, whose first opening draws it
"""

import json
import logging
import re
import time
from itertools import accumulate
from pathlib import Path
from statistics import median

import gradio as gr
import torch
from gradio.context import get_render_context

from fer.app import components, static
from fer.app.events import QUIET, fill_choices, on_model_change, validated_index
from fer.app.model_cache import load_network, outline
from fer.app.models import studies, table
from fer.app.session import Session
from fer.models import checkpoint, summary
from fer.models import layers as models_layers
from fer.models.ensemble import Ensemble
from fer.plotting import evaluation, training
from fer.release import model_card
from fer.studies.published_results import PUBLIC, REPORTS, System
from fer.training import config as training_config
from fer.training.history import read_history
from fer.utils.model_files import SELECTED

log = logging.getLogger(__name__)

PUBLIC_KEYS = ("public_loss", "public_accuracy")
NO_CURVES = "<p>Not available for this model: it came without its history.</p>"
SIZES = (
    "<b>Accuracy against size.</b> Ours is of one view of each face, with epochs chosen on validation; the others' are "
    "as published, many with test-time augmentation and some with an epoch that was chosen on the test split itself. "
    "Two accuracies closer than 1.5 points are within noise on 3,589 faces; people agree with the labels on about 65%. "
    "Models with FER+ labels are not comparable."
)
SOURCES = ("System", "Parameters", "Accuracy, %", "Training data", "Notes", "Source")


# ---- all models


def all_models(weights: Path) -> list[checkpoint.FERModel | Ensemble]:
    """Those whose files are whole, as far as their config.json tells."""
    return [outline(weights, name) for name in sound(weights, checkpoint.list_models(weights))]


def chart(weights: Path) -> str:
    """Accuracy against size: ours, the reports' and public systems."""
    points = [point for model in all_models(weights) if (point := placed(model))]
    return components.figure(
        evaluation.accuracy_against_parameters(points, [*REPORTS, *PUBLIC]),
        "accuracy-against-parameters", "Test accuracy against parameters", SIZES, wide=True,
    )  # fmt: skip


def chosen(event: gr.EventData, *, weights: Path) -> str:
    """The model whose row was clicked."""
    models = all_models(weights)
    return table.name_of(models[validated_index(event, len(models))])


def _history(folder: Path) -> list[dict[str, float]]:
    """The epochs that can be drawn; none of a file that is broken, of which the top of the page tells."""
    try:
        rows = read_history(folder)
    except checkpoint.CheckpointError as error:
        log.error("%s", error)
        return []
    return rows if all(row.keys() >= {"epoch", "loss", "accuracy", *PUBLIC_KEYS} for row in rows) else []


def placed(network: checkpoint.FERModel | Ensemble) -> System | None:
    """The network as a point of the picture; None where it was not measured, or tells other labels than FER-2013's."""
    figures = network.metrics.get("private_test")
    if not figures or len(network.labels) != 7:
        return None
    name = SELECTED if isinstance(network, Ensemble) else network.name
    return System(name, summary.count_parameters(network), figures["accuracy"], ci95=tuple(figures["ci95"]))


def sources() -> str:
    """Where the others' figures are from."""
    rows = [
        [one.name, f"{int(one.parameters):,}", f"{100 * one.accuracy:.2f}", one.kind, one.note, one.source]
        for one in (*PUBLIC, *REPORTS)
    ]
    return components.table(SOURCES, rows, "public-systems", "Public systems")


def sound(weights: Path, names: list[str]) -> list[str]:
    """Those whose files are whole: one broken network must not keep the page from starting."""
    found = []
    for name in names:
        try:
            outline(weights, name)
        except gr.Error:
            continue
        found.append(name)
    return found


def _share(figures: dict | None, key: str = "accuracy") -> str:
    return f"{figures[key]:.4f}" if figures else "-"


# ---- one network


def show(name: str, *, weights: Path) -> tuple[str, str, str, str, str]:
    """Facts, curves, layer table, recipe and card of a network."""
    network = outline(weights, name)
    history, curves = _history(weights / name), NO_CURVES
    if history:
        rows = [[f"{value:.6g}" for value in row.values()] for row in history]
        saved = components.csv_link(list(history[0]), rows, f"{name}-history")
        curves = components.figure(
            training.training_curves(history, stages(network.train_config)),
            f"{name}-curves",
            "Loss and accuracy by epoch",
            more=saved,
            wide=True,
        )
    layers = components.table(LAYERS, layer_table(network), f"{name}-layers", f"The layers of {name}")
    return facts(network, weights / name), curves, layers, recipe(network), card(weights / name)


def stages(train_config: dict | None) -> list[int]:
    """The epochs after which another training stage began, in one history; none for a single stage."""
    lengths = []
    while train_config:
        lengths.append(int(train_config.get("epochs") or 0))
        train_config = train_config.get("previous_stage")
    return list(accumulate(reversed(lengths)))[:-1]


LAYERS = ("Layer", "Type", "Output", "Parameters")


def facts(network: checkpoint.FERModel, folder: Path) -> str:
    """What a network is and can do, as cards."""
    figures = network.metrics.get("private_test")
    known = {
        "Test accuracy": (_share(figures), _interval(figures)),
        "Deduplicated": (
            _share(figures, "accuracy_deduplicated"),
            f"n {figures['n_deduplicated']:,}; faces that are not in Training" if figures else "not measured",
        ),
        "Parameters": (f"{summary.count_parameters(network) / 1e6:.2f} M", f"{summary.count_parameters(network):,}"),
        "File": (f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB", "float16 safetensors"),
        "MACs": (f"{summary.count_macs(network) / 1e6:,.0f} M", "multiply-accumulates for one face"),
        "Labels": (str(len(network.labels)), ", ".join(network.labels)),
        "Low confidence": (
            f"below {network.confidence_threshold:.0%}" if network.confidence_threshold else "never",
            f"temperature {network.temperature}",
        ),
    }
    if model_card.LATENCY_KEY in network.metrics:
        known["Latency"] = (
            f"{network.metrics[model_card.LATENCY_KEY]:.1f} ms",
            "one face on one core, where it was measured",
        )
    return components.cards(known)


def _interval(figures: dict | None) -> str:
    return "n {:,}; {:.3f} to {:.3f}".format(figures["n"], *figures["ci95"]) if figures else "not measured"


def layer_table(network: checkpoint.FERModel) -> list[list]:
    """Name, type, output shape and parameters of every layer, as in the reports' tables, and their sum."""
    rows = [
        [row.name, row.type, " x ".join(map(str, row.shape)), f"{row.parameters:,}"]
        for row in summary.layer_table(network)
    ]
    return [*rows, ["total", "", "", f"{summary.count_parameters(network):,}"]]


def recipe(network: checkpoint.FERModel) -> str:
    """The commands that train it, and all settings of each stage."""
    if not network.train_config:
        return "Not available for this model: it came without its training recipe."
    settings = f"All the settings:\n\n```json\n{json.dumps(network.train_config, indent=2)}\n```"
    try:
        return f"```sh\n{training_config.training_commands(network.train_config)}\n```\n\n{settings}"
    except (KeyError, TypeError, ValueError):  # settings of other names than ours, as of somebody else's checkpoint
        return settings


def card(folder: Path) -> str:
    """The model card without its front matter, its title and its pictures, which lie beside it."""
    path = folder / "README.md"
    text = path.read_text(errors="replace", encoding="utf-8") if path.is_file() else "This model came without a card."
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text).replace("![", "[")
    text = re.sub(r"<(?!!--)", "&lt;", text)  # no markup but comments: the card may be a stranger's
    return re.sub(r"\A---\n.*?\n---\n+(# [^\n]*\n+)?", "", text, flags=re.DOTALL)


@torch.inference_mode()
def clock(name: str, *, weights: Path, repeats: int = 15) -> str:
    """How long the network takes for one face on this machine, now."""
    network, face, times = load_network(weights, name), torch.rand(1, 1, models_layers.SIDE, models_layers.SIDE), []
    network(face)
    for _ in range(repeats):
        began = time.perf_counter()
        network(face)
        times.append(1000 * (time.perf_counter() - began))
    threads = torch.get_num_threads()
    small = f"the median of {repeats} forwards of {name} on this machine, {threads} thread{'s' * (threads > 1)}"
    return components.cards({"One face": (f"{median(times):.1f} ms", small)})


# ---- layout


def tab(session: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`. Nothing is drawn before the tab is opened."""
    gr.Markdown("## Models\nEvery model with its figures. A heading sorts the table, a row selects the model.")
    css = static.text("models.css")
    overview = gr.HTML(
        "", current=session.model.value, css_template=components.CSS + css, js_on_load=static.text("models.js"),
        apply_default_css=False, padding=False, elem_id="networks",
    )  # fmt: skip
    facts_css = {"css_template": static.text("tabs.css"), "apply_default_css": False}
    known = gr.HTML("", **facts_css, elem_id="facts")
    timing = gr.Button("Benchmark here", size="sm", elem_id="time-it")
    took = gr.HTML("", **facts_css, visible=False, elem_id="took")
    curves = components.box("", "curves")
    with gr.Accordion("Layers", open=False):
        layers = components.box("", "layers")
    with gr.Accordion("Training recipe", open=False):
        trained = gr.Markdown(elem_id="recipe")
    with gr.Accordion("Model card", open=False):
        words = gr.Markdown(elem_id="card")
    sizes = components.box("", "sizes")
    with gr.Accordion("Sources", open=False):
        components.box(sources(), "sources")
    studies.section(session.weights)
    wire(session, [known, curves, layers, trained, words], (overview, sizes), (timing, took))


def wire(session: Session, outputs: list, everything: tuple, clocks: tuple) -> None:
    """The tab's opening draws what is not there yet, and the model that was chosen meanwhile; the menu another one."""
    model, (overview, sizes), (timing, took) = session.model, everything, clocks
    weights, drawn = {"weights": session.weights}, gr.State(None)

    def shown(name: str | None) -> tuple:
        if name not in sound(session.weights, [name]):
            return "", *[""] * len(outputs)
        return name, *show(name, **weights)

    def opened(name: str | None, drawn: str | None) -> tuple:
        if drawn is None:
            rows = table.render(all_models(session.weights))
            return gr.HTML(rows, current=name), chart(session.weights), *shown(name)
        if drawn == name:
            return (gr.skip(),) * (len(outputs) + 3)
        return gr.HTML(current=name), gr.skip(), *shown(name)

    def picked(event: gr.EventData) -> str:
        return chosen(event, **weights)

    every = [overview, sizes, drawn, *outputs]
    get_render_context().select(opened, [model, drawn], every, **QUIET)
    gr.on(session.model_change_in("Models"), opened, [model, drawn], every, trigger_mode="always_last", **QUIET)
    overview.choice(picked, None, model, **QUIET)
    on_model_change(session, lambda name: fill_choices(""), took)
    timing.click(lambda name: fill_choices(clock(name, **weights)), model, took, **QUIET)
