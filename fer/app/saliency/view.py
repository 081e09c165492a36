"""The Saliency tab's own markup: pictures with captions, and a map's score beside those of the controls.

All text is escaped here, for it goes into a page; see `markup` for why no template language is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import torch

from fer.attribution import faithfulness
from fer.attribution.explanation import ComparedMap, Explanation, FaithfulnessScores
from fer.plotting import encode
from fer.plotting.maps import constant_map_message, image_row, overlay, signed_rgb, signed_scale

CSS = """
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--tile, 120px), 1fr)); gap: 12px; }
.figures.two { grid-template-columns: 1fr 1fr; }
.figures.two figure, .figures.one figure { max-width: none; }
.figures.one { grid-template-columns: 1fr; }
figure { margin: 0; max-width: 220px; min-width: 0; }
figure img, .tile { display: block; width: 100%; aspect-ratio: 1; margin: 0; image-rendering: pixelated;
  border-radius: var(--radius-md); }
.tile { display: flex; flex-direction: column; gap: 10px; align-items: center; justify-content: center; padding: 8px;
  box-sizing: border-box; text-align: center; font-size: var(--text-sm); color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); overflow: hidden; }
.tile .bar { width: 80%; }
.tile button { padding: 2px 14px; cursor: pointer; color: var(--button-secondary-text-color);
  background: var(--button-secondary-background-fill); border-radius: var(--radius-md); }
figcaption, p { font-size: var(--text-sm); line-height: 1.4; color: var(--body-text-color); }
figcaption { margin-top: 6px; }
figcaption a { color: var(--link-text-color); text-decoration: underline; white-space: nowrap; }
figcaption b { display: block; font-weight: 600; }
p { margin: 0 0 8px; }
.figures + p { margin-top: 16px; }
.empty { padding: 32px 24px; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius); }
.scores { display: grid; grid-template-columns: max-content 1fr max-content; gap: 8px 10px; align-items: center;
  margin: 8px 0; font-size: var(--text-sm); color: var(--body-text-color); font-variant-numeric: tabular-nums; }
.bar { position: relative; height: 10px; border-radius: 5px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 5px; background: var(--neutral-400); }
.bar.own i { background: var(--primary-500); }
.bar u { position: absolute; top: -5px; bottom: -5px; width: 2px; margin-left: -1px; border-radius: 1px;
  background: var(--body-text-color-subdued); }
.bar.signed::after { content: ""; position: absolute; left: 50%; top: -3px; bottom: -3px; width: 1px;
  background: var(--border-color-primary); }
