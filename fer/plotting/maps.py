"""Signed maps -> one picture of all of them: white where a map is 0, red above, blue below, in 255 steps.

The picture has a palette in place of three channels: it is lossless, and small and quick enough for a live page.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fer.plotting.style import GAP, TEXT_COLOUR, style_axes
from fer.utils.io import atomic_write

# Blue against, white nothing, red for: ColorBrewer's RdBu, which the colour-blind can tell apart too.
_SIGNED = np.array([(5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)], float)


def tile_images(tiles: np.ndarray, columns: int, scale: int = 1, gap: int = 2, common: bool = False) -> np.ndarray:
    """Tiles (N, H, W) of floats, row by row in one grey picture, uint8.

    Each tile is stretched from its own darkest value to its own brightest, or all of them by `common` ones; an even
    one is mid-grey. Pixels are repeated `scale` times, never smoothed; `gap` white pixels lie around every tile.
    """
    count, height, width = tiles.shape
    grey = np.rint(255 * _normalize_range(tiles, common)).astype(np.uint8).repeat(scale, 1).repeat(scale, 2)
    columns = min(columns, count)
    rows = -(-count // columns)
    down, across = height * scale + gap, width * scale + gap
    picture = np.full((rows * down + gap, columns * across + gap), GAP, np.uint8)
    for number, tile in enumerate(grey):
        top, left = gap + number // columns * down, gap + number % columns * across
        picture[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return picture


def _normalize_range(tiles: np.ndarray, common: bool) -> np.ndarray:
    """Values in 0..1 from lowest to highest."""
    axes = None if common else (1, 2)
    low, high = tiles.min(axes, keepdims=True), tiles.max(axes, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.where(high > low, (tiles - low) / span, 0.5)


def unit_bars(values: np.ndarray, names: Sequence[str] | None = None) -> Figure:
    """The numbers (C,) that a dense layer puts out, as bars in the colours of signed maps, with their names if any."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = figure.subplots()
    colours = np.where(values > 0, "#d6604d", "#4393c3")
    axes.bar(range(len(values)), values, 0.8 if names else 1.0, color=colours)
    if names:
        axes.set_xticks(range(len(values)), names)
    axes.axhline(0, color=TEXT_COLOUR, linewidth=1)
    axes.set(xlabel="" if names else "neuron", ylabel="answer")
    style_axes(axes)
    return figure


# ------------------------------------------------------------------------------------------------ signed maps


def signed_scale(*maps: np.ndarray) -> float:
    """The size at which signed maps (H, W) reach full colour: the 99.5th percentile of all of their sizes together.

    A few pixels above it would leave the rest pale; where fewer than one in 200 is not 0, it is the largest.
    """
    sizes = np.abs(np.concatenate([np.ravel(values) for values in maps]))
    return float(np.percentile(sizes, 99.5) or sizes.max())


