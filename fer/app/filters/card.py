"""The Filters tab's card: what is known of one filter, or of one class, once it is visualised."""

import functools
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import torch
from PIL import Image
from torch import nn

from fer.app import dataset_images
from fer.app.filters import job, sheet
from fer.app.filters.job import VisualizationState
from fer.app.model_cache import load_network
from fer.features import atlas, quality, receptive_field
from fer.features.presets import PARTS
from fer.models.checkpoint import FERModel
from fer.plotting import encode, maps, training

PRESET_NAMES = {"clear": "regularised", "report": "plain (as in the coursework)"}
TAB = "Filters"  # what the page calls the tab, for links to it
SIMILARITY = "Similarity across seeds"
_SAME = "(1: the same image, wherever it lies)"


def card(
    state: VisualizationState,
    index: int,
    face: np.ndarray | None,
    weights: Path,
    other: VisualizationState | None = None,
) -> str:
    """The card of a tile as markup; `other` is the same filter alone, from another seed."""
    request, chain = state.request, load_network(weights, state.request.network)
    number, precomputed = request.filters[index], atlas.load_layer(weights / request.network, request.layer)
    pictures, facts = optimised_input(state, index)
    best = state.best[index]
    more = [
        kernel(chain, request.layer, number),
        seed_similarity(state.images[index], other)
        if other or not state.precomputed
        else precomputed_similarity(precomputed, number),
        face_activation(chain, request.layer, number, face),
        test_set_maximum(best, state.values[index]),
        strongest_faces(precomputed, chain, request.layer, number),
        nearest_filters(precomputed, chain, request.layer, number),
    ]
    for found_pictures, found_facts in more:
        pictures |= found_pictures
        facts |= found_facts
    curve = _curve(tuple((step, row[index]) for step, row in state.history), best)
    name = state.names[index]
    title = f"{name[0].upper()}{name[1:]}, {request.layer} of {request.network}"
    return sheet.render_card(title, pictures, facts, curve, link(state, index))


@functools.lru_cache(maxsize=64)  # matplotlib is slow, and a comparison sends the same curve with every frame
def _curve(points: tuple[tuple[int, float], ...], best: float | None) -> str:
    return encode.figure_url(training.activation_curve(*zip(*points, strict=True), best))


def optimised_input(state: VisualizationState, index: int) -> tuple[dict, dict]:
    """The image itself, the change of a face, activation and step."""
    image, face = state.images[index], state.request.face
    pictures = {"Optimised input" if face is None else "Your face, optimised": image}
    if face is not None:
        pictures["Change: red lighter, blue darker"] = maps.signed_rgb(image - face / 255)
    preset = PRESET_NAMES.get(state.request.preset, state.request.preset)
    fine = quality.high_frequency_share(torch.tensor(image)[None, None]).item()
    return pictures, {
        "Activation": f"{state.values[index]:.3f}" + " (dead)" * state.dead[index],
        "Step": f"{state.step} of {state.request.steps}, seed {state.request.seed}, {preset}",
        "High-frequency energy": f"{fine:.0%} (white noise 81%, faces 6%)",
    }


def kernel(chain: FERModel, layer: str, number: int) -> tuple[dict, dict]:
    """The filter's weights, where they can be looked at."""
    module = chain[layer]
    shown = isinstance(module, nn.Conv2d) and module.in_channels == 1
    return {"Kernel": module.weight[number, 0].detach().numpy()} if shown else {}, {}


def nearest_filters(
    precomputed: atlas.LayerVisualization | None, chain: FERModel, layer: str, number: int
) -> tuple[dict, dict]:
    """The filters whose weights are most like its own; their images, where they are precomputed."""
    last = layer == receptive_field.last_layer(chain)
    found = [
        (other, similarity) for other, similarity in quality.nearest_filters(chain, layer, number) if similarity > 0
    ]
    text = ", ".join(f"{chain.labels[other] if last else other} ({similarity:.2f})" for other, similarity in found)
    if not found:
        return {}, {}
    pictures = {}
    if precomputed is not None:
        numbers = ", ".join(chain.labels[other] if last else str(other) for other, _ in found)
        pictures[f"Nearest filters: {numbers}"] = _side_by_side(precomputed.images[[other for other, _ in found]])
    return pictures, {"Nearest filters": text}


