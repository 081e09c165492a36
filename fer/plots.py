"""Arrays -> figures and pictures. A figure is a `matplotlib.figure.Figure`, never pyplot: threads share its state."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fer.writing import whole

INK = "#7c8594"  # a grey that is read on white and on black, as pictures cannot follow the page's theme

# Blue against, white nothing, red for: ColorBrewer's RdBu, which the colour-blind can tell apart too.
_SIGNED = np.array([(5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)], float)
_RUNS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's, for the colour-blind
GAP = 255  # grey of the gaps between tiles


def sheet(tiles: np.ndarray, columns: int, scale: int = 1, gap: int = 2, common: bool = False) -> np.ndarray:
    """Tiles (N, H, W) of floats, row by row in one grey picture, uint8.

    Each tile is stretched from its own darkest value to its own brightest, or all of them by `common` ones; an even
    one is mid-grey. Pixels are repeated `scale` times, never smoothed; `gap` white pixels lie around every tile.
    """
    count, height, width = tiles.shape
    grey = np.rint(255 * _stretched(tiles, common)).astype(np.uint8).repeat(scale, 1).repeat(scale, 2)
    columns = min(columns, count)
    rows = -(-count // columns)
    down, across = height * scale + gap, width * scale + gap
    picture = np.full((rows * down + gap, columns * across + gap), GAP, np.uint8)
    for number, tile in enumerate(grey):
        top, left = gap + number // columns * down, gap + number % columns * across
        picture[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return picture


def _stretched(tiles: np.ndarray, common: bool) -> np.ndarray:
    """Values in 0..1 from lowest to highest."""
    axes = None if common else (1, 2)
    low, high = tiles.min(axes, keepdims=True), tiles.max(axes, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.where(high > low, (tiles - low) / span, 0.5)


def save(pixels: np.ndarray, file: Path) -> None:
    """Writes a picture (H, W) or (H, W, 3), uint8, in the format of the file's ending. Raises ValueError or OSError."""
    with whole(file) as partial:
        Image.fromarray(pixels).save(partial)


