"""The Networks tab: every network with its figures, its layers, its curves, its recipe and its card; the studies.

tab(shared)     lays it out, inside a `gr.Tab`, whose first opening draws it
"""

import json
import logging
import re
import time
from pathlib import Path
from statistics import median

import gradio as gr
import torch
from gradio.context import get_render_context

from fer.app import components, static
from fer.app.events import QUIET, fill_choices
from fer.app.model_cache import load_network, outline
from fer.app.models import studies
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
NO_CURVES = "<p>This network came without its history.csv.</p>"
SIZES = (
    "<b>Accuracy against size.</b> Ours is of one view of each face, with epochs chosen on PublicTest; the others' are "
    "as published, many of several views and some with an epoch that was chosen on PrivateTest itself. Two accuracies "
    "closer than 1.5 points tell nothing on 3,589 faces; people agree with the labels on about 65 %. Networks of "
    "FER+'s labels have no place here."
)
SOURCES = ("system", "parameters", "accuracy, %", "learnt from", "known of it", "source")


# ---- all networks


def overview(weights: Path) -> str:
    """The picture of sizes, with ours, the reports' and public systems, and the table of all networks."""
    ours = [outline(weights, name) for name in sound(weights, checkpoint.list_models(weights))]
    figure = components.figure(
        evaluation.accuracy_against_parameters(
            [point for network in ours if (point := placed(network))], [*REPORTS, *PUBLIC]
        ),
        "accuracy-against-parameters", "Accuracy on PrivateTest against parameters", SIZES, wide=True,
    )  # fmt: skip
    rows = [[cell.strip("`") for cell in model_card.table_row(network)] for network in ours]
    table = components.table(model_card.COLUMNS, rows, "networks", "All networks")
    return figure + table


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
            training.training_curves(history), f"{name}-curves", "Loss and accuracy by epoch", more=saved, wide=True
        )
    layers = components.table(LAYERS, layer_table(network), f"{name}-layers", f"The layers of {name}")
    return facts(network, weights / name), curves, layers, recipe(network), card(weights / name)


LAYERS = ("layer", "type", "output", "parameters")


def facts(network: checkpoint.FERModel, folder: Path) -> str:
    """What a network is and can do, as cards."""
    figures = network.metrics.get("private_test")
    known = {
        "PrivateTest": (_share(figures), _interval(figures)),
        "Without duplicates": (
            _share(figures, "accuracy_deduplicated"),
            f"n {figures['n_deduplicated']:,}; the honest one" if figures else "not measured yet",
        ),
        "Parameters": (f"{summary.count_parameters(network) / 1e6:.2f} M", f"{summary.count_parameters(network):,}"),
        "File": (f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB", "float16 safetensors"),
        "Multiplications": (f"{summary.count_macs(network) / 1e6:,.0f} M", "for one face"),
        "Labels": (str(len(network.labels)), ", ".join(network.labels)),
        "Unsure": (
            f"below {network.confidence_threshold:.0%}" if network.confidence_threshold else "never",
            f"temperature {network.temperature}",
        ),
    }
    if model_card.LATENCY_KEY in network.metrics:
        known["Time"] = (
            f"{network.metrics[model_card.LATENCY_KEY]:.1f} ms",
            "one face on one core, where it was measured",
        )
    return components.cards(known)


def _interval(figures: dict | None) -> str:
    return "n {:,}; {:.3f} to {:.3f}".format(figures["n"], *figures["ci95"]) if figures else "not measured yet"


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
        return "This network came without its recipe."
    settings = f"All the settings:\n\n```json\n{json.dumps(network.train_config, indent=2)}\n```"
    try:
        return f"```sh\n{training_config.training_commands(network.train_config)}\n```\n\n{settings}"
    except (KeyError, TypeError, ValueError):  # settings of other names than ours, as of somebody else's checkpoint
        return settings


def card(folder: Path) -> str:
    """The model card without its front matter, its title and its pictures, which lie beside it."""
    path = folder / "README.md"
    text = path.read_text(errors="replace") if path.is_file() else "This network came without a card."
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


def tab(shared: Session) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`. Nothing is drawn before the tab is opened."""
    everything = components.box("", "networks")
    with gr.Accordion("Where the others' figures are from", open=False):
        components.box(sources(), "sources")
    known = gr.HTML("", css_template=static.text("tabs.css"), apply_default_css=False, elem_id="facts")
    timing = gr.Button("Time it on this machine", size="sm", elem_id="time-it")
    took = gr.HTML("", css_template=static.text("tabs.css"), apply_default_css=False, visible=False, elem_id="took")
    curves = components.box("", "curves")
    with gr.Accordion("Layers", open=False):
        layers = components.box("", "layers")
    with gr.Accordion("How it was trained", open=False):
        trained = gr.Markdown(elem_id="recipe")
    with gr.Accordion("Card", open=False):
        words = gr.Markdown(elem_id="card")
    studies.section(shared.weights)
    wire(shared, [known, curves, layers, trained, words], everything, (timing, took))


def wire(shared: Session, outputs: list, everything: gr.HTML, clocks: tuple) -> None:
    """The tab's opening draws what is not there yet; the menu draws another network."""
    menu, (timing, took) = shared.model, clocks
    weights, opened = {"weights": shared.weights}, gr.State(False)

    def shown(name: str | None, opened: bool) -> tuple:
        """The network's page, if the tab has been opened and there is one."""
        if not opened or name not in sound(shared.weights, [name]):
            return ("",) * len(outputs)
        return show(name, **weights)

    def first(name: str | None, opened: bool) -> tuple:
        if opened:
            return (gr.skip(),) * (len(outputs) + 2)
        return overview(shared.weights), True, *shown(name, True)

    get_render_context().select(first, [menu, opened], [everything, opened, *outputs], **QUIET)
    menu.change(shown, [menu, opened], outputs, trigger_mode="always_last", **QUIET)
    menu.change(lambda: fill_choices(""), None, took, **QUIET)
    timing.click(lambda name: fill_choices(clock(name, **weights)), menu, took, **QUIET)
