"""Real faces of FER-2013's PublicTest on the page, where the visitor has the data set: it may not be handed on.

own(count)                      the faces, uint8 (N, 48, 48); None where they are not at hand
framed(pixels, windows)         some of them in a square, each with what a neuron saw of it framed
"""

import functools
import logging
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from fer.data import dataset, fer2013

FRAME = (245, 158, 11)  # amber, seen on dark and on light faces alike
_SCALE = 3
_ACROSS = 3

log = logging.getLogger(__name__)


@functools.lru_cache(maxsize=1)
def own() -> Tensor | None:
    """PublicTest's faces, uint8 (N, 48, 48), loaded once."""
    try:
        faces = fer2013.load_fer2013().get("PublicTest")
    except (dataset.DataError, OSError) as error:
        log.info("no real faces are shown: %s", error)
        return None
    return None if faces is None else faces.pixels


def framed(pixels: np.ndarray, windows: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """Faces, uint8 (N, 48, 48), three in a row, each with a window (top, left, bottom, right) framed: RGB uint8."""
    rows = -(-len(pixels) // _ACROSS)
    side = pixels.shape[-1] * _SCALE
    picture = np.full((rows * side, _ACROSS * side, 3), 255, np.uint8)
    for number, (face, window) in enumerate(zip(pixels, windows, strict=True)):
        large = np.repeat(face[..., None].repeat(_SCALE, 0).repeat(_SCALE, 1), 3, -1)
        top, left, bottom, right = (_SCALE * edge for edge in window)
        if (window[2] - window[0], window[3] - window[1]) != pixels.shape[1:]:
            for band in (np.s_[top : top + 2, left:right], np.s_[bottom - 2 : bottom, left:right],
                         np.s_[top:bottom, left : left + 2], np.s_[top:bottom, right - 2 : right]):  # fmt: skip
                large[band] = FRAME
        down, across = number // _ACROSS * side, number % _ACROSS * side
        picture[down : down + side - 2, across : across + side - 2] = large[:-2, :-2]
    return picture
