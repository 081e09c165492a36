"""The Saliency tab's markup: pictures with captions, scores beside those of model-independent baselines, curves.

All text is escaped here, for it goes into a page; see `predict/view.py` for why no template language is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import torch

from fer.app.saliency import method_menu
from fer.attribution import faithfulness
from fer.attribution.explanation import ComparedMap, Explanation, FaithfulnessScores
from fer.plotting import encode
from fer.plotting.maps import constant_map_message, image_row, overlay, signed_rgb, signed_scale

NO_FACE = '<div class="empty">Choose a face in the Predict tab.</div>'
MEASURING = '<p class="space">Measuring faithfulness ...</p>'
SPACE = '<div class="space"></div>'  # for what comes later, so that nothing below it jumps
HARDLY = 0.05  # a change of the probability below it is hardly one

SCORES = {
    "Perturbation correlation": "Between the map and the drop of the logit when squares of the face are blurred.",
    "1 − normalised infidelity": "How much of the change under perturbations the map predicts (Yeh et al. 2019).",
}


@dataclass(frozen=True)
class Drawing:
    """How maps are drawn: smoothed, without the photo beneath, all on one colour scale or each on its own."""

    smooth: bool = True
    hide_photo: bool = False
    shared_scale: bool = False

    def of(self, face: np.ndarray, values: np.ndarray, scale: float | None = None) -> np.ndarray:
        """A map (48, 48) over its face or alone: uint8 (48, 48, 3). scale: that of `scale`."""
        values = self._smoothed(values)
        return signed_rgb(values, scale) if self.hide_photo else overlay(face, values, scale)

    def scale(self, *maps: np.ndarray) -> float | None:
        """The scale of all of these maps, if they are to share one."""
        return signed_scale(*map(self._smoothed, maps)) if self.shared_scale and maps else None

    def _smoothed(self, values: np.ndarray) -> np.ndarray:
        # Of a constant map, rounding must not make a pattern.
        if not self.smooth or constant_map_message(values):
            return values
        return faithfulness.smooth(torch.from_numpy(values)[None, None])[0, 0].numpy()


# ---- the three pictures


def input_and_map(found: Explanation, drawing: Drawing) -> str:
    target = escape(found.target) + (f" against {escape(found.against)}" if found.against else "")
    face = figure(found.face, f"<b>Input</b>{escape(found.target)} {found.probabilities[0]:.0%}", "The face")
    legend = '<span class="key">lowers score<span class="legend"></span>raises score</span>'
    caption = f"<b>Saliency for {target}</b>{constant_map_message(found.map) or legend}"
    return figures("two", face, figure(drawing.of(found.face, found.map), caption, f"Saliency map for {found.target}"))


def masked_input(found: Explanation, pixels: np.ndarray, chance: float, share: float) -> str:
    """The masked face, uint8 (48, 48), and its prediction."""
    caption = f"<b>Masked input (top {share:.0%})</b>{escape(found.target)} {chance:.0%}"
    return figures("one", figure(pixels, caption, f"The top {share:.0%} of the face, the rest blurred"))


def progress(face: np.ndarray, method: str, done: int, total: int) -> str:
    """The face, and how far its map is."""
    return figures(
        "two", figure(face, "<b>Input</b>", "The face"), f"<figure>{_progress(method, done, total)}</figure>"
    )


def without_map(face: np.ndarray) -> str:
    tile = '<figure><div class="tile">No map.</div></figure>'
    return figures("two", figure(face, "<b>Input</b>", "The face"), tile)


def _progress(title: str, done: int, total: int) -> str:
    """A tile with a progress bar and a button that stops it."""
    share = f"{min(done / total, 1):.0%}"
    bar = (
        f'<span class="bar own" role="progressbar" aria-label="{escape(title)}" aria-valuenow="{share.rstrip("%")}">'
        f'<i style="left:0;width:{share}"></i></span>'
    )
    return f'<div class="tile">{escape(title)}{bar}<button type="button" data-choice="0">Stop</button></div>'


def png(found: Explanation, pixels: np.ndarray, drawing: Drawing) -> str:
    """The face, its map and the masked face, uint8 (48, 48), as one PNG for a page: 888x288."""
    row = image_row([found.face, drawing.of(found.face, found.map), pixels], scale=6)
    return encode.data_url(row, lossless=True)


# ---- faithfulness


def scores(found: FaithfulnessScores, rank: str, above: bool | None) -> str:
    """How the method ranks over many faces, as a badge; this face's scores as bars, with the baselines as ticks."""
    kind, verdict = {
        True: (" good", "above the baselines"),
        False: ("", "not above the baselines"),
        None: (" unknown", "not benchmarked"),
    }[above]  # fmt: skip
    rows = []
    for place, (name, score) in enumerate(
        zip(SCORES, (found.faithfulness_correlation, found.infidelity_score), strict=True)
    ):
        ticks = [pair[place] for pair in found.controls.values()]
        rows.append(bar(name, score, True, ticks, signed=not place))
        others = ", ".join(f"{method_menu.name(other)} {pair[place]:+.2f}" for other, pair in found.controls.items())
        rows.append(f'<span class="note">{SCORES[name]} Ticks: {others}.</span>')
    return (
        f'<p><span class="badge{kind}">Method: {verdict}</span></p><p>{escape(rank)}</p>'
        f'<p><b>This face</b></p><div class="scores">{"".join(rows)}</div>'
    )


