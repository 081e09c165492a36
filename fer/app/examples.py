"""The example faces: averages of many faces of one expression, which show no real person.

The happy one is the current face of whoever has not chosen another, so that every tab works at once.
"""

import functools
from pathlib import Path

import numpy as np

from fer.app import model_cache
from fer.app.errors import user_error
from fer.data.image_io import open_image
from fer.faces import framing

FOLDER = Path(__file__).parent.parent / "data" / "assets" / "examples"
DEFAULT = "happy"


def example_files() -> list[Path]:
    return sorted(FOLDER.glob("*.png"))


def example_face(name: str = DEFAULT) -> np.ndarray:
    """An example as a model sees it, uint8 (48, 48). Raises gr.Error for any name but theirs."""
    faces = _faces()
    if name not in faces:
        raise user_error(f"There is no example {str(name)[:40]!r}. Choose one of: {', '.join(faces)}.")
    return faces[name]


def example_name(face: np.ndarray) -> str | None:
    """The name of the example that a face, uint8 (48, 48), is; None for any other face."""
    return next((name for name, known in _faces().items() if np.array_equal(known, face)), None)


@functools.lru_cache(maxsize=1)
def _faces() -> dict[str, np.ndarray]:
    return {file.stem: find_face(open_image(file)) for file in example_files()}


def find_face(picture: np.ndarray, whole_picture: bool = True) -> np.ndarray | None:
    """The largest face of RGB uint8 (H, W, 3) as a model sees it, uint8 (48, 48).

    whole_picture: without a detected face, the picture's centred square is used; else None.
    """
    detector = model_cache.load_detector()
    if boxes := detector(picture):
        return framing.crop(picture, framing.frame(boxes[0], detector.name))
    return framing.crop(picture, framing.centre_square(picture)) if whole_picture else None
