"""Arrays -> figures and pictures. A figure is a `matplotlib.figure.Figure`, never pyplot: threads share its state."""

import base64
import io

import numpy as np
from PIL import Image


def data_url(pixels: np.ndarray, longest: int = 1280) -> str:
    """A picture that a page can show without a file: grey (H, W) losslessly as PNG, RGB (H, W, 3) as JPEG; uint8.

    What is larger than `longest` pixels on a side is shrunk to it, in its proportions.
    """
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((longest, longest))
    picture.save(stream, "PNG") if pixels.ndim == 2 else picture.save(stream, "JPEG", quality=88)
    kind = "png" if pixels.ndim == 2 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
