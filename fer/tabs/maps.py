"""The Saliency tab's own markup: pictures with captions, and a map's score beside those of the controls.

All text is escaped here, for it goes into a page; see `markup` for why no template language is used.
"""

from html import escape

import numpy as np

from fer import faithfulness, plots
from fer.reasons import Reason

CSS = """
.figures { display: flex; flex-wrap: wrap; gap: 12px; }
figure { margin: 0; flex: 1 1 130px; max-width: 170px; }
figure img { display: block; width: 100%; aspect-ratio: 1; margin: 0; image-rendering: pixelated;
  border-radius: var(--radius-md); }
figcaption { margin-top: 6px; font-size: var(--text-sm); line-height: 1.35; color: var(--body-text-color); }
.empty { padding: 32px 24px; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius); }
p { margin: 0 0 8px; font-size: var(--text-sm); line-height: 1.4; color: var(--body-text-color); }
.scores { display: grid; grid-template-columns: max-content 1fr max-content; gap: 6px 10px; align-items: center;
  font-size: var(--text-sm); color: var(--body-text-color); }
.bar { position: relative; height: 10px; border-radius: 5px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 5px; background: var(--neutral-400); }
.bar.own i { background: var(--primary-500); }
.bar::after { content: ""; position: absolute; left: 50%; top: -3px; bottom: -3px; width: 1px;
  background: var(--body-text-color-subdued); }
.badge { display: inline-block; padding: 2px 10px; border-radius: 999px; color: #fff; background: #b91c1c; }
"""

NO_FACE = '<div class="empty">Choose a face in the Predict tab; its map appears here.</div>'


def explained(reason: Reason) -> str:
    """The face and its map over it, with what they show."""
    question = f"Why {escape(reason.target)}" + (f" and not {escape(reason.against)}" if reason.against else "") + "?"
    said = plots.flatness(reason.map) or "Red speaks for it, blue against it."
    face = _figure(reason.face, f"The face: {escape(reason.target)} {reason.chances[0]:.0%}", "The face")
    return _figures(face, _figure(plots.overlay(reason.face, reason.map), f"{question} {said}", "Its map"))


def left(target: str, pixels: np.ndarray, chance: float, keep: float) -> str:
    """The masked face, uint8 (48, 48), and what the network says of it."""
    caption = f"Only the highest {keep:.0%} kept: {escape(target)} {chance:.0%}"
    return _figures(_figure(pixels, caption, "The masked face"))


def trust(reason: Reason) -> str:
    """The map's region correlation as a bar beside those of maps that know nothing of the network."""
    rows = [_row("this map", reason.correlation, " own")]
    rows += [_row(escape(name), score) for name, score in reason.controls.items()]
    words = (
        "When a square of the face is blurred, does the answer fall as much as the map says? 1 is always, 0 is chance."
    )
    return f'<p>{words}</p><div class="scores">{"".join(rows)}</div>'


def forgot(reason: Reason, values: np.ndarray, rank: float, which: str) -> str:
    """The map of a network that forgot its last layer or all, and how much it is like the trained network's."""
    layers = "its last layer" if which == "last" else "all its layers"
    caption = f"The same with {layers} drawn anew: rank correlation {rank:.2f}"
    badge = '<p><span class="badge">does not depend on what the network learnt</span></p>'
    picture = _figure(plots.overlay(reason.face, values), caption, "The map after forgetting")
    return (badge if rank > faithfulness.DEPENDENT else "") + _figures(picture)


def _row(name: str, score: float, own: str = "") -> str:
    start, width = 50 + 50 * min(score, 0), 50 * abs(score)
    bar = f'<span class="bar{own}"><i style="left:{start:.1f}%;width:{width:.1f}%"></i></span>'
    return f"<span>{name}</span>{bar}<span>{score:+.2f}</span>"


def _figures(*figures: str) -> str:
    return f'<div class="figures">{"".join(figures)}</div>'


def _figure(pixels: np.ndarray, caption: str, alt: str) -> str:
    picture = f'<img src="{plots.data_url(pixels, lossless=True)}" alt="{alt}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
