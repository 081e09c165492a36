"""Feature visualizations of all filters of a network, kept beside the weights: ``python -m fer atlas NETWORK``.

    layer = atlas.load_layer(folder, "conv2d_3")     # a LayerVisualization; None where there is none of these weights

For each convolution and for the classes, ``feature_vis/<layer>.webp`` holds the images of preset `clear` with seed 0,
and ``feature_vis/<layer>.npz`` their values, stamped with the digest of the weights: those of other weights are stale
and not loaded. A layer that is there already is not made again, so a command that was stopped goes on.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from fer.data import duplicates
from fer.features import activations, quality, receptive_field, visualization
from fer.features.presets import PRESETS
from fer.models.layers import NamedSequential
from fer.utils import artifacts
from fer.utils.artifacts import Artifact, StaleError
from fer.utils.io import atomic_write

PRESET, SEED, OTHER_SEED = "clear", 0, 1
STEPS = PRESETS[PRESET].steps
SNAPSHOT_EVERY = 8  # steps from one point of a curve to the next
NUM_TOP_IMAGES = 9  # faces that are kept of each filter
VERSIONS = {"conv2d": 1, "dense": 2}  # of the preset's pictures of such a layer: count up whenever they change
DUPLICATE_CORRELATION = 0.95  # faces that correlate more than this, mirrored or not, are taken for one picture
_FOLDER, _COLUMNS, _QUALITY = "feature_vis", 16, 80
_BATCH = 64  # filters, or faces, at once


@dataclass(frozen=True)
class LayerVisualization:
    """The C filters of a layer, as the preset's own ascent found them."""

    images: np.ndarray  # uint8 (C, S, S), each stretched from black to white
    curves: np.ndarray  # float32 (C, F), the ascent values at each of the F frames, the last ones at the end
    seed_agreement: np.ndarray  # float32 (C,), of the pictures of two seeds
    dead: np.ndarray  # bool (C,), no gradient from the start
    activations: (
        np.ndarray
    )  # float32 (C, B), to the real faces that excite it most, the highest first; B is 0 without faces
    image_indices: np.ndarray  # int32 (C, B), which faces of PublicTest those are, no picture twice
    positions: np.ndarray  # uint8 (C, B, 2), row and column in its map where it answers most; 0 for a class

    @property
    def values(self) -> np.ndarray:
        """The ascent values (C,)."""
        return self.curves[:, -1]


def visualized_layers(network: NamedSequential) -> list[str]:
    """The layers that an atlas holds: the convolutions and the last one."""
    names = [name for name, module in network.named_children() if isinstance(module, nn.Conv2d)]
    return [*names, receptive_field.last_layer(network)]


# ------------------------------------------------------------------------------------------------ making


def build_atlas(
    network: NamedSequential, folder: Path, pixels: Tensor | None, quiet: bool = False
) -> Iterator[tuple[str, LayerVisualization]]:
    """Every layer of the network whose weights lie in `folder`, kept there as soon as it is made.

    pixels: PublicTest's faces, uint8 (N, 48, 48), for the best real ones; None leaves those out.
    """
    wanted = [layer for layer in visualized_layers(network) if not _is_complete(folder, layer, pixels is not None)]
    best = {} if pixels is None or not wanted else top_activating_images(network, wanted, pixels, quiet)
    for layer in visualized_layers(network):
        if layer in wanted:
            save_layer(folder, layer, visualize_layer(network, layer, best.get(layer), quiet))
        yield layer, load_layer(folder, layer)


def _is_complete(folder: Path, layer: str, with_faces: bool) -> bool:
    found = load_layer(folder, layer)
    return found is not None and (found.image_indices.shape[1] > 0 or not with_faces)


