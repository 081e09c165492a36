"""The Filters tab's card: what is known of one filter, or of one class, once its picture has grown."""

import functools
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import gradio as gr
import numpy as np
import torch
from PIL import Image
from torch import nn

from fer.app import dataset_images
from fer.app.errors import user_error
from fer.app.events import validated_index
from fer.app.filters import job, view
from fer.app.filters.job import VisualizationState
from fer.app.model_cache import load_network
from fer.features import atlas, quality, receptive_field
from fer.features.presets import PARTS
from fer.models.checkpoint import FERModel
from fer.plotting import encode, maps, training

TAB = "Filters"  # what the page calls the tab, for links to it
AGREEMENT = "Agreement of two seeds"
_SAME = "(1 is the same picture, wherever it lies)"


# ---- handlers


def choose(
    grown: VisualizationState | None, face: np.ndarray | None, event: gr.EventData, *, weights: Path
) -> tuple[str, int, None]:
    """The card of the tile that was clicked, its number, and nothing to compare it with yet.

    `face` is the visitor's, uint8 (48, 48), or None.
    """
    index = validated_index(event, len(grown.names) if grown else 0)
    return card(grown, index, face, weights), index, None


def compare(
    grown: VisualizationState | None,
    index: int | None,
    other: VisualizationState | None,
    face: np.ndarray | None,
    *,
    weights: Path,
) -> Iterator[tuple[str, VisualizationState]]:
    """The card of the open tile while its filter grows once more, each time from the next seed; and what has grown."""
    if grown is None or index is None:
        raise user_error("Choose a tile first.")
    seed = (other or grown).asked.seed + 1
    for another in job.grow(job.alone(grown, index, seed), weights):
        yield card(grown, index, face, weights, another), another


# ---- what a card says


def card(
    grown: VisualizationState,
    index: int,
    face: np.ndarray | None,
    weights: Path,
    other: VisualizationState | None = None,
) -> str:
    """The card of a tile as markup; `other` is the same filter alone, grown from another seed."""
    asked, chain = grown.asked, load_network(weights, grown.asked.network)
    number, kept = asked.filters[index], atlas.load_layer(weights / asked.network, asked.layer)
    pictures, facts = growth(grown, index)
    best = grown.best[index]
    more = [
        kernel(chain, asked.layer, number),
        seeds(grown.images[index], other) if other or not grown.of_atlas else agreement(kept, number),
        answer_to(chain, asked.layer, number, face),
        reality(best, grown.values[index]),
        excited(kept, chain, asked.layer, number),
        twins(kept, chain, asked.layer, number),
    ]
    for found_pictures, found_facts in more:
        pictures |= found_pictures
        facts |= found_facts
    curve = _curve(tuple((step, row[index]) for step, row in grown.history), best)
    name = grown.names[index]
    title = f"{name[0].upper()}{name[1:]}, {asked.layer} of {asked.network}"
    return view.card(title, pictures, facts, curve, link(grown, index))


@functools.lru_cache(maxsize=64)  # matplotlib is slow, and a comparison sends the same curve with every frame
def _curve(points: tuple[tuple[int, float], ...], best: float | None) -> str:
    return encode.figure_url(training.activation_curve(*zip(*points, strict=True), best))


def growth(grown: VisualizationState, index: int) -> tuple[dict, dict]:
    """The picture itself, what it changed of a face, and how far it has come."""
    image, face = grown.images[index], grown.asked.face
    pictures = {"What it answers most" if face is None else "Your face, changed": image}
    if face is not None:
        pictures["What was changed: red lighter, blue darker"] = maps.signed_rgb(image - face / 255)
    fine = quality.high_frequency_share(torch.tensor(image)[None, None]).item()
    return pictures, {
        "Ascent value": f"{grown.values[index]:.3f}" + " (dead)" * grown.dead[index],
        "Step": f"{grown.step} of {grown.asked.steps}, seed {grown.asked.seed}, preset {grown.asked.preset}",
        "In fine waves": f"{fine:.0%} of its energy (white noise 81%, faces 6%)",
    }


def kernel(chain: FERModel, layer: str, number: int) -> tuple[dict, dict]:
    """The filter's weights, where they can be looked at."""
    module = chain[layer]
    shown = isinstance(module, nn.Conv2d) and module.in_channels == 1
    return {"Its kernel": module.weight[number, 0].detach().numpy()} if shown else {}, {}


