"""Readings over time -> pictures: a frame with its faces marked, the timeline of a face as a figure."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

from fer.inference.predictor import FacePrediction
from fer.plotting.maps import signed_rgb, signed_scale
from fer.plotting.style import TEXT_COLOUR

# One colour an emotion, wherever several are drawn together; what is not here is grey.
EMOTION_COLOURS = {
    "angry": "#e15759", "disgust": "#8c9c3b", "fear": "#9a6fb0", "happy": "#f2b134", "sad": "#4e8fd0",
    "surprise": "#e889b6", "neutral": "#9aa5b4", "contempt": "#3fae9f",
}  # fmt: skip
OTHER_COLOUR, LOW_CONFIDENCE_COLOUR, INK = "#9aa5b4", "#e2e8f0", "#111827"
FONT = cv2.FONT_HERSHEY_DUPLEX


def hex_to_rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def draw_faces(frame: np.ndarray, faces: Sequence[FacePrediction]) -> np.ndarray:
    """A copy of RGB uint8 (H, W, 3) with a box around every face, and its number, word and probability above."""
    drawn = frame.copy()
    size = max(max(frame.shape[:2]) / 1000, 0.45)  # of the letters and lines
    for face in faces:
        colour = hex_to_rgb(
            LOW_CONFIDENCE_COLOUR if face.low_confidence else EMOTION_COLOURS.get(face.emotion, OTHER_COLOUR)
        )
        x, y, width, height = face.box.to_list()
        cv2.rectangle(drawn, (x, y), (x + width, y + height), colour, max(round(3 * size), 1), cv2.LINE_AA)
        number = "" if face.number is None else f"{face.number} "
        text = number + ("unsure" if face.low_confidence else f"{face.emotion} {face.confidence:.0%}")
        (wide, high), _ = cv2.getTextSize(text, FONT, size, 1)
        left = min(max(x, 0), max(frame.shape[1] - wide - 12, 0))
        bottom = y - 4 if y > high + 16 else y + high + 14
        cv2.rectangle(drawn, (left, bottom - high - 10), (left + wide + 12, bottom), colour, -1)
        cv2.putText(drawn, text, (left + 6, bottom - 5), FONT, size, hex_to_rgb(INK), 1, cv2.LINE_AA)
    return drawn


def map_to_rgba(values: np.ndarray) -> np.ndarray:
    """A signed map (H, W) to lay over its face: RGBA uint8 (H, W, 4), transparent where the map is near 0."""
    scale = signed_scale(values) or 1.0
    strength = np.clip(np.abs(values) / scale, 0, 1)[..., None]
    return np.concatenate([signed_rgb(np.sign(values), 1.0), (200 * strength).astype(np.uint8)], -1)


def timeline_figure(faces: Mapping[str, tuple[np.ndarray, np.ndarray]], labels: Sequence[str]) -> Figure:
    """Probabilities stacked over time, a panel a face: by its name, seconds (N,) and shares (N, K) that sum to 1."""
    figure = Figure(figsize=(9, 0.8 + 1.5 * len(faces)), layout="constrained")
    panels = figure.subplots(len(faces), 1, sharex=True, squeeze=False)[:, 0]
    colours = [EMOTION_COLOURS.get(label, OTHER_COLOUR) for label in labels]
    for axes, (name, (seconds, shares)) in zip(panels, faces.items(), strict=True):
        for part in _split_at_gaps(seconds):
            axes.stackplot(seconds[part], shares[part].T, colors=colours, labels=labels)
        axes.set(ylim=(0, 1), yticks=(0, 1), ylabel=name)
        axes.spines[:].set_visible(False)
        axes.tick_params(colors=TEXT_COLOUR)
        axes.yaxis.label.set_color(TEXT_COLOUR)
    panels[-1].set_xlabel("seconds", color=TEXT_COLOUR)
    handles = panels[0].get_legend_handles_labels()[0][: len(labels)]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, labelcolor=TEXT_COLOUR)
    return figure


def _split_at_gaps(seconds: np.ndarray) -> list[np.ndarray]:
    """The places (N,) in stretches between which a face was out of sight for long."""
    gaps = np.diff(seconds)
    usual = np.median(gaps) if len(gaps) else 0
    return np.split(np.arange(len(seconds)), np.flatnonzero(gaps > 3 * usual) + 1)