def visualize_layer(
    network: NamedSequential, layer: str, best: tuple[np.ndarray, ...] | None = None, quiet: bool = False
) -> LayerVisualization:
    """All filters of one layer, from both seeds; `best` as `best_faces` gives it."""
    count = len(network[layer].weight)
    parts = []
    for first in tqdm(range(0, count, _BATCH), layer, disable=quiet, leave=False):
        numbers = range(first, min(first + _BATCH, count))
        frames, (*_, other) = (_snapshots(network, layer, numbers, seed) for seed in (SEED, OTHER_SEED))
        curves, end = torch.stack([frame.values for frame in frames], 1), frames[-1]  # (64, F)
        parts.append((end.images[:, 0], curves, quality.seed_agreement(end.images, other.images), end.dead))
    images, curves, seed_agreement, dead = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    nothing = np.zeros((count, 0), np.float32), np.zeros((count, 0), np.int32), np.zeros((count, 0, 2), np.uint8)
    return LayerVisualization(_to_uint8(images), curves, seed_agreement, dead, *(best or nothing))


def _snapshots(network: NamedSequential, layer: str, numbers: range, seed: int) -> list[visualization.Snapshot]:
    every = SNAPSHOT_EVERY if seed == SEED else STEPS
    return list(visualization.visualize(network, layer, numbers, PRESETS[PRESET], seed=seed, every=every, same=False))