def twins(kept: atlas.LayerVisualization | None, chain: FERModel, layer: str, number: int) -> tuple[dict, dict]:
    """The filters whose weights are most like its own; what they answer most, where that is kept."""
    last = layer == receptive_field.last_layer(chain)
    found = [(other, likeness) for other, likeness in quality.nearest_filters(chain, layer, number) if likeness > 0]
    words = ", ".join(f"{chain.labels[other] if last else other} ({likeness:.2f})" for other, likeness in found)
    if not found:
        return {}, {}
    pictures = {}
    if kept is not None:
        numbers = ", ".join(chain.labels[other] if last else str(other) for other, _ in found)
        pictures[f"Most alike weights: {numbers}"] = _side_by_side(kept.images[[other for other, _ in found]])
    return pictures, {"Most alike weights": words}


def _side_by_side(images: np.ndarray) -> np.ndarray:
    """Grey tiles (N, S, S) uint8, two in a row: RGB, enlarged."""
    scale = max(1, 192 // images.shape[-1])
    return np.repeat(maps.tile_images(images.astype(np.float32), 2, scale=scale)[..., None], 3, -1)


def agreement(kept: atlas.LayerVisualization | None, number: int) -> tuple[dict, dict]:
    """How well the pictures of two seeds agree, where that is kept."""
    return {}, {} if kept is None else {AGREEMENT: f"{kept.seed_agreement[number]:.2f} {_SAME}"}


def excited(kept: atlas.LayerVisualization | None, chain: FERModel, layer: str, number: int) -> tuple[dict, dict]:
    """The faces that excite it most, where they are known and at hand, with what it saw of each framed."""
    pixels = dataset_images.own()
    if (
        kept is None
        or pixels is None
        or kept.image_indices.shape[1] == 0
        or kept.image_indices[number].max() >= len(pixels)
    ):
        return {}, {}
    windows = [receptive_field.receptive_box(chain, layer, *map(int, place)) for place in kept.positions[number]]
    faces = pixels[kept.image_indices[number].tolist()].numpy()
    return {"The faces of PublicTest that excite it most": dataset_images.framed(faces, windows)}, {}


def reality(best: float | None, value: float) -> tuple[dict, dict]:
    """How far the picture lies beyond any real face, where the answers to real faces are kept."""
    if best is None:
        return {}, {}
    words = f"{best:.2f}" + (f"; this picture has {value / best:.1f} times as much" if 0 < best < value else "")
    return {}, {"Highest of the real faces": words}


def answer_to(chain: FERModel, layer: str, number: int, face: np.ndarray | None) -> tuple[dict, dict]:
    """What the filter answers to the visitor's face."""
    if face is None:
        return {}, {}
    answer = response(chain, layer, number, face)
    facts = {"Most on your face": f"{answer.max():.3f}"}
    if answer.ndim != 2:
        return {}, facts
    spread = np.asarray(Image.fromarray(answer).resize(face.shape, Image.Resampling.BILINEAR))
    return {"Its map of your face: red for, blue against": maps.overlay(face, spread)}, facts


@torch.inference_mode()
def response(chain: FERModel, layer: str, number: int, face: np.ndarray) -> np.ndarray:
    """What a filter answers to a face, uint8 (48, 48): its map (H, W), or one number ()."""
    return chain[:layer](torch.tensor(face)[None, None].float() / 255)[0, number].numpy()


def seeds(image: np.ndarray, other: VisualizationState | None) -> tuple[dict, dict]:
    """The same filter from another seed, and how well the two pictures agree."""
    if other is None:
        return {}, {}
    first, second = (torch.tensor(picture)[None, None] for picture in (image, other.images[0]))
    alike = quality.seed_agreement(first, second).item()
    pictures = {f"From seed {other.asked.seed}, step {other.step}": other.images[0]}
    return pictures, {AGREEMENT: f"{alike:.2f} {_SAME}"}


# ---- links


def link(grown: VisualizationState, index: int) -> str | None:
    """An address, relative to the page's, that grows this one tile anew and opens its card; none from a face."""
    asked = grown.asked
    if asked.face is not None:
        return None  # a face is its visitor's own and goes into no address
    keys = {"model": asked.network, "layer": asked.layer, "filter": asked.filters[index], "preset": asked.preset}
    return "?" + urlencode({"tab": TAB, **keys, "steps": asked.steps, "seed": asked.seed, **dict(asked.parts)})


def linked(query: dict[str, str], weights: Path) -> job.VisualizationRequest | None:
    """What such an address asks for: None where it speaks of no filter. Raises gr.Error for what cannot be grown."""
    if query.get("tab") != TAB or "filter" not in query:
        return None
    words = [str(query.get(key, ""))[:100] for key in ("model", "layer", "filter", "preset")]
    steps, seed = (_number(query.get(key, "")) for key in ("steps", "seed"))
    parts = tuple((part, str(query[part])[:100]) for part in PARTS if part in query)
    return job.ask(weights, *words, steps, seed, parts=parts)


def _number(words: str) -> float | None:
    return int(words) if words.isdecimal() and len(words) <= 10 else None
