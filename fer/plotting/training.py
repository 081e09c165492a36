from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from fer.plotting.style import PALETTE, TEXT_COLOUR, style_axes


def training_curves(history: list[dict[str, float]], stages: Sequence[int] = ()) -> Figure:
    """Loss and accuracy by epoch, on Training (augmented, with dropout) and on validation, as the reports draw them.

    stages: the epochs after which another training stage began; a dotted line marks each.
    """
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, colour, label in ((what, TEXT_COLOUR, "Training"), (f"public_{what}", "#6366f1", "Validation")):
            dash = "--" if label == "Validation" else "-"
            axes.plot(epochs, [row[key] for row in history], dash, color=colour, linewidth=1.5, label=label)
        for number, epoch in enumerate(stages):
            label = "next training stage" if number == 0 else None
            axes.axvline(epoch + 0.5, color=TEXT_COLOUR, linewidth=1, linestyle=":", label=label)
        axes.set(xlabel="epoch", ylabel=what)
        style_axes(axes)
    return figure


def activation_curve(steps: Sequence[int], values: Sequence[float], best: float | None = None) -> Figure:
    """The curve of an ascent: its value at each of the steps; a dotted line at the best real face's, where known."""
    figure = Figure(figsize=(3.2, 2.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, values, color="#6366f1", linewidth=1.5, marker=".")
    if best is not None:
        axes.axhline(best, color=TEXT_COLOUR, linewidth=1.5, linestyle=":", label="max on test set")
    axes.set(xlabel="step", ylabel="activation")
    style_axes(axes)
    return figure


def accuracy_curves(histories: Mapping[str, list[dict[str, float]]]) -> Figure:
    """Accuracy by epoch of several runs: on Training (augmented, with dropout) at the left, on PublicTest at the right.

    A history has the keys epoch, accuracy and public_accuracy, as history.csv does.
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    panels = (("accuracy", "accuracy on Training"), ("public_accuracy", "accuracy on PublicTest"))
    for axes, (key, what) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        for number, (run, history) in enumerate(histories.items()):
            x, y = [row["epoch"] for row in history], [row[key] for row in history]
            axes.plot(x, y, color=PALETTE[number % len(PALETTE)], linewidth=1.5, label=run)
        axes.set(xlabel="epoch", ylabel=what)
        style_axes(axes)
    return figure


def grouped_bars(groups: Sequence[str], series: Mapping[str, Sequence[float | None]], what: str) -> Figure:
    """A group of bars for every name, with a bar a series; None leaves its place empty. ``what`` names the axis.

    Values are 0 or more, as shares are: the axis begins with 0 even where there is nothing else.
    """
    figure = Figure(figsize=(max(5.0, 1.1 * len(groups) + 1), 3.6), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
        heights = [np.nan if value is None else value for value in values]
        drawn = axes.bar(places, heights, 0.9 * width, color=PALETTE[number % len(PALETTE)], label=name)
        axes.bar_label(
            drawn, ["" if value is None else f"{value:.3f}" for value in values], fontsize=7, color=TEXT_COLOUR
        )
    axes.set_xticks(range(len(groups)), groups, rotation=25, ha="right", fontsize=8)
    axes.set(ylabel=what)
    axes.margins(y=0.3)  # room for the legend above the bars
    axes.set_ylim(bottom=0)
    style_axes(axes)
    return figure


def pruning_curves(found: dict) -> Figure:
    """Accuracy against how many filters of a layer are kept, a line a way; what may be lost as a dotted line.

    found: a row of `pruning_curve.measure_pruning`. The band is the 95 % interval of the first way.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, (way, curve) in enumerate(found["strategies"].items()):
        kept, accuracy = ([row[key] for row in curve["rows"]] for key in ("kept", "accuracy"))
        axes.plot(kept, accuracy, color=PALETTE[number], linewidth=1.5, marker=".", label=way)
        if number == 0:
            low, high = zip(*(row["ci95"] for row in curve["rows"]), strict=True)
            axes.fill_between(kept, low, high, color=PALETTE[0], alpha=0.15, linewidth=0)
    axes.axhline(accuracy[0] - 0.005, color=TEXT_COLOUR, linewidth=1, linestyle=":", label="half a point less")
    axes.set_xscale("log", base=2)
    ticks = [2**power for power in range(found["filters"].bit_length())]
    axes.set_xticks(ticks, map(str, ticks))
    axes.set(xlabel=f"filters of {found['layer']} that are kept", ylabel="accuracy on PublicTest")
    style_axes(axes)
    return figure
