"""The Photo view's own markup: the picture with its faces, and the verdict on one of them.

Values reach the browser through `${value}` only, escaped here. Gradio's `{{value}}` is not safe: its result is run as
a JavaScript template, in which `${...}` is code, and Handlebars does not escape that.
"""

from collections.abc import Iterable
from html import escape

import numpy as np
from PIL import Image

from fer.inference.predictor import FacePrediction, ImagePrediction
from fer.plotting import encode

NO_PICTURE = {"value": "", "strip": "", "picture": "", "wide": 1, "high": 1}
NOTHING_YET = '<p class="empty">Upload a photograph or pick an example.</p>'
NO_FACE = (
    "<p>No face was found. Try a photograph in which the face is larger and turned to the camera, or skip face "
    "detection: the centre of the picture then counts as the face.</p>"
)


def refused(sentence: str) -> str:
    """Why there is no prediction."""
    return f'<p class="refused">{escape(sentence)}</p>'


# ---- the verdict


def verdict(prediction: ImagePrediction, chosen: int) -> dict[str, str]:
    """The properties of the verdict's component for one face of the picture."""
    if not prediction.faces:
        return {"value": NO_FACE, "details": ""}
    face, count = prediction.faces[chosen], len(prediction.faces)
    which = f' <span class="which">face {chosen + 1} of {count}</span>' if count > 1 else ""
    chip = ' <span class="low">low confidence</span>' if face.low_confidence else ""
    said = f"<p><strong>{escape(face.emotion.capitalize())}</strong> {face.confidence:.0%}{chip}{which}</p>"
    details = f"{label_set(face)}{bars(face)}{model_input(face)}"
    return {"value": said, "details": details}


def label_set(face: FacePrediction) -> str:
    """The prediction set and, where it is wide, why; nothing for a model without one."""
    labels = face.prediction_set
    if not labels:
        return ""
    if len(labels) == 1:
        return f'<p class="set">Prediction set: <b>{escape(labels[0])}</b> alone, which is right for 9 faces in 10.</p>'
    names = ", ".join(f"<b>{escape(label)}</b>" for label in labels)
    first, second = (f"{escape(label)} has {face.probabilities[label]:.0%}" for label in labels[:2])
    return (
        f'<p class="set">Prediction set: {names}. For 9 faces in 10 one of these is right. It holds '
        f"{len(labels)} labels because no single one stands out: {first}, {second}.</p>"
    )


def bars(face: FacePrediction) -> str:
    """The probability of every label, highest first."""
    ranked = sorted(face.probabilities.items(), key=lambda entry: -entry[1])
    rows = "".join(
        f'<li{_in_set(face, name)}><span>{escape(name)}</span><i style="--share: {share:.4f}"></i>'
        f"<output>{share:.0%}</output></li>"
        for name, share in ranked
    )
    return f'<ul class="bars" aria-label="Probabilities">{rows}</ul>'


def _in_set(face: FacePrediction, name: str) -> str:
    return ' class="in"' if name in (face.prediction_set or [face.emotion]) else ""


def model_input(face: FacePrediction) -> str:
    """The crop as the model gets it, enlarged without smoothing, and the way on to its explanation."""
    return (
        f'<div class="input"><figure><img src="{encode.data_url(face.crop)}" alt="The face as 48 by 48 grey pixels">'
        "<figcaption>Model input, 48×48</figcaption></figure>"
        '<button type="button" class="explain">Explain →</button></div>'
    )


# ---- the picture


def boxes(prediction: ImagePrediction, chosen: int) -> str:
    """The boxes over the picture. With several faces they are buttons, which the strip repeats for the keyboard."""
    return "".join(_box(face, index, prediction, index == chosen) for index, face in enumerate(prediction.faces))


def _box(face: FacePrediction, index: int, prediction: ImagePrediction, chosen: bool) -> str:
    several = len(prediction.faces) > 1
    left, top, right, bottom = _shares(face, prediction.size)
    label = caption(face, index, several)
    shown = label if right - left > 0.1 or chosen or not several else str(index + 1)
    place = f"left:{left:.2%};top:{top:.2%};width:{right - left:.2%};height:{bottom - top:.2%}"
    names = "box" + " chosen" * chosen + " top" * _near_the_top(top, prediction.size) + " right" * (left + right > 1.1)
    tag, more = ("button", f' type="button" tabindex="-1" data-choice="{index}"') if several else ("div", "")
    return f'<{tag}{more} class="{names}" style="{place}" title="{label}"><span>{shown}</span></{tag}>'


def _shares(face: FacePrediction, size: tuple[int, int]) -> tuple[float, ...]:
    """Left, top, right and bottom of the box inside the picture, as shares of its width and height."""
    (width, height), box = size, face.box
    edges = (box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height)
    return tuple(min(max(edge, 0), 1) for edge in edges)


def _near_the_top(top: float, size: tuple[int, int]) -> bool:
    """Whether a label over the box would stick out of the picture as it is drawn, 510 pixels wide at most."""
    width, height = size
    return top * min(510 * height / width, 420) < 14


def strip(prediction: ImagePrediction, chosen: int) -> str:
    """A button for every face where there are several, else nothing."""
    if len(prediction.faces) < 2:
        return ""
    labels = [f"{index + 1} {escape(face.emotion)}" for index, face in enumerate(prediction.faces)]
    return _strip("Choose a face", [face.crop for face in prediction.faces], labels, chosen)


def examples(pictures: dict[str, np.ndarray]) -> str:
    """A button for every example picture, by name."""
    thumbnails = [Image.fromarray(pixels).resize((96, 96)) for pixels in pictures.values()]
    buttons = _strip("Examples", [np.asarray(thumbnail) for thumbnail in thumbnails], map(escape, pictures))
    return f"<p>Examples (averaged, no real person)</p>{buttons}" if pictures else ""


def _strip(title: str, pictures: Iterable[np.ndarray], labels: Iterable[str], chosen: int | None = None) -> str:
    """Buttons with a picture and a label each; which of them is pressed, where that can be said."""
    pressed = 'aria-pressed="{}"'.format if chosen is not None else (lambda _: "")
    buttons = (
        f'<button type="button" data-choice="{index}" {pressed(str(index == chosen).lower())}>'
        f'<img src="{encode.data_url(picture)}" alt="">{label}</button>'
        for index, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    )
    return f'<div class="strip" role="group" aria-label="{title}">{"".join(buttons)}</div>'


def caption(face: FacePrediction, index: int, numbered: bool) -> str:
    """`2 happy 82%`."""
    return f"{index + 1} " * numbered + f"{escape(face.emotion)} {face.confidence:.0%}"
