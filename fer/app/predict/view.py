"""The Predict tab's own markup: a picture with its faces, a sentence about one of them, and what the network saw.

Values reach the browser through `${value}` only, escaped here. Gradio's `{{value}}` is not safe: its result is run as
a JavaScript template, in which `${...}` is code, and Handlebars does not escape that.
"""

from collections.abc import Iterable
from html import escape

import numpy as np
from PIL import Image

from fer.inference.predictor import FacePrediction, ImagePrediction
from fer.plotting import encode

VIEW = """<div role="status" id="answer">${sentence}</div>
${picture
  ? `<div class="picture" style="aspect-ratio: ${wide} / ${high}; --wide: ${wide / high}">
       <img src="${picture}" alt="The picture with its faces marked">${value}</div>${strip}`
  : '<div class="empty">The answer appears here.</div>'}"""

STRIP_CSS = """
.strip { display: flex; flex-wrap: wrap; justify-content: center; gap: 8px; margin-top: 12px; }
.strip button { display: flex; flex-direction: column; align-items: center; gap: 4px; padding: 6px; cursor: pointer;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-md); min-width: 64px;
  background: var(--block-background-fill); color: var(--body-text-color); font: 13px/1.2 var(--font); }
.strip button:hover { border-color: var(--primary-400); }
.strip button[aria-pressed="true"] { border-color: var(--primary-500); box-shadow: 0 0 0 1px var(--primary-500); }
.strip img { display: block; width: 48px; height: 48px; margin: 0; border-radius: 4px; }
button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 2px; }
"""

# Labels and boxes are elements laid over the picture, so they stay sharp however large it is, can be clicked and are
# read aloud. `--wide` lets a small picture grow and a tall one shrink to the same height.
VIEW_CSS = (
    STRIP_CSS
    + """
.empty { min-height: 320px; padding: 24px; display: grid; place-items: center; text-align: center;
  color: var(--body-text-color-subdued); border: 1px dashed var(--border-color-primary);
  border-radius: var(--block-radius); }
#answer p { margin: 0 0 12px; font-size: var(--text-lg); line-height: 1.4; color: var(--body-text-color); }
#answer strong { font-size: var(--text-xxl); font-weight: 600; margin-right: 4px; }
.picture { position: relative; width: min(100%, calc(var(--wide) * 420px)); margin: 0 auto; }
.picture > img { display: block; width: 100%; height: 100%; margin: 0; border-radius: var(--radius-md); }
.box { position: absolute; box-sizing: border-box; margin: 0; padding: 0; background: none; border-radius: 6px;
  border: 2px solid #fff; box-shadow: 0 0 0 1px #0008, inset 0 0 0 1px #0008; font: 600 13px/22px var(--font); }
button.box { cursor: pointer; }
.box span { position: absolute; left: -2px; bottom: 100%; margin-bottom: 3px; padding: 0 8px; border-radius: 5px;
  white-space: nowrap; color: #18181b; background: #fffffff2; box-shadow: 0 0 0 1px #0004; }
.box.right span { left: auto; right: -2px; }
.box.top span { bottom: auto; top: 0; margin: 3px; left: 0; }
.box.top.right span { left: auto; right: 0; }
.box.chosen { z-index: 1; border-color: var(--primary-500); }
.box.chosen span { color: #fff; background: var(--primary-600); }
.box:hover { z-index: 2; }
"""
)

EXAMPLES_CSS = (
    STRIP_CSS
    + """
p { margin: 0 0 8px; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
.strip { justify-content: flex-start; gap: 6px; margin: 0; }
.strip button { padding: 6px 4px; }
"""
)

PICTURE_CSS = "img { display: block; max-width: 100%; margin: 0 auto; }"

CROP_CSS = """
img { display: block; width: 192px; height: 192px; margin: 22px auto; image-rendering: pixelated;
  border-radius: var(--radius-md); }
"""


def boxes(reading: ImagePrediction, chosen: int) -> str:
    """The boxes over the picture. With several faces they are buttons, which the strip repeats for the keyboard."""
    return "".join(_box(face, index, reading, index == chosen) for index, face in enumerate(reading.faces))


def _box(face: FacePrediction, index: int, reading: ImagePrediction, chosen: bool) -> str:
    several = len(reading.faces) > 1
    left, top, right, bottom = _shares(face, reading.size)
    label = caption(face, index, several)
    shown = label if right - left > 0.1 or chosen or not several else str(index + 1)
    place = f"left:{left:.2%};top:{top:.2%};width:{right - left:.2%};height:{bottom - top:.2%}"
    names = "box" + " chosen" * chosen + " top" * _near_the_top(top, reading.size) + " right" * (left + right > 1.1)
    tag, more = ("button", f' type="button" tabindex="-1" data-choice="{index}"') if several else ("div", "")
    return f'<{tag}{more} class="{names}" style="{place}" title="{label}"><span>{shown}</span></{tag}>'


def _shares(face: FacePrediction, size: tuple[int, int]) -> tuple[float, ...]:
    """Left, top, right and bottom of the box inside the picture, as shares of its width and height."""
    (width, height), box = size, face.box
    edges = (box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height)
    return tuple(min(max(edge, 0), 1) for edge in edges)


def _near_the_top(top: float, size: tuple[int, int]) -> bool:
    """Whether a label over the box would stick out of the picture as it is drawn beside the inputs, 510 pixels wide."""
    width, height = size
    return top * min(510 * height / width, 420) < 14


def strip(reading: ImagePrediction, chosen: int) -> str:
    """A button for every face where there are several, else nothing."""
    if len(reading.faces) < 2:
        return ""
    labels = [caption(face, index, True) for index, face in enumerate(reading.faces)]
    return _strip("Choose a face", [face.crop for face in reading.faces], labels, chosen)


def examples(pictures: dict[str, np.ndarray]) -> str:
    """A button for every example picture, by name."""
    thumbnails = [Image.fromarray(pixels).resize((96, 96)) for pixels in pictures.values()]
    buttons = _strip("Examples", [np.asarray(thumbnail) for thumbnail in thumbnails], map(escape, pictures))
    return f"<p>Or start from an average of many faces, nobody's own:</p>{buttons}" if pictures else ""


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
    """`2 happy`, or `2 happy?` where the network is unsure."""
    return f"{index + 1} " * numbered + escape(face.emotion) + "?" * face.low_confidence


def answer(reading: ImagePrediction, chosen: int) -> str:
    """What the network says about the chosen face, as a sentence."""
    if not reading.faces:
        return (
            "<p>No face was found here. Try a picture in which the face is larger and turned to the camera, "
            "or take the whole picture as a face.</p>"
        )
    face, count = reading.faces[chosen], len(reading.faces)
    which = f"face {chosen + 1} of {count}" if count > 1 else ""
    ranked = sorted(face.probabilities.items(), key=lambda entry: -entry[1])
    if face.low_confidence:
        guesses = ", ".join(f"perhaps {escape(name)} ({share:.0%})" for name, share in ranked[:2])
        return f"<p><strong>Unsure</strong> {which + ': ' if which else ''}{guesses}</p>"
    name, share = ranked[0]
    return f"<p><strong>{escape(name.capitalize())}</strong> {share:.0%}{', ' + which if which else ''}</p>"


def seen(face: FacePrediction) -> str:
    """The crop as the network gets it, enlarged without smoothing."""
    return f'<img src="{encode.data_url(face.crop)}" alt="The face as 48 by 48 grey pixels">'
