"""A square of a picture -> a grey face of 48x48, each pixel the mean of the area that it covers.

There is no other resize of faces: training, measuring and predicting share it.
"""

import numpy as np

SIDE = 48  # a face of FER-2013 is SIDE x SIDE
LUMA_BITS = 15
LUMA = np.array([9798, 19235, 3735], np.int32)  # ITU-R 601's weights of red, green and blue, in 2 ** -LUMA_BITS


def crop_square(picture: np.ndarray, x: float, y: float, side: tuple[float, float]) -> np.ndarray:
    """Cuts the rectangle at (x, y) of ``side`` (width, height) out of a picture as grey uint8 (48, 48).

    picture: RGB uint8 (H, W, 3) or grey (H, W). Each pixel is the exact mean of the area that it covers (linear
    interpolation where that is below one pixel); outside the picture its edge is repeated. Greys are ITU-R 601 luma.

    Raises:
        ValueError: a side that is not positive and finite.
    """
    width, height = side
    if not (0 < width < np.inf and 0 < height < np.inf):
        raise ValueError(f"cannot crop {width} x {height} pixels; a positive side is needed")
    across, columns = _coverage(x, width, picture.shape[1])
    down, rows = _coverage(y, height, picture.shape[0])
    grey = to_grey(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    grey = grey[rows - rows[0]][:, columns - columns[0]].astype(np.float32)
    return np.rint(down @ grey @ across.T).astype(np.uint8)  # (48, P) @ (P, Q) @ (Q, 48)


def centred_square(picture: np.ndarray) -> tuple[float, float, float]:
    """x, y and side of the centred square of the shorter side: the whole picture taken as a face."""
    height, width = picture.shape[:2]
    side = float(min(height, width))
    return (width - side) / 2, (height - side) / 2, side


def whole_picture(picture: np.ndarray) -> np.ndarray:
    """The picture's centred square as a face: RGB uint8 (H, W, 3) -> uint8 (48, 48)."""
    if picture.shape[:2] == (SIDE, SIDE):
        return to_grey(picture)
    x, y, side = centred_square(picture)
    return crop_square(picture, x, y, (side, side))


def to_grey(picture: np.ndarray) -> np.ndarray:
    """RGB uint8 (H, W, 3) -> luma uint8 (H, W), rounded as OpenCV rounds; grey (H, W) as it is."""
    if picture.ndim == 2:
        return picture
    return ((picture.astype(np.int32) @ LUMA + (1 << (LUMA_BITS - 1))) >> LUMA_BITS).astype(np.uint8)


def _coverage(start: float, length: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of each of P pixels each of the 48 cells covers, (48, P), and the P pixels' places in 0..limit."""
    centres = start + (np.arange(SIDE) + 0.5) * length / SIDE
    half = max(length / SIDE, 1) / 2
    pixels = np.arange(int(np.floor(centres[0] - half)), int(np.ceil(centres[-1] + half)))
    low, high = (centres - half)[:, None], (centres + half)[:, None]
    shares = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None) / (2 * half)
    return shares.astype(np.float32), np.clip(pixels, 0, limit - 1)