def _to_uint8(images: np.ndarray) -> np.ndarray:
    low, high = (edge(images, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    return np.rint(255 * (images - low) / np.maximum(high - low, 1e-9)).astype(np.uint8)


@torch.inference_mode()
def top_activating_images(
    network: NamedSequential, layers: list[str], pixels: Tensor, quiet: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each layer the answers, numbers and places of the faces (N, 48, 48) that excite each filter most."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}
    widths: dict[str, int] = {}
    outputs = activations.iter_layer_outputs(network, pixels, _BATCH)
    total = -(-len(pixels) // _BATCH) * len(network)
    for name, values in tqdm(outputs, "real faces", total, disable=quiet, leave=False):
        if name in found:
            widths[name] = values.shape[-1] if values.ndim == 4 else 1
            highest = values.flatten(2).max(2) if values.ndim == 4 else (values, torch.zeros_like(values).long())
            found[name].append((highest[0], highest[1].short()))
    rows, mirrored = duplicates.standardize(pixels), duplicates.standardize(pixels.flip(-1))
    return {
        layer: _select_top(*map(torch.cat, zip(*found[layer], strict=True)), widths[layer], rows, mirrored)
        for layer in layers
    }


def _select_top(
    answers: Tensor, places: Tensor, width: int, rows: Tensor, mirrored: Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all faces' highest answers (N, C), at places (N, C) in a map of that width: those of each filter's best.

    A picture that is in the data twice counts once: rows (N, 48 * 48) are the faces, standardised.
    """
    most = answers.topk(min(3 * NUM_TOP_IMAGES, len(answers)), dim=0).indices.T  # (C, 3 B), the best first
    chosen = torch.stack([_without_duplicates(candidates, rows, mirrored) for candidates in most])  # (C, B)
    at = places.T.gather(1, chosen).numpy()
    spots = np.stack([at // width, at % width], -1).astype(np.uint8)
    return answers.T.gather(1, chosen).float().numpy(), chosen.int().numpy(), spots


def _without_duplicates(candidates: Tensor, rows: Tensor, mirrored: Tensor) -> Tensor:
    """The first B of some faces' numbers (M,), copies of earlier ones left for last."""
    alike = torch.maximum(rows[candidates] @ rows[candidates].T, mirrored[candidates] @ rows[candidates].T)
    copy = (alike.tril(-1) > DUPLICATE_CORRELATION).any(1)
    return torch.cat([candidates[~copy], candidates[copy]])[:NUM_TOP_IMAGES]


def layer_metrics(found: LayerVisualization) -> dict[str, int | float]:
    """Metrics of a layer: {"filters", "dead", "seed_agreement", "ratio_to_best_image"}.

    ratio_to_best_image: the median over the filters of the image's value, divided by the highest activation of a real
    face; None without faces.
    """
    best = found.activations[:, 0] if found.activations.shape[1] else np.zeros(0, np.float32)
    ratios = (found.values / best)[best > 0] if len(best) else best
    return {
        "filters": len(found.values),
        "dead": int(found.dead.sum()),
        "seed_agreement": round(float(found.seed_agreement.mean()), 4),
        "ratio_to_best_image": round(float(np.median(ratios)), 2) if len(ratios) else None,
    }


# ------------------------------------------------------------------------------------------------ keeping


def settings_text(layer: str) -> str:
    """What the pictures of a layer were made by: the same words, the same pictures."""
    return f"{PRESET} {VERSIONS[layer.split('_')[0]]}, {STEPS} steps, seed {SEED}"


def save_layer(folder: Path, layer: str, found: LayerVisualization) -> None:
    """Keeps a layer beside the weights in `folder`."""
    (folder / _FOLDER).mkdir(exist_ok=True)
    count, side, _ = found.images.shape
    tiles = np.zeros((-(-count // _COLUMNS) * _COLUMNS, side, side), np.uint8)
    tiles[:count] = found.images
    sheet = tiles.reshape(-1, _COLUMNS, side, side).swapaxes(1, 2).reshape(-1, _COLUMNS * side)
    with atomic_write(folder / _FOLDER / f"{layer}.webp") as partial:
        Image.fromarray(sheet).save(partial, quality=_QUALITY, method=6)
    rest = {field.name: getattr(found, field.name) for field in fields(LayerVisualization) if field.name != "images"}
    _artifact(folder, layer).save(folder, {"recipe": np.array(settings_text(layer))} | rest)


def load_layer(folder: Path, layer: str) -> LayerVisualization | None:
    """What is kept of a layer; None where there is nothing, or nothing of these weights and this recipe."""
    try:
        changed = (folder / _FOLDER / f"{layer}.npz").stat().st_mtime_ns
    except OSError:
        return None
    return _load(folder, layer, changed, artifacts.digest_or_none(folder))


@functools.lru_cache(maxsize=32)
def _load(folder: Path, layer: str, changed: int, digest: str | None) -> LayerVisualization | None:
    return _artifact(folder, layer).load_or_none(folder)


def _artifact(folder: Path, layer: str) -> Artifact[LayerVisualization]:
    return Artifact(f"{_FOLDER}/{layer}.npz", "atlas", lambda kept: _parse(folder, layer, kept))


def _parse(folder: Path, layer: str, kept: dict[str, np.ndarray]) -> LayerVisualization:
    if str(kept["recipe"]) != settings_text(layer):
        raise StaleError(_artifact(folder, layer).sentence(folder, "was made by another recipe"))
    rest = {field.name: kept[field.name] for field in fields(LayerVisualization) if field.name != "images"}
    with Image.open(folder / _FOLDER / f"{layer}.webp", formats=("WEBP",)) as picture:
        sheet = np.asarray(picture.convert("L"))
    side, count = sheet.shape[1] // _COLUMNS, len(rest["curves"])
    tiles = sheet.reshape(-1, side, _COLUMNS, side).swapaxes(1, 2).reshape(-1, side, side)
    found = LayerVisualization(tiles[:count], **rest)
    if not _is_valid(found):
        raise ValueError("shapes or numbers that no atlas has")
    return found


def _is_valid(found: LayerVisualization) -> bool:
    """Whether there is a row of everything for every filter, a curve for every step, and only numbers."""
    steps = len(range(0, STEPS, SNAPSHOT_EVERY)) + 1
    rows = all(len(getattr(found, field.name)) == len(found.curves) for field in fields(LayerVisualization))
    best = found.activations.shape == found.image_indices.shape == found.positions.shape[:2]
    return rows and best and found.curves.shape[1:] == (steps,) and bool(np.isfinite(found.curves).all())


def find_problems(folder: Path) -> list[str]:
    """What is wrong with what is kept of the layers, a sentence each; none where nothing is."""
    layers = sorted(path.stem for path in (folder / _FOLDER).glob("*.npz"))
    return [words for layer in layers if (words := _artifact(folder, layer).problem(folder))]


def is_stale(folder: Path, layer: str) -> bool:
    """Whether something is kept of the layer, but of other weights or by another recipe."""
    return (folder / _FOLDER / f"{layer}.npz").is_file() and load_layer(folder, layer) is None


def total_bytes(folder: Path) -> int:
    """Bytes of all that is kept."""
    return sum(path.stat().st_size for path in (folder / _FOLDER).glob("*"))
