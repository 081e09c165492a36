"""The Filters tab's card: what is known of one filter, or of one class, once its picture has grown."""

import functools
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import gradio as gr
import numpy as np
import torch
from torch import nn

from fer import evaluation, filters, plots
from fer.checkpoint import Network
from fer.tabs import growing, tiles
from fer.tabs.growing import Grown
from fer.tabs.shared import load_network, picked, refusal

TAB = "Filters"  # what the page calls the tab, for links to it


# ---- handlers


def choose(
    grown: Grown | None, face: np.ndarray | None, event: gr.EventData, *, weights: Path
) -> tuple[str, int, None]:
    """The card of the tile that was clicked, its number, and nothing to compare it with yet.

    `face` is the visitor's, uint8 (48, 48), or None.
    """
    index = picked(event, len(grown.names) if grown else 0)
    return card(grown, index, face, weights), index, None


def compare(
    grown: Grown | None, index: int | None, other: Grown | None, face: np.ndarray | None, *, weights: Path
) -> Iterator[tuple[str, Grown]]:
    """The card of the open tile while its filter grows once more, each time from the next seed; and what has grown."""
    if grown is None or index is None:
        raise refusal("Choose a tile first.")
    seed = (other or grown).asked.seed + 1
    for another in growing.grow(growing.alone(grown, index, seed), weights):
        yield card(grown, index, face, weights, another), another


# ---- what a card says


def card(grown: Grown, index: int, face: np.ndarray | None, weights: Path, other: Grown | None = None) -> str:
    """The card of a tile as markup; `other` is the same filter alone, grown from another seed."""
    asked = grown.asked
    chain, number = load_network(weights, asked.network), asked.filters[index]
    pictures, facts = growth(grown, index)
    more = [
        kernel(chain, asked.layer, number),
        reality(weights / asked.network, chain, asked.layer, number, grown.values[index]),
        answer_to(chain, asked.layer, number, face),
        seeds(grown.images[index], other),
    ]
    for found_pictures, found_facts in more:
        pictures |= found_pictures
        facts |= found_facts
    best = best_logit(weights / asked.network, number) if asked.layer == filters.last_layer(chain) else None
    curve = _curve(tuple((step, row[index]) for step, row in grown.history), best)
    name = grown.names[index]
    title = f"{name[0].upper()}{name[1:]}, {asked.layer} of {asked.network}"
    return tiles.card(title, pictures, facts, curve, link(grown, index))


@functools.lru_cache(maxsize=64)  # matplotlib is slow, and a comparison sends the same curve with every frame
def _curve(points: tuple[tuple[int, float], ...], best: float | None) -> str:
    return plots.figure_url(plots.climb(*zip(*points, strict=True), best))


def growth(grown: Grown, index: int) -> tuple[dict, dict]:
    """The picture itself, what it changed of a face, and how far it has come."""
    image, face = grown.images[index], grown.asked.face
    pictures = {"What it answers most" if face is None else "Your face, changed": image}
    if face is not None:
        pictures["What was changed: red lighter, blue darker"] = plots.signed_colours(image - face / 255)
    fine = filters.spectral_share(torch.tensor(image)[None, None]).item()
    return pictures, {
        "Ascent value": f"{grown.values[index]:.3f}" + " (dead)" * grown.dead[index],
        "Step": f"{grown.step} of {grown.asked.steps}, seed {grown.asked.seed}, preset {grown.asked.preset}",
        "In fine waves": f"{fine:.0%} of its energy (white noise 81%, faces 6%)",
    }


def kernel(chain: Network, layer: str, number: int) -> tuple[dict, dict]:
    """The filter's weights, where they can be looked at, and the filters whose weights are most like them."""
    module, pictures = chain[layer], {}
    if isinstance(module, nn.Conv2d) and module.in_channels == 1:
        pictures["Its kernel"] = module.weight[number, 0].detach().numpy()
    last = layer == filters.last_layer(chain)
    found = [(other, likeness) for other, likeness in filters.alike(chain, layer, number) if likeness > 0]
    words = ", ".join(f"{chain.labels[other] if last else other} ({likeness:.2f})" for other, likeness in found)
    return pictures, {"Most alike weights": words} if words else {}


def reality(folder: Path, chain: Network, layer: str, number: int, value: float) -> tuple[dict, dict]:
    """How far a class's picture lies beyond any real face, where the network's answers to real faces are kept."""
    best = best_logit(folder, number) if layer == filters.last_layer(chain) else None
    if best is None:
        return {}, {}
    words = f"{best:.2f}" + (f"; this picture has {value / best:.1f} times as much" if 0 < best < value else "")
    return {}, {"Highest of the real faces": words}


def best_logit(folder: Path, number: int) -> float | None:
    """The highest logit of a class among all real faces whose answers are kept; None where there are none."""
    found = []
    for split in ("PublicTest", "PrivateTest"):
        try:
            found.append(evaluation.kept(folder, split)[0][:, number].max().item())
        except ValueError:  # not measured
            continue
    return max(found, default=None)


def answer_to(chain: Network, layer: str, number: int, face: np.ndarray | None) -> tuple[dict, dict]:
    """What the filter answers to the visitor's face."""
    if face is None:
        return {}, {}
    answer = response(chain, layer, number, face)
    pictures = {"Its map of your face, before activation": answer} if answer.ndim == 2 else {}
    return pictures, {"Most on your face": f"{answer.max():.3f}"}


@torch.inference_mode()
def response(chain: Network, layer: str, number: int, face: np.ndarray) -> np.ndarray:
    """What a filter answers to a face, uint8 (48, 48): its map (H, W), or one number ()."""
    return chain[:layer](torch.tensor(face)[None, None].float() / 255)[0, number].numpy()


def seeds(image: np.ndarray, other: Grown | None) -> tuple[dict, dict]:
    """The same filter from another seed, and how well the two pictures agree."""
    if other is None:
        return {}, {}
    first, second = (torch.tensor(picture)[None, None] for picture in (image, other.images[0]))
    agreement = filters.agreement(first, second).item()
    pictures = {f"From seed {other.asked.seed}, step {other.step}": other.images[0]}
    return pictures, {"Agreement of two seeds": f"{agreement:.2f} (1 is the same picture, wherever it lies)"}


# ---- links


def link(grown: Grown, index: int) -> str | None:
    """An address, relative to the page's, that grows this one tile anew and opens its card; none from a face."""
    asked = grown.asked
    if asked.face is not None:
        return None  # a face is its visitor's own and goes into no address
    keys = {"network": asked.network, "layer": asked.layer, "filter": asked.filters[index], "preset": asked.preset}
    return "?" + urlencode({"tab": TAB, **keys, "steps": asked.steps, "seed": asked.seed})


def linked(query: dict[str, str], weights: Path) -> growing.Asked | None:
    """What such an address asks for: None where it speaks of no filter. Raises gr.Error for what cannot be grown."""
    if query.get("tab") != TAB or "filter" not in query:
        return None
    words = [str(query.get(key, ""))[:100] for key in ("network", "layer", "filter", "preset")]
    steps, seed = (_number(query.get(key, "")) for key in ("steps", "seed"))
    return growing.ask(weights, *words, steps, seed)


def _number(words: str) -> float | None:
    return int(words) if words.isdecimal() and len(words) <= 10 else None