def signed_rgb(values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """A signed map (H, W) in blue (against), white (0) and red (for): uint8 (H, W, 3).

    scale: where colours are full, for maps that are to be compared (see `scale_of`); by default the map's own. A map
    of zeros is white all over, and any other constant one is full blue or red: nothing is stretched into a pattern.
    """
    places = _relative(values, scale) * 2 + 2  # 0..4 along the colours
    colours = [np.interp(places, range(5), channel) for channel in _SIGNED.T]
    return np.stack(colours, -1).round().astype(np.uint8)


def overlay(face: np.ndarray, values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """The signed map (H, W) over its face, uint8 (H, W): uint8 (H, W, 3), the face itself where the map is 0."""
    strength = 0.75 * np.abs(_relative(values, scale))[..., None] ** 0.5  # the root lets weak parts be seen at all
    full = signed_rgb(np.sign(values), 1.0)
    return (face[..., None] * (1 - strength) + full * strength).round().astype(np.uint8)


def constant_map_message(values: np.ndarray) -> str | None:
    """What to say of a map (H, W) that shows nothing: a sentence where it is 0, or the same, everywhere; else None."""
    if not values.any():
        return "The map is 0 everywhere."
    return f"The map is {values.flat[0]:.3g} everywhere." if (values == values.flat[0]).all() else None


def _relative(values: np.ndarray, scale: float | None) -> np.ndarray:
    """The map's values as shares of the scale, -1..1."""
    scale = signed_scale(values) if scale is None else scale
    return np.clip(values / scale, -1, 1) if scale > 0 else np.zeros(values.shape)


def image_row(pictures: Sequence[np.ndarray], scale: int, gap: int = 2) -> np.ndarray:
    """Pictures of one size, grey (H, W) or RGB (H, W, 3) uint8, side by side in white: uint8 (H', W', 3).

    Pixels are repeated `scale` times, never smoothed; `gap` pixels of the pictures lie between two of them.
    """
    coloured = [picture if picture.ndim == 3 else np.stack([picture] * 3, -1) for picture in pictures]
    white = np.full((coloured[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for picture in coloured for part in (white, picture)][1:]
    return np.concatenate(parts, 1).repeat(scale, 0).repeat(scale, 1)


def titled_images(pictures: Mapping[str, np.ndarray], columns: int = 3) -> Figure:
    """Small pictures, grey (H, W) or RGB (H, W, 3) uint8, in rows, with their titles, enlarged unsmoothed."""
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.9 * rows), layout="constrained")
    for number, (title, pixels) in enumerate(pictures.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    return figure


ZERO_INDEX, GAP_INDEX = 128, 0  # the palette's white, and the grey of gaps
# Index 1 is the deepest blue, 128 white, 255 the deepest red.
_PALETTE = bytes((148, 156, 168)) + signed_rgb((np.arange(1, 256)[None] - ZERO_INDEX) / 127, 1.0)[0].tobytes()


def map_scales(tiles: np.ndarray, common: bool = False) -> np.ndarray:
    """The size at which each of maps (N, H, W) reaches full colour, (N,): the 99.5th percentile of its own sizes.

    common: of the sizes of all of them. Where fewer than one in 200 is not 0, it is the largest.
    """
    sizes = np.nan_to_num(np.abs(tiles.reshape(1 if common else len(tiles), -1)))
    high = np.percentile(sizes, 99.5, axis=1)
    return np.broadcast_to(np.where(high > 0, high, sizes.max(1)), len(tiles))


def tile_signed_maps(
    tiles: np.ndarray, full: np.ndarray, columns: int, scale: int = 1, gap: int = 0, border: int = 0
) -> np.ndarray:
    """Maps (N, H, W), each at full colour at its own size `full` (N,), row by row in one picture of palette indices.

    Pixels are repeated `scale` times, never smoothed; `gap` grey pixels lie between two tiles; NaN is grey too. uint8.
    border: by how many pixels each map's own edge goes on, so that whoever cuts the tiles out may be a little off.
    """
    tiles = np.pad(tiles, [(0, 0), (border, border), (border, border)], "edge") if border else tiles
    count, height, width = tiles.shape
    shares = np.clip(tiles / np.where(full > 0, full, 1)[:, None, None], -1, 1)
    indices = np.where(np.isnan(shares), GAP_INDEX, ZERO_INDEX + np.rint(127 * np.nan_to_num(shares))).astype(np.uint8)
    columns = min(columns, count)
    rows = -(-count // columns)
    grid = np.full((rows * columns, height * scale + gap, width * scale + gap), GAP_INDEX, np.uint8)
    grid[:count, : height * scale, : width * scale] = indices.repeat(scale, 1).repeat(scale, 2)
    grid = grid.reshape(rows, columns, *grid.shape[1:]).swapaxes(1, 2)
    return grid.reshape(rows * (height * scale + gap), -1)[: -gap or None, : -gap or None]


def side_by_side(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Each map (N, H, W) with that of another face to its right, a column of NaN between: (N, H, 2W + 1)."""
    between = np.full((*first.shape[:2], 1), np.nan, first.dtype)
    return np.concatenate([first, between, second], 2)


def palette_image(indices: np.ndarray) -> Image.Image:
    """A picture of palette indices (H, W)."""
    picture = Image.fromarray(indices, "L")
    picture.putpalette(_PALETTE)
    return picture


def palette_url(indices: np.ndarray) -> str:
    """The same as an address that a page can show without a file."""
    stream = io.BytesIO()
    palette_image(indices).save(stream, "png", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def save_palette_image(indices: np.ndarray, file: Path) -> None:
    """Writes it in the format of the file's ending. Raises ValueError or OSError."""
    with atomic_write(file) as partial:
        palette_image(indices).convert("RGB").save(partial)
