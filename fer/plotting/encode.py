import base64
import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fer.utils.io import atomic_write


def save_image(pixels: np.ndarray, file: Path) -> None:
    """Writes a picture (H, W) or (H, W, 3), uint8, in the format of the file's ending. Raises ValueError or OSError."""
    with atomic_write(file) as partial:
        Image.fromarray(pixels).save(partial)


def data_url(pixels: np.ndarray, longest: int = 1280, lossless: bool = False) -> str:
    """A picture that a page can show without a file: grey (H, W) losslessly as PNG, RGB (H, W, 3) as JPEG; uint8.

    What is larger than `longest` pixels on a side is shrunk to it, in its proportions. lossless: PNG for RGB as well,
    for pictures so small that every pixel counts.
    """
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((longest, longest))
    kind = "png" if pixels.ndim == 2 or lossless else "jpeg"
    picture.save(stream, kind, **({} if kind == "png" else {"quality": 88}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def figure_url(figure: Figure) -> str:
    """A figure as an SVG that a page can show without a file; its background is transparent."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", transparent=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode()}"