def curves(target: str, deletion: list[float], insertion: list[float]) -> str:
    """The target's probability while the map's highest pixels are deleted and inserted: two lines, axes and AUC."""
    areas = [float(np.trapezoid(heights, dx=1 / (len(heights) - 1))) for heights in (deletion, insertion)]
    quarter = deletion[0] - min(deletion[: len(deletion) // 4 + 1])
    note = ""
    if abs(quarter) < HARDLY:
        note = (
            f"<p>Deleting the top 25 % changes the probability by only {100 * quarter:.0f} points: the prediction is "
            "saturated, so scores on this face mean little.</p>"
        )
    label = f"Probability of {escape(target)} against the share of pixels deleted or inserted"
    legend = (
        f'<line class="deletion" x1="34" y1="14" x2="58" y2="14" stroke-width="2"/><text x="64" y="18">deletion, AUC '
        f'{areas[0]:.2f}</text><line class="insertion" x1="190" y1="14" x2="214" y2="14" stroke-width="2"/>'
        f'<text x="220" y="18">insertion, AUC {areas[1]:.2f}</text>'
    )
    axes = (
        '<rect x="48" y="26" width="280" height="140"/><text x="48" y="182">0 %</text>'
        '<text x="328" y="182" text-anchor="end">100 %</text><text x="188" y="196" text-anchor="middle">share of pixels'
        '</text><text x="42" y="34" text-anchor="end">1</text><text x="42" y="168" text-anchor="end">0</text>'
        '<text x="14" y="96" text-anchor="middle" transform="rotate(-90 14 96)">probability</text>'
    )
    lines = _polyline("deletion", deletion) + _polyline("insertion", insertion)
    chart = f'<svg class="chart" viewBox="0 0 340 202" role="img" aria-label="{label}">{axes}{lines}{legend}</svg>'
    title = f"<b>Deletion and insertion curves</b> for {escape(target)}; lower and higher AUC are better."
    return f"{note}<p>{title}</p>{chart}"


def _polyline(name: str, heights: list[float]) -> str:
    points = " ".join(
        f"{48 + 280 * n / (len(heights) - 1):.1f},{166 - 140 * height:.1f}" for n, height in enumerate(heights)
    )
    return f'<polyline class="{name}" points="{points}"/>'


# ---- maps compared


def compared_maps(face: np.ndarray, found: Sequence[ComparedMap], which: str, drawing: Drawing) -> str:
    """Maps over one face, each with its name and score: of `methods`, the best first, or of `classes`."""
    methods, scale = which == "methods", drawing.scale(*(one.map for one in found))
    ordered = sorted(found, key=lambda one: -one.score) if methods else found
    return figures("all", *(_compared(face, one, methods, drawing, scale) for one in ordered))


def _compared(face: np.ndarray, one: ComparedMap, methods: bool, drawing: Drawing, scale: float | None) -> str:
    name = method_menu.name(one.name) if methods else one.name
    score = f"{one.score:+.2f}" if methods else f"{one.score:.0%}"
    caption = " ".join(filter(None, [score, constant_map_message(one.map)]))
    return figure(drawing.of(face, one.map, scale), f"<b>{escape(name)}</b>{caption}", f"The map of {name}")


def unfinished(grid: str, title: str, done: int, total: int) -> str:
    """The same while another map is being computed."""
    tile = f"<figure>{_progress(title, done, total)}</figure>"
    return grid.removesuffix("</div>") + tile + "</div>" if grid else figures("all", tile)


def randomised(found: Explanation, values: np.ndarray, rank: float, which: str, drawing: Drawing) -> str:
    """The map of the model with its last layer or all re-initialised, and its rank correlation with the map before."""
    layers = "Last layer" if which == "last" else "All layers"
    failed = rank > faithfulness.INSENSITIVE_CORRELATION
    verdict = "fails parameter randomisation" if failed else "depends on the parameters"
    badge = f'<p><span class="badge{"" if failed else " good"}">{verdict}</span></p>'
    scale = drawing.scale(found.map)
    before = figure(drawing.of(found.face, found.map), "<b>As trained</b>", "The map of the trained model")
    caption = f"<b>{layers} re-initialised</b>rank correlation {rank:.2f}"
    after = figure(drawing.of(found.face, values, scale), caption, "The map after re-initialisation")
    return badge + figures("all", before, after)


# ---- parts


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