def data_url(pixels: np.ndarray, longest: int = 1280, lossless: bool = False) -> str:
    """A picture that a page can show without a file: grey (H, W) losslessly as PNG, RGB (H, W, 3) as JPEG; uint8.

    What is larger than `longest` pixels on a side is shrunk to it, in its proportions. lossless: PNG for RGB as well,
    for pictures so small that every pixel counts.
    """
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((longest, longest))
    kind = "png" if pixels.ndim == 2 or lossless else "jpeg"
    picture.save(stream, kind, **({} if kind == "png" else {"quality": 88}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def figure_url(figure: Figure) -> str:
    """A figure as an SVG that a page can show without a file; its background is transparent."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", transparent=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode()}"


def curves(history: list[dict[str, float]]) -> Figure:
    """Loss and accuracy by epoch, on Training (augmented, with dropout) and on PublicTest, as the reports draw them."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, colour, label in ((what, INK, "Training"), (f"public_{what}", "#6366f1", "PublicTest")):
            axes.plot(epochs, [row[key] for row in history], color=colour, linewidth=1.5, label=label)
        axes.set(xlabel="epoch", ylabel=what)
        inked(axes)
    return figure


def climb(steps: Sequence[int], values: Sequence[float], best: float | None = None) -> Figure:
    """The curve of an ascent: its value at each of the steps; a dotted line at the best real face's, where known."""
    figure = Figure(figsize=(3.2, 2.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, values, color="#6366f1", linewidth=1.5, marker=".")
    if best is not None:
        axes.axhline(best, color=INK, linewidth=1.5, linestyle=":", label="best real face")
    axes.set(xlabel="step", ylabel="ascent value")
    inked(axes)
    return figure


def accuracies(histories: Mapping[str, list[dict[str, float]]]) -> Figure:
    """Accuracy by epoch of several runs: on Training (augmented, with dropout) at the left, on PublicTest at the right.

    A history has the keys epoch, accuracy and public_accuracy, as history.csv does.
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    panels = (("accuracy", "accuracy on Training"), ("public_accuracy", "accuracy on PublicTest"))
    for axes, (key, what) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        for number, (run, history) in enumerate(histories.items()):
            x, y = [row["epoch"] for row in history], [row[key] for row in history]
            axes.plot(x, y, color=_RUNS[number % len(_RUNS)], linewidth=1.5, label=run)
        axes.set(xlabel="epoch", ylabel=what)
        inked(axes)
    return figure


def bars(groups: Sequence[str], series: Mapping[str, Sequence[float | None]], what: str) -> Figure:
    """A group of bars for every name, with a bar a series; None leaves its place empty. ``what`` names the axis.

    Values are 0 or more, as shares are: the axis begins with 0 even where there is nothing else.
    """
    figure = Figure(figsize=(max(5.0, 1.1 * len(groups) + 1), 3.6), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
        heights = [np.nan if value is None else value for value in values]
        drawn = axes.bar(places, heights, 0.9 * width, color=_RUNS[number % len(_RUNS)], label=name)
        axes.bar_label(drawn, ["" if value is None else f"{value:.3f}" for value in values], fontsize=7, color=INK)
    axes.set_xticks(range(len(groups)), groups, rotation=25, ha="right", fontsize=8)
    axes.set(ylabel=what)
    axes.margins(y=0.3)  # room for the legend above the bars
    axes.set_ylim(bottom=0)
    inked(axes)
    return figure


def answers(values: np.ndarray, names: Sequence[str] | None = None) -> Figure:
    """The numbers (C,) that a dense layer puts out, as bars in the colours of signed maps, with their names if any."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = figure.subplots()
    colours = np.where(values > 0, "#d6604d", "#4393c3")
    axes.bar(range(len(values)), values, 0.8 if names else 1.0, color=colours)
    if names:
        axes.set_xticks(range(len(values)), names)
    axes.axhline(0, color=INK, linewidth=1)
    axes.set(xlabel="" if names else "neuron", ylabel="answer")
    inked(axes)
    return figure


def thinning(found: dict) -> Figure:
    """Accuracy against how many filters of a layer are kept, a line a way; what may be lost as a dotted line.

    found: what `thinning.measure` gives. The band is the 95 % interval of the first way.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, (way, curve) in enumerate(found["ways"].items()):
        kept, accuracy = ([row[key] for row in curve["rows"]] for key in ("kept", "accuracy"))
        axes.plot(kept, accuracy, color=_RUNS[number], linewidth=1.5, marker=".", label=way)
        if number == 0:
            low, high = zip(*(row["ci95"] for row in curve["rows"]), strict=True)
            axes.fill_between(kept, low, high, color=_RUNS[0], alpha=0.15, linewidth=0)
    axes.axhline(accuracy[0] - 0.005, color=INK, linewidth=1, linestyle=":", label="half a point less")
    axes.set_xscale("log", base=2)
    ticks = [2**power for power in range(found["filters"].bit_length())]
    axes.set_xticks(ticks, map(str, ticks))
    axes.set(xlabel=f"filters of {found['layer']} that are kept", ylabel="accuracy on PublicTest")
    inked(axes)
    return figure


def reliability(before: list[dict], after: list[dict]) -> Figure:
    """The reliability diagram: accuracy against confidence, before and after the temperature.

    Rows are those of `evaluation.reliability`; a point's area follows how many faces it stands for.
    """
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
    for rows, colour, label in ((before, INK, "as trained"), (after, "#6366f1", "after temperature")):
        x, y, n = ([row[key] for row in rows] for key in ("confidence", "accuracy", "n"))
        axes.plot(x, y, color=colour, linewidth=1.5, label=label)
        axes.scatter(x, y, np.sqrt(n) * 1.5, color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that is right")
    inked(axes)
    return figure


def inked(axes: Axes) -> None:
    """Legend, ticks and labels in the grey that suits light and dark; no frame."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


# ------------------------------------------------------------------------------------------------ signed maps


def scale_of(*maps: np.ndarray) -> float:
    """The size at which signed maps (H, W) reach full colour: the 99.5th percentile of all of their sizes together.

    A few pixels above it would leave the rest pale; where fewer than one in 200 is not 0, it is the largest.
    """
    sizes = np.abs(np.concatenate([np.ravel(values) for values in maps]))
    return float(np.percentile(sizes, 99.5) or sizes.max())


def signed_colours(values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """A signed map (H, W) in blue (against), white (0) and red (for): uint8 (H, W, 3).

    scale: where colours are full, for maps that are to be compared (see `scale_of`); by default the map's own. A map
    of zeros is white all over, and any other constant one is full blue or red: nothing is stretched into a pattern.
    """
    places = _shares(values, scale) * 2 + 2  # 0..4 along the colours
    colours = [np.interp(places, range(5), channel) for channel in _SIGNED.T]
    return np.stack(colours, -1).round().astype(np.uint8)


def overlay(face: np.ndarray, values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """The signed map (H, W) over its face, uint8 (H, W): uint8 (H, W, 3), the face itself where the map is 0."""
    strength = 0.75 * np.abs(_shares(values, scale))[..., None] ** 0.5  # the root lets weak parts be seen at all
    full = signed_colours(np.sign(values), 1.0)
    return (face[..., None] * (1 - strength) + full * strength).round().astype(np.uint8)


def flatness(values: np.ndarray) -> str | None:
    """What to say of a map (H, W) that shows nothing: a sentence where it is 0, or the same, everywhere; else None."""
    if not values.any():
        return "The map is 0 everywhere."
    return f"The map is {values.flat[0]:.3g} everywhere." if (values == values.flat[0]).all() else None


def _shares(values: np.ndarray, scale: float | None) -> np.ndarray:
    """The map's values as shares of the scale, -1..1."""
    scale = scale_of(values) if scale is None else scale
    return np.clip(values / scale, -1, 1) if scale > 0 else np.zeros(values.shape)


def enlarged_row(pictures: Sequence[np.ndarray], scale: int, gap: int = 2) -> np.ndarray:
    """Pictures of one size, grey (H, W) or RGB (H, W, 3) uint8, side by side in white: uint8 (H', W', 3).

    Pixels are repeated `scale` times, never smoothed; `gap` pixels of the pictures lie between two of them.
    """
    coloured = [picture if picture.ndim == 3 else np.stack([picture] * 3, -1) for picture in pictures]
    white = np.full((coloured[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for picture in coloured for part in (white, picture)][1:]
    return np.concatenate(parts, 1).repeat(scale, 0).repeat(scale, 1)


def titled(pictures: Mapping[str, np.ndarray], columns: int = 3) -> Figure:
    """Small pictures, grey (H, W) or RGB (H, W, 3) uint8, in rows, with their titles, enlarged unsmoothed."""
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.9 * rows), layout="constrained")
    for number, (title, pixels) in enumerate(pictures.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    return figure
