"""The Saliency tab's own markup: pictures with captions, and a map's score beside those of the controls.

All text is escaped here, for it goes into a page; see `markup` for why no template language is used.
"""

from html import escape

import numpy as np
import torch

from fer import faithfulness, plots
from fer.reasons import Reason

CSS = """
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--tile, 120px), 1fr)); gap: 12px; }
.figures.two { grid-template-columns: 1fr 1fr; }
.figures.one { grid-template-columns: 1fr; }
figure { margin: 0; max-width: 220px; }
figure img { display: block; width: 100%; aspect-ratio: 1; margin: 0; image-rendering: pixelated;
  border-radius: var(--radius-md); }
figcaption, p { font-size: var(--text-sm); line-height: 1.4; color: var(--body-text-color); }
figcaption { margin-top: 6px; }
figcaption a { color: var(--link-text-color); text-decoration: underline; white-space: nowrap; }
figcaption b { display: block; font-weight: 600; }
p { margin: 0 0 8px; }
.empty { padding: 32px 24px; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius); }
.scores { display: grid; grid-template-columns: max-content 1fr max-content; gap: 6px 10px; align-items: center;
  font-size: var(--text-sm); color: var(--body-text-color); font-variant-numeric: tabular-nums; }
.bar { position: relative; height: 10px; border-radius: 5px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 5px; background: var(--neutral-400); }
.bar.own i { background: var(--primary-500); }
.bar::after { content: ""; position: absolute; left: 50%; top: -3px; bottom: -3px; width: 1px;
  background: var(--body-text-color-subdued); }
.badge { display: inline-block; padding: 2px 10px; border-radius: 999px; color: #fff; background: #b91c1c; }
svg { display: block; width: 100%; height: 130px; overflow: visible; }
polyline { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
.comes { stroke: var(--primary-500); color: var(--primary-500); }
.goes { stroke: #d97706; color: #d97706; }
rect { fill: none; stroke: var(--border-color-primary); vector-effect: non-scaling-stroke; }
"""

NO_FACE = '<div class="empty">Choose a face in the Predict tab; its map appears here.</div>'


def explained(reason: Reason, smooth: bool = True) -> str:
    """The face and its map over it, with its grain or without, and what they show."""
    question = f"Why {escape(reason.target)}" + (f" and not {escape(reason.against)}" if reason.against else "") + "?"
    said = plots.flatness(reason.map) or "Red speaks for it, blue against it."
    face = figure(reason.face, f"The face: {escape(reason.target)} {reason.chances[0]:.0%}", "The face")
    return figures("two", face, figure(drawn(reason.face, reason.map, smooth), f"{question} {said}", "Its map"))


def drawn(face: np.ndarray, values: np.ndarray, smooth: bool) -> np.ndarray:
    """A map (48, 48) over its face: uint8 (48, 48, 3)."""
    values = faithfulness.smoothed(torch.from_numpy(values)[None, None])[0, 0].numpy() if smooth else values
    return plots.overlay(face, values)


def left(reason: Reason, pixels: np.ndarray, chance: float, keep: float) -> str:
    """The masked face, uint8 (48, 48), what the network says of it, and all three pictures to take away."""
    caption = f"Only the highest {keep:.0%} kept: {escape(reason.target)} {chance:.0%}"
    row = plots.enlarged_row([reason.face, plots.overlay(reason.face, reason.map), pixels], scale=6)
    name = f"{reason.method}-{reason.target}.png"
    link = f'<a href="{plots.data_url(row, lossless=True)}" download="{escape(name)}">Download all three</a>'
    return figures("one", figure(pixels, f"{caption}. {link}", "The masked face"))


def curves(target: str, deletion: list[float], insertion: list[float]) -> str:
    """The target's probability while the map's highest pixels go and while they come, as two lines."""
    words = (
        f"{escape(target)}, while the map's highest pixels <span class='goes'>go</span> from the face and while they "
        "<span class='comes'>come</span>, from 0 % to 100 %. A good map falls early and rises early."
    )
    lines = _line("goes", deletion) + _line("comes", insertion)
    frame = '<rect width="100" height="100"/>'
    label = f"Probability of {escape(target)} as the map's highest pixels go, and as they come"
    return (
        f'<p>{words}</p><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{frame}{lines}</svg>"
    )


def _line(name: str, heights: list[float]) -> str:
    points = " ".join(f"{100 * n / (len(heights) - 1):.1f},{100 - 100 * y:.1f}" for n, y in enumerate(heights))
    return f'<polyline class="{name}" points="{points}"/>'


def side_by_side(face: np.ndarray, found: list[tuple[str, np.ndarray, float]], smooth: bool) -> str:
    """Every method's map over the face, the best region correlation first."""
    ordered = sorted(found, key=lambda one: -one[2])
    return figures(
        "all",
        *(
            figure(drawn(face, values, smooth), f"<b>{escape(name)}</b>{score:+.2f}", f"The map of {name}")
            for name, values, score in ordered
        ),
    )


def trust(reason: Reason) -> str:
    """The map's region correlation as a bar beside those of maps that know nothing of the network."""
    rows = [bar("this map", reason.correlation, own=True)]
    rows += [bar(escape(name), score) for name, score in reason.controls.items()]
    words = (
        "When a square of the face is blurred, does the answer fall as much as the map says? 1 is always, 0 is chance."
    )
    return f'<p>{words}</p><div class="scores">{"".join(rows)}</div>'


def forgot(reason: Reason, values: np.ndarray, rank: float, which: str) -> str:
    """The map of a network that forgot its last layer or all, and how much it is like the trained network's."""
    layers = "its last layer" if which == "last" else "all its layers"
    caption = f"The same with {layers} drawn anew: rank correlation {rank:.2f}"
    badge = '<p><span class="badge">does not depend on what the network learnt</span></p>'
    picture = figure(plots.overlay(reason.face, values), caption, "The map after forgetting")
    return (badge if rank > faithfulness.DEPENDENT else "") + figures("all", picture)


def bar(name: str, score: float, own: bool = False) -> str:
    """A row of `.scores`: a name, already escaped, and a correlation as a bar from the middle."""
    start, width = 50 + 50 * min(score, 0), 50 * abs(score)
    kind = "bar own" if own else "bar"
    drawn = f'<span class="{kind}"><i style="left:{start:.1f}%;width:{width:.1f}%"></i></span>'
    return f"<span>{name}</span>{drawn}<span>{score:+.2f}</span>"


def figures(kind: str, *parts: str) -> str:
    """Figures in a grid: `one`, `two` or `all` as many as fit."""
    return f'<div class="figures {kind}">{"".join(parts)}</div>'


def figure(pixels: np.ndarray, caption: str, alt: str) -> str:
    """A small picture, each pixel to be seen, over its caption, which is markup already."""
    picture = f'<img src="{plots.data_url(pixels, lossless=True)}" alt="{escape(alt)}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
