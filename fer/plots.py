"""Arrays -> figures and pictures. A figure is a `matplotlib.figure.Figure`, never pyplot: threads share its state."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

GAP = 255  # grey of the gaps between tiles


def sheet(tiles: np.ndarray, columns: int, scale: int = 1, gap: int = 2, common: bool = False) -> np.ndarray:
    """Tiles (N, H, W) of floats, row by row in one grey picture, uint8.

    Each tile is stretched from its own darkest value to its own brightest, or all of them by `common` ones; an even
    one is mid-grey. Pixels are repeated `scale` times, never smoothed; `gap` white pixels lie around every tile.
    """
    count, height, width = tiles.shape
    grey = np.rint(255 * _stretched(tiles, common)).astype(np.uint8).repeat(scale, 1).repeat(scale, 2)
    columns = min(columns, count)
    rows = -(-count // columns)
    down, across = height * scale + gap, width * scale + gap
    picture = np.full((rows * down + gap, columns * across + gap), GAP, np.uint8)
    for number, tile in enumerate(grey):
        top, left = gap + number // columns * down, gap + number % columns * across
        picture[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return picture


def _stretched(tiles: np.ndarray, common: bool) -> np.ndarray:
    """Values in 0..1 from lowest to highest."""
    axes = None if common else (1, 2)
    low, high = tiles.min(axes, keepdims=True), tiles.max(axes, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.where(high > low, (tiles - low) / span, 0.5)


def save(pixels: np.ndarray, file: Path) -> None:
    """Writes a picture (H, W) or (H, W, 3), uint8, in the format of the file's ending. Raises ValueError or OSError."""
    Image.fromarray(pixels).save(file)


def data_url(pixels: np.ndarray, longest: int = 1280) -> str:
    """A picture that a page can show without a file: grey (H, W) losslessly as PNG, RGB (H, W, 3) as JPEG; uint8.

    What is larger than `longest` pixels on a side is shrunk to it, in its proportions.
    """
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((longest, longest))
    picture.save(stream, "PNG") if pixels.ndim == 2 else picture.save(stream, "JPEG", quality=88)
    kind = "png" if pixels.ndim == 2 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