.badge { display: inline-block; padding: 2px 10px; border-radius: 12px; font-size: var(--text-sm); color: #fff;
  background: #b91c1c; }
.badge.good { background: #15803d; }
.space { min-height: 170px; }
.quiet { color: var(--body-text-color-subdued); }
.key { display: flex; gap: 4px; align-items: center; max-width: 170px; }
.legend { flex: 1 1 16px; height: 8px; border-radius: 4px;
  background: linear-gradient(90deg, #053061, #4393c3, #f7f7f7, #d6604d, #67001f); }
.face { position: relative; max-width: 220px; }
.face svg { position: absolute; inset: 0; height: 100%; }
.face rect { stroke: #fbbf24; stroke-width: 1.5; }
.beside { display: grid; grid-template-columns: minmax(120px, 220px) 1fr; gap: 16px; align-items: start;
  margin-bottom: 16px; }
@media (max-width: 480px) { .beside { grid-template-columns: 1fr; } }
svg { display: block; width: 100%; height: 130px; overflow: visible; }
polyline { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
.comes { stroke: var(--rising); color: var(--rising); }
.goes { stroke: var(--falling); color: var(--falling); }
rect { fill: none; stroke: var(--border-color-primary); vector-effect: non-scaling-stroke; }
"""

NO_FACE = '<div class="empty">Choose a face in the Predict tab; its map appears here.</div>'
MEASURING = '<p class="quiet space">Measuring how far this map can be trusted ...</p>'
SPACE = '<div class="space"></div>'  # for what comes later, so that nothing below it jumps

SCORES = {
    "region correlation": "When a square of the face is blurred, does the answer fall as much as the map says?",
    "fidelity": "How much of what soft changes do to the answer does the map foretell?",
}


@dataclass(frozen=True)
class Drawing:
    """How maps are drawn: without their grain, alone or over the face, all on one scale or each on its own."""

    smooth: bool = True
    alone: bool = False
    common: bool = False

    def of(self, face: np.ndarray, values: np.ndarray, scale: float | None = None) -> np.ndarray:
        """A map (48, 48), with or without its face: uint8 (48, 48, 3). scale: the one of `scale`."""
        values = self._smoothed(values)
        return signed_rgb(values, scale) if self.alone else overlay(face, values, scale)

    def scale(self, *maps: np.ndarray) -> float | None:
        """The scale of all of these maps, if they are to share one."""
        return signed_scale(*map(self._smoothed, maps)) if self.common and maps else None

    def _smoothed(self, values: np.ndarray) -> np.ndarray:
        # Of a map that says nothing, rounding must not make a pattern.
        if not self.smooth or constant_map_message(values):
            return values
        return faithfulness.smooth(torch.from_numpy(values)[None, None])[0, 0].numpy()


def explained(reason: Explanation, drawing: Drawing) -> str:
    """The face and its map, and what they show."""
    question = f"Why {escape(reason.target)}" + (f" and not {escape(reason.against)}" if reason.against else "") + "?"
    colours = '<span class="key">against<span class="legend"></span>for</span>'
    face = figure(reason.face, f"The face: {escape(reason.target)} {reason.probabilities[0]:.0%}", "The face")
    said = constant_map_message(reason.map) or colours
    return figures("two", face, figure(drawing.of(reason.face, reason.map), f"{question} {said}", "Its map"))


def waiting(face: np.ndarray, method: str, read: int, of: int) -> str:
    """The face, and how far its map is."""
    tile = (
        f'<figure>{_progress(method, read, of)}<figcaption class="quiet">This one takes its time.</figcaption></figure>'
    )
    return figures("two", figure(face, "The face", "The face"), tile)


def stopped(face: np.ndarray) -> str:
    """The face without a map."""
    return figures("two", figure(face, "The face", "The face"), '<figure><div class="tile">No map.</div></figure>')


def _progress(what: str, read: int, of: int) -> str:
    """A tile that says how far it is, with a button that stops it."""
    share = f"{min(read / of, 1):.0%}"
    done = f'<i style="left:0;width:{share}"></i>'
    bar = f'<span class="bar own" role="progressbar" aria-valuenow="{share.rstrip("%")}">{done}</span>'
    return f'<div class="tile">{escape(what)}{bar}<button type="button" data-choice="0">Stop</button></div>'


def left(reason: Explanation, pixels: np.ndarray, chance: float, keep: float) -> str:
    """The masked face, uint8 (48, 48), and what the network says of it."""
    caption = f"Its highest {keep:.0%} alone: {escape(reason.target)} {chance:.0%}"
    return figures("one", figure(pixels, caption, "The masked face"))


def png(reason: Explanation, pixels: np.ndarray, drawing: Drawing) -> str:
    """The face, its map and the masked face, uint8 (48, 48), as one PNG for a page: 888x288."""
    row = image_row([reason.face, drawing.of(reason.face, reason.map), pixels], scale=6)
    return encode.data_url(row, lossless=True)


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


def side_by_side(face: np.ndarray, found: Sequence[ComparedMap], which: str, drawing: Drawing) -> str:
    """Maps over one face, each with its name and score: of `methods`, the best first, or of `emotions`."""
    methods, scale = which == "methods", drawing.scale(*(one.map for one in found))
    ordered = sorted(found, key=lambda one: -one.score) if methods else found
    captions = [f"{one.score:+.2f}" if methods else f"{one.score:.0%}" for one in ordered]
    captions = [
        " ".join(filter(None, [text, constant_map_message(one.map)]))
        for text, one in zip(captions, ordered, strict=True)
    ]
    return figures(
        "all",
        *(
            figure(drawing.of(face, one.map, scale), f"<b>{escape(one.name)}</b>{caption}", f"The map of {one.name}")
            for one, caption in zip(ordered, captions, strict=True)
        ),
    )


def unfinished(grid: str, what: str, read: int, of: int) -> str:
    """The same while another map is being made."""
    tile = f"<figure>{_progress(what, read, of)}</figure>"
    return grid.removesuffix("</div>") + tile + "</div>" if grid else figures("all", tile)


def trust(scores: FaithfulnessScores) -> str:
    """Both scores as bars, those of maps that know nothing of the network as ticks, and what follows."""
    words = "better than" if scores.beats_controls() else "no better than"
    badge = (
        f'<span class="badge{" good" * scores.beats_controls()}">{words} maps that know nothing of the network</span>'
    )
    rows = []
    for place, (name, score) in enumerate(
        zip(SCORES, (scores.faithfulness_correlation, scores.infidelity_score), strict=True)
    ):
        rows.append(bar(name, score, True, [pair[place] for pair in scores.controls.values()], signed=not place))
        others = ", ".join(f"{other} {pair[place]:+.2f}" for other, pair in scores.controls.items())
        rows.append(f'<span class="quiet" style="grid-column: 1 / -1">{SCORES[name]} Ticks: {others}.</span>')
    return f'<p>How far to trust it: {badge}</p><div class="scores">{"".join(rows)}</div>'


def forgot(reason: Explanation, values: np.ndarray, rank: float, which: str, drawing: Drawing) -> str:
    """The map of a network that forgot its last layer or all, and how much it is like the trained network's."""
    layers = "its last layer" if which == "last" else "all its layers"
    caption = f"The same with {layers} drawn anew: rank correlation {rank:.2f}"
    badge = '<p><span class="badge">does not depend on what the network learnt</span></p>'
    scale = drawing.scale(reason.map)
    before = figure(drawing.of(reason.face, reason.map), "As trained", "The map before forgetting")
    after = figure(drawing.of(reason.face, values, scale), caption, "The map after forgetting")
    return (badge if rank > faithfulness.INSENSITIVE_CORRELATION else "") + figures("all", before, after)


def bar(
    name: str, score: float, own: bool = False, ticks: Sequence[float] = (), signed: bool = True, most: float = 1.0
) -> str:
    """A row of `.scores`: a name, already escaped, and a score up to `most`: a bar from the left, or the middle."""

    def place(value: float) -> float:
        return (50 + 50 * value / most) if signed else 100 * value / most

    start, end = sorted((place(0), place(score)))
    kind = "bar" + " own" * own + " signed" * signed
    marks = "".join(f'<u style="left:{place(tick):.1f}%"></u>' for tick in ticks)
    drawn = f'<span class="{kind}"><i style="left:{start:.1f}%;width:{end - start:.1f}%"></i>{marks}</span>'
    return f"<span>{name}</span>{drawn}<span>{f'{score:+.2f}' if signed else f'{score:.2f}'}</span>"


def figures(kind: str, *parts: str) -> str:
    """Figures in a grid: `one`, `two` or `all` as many as fit."""
    return f'<div class="figures {kind}">{"".join(parts)}</div>'


def figure(pixels: np.ndarray, caption: str, alt: str) -> str:
    """A small picture, each pixel to be seen, over its caption, which is markup already."""
    picture = f'<img src="{encode.data_url(pixels, lossless=True)}" alt="{escape(alt)}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
