"""The Networks tab: every network with its figures, its layers, its curves and its card.

tab(shared)     lays it out, inside a `gr.Tab`
"""

import re
from functools import partial
from pathlib import Path

import gradio as gr

from fer import cards, checkpoint, networks, plots
from fer.tabs import markup
from fer.tabs.shared import Shared, load_network, network_menu

NO_CURVES = "<p>This network came without its history.csv.</p>"


def show(name: str, *, weights: Path) -> tuple[str, list[list], str]:
    """Curves, layer table and card of a network."""
    network = load_network(weights, name)
    history = checkpoint.read_history(weights / name)
    curves = NO_CURVES
    if history:
        curves = f'<img src="{plots.figure_url(plots.curves(history))}" alt="Loss and accuracy by epoch">'
    return curves, layer_table(network), card(weights / name)


def layer_table(network: checkpoint.Network) -> list[list]:
    """Name, type, output shape and parameters of every layer, as in the reports' tables, and their sum."""
    rows = [
        [row.name, row.type, " x ".join(map(str, row.shape)), f"{row.parameters:,}"] for row in networks.table(network)
    ]
    return [*rows, ["total", "", "", f"{networks.count(network):,}"]]


def card(folder: Path) -> str:
    """The model card without its front matter, its title and its pictures, which lie beside it."""
    path = folder / "README.md"
    text = path.read_text() if path.is_file() else "This network came without a card."
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text)
    return re.sub(r"\A---\n.*?\n---\n+(# [^\n]*\n+)?", "", text, flags=re.DOTALL)


def overview(weights: Path) -> str:
    """The table of all networks, as in the README."""
    names = checkpoint.available(weights)
    return cards.networks_table([load_network(weights, name) for name in sound(weights, names)])


def sound(weights: Path, names: list[str]) -> list[str]:
    """Those that load: one broken network must not keep the page from starting."""
    found = []
    for name in names:
        try:
            load_network(weights, name)
        except gr.Error:
            continue
        found.append(name)
    return found


def tab(shared: Shared) -> None:
    """Lays the tab out and wires it; call inside a `gr.Tab`."""
    gr.Markdown(overview(shared.weights), elem_id="networks")
    menu = network_menu(shared, "networks-network")
    first = (
        show(menu.value, weights=shared.weights) if menu.value in sound(shared.weights, [menu.value]) else ("", [], "")
    )
    curves = gr.HTML(first[0], elem_id="curves", css_template=markup.PICTURE_CSS)
    with gr.Accordion("Layers", open=False):
        layers = gr.Dataframe(
            first[1], headers=["layer", "type", "output", "parameters"], interactive=False, elem_id="layers"
        )
    with gr.Accordion("Card", open=False):
        words = gr.Markdown(first[2], elem_id="card")
    menu.change(
        partial(show, weights=shared.weights),
        menu,
        [curves, layers, words],
        api_visibility="private",
        show_progress="hidden",
    )
