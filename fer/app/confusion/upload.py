"""A visitor's own labelled faces: a zip, or a folder that the browser makes one of.

The upload is deleted as soon as it is read, and nothing of it is unpacked to disk; the 48x48 faces stay in the
visitor's session.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

import numpy as np
from torch import Tensor

from fer.app.errors import user_error
from fer.app.model_cache import load_any, load_detector
from fer.app.uploads import picture_file
from fer.data import zip_dataset
from fer.data.crop import whole_picture
from fer.data.image_folder import LabelledFaces
from fer.data.image_io import ImageError
from fer.data.zip_dataset import OwnFacesError
from fer.evaluation import predictions
from fer.faces.framing import crop, frame

HELP = (
    f"A .zip or a folder with one sub-folder per class, as in `happy/1.jpg`; at most {zip_dataset.MOST_FACES:,} images "
    "and 16 MB. Images are read in memory and the upload is deleted at once."
)
_predicted: weakref.WeakKeyDictionary[LabelledFaces, dict[tuple[Path, str], Tensor]] = weakref.WeakKeyDictionary()


def predict_uploaded(own: LabelledFaces, weights: Path, name: str) -> Tensor:
    """The logits (N, K) of the model or ensemble `name` on these faces, computed once while they are kept."""
    known = _predicted.setdefault(own, {})
    if (weights, name) not in known:
        known[weights, name] = predictions.predict_split(load_any(weights, name), own.pixels)
    return known[weights, name]


def read_upload(payload: dict | None, detect: bool) -> tuple[LabelledFaces, str]:
    """The faces of an uploaded zip, and markup about them. The upload is deleted, whatever comes of it.

    detect: the images are photographs, in each of which the largest face is found first.
    """
    with _errors_as_messages(), _deleted_afterwards(payload) as file:
        title = str(payload.get("orig_name") or file.name)[-60:]
        own = zip_dataset.read(file, title, crop_face if detect else whole_picture)
    return own, report(own)


def report(own: LabelledFaces) -> str:
    """What was read, and what was left out and why, as markup."""
    counts = ", ".join(f"{own.names.count(name)} {name}" for name in dict.fromkeys(own.names))
    text = f"<p><strong>{len(own.names):,} faces</strong> of {escape(own.title)}: {counts}.</p>"
    return text + f"<p>{escape(own.report.line().capitalize())}.</p>"


def crop_face(picture: np.ndarray) -> np.ndarray | None:
    """The largest face of a photograph, framed as FER-2013 frames its faces: uint8 (48, 48); None without one."""
    detector = load_detector()
    boxes = detector(picture)
    return crop(picture, frame(boxes[0], detector.name)) if boxes else None


@contextmanager
def _deleted_afterwards(payload: dict | None) -> Iterator[Path]:
    """The uploaded file, which is then removed with the folder that Gradio put it into."""
    file = picture_file(payload)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
        if not any(file.parent.iterdir()):
            file.parent.rmdir()


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise user_error("This upload is not, or no longer, on the server. Please choose it again.") from None
    except OwnFacesError as error:
        raise user_error(str(error)) from None