def _side_by_side(images: np.ndarray) -> np.ndarray:
    """Grey tiles (N, S, S) uint8, two in a row: RGB, enlarged."""
    scale = max(1, 192 // images.shape[-1])
    return np.repeat(maps.tile_images(images.astype(np.float32), 2, scale=scale)[..., None], 3, -1)


def precomputed_similarity(precomputed: atlas.LayerVisualization | None, number: int) -> tuple[dict, dict]:
    """How similar the images of two seeds are, where that is precomputed."""
    return {}, {} if precomputed is None else {SIMILARITY: f"{precomputed.seed_agreement[number]:.2f} {_SAME}"}


def strongest_faces(
    precomputed: atlas.LayerVisualization | None, chain: FERModel, layer: str, number: int
) -> tuple[dict, dict]:
    """The faces with its highest activations, where they are known and at hand, with the receptive field framed."""
    pixels = dataset_images.own()
    if (
        precomputed is None
        or pixels is None
        or precomputed.image_indices.shape[1] == 0
        or precomputed.image_indices[number].max() >= len(pixels)
    ):
        return {}, {}
    windows = [receptive_field.receptive_box(chain, layer, *map(int, place)) for place in precomputed.positions[number]]
    faces = pixels[precomputed.image_indices[number].tolist()].numpy()
    return {"Validation faces with the highest activation": dataset_images.framed(faces, windows)}, {}


def test_set_maximum(best: float | None, value: float) -> tuple[dict, dict]:
    """The maximum over real faces, where it is known, and how often the image has it."""
    if best is None:
        return {}, {}
    words = f"{best:.2f}" + (f"; this image has {value / best:.1f} times as much" if 0 < best < value else "")
    return {}, {"Max on test set": words}


def face_activation(chain: FERModel, layer: str, number: int, face: np.ndarray | None) -> tuple[dict, dict]:
    """The filter's activation on the current face."""
    if face is None:
        return {}, {}
    answer = activation(chain, layer, number, face)
    facts = {"Max on your face": f"{answer.max():.3f}"}
    if answer.ndim != 2:
        return {}, facts
    spread = np.asarray(Image.fromarray(answer).resize(face.shape, Image.Resampling.BILINEAR))
    return {"Its map of your face: red above 0, blue below": maps.overlay(face, spread)}, facts


@torch.inference_mode()
def activation(chain: FERModel, layer: str, number: int, face: np.ndarray) -> np.ndarray:
    """A filter's activation on a face, uint8 (48, 48): its map (H, W), or one number ()."""
    return chain[:layer](torch.tensor(face)[None, None].float() / 255)[0, number].numpy()


def seed_similarity(image: np.ndarray, other: VisualizationState | None) -> tuple[dict, dict]:
    """The same filter from another seed, and how similar the two images are."""
    if other is None:
        return {}, {}
    first, second = (torch.tensor(picture)[None, None] for picture in (image, other.images[0]))
    similarity = quality.seed_agreement(first, second).item()
    pictures = {f"From seed {other.request.seed}, step {other.step}": other.images[0]}
    return pictures, {SIMILARITY: f"{similarity:.2f} {_SAME}"}


# ---- links


def link(state: VisualizationState, index: int) -> str | None:
    """An address, relative to the page's, that makes this one image again and opens its card; None from a face."""
    request = state.request
    if request.face is not None:
        return None  # a face is its visitor's own and goes into no address
    keys = {
        "model": request.network,
        "layer": request.layer,
        "filter": request.filters[index],
        "preset": request.preset,
    }
    return "?" + urlencode({"tab": TAB, **keys, "steps": request.steps, "seed": request.seed, **dict(request.parts)})


def parse_link(query: dict[str, str], weights: Path) -> job.VisualizationRequest | None:
    """The request of such an address; None where it names no filter. Raises gr.Error for what is not there."""
    if query.get("tab") != TAB or "filter" not in query:
        return None
    words = [str(query.get(key, ""))[:100] for key in ("model", "layer", "filter", "preset")]
    steps, seed = (_number(query.get(key, "")) for key in ("steps", "seed"))
    parts = tuple((part, str(query[part])[:100]) for part in PARTS if part in query)
    return job.make_request(weights, *words, steps, seed, parts=parts)


def _number(words: str) -> float | None:
    return int(words) if words.isdecimal() and len(words) <= 10 else None
