"""Signed maps -> one picture of all of them: white where a map is 0, red above, blue below, in 255 steps.

The picture has a palette in place of three channels: it is lossless, and small and quick enough for a live page.
"""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from fer.plots import signed_colours
from fer.writing import whole

NOTHING, BETWEEN = 128, 0  # the palette's white, and the grey of gaps
# Index 1 is the deepest blue, 128 white, 255 the deepest red.
_PALETTE = bytes((148, 156, 168)) + signed_colours((np.arange(1, 256)[None] - NOTHING) / 127, 1.0)[0].tobytes()


def scales(tiles: np.ndarray, common: bool = False) -> np.ndarray:
    """The size at which each of maps (N, H, W) reaches full colour, (N,): the 99.5th percentile of its own sizes.

    common: of the sizes of all of them. Where fewer than one in 200 is not 0, it is the largest.
    """
    sizes = np.nan_to_num(np.abs(tiles.reshape(1 if common else len(tiles), -1)))
    high = np.percentile(sizes, 99.5, axis=1)
    return np.broadcast_to(np.where(high > 0, high, sizes.max(1)), len(tiles))


def compose(
    tiles: np.ndarray, full: np.ndarray, columns: int, scale: int = 1, gap: int = 0, border: int = 0
) -> np.ndarray:
    """Maps (N, H, W), each at full colour at its own size `full` (N,), row by row in one picture of palette indices.

    Pixels are repeated `scale` times, never smoothed; `gap` grey pixels lie between two tiles; NaN is grey too. uint8.
    border: by how many pixels each map's own edge goes on, so that whoever cuts the tiles out may be a little off.
    """
    tiles = np.pad(tiles, [(0, 0), (border, border), (border, border)], "edge") if border else tiles
    count, height, width = tiles.shape
    shares = np.clip(tiles / np.where(full > 0, full, 1)[:, None, None], -1, 1)
    indices = np.where(np.isnan(shares), BETWEEN, NOTHING + np.rint(127 * np.nan_to_num(shares))).astype(np.uint8)
    columns = min(columns, count)
    rows = -(-count // columns)
    grid = np.full((rows * columns, height * scale + gap, width * scale + gap), BETWEEN, np.uint8)
    grid[:count, : height * scale, : width * scale] = indices.repeat(scale, 1).repeat(scale, 2)
    grid = grid.reshape(rows, columns, *grid.shape[1:]).swapaxes(1, 2)
    return grid.reshape(rows * (height * scale + gap), -1)[: -gap or None, : -gap or None]


def pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Each map (N, H, W) with that of another face to its right, a column of NaN between: (N, H, 2W + 1)."""
    between = np.full((*first.shape[:2], 1), np.nan, first.dtype)
    return np.concatenate([first, between, second], 2)


def image(indices: np.ndarray) -> Image.Image:
    """A picture of palette indices (H, W)."""
    picture = Image.fromarray(indices, "L")
    picture.putpalette(_PALETTE)
    return picture


def url(indices: np.ndarray) -> str:
    """The same as an address that a page can show without a file."""
    stream = io.BytesIO()
    image(indices).save(stream, "png", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def save(indices: np.ndarray, file: Path) -> None:
    """Writes it in the format of the file's ending. Raises ValueError or OSError."""
    with whole(file) as partial:
        image(indices).convert("RGB").save(partial)
