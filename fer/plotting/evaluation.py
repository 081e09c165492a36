"""The figures of the Confusion and the Networks tab, in the inks of plots.py, which are read on light and on dark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fer.plotting.style import TEXT_COLOUR, style_axes


class PlottedModel(Protocol):
    """What is drawn of a model: its name, its parameters, its accuracy and that figure's 95 % interval, if known."""

    name: str
    parameters: float
    accuracy: float
    kind: str
    ci95: tuple[float, float] | None


OUR_COLOUR = "#6366f1"
_RIGHT, _WRONG = "#4f46e5", "#c2410c"
_MARKERS = {"FER-2013 alone": "o", "more data": "^", "reports": "D"}


def confusion_matrix_figure(values: np.ndarray, shown: Sequence[Sequence[str]], labels: Sequence[str]) -> Figure:
    """A confusion matrix of shares (K, K), 0..1, with a text in every cell: rows the label, columns what is read."""
    size = len(labels)
    figure = Figure(figsize=(1.2 + 0.62 * size, 1.0 + 0.55 * size), layout="constrained")
    axes = figure.subplots()
    colours = np.zeros((size, size, 4))
    colours[..., :3] = np.where(np.eye(size, dtype=bool)[..., None], to_rgb(_RIGHT), to_rgb(_WRONG))
    colours[..., 3] = 0.9 * values
    axes.imshow(colours, aspect="auto")
    for row in range(size):
        for column in range(size):
            ink = "white" if values[row, column] > 0.35 else TEXT_COLOUR
            axes.text(column, row, shown[row][column], ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(range(size), labels, rotation=35, ha="right")
    axes.set_yticks(range(size), labels)
    axes.set(xlabel="predicted", ylabel="true")
    style_axes(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def risk_coverage_curve(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], at: float | None = None) -> Figure:
    """What share is right, (N,), if only the surest share of the faces, (N,), is answered; a curve a network.

    at: the share that the visitor's threshold leaves, where there is one.
    """
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    styles = ((OUR_COLOUR, "-"), ("#d97706", "--"))[: len(curves)]
    for (name, (answered, right)), (colour, dashes) in zip(curves.items(), styles, strict=True):
        some = np.unique(np.linspace(len(answered) // 50, len(answered) - 1, 120).astype(int))  # the first are noise
        axes.plot(answered[some], right[some], color=colour, linestyle=dashes, linewidth=1.5, label=name)
    if at is not None:
        axes.axvline(at, color=TEXT_COLOUR, linewidth=1, linestyle=":")
    axes.set(xlim=(0, 1), xlabel="coverage, most confident first", ylabel="accuracy")
    style_axes(axes)
    return figure


def accuracy_against_parameters(ours: Iterable[PlottedModel], others: Iterable[PlottedModel]) -> Figure:
    """Accuracy on PrivateTest against parameters, on a logarithmic axis: ours with intervals, others by their kind."""
    figure = Figure(figsize=(9.2, 5.4))
    axes = figure.subplots(gridspec_kw={"left": 0.07, "right": 0.99, "bottom": 0.1, "top": 0.98})
    others = list(others)
    for kind, marker in _MARKERS.items():
        some = [system for system in others if system.kind == kind]
        if some:
            axes.scatter(
                *_coordinates(some), s=34, marker=marker, facecolors="none", edgecolors=TEXT_COLOUR, label=kind
            )
    ours = list(ours)
    if ours:
        x, y = _coordinates(ours)
        spans = np.array([(system.accuracy - system.ci95[0], system.ci95[1] - system.accuracy) for system in ours]).T
        axes.errorbar(
            x, y, 100 * spans, fmt="o", color=OUR_COLOUR, capsize=3, linewidth=1.5, label="ours, 95 % interval"
        )
    axes.set_xscale("log")
    axes.set_xlim(4e5, 4e8)
    axes.set(xlabel="parameters", ylabel="accuracy on PrivateTest, %", ylim=(46, 78))
    style_axes(axes)
    axes.grid(axis="y", color=TEXT_COLOUR, alpha=0.25, linewidth=0.6)
    _annotate_names(axes, [*ours, *others], bold=len(ours))
    return figure


def _coordinates(systems: Sequence[PlottedModel]) -> tuple[list[float], list[float]]:
    return [system.parameters for system in systems], [100 * system.accuracy for system in systems]


def _annotate_names(axes: Axes, systems: Sequence[PlottedModel], bold: int) -> None:
    """A name beside each point, where no other name or point is; the first ones in our colour."""
    points = axes.transData.transform(np.array(_coordinates(systems)).T) * 72 / axes.figure.dpi  # in points, 1/72 inch
    reach = [
        100 * (system.ci95[1] - system.accuracy) * _points_per_unit(axes) if system.ci95 else 0 for system in systems
    ]
    taken = [(x - 5, y - max(5, up), x + 5, y + max(5, up)) for (x, y), up in zip(points, reach, strict=True)]
    for number, (system, (x, y)) in enumerate(zip(systems, points, strict=True)):
        wide = (5.4 if number < bold else 4.6) * len(system.name)
        spots = [(8, 0), (-8 - wide, 0), (-wide / 2, 11), (-wide / 2, -11), (8, 9), (8, -9), (-8 - wide, 9)]
        spots += [(-8 - wide, -9), (-wide / 2, 21), (-wide / 2, -21)]
        boxes = [(x + dx, y + dy - 5, x + dx + wide, y + dy + 5) for dx, dy in spots]
        free = [place for place, box in enumerate(boxes) if not any(_boxes_overlap(box, other) for other in taken)]
        place = free[0] if free else 0
        taken.append(boxes[place])
        axes.annotate(
            system.name, (system.parameters, 100 * system.accuracy), spots[place], textcoords="offset points",
            va="center", fontsize=8, color=OUR_COLOUR if number < bold else TEXT_COLOUR,
            weight="bold" if number < bold else "normal",
        )  # fmt: skip


def _points_per_unit(axes: Axes) -> float:
    """How many points, 1/72 inch, one unit of the vertical axis is high."""
    (_, low), (_, high) = axes.transData.transform([(1e6, 50), (1e6, 51)])
    return (high - low) * 72 / axes.figure.dpi


def _boxes_overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, bottom, right, top) overlap."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def reliability_diagram(before: list[dict], after: list[dict]) -> Figure:
    """The reliability diagram: accuracy against confidence, before and after the temperature.

    Rows are those of `evaluation.reliability`; a point's area follows how many faces it stands for.
    """
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=TEXT_COLOUR, linewidth=1, linestyle=":")
    styles = ((before, TEXT_COLOUR, "--", "before scaling"), (after, "#6366f1", "-", "after temperature scaling"))
    for rows, colour, dashes, label in styles:
        x, y, n = ([row[key] for row in rows] for key in ("confidence", "accuracy", "n"))
        axes.plot(x, y, color=colour, linestyle=dashes, linewidth=1.5, label=label)
        axes.scatter(x, y, np.sqrt(n) * 1.5, color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    style_axes(axes)
    return figure
