"""Arrays -> figures and pictures. A figure is a `matplotlib.figure.Figure`, never pyplot: threads share its state."""

import base64
import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

INK = "#7c8594"  # a grey that is read on white and on black, as pictures cannot follow the page's theme


def data_url(pixels: np.ndarray, longest: int = 1280) -> str:
    """A picture that a page can show without a file: grey (H, W) losslessly as PNG, RGB (H, W, 3) as JPEG; uint8.

    What is larger than `longest` pixels on a side is shrunk to it, in its proportions.
    """
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((longest, longest))
    picture.save(stream, "PNG") if pixels.ndim == 2 else picture.save(stream, "JPEG", quality=88)
    kind = "png" if pixels.ndim == 2 else "jpeg"
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
        _inked(axes)
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
    _inked(axes)
    return figure


def _inked(axes: Axes) -> None:
    """Legend, ticks and labels in the grey that suits light and dark; no frame."""
    axes.legend(frameon=False, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
