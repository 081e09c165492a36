"""The Activations tab's card: one filter's map over the face, the receptive field of its maximum, its values."""

from html import escape

import numpy as np
import torch
from torch import nn

from fer.app.components import choice_attributes
from fer.features import activations, receptive_field
from fer.features.layer_report import PIXELS, PROBABILITIES, LayerReport
from fer.models.checkpoint import FERModel
from fer.plotting import encode, maps

HINT = (
    '<div class="empty">Select a map, or a bar, to see its receptive field, values and most correlated filters.</div>'
)

_BARS = 24  # of a histogram


def render_card(chain: FERModel, network: str, report: LayerReport, number: int, face: np.ndarray, faces: int) -> str:
    """One filter's card as markup. face: uint8 (48, 48). faces: over how many `report.known` was measured."""
    name = report.name(number)
    title = escape(f"{name[0].upper()}{name[1:]}, {report.layer} of {network}")
    if report.layer == PIXELS:
        title = "Model input"
    parts = [f"<h3>{title}</h3>"]
    if report.values.ndim == 3:
        parts += [_figures(chain, report, number, face), _histogram(report.values[number])]
    parts += [_facts(report, number, faces), _correlated(report, number, faces), _button(chain, report)]
    return f'<section class="card" aria-label="{title}">{"".join(parts)}</section>'


# ------------------------------------------------------------------------------------------------ pictures


def _figures(chain: FERModel, report: LayerReport, number: int, face: np.ndarray) -> str:
    values = report.values[number]
    if report.layer == PIXELS:
        return _figure(face, "48×48 pixels, 0 black, 1 white")
    spot = np.unravel_index(values.argmax(), values.shape)
    top, left, bottom, right = receptive_field.receptive_box(chain, report.layer, *map(int, spot))
    laid = receptive_field.upsample_to_input(chain, report.layer, torch.from_numpy(values)).numpy()
    frame = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
    box = f'<svg viewBox="0 0 48 48" aria-hidden="true"><rect {frame}/><rect {frame}/></svg>'
    if maps.constant_map_message(values):
        return _figure(maps.overlay(face, laid), f"{maps.constant_map_message(values)}")
    over = _figure(maps.overlay(face, laid), "Map over the face; frame: receptive field of the maximum", box)
    own = maps.tile_signed_maps(values[None], maps.map_scales(values[None]), 1)
    alone = _figure(maps.palette_url(own), f"Map alone, {values.shape[0]}×{values.shape[1]}")
    cut = face[top:bottom, left:right]
    little = ""
    if cut.shape[0] < 40:
        little = _figure(
            _square(cut), f"Receptive field of the maximum, {bottom - top}×{right - left} pixels", kind="little"
        )
    return over + alone + _kernel(chain, report.layer, number) + little


def _kernel(chain: FERModel, layer: str, number: int) -> str:
    """The filter's kernel where it has one channel: in a first convolution, or right behind it."""
    source = receptive_field.parent_layer(chain, layer)
    module = chain[source] if source else None
    if not isinstance(module, nn.Conv2d) or module.in_channels > 1:
        return ""
    weights = module.weight[number, 0].detach().numpy()
    return _figure(maps.signed_rgb(weights), "Kernel (red +, blue −)", kind="little")


def _square(pixels: np.ndarray) -> np.ndarray:
    """A field that was cut off at the face's edge, padded with grey to a square."""
    side = max(pixels.shape)
    square = np.full((side, side), 128, np.uint8)
    square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return square


def _figure(picture: np.ndarray | str, caption: str, over: str = "", kind: str = "") -> str:
    """A picture, or its address, with markup over it and a caption under it."""
    address = picture if isinstance(picture, str) else encode.data_url(picture, lossless=True)
    return (
        f'<figure class="{kind}"><div><img src="{address}" alt="{escape(caption)}">{over}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _histogram(values: np.ndarray) -> str:
    """The histogram of a map's values, from the lowest to the highest."""
    if maps.constant_map_message(values):
        return ""
    counts, edges = np.histogram(values, _BARS)
    bars = "".join(
        f'<b class="{"down" if high <= 0 else "up" if low >= 0 else "zero"}" '
        f'style="height:{100 * (count / counts.max()) ** 0.5:.1f}%"></b>'
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    )
    ends = f"<p><span>{values.min():.3g}</span><span>{values.max():.3g}</span></p>"
    return f'<h4>Activation histogram</h4><div class="histogram"><div>{bars}</div>{ends}</div>'


# ------------------------------------------------------------------------------------------------ text


def _facts(report: LayerReport, number: int, faces: int) -> str:
    values, known = report.values[number], report.known
    facts = {}
    if report.values.ndim == 1:
        shown = f"{values:.1%}" if report.layer == PROBABILITIES else f"{values:.3f}"
        facts["On this face"] = shown
    else:
        facts["Above 0"] = f"{(values > 0).mean():.0%} of this face"
    if known is not None:
        if known.dead[number]:
            facts[f"Over {faces:,} faces"] = "dead (constant)"
        else:
            spread = f"mean {known.mean[number]:.3f}, std {known.spread[number]:.3f}"
            facts[f"Over {faces:,} faces"] = f"above 0 at {float(known.positive_share[number]):.0%}; {spread}"
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>"


def _correlated(report: LayerReport, number: int, faces: int) -> str:
    """The filters whose maps correlate most with this one's, as buttons that open them."""
    if report.known is not None:
        found = zip(report.known.most_similar[number].tolist(), report.known.similarity[number].tolist(), strict=True)
        over = f"{faces:,} faces"
    elif (correlations := report.alike()) is not None and len(correlations) > 1:
        correlations = correlations[number].copy()
        correlations[number] = -2
        found = ((int(other), float(correlations[other])) for other in correlations.argsort()[::-1][:3])
        over = "this face"
    else:
        return ""
    found = [(other, correlation) for other, correlation in found if correlation > 0]
    if not found or report.labels:
        return ""
    buttons = "".join(
        _correlated_button(report, other, correlation, other == found[0][0]) for other, correlation in found
    )
    return f'<h4>Most correlated, over {over}</h4><div class="correlated" data-arrows>{buttons}</div>'


def _correlated_button(report: LayerReport, other: int, correlation: float, entry: bool) -> str:
    picture = ""
    if report.values.ndim == 3:
        own = report.values[other][None]
        picture = f'<img src="{maps.palette_url(maps.tile_signed_maps(own, maps.map_scales(own), 1))}" alt="Its map">'
    text = f"{other}: {correlation:.2f}"
    label = f"{escape(report.name(other))}, correlation {correlation:.3f}"
    return f"<button {choice_attributes(other, label, False, entry)}>{picture}{text}</button>"


def _button(chain: FERModel, report: LayerReport) -> str:
    if weight_layer(chain, report.layer) is None:
        return ""
    what = "class" if report.labels else "filter" if report.values.ndim == 3 else "neuron"
    return f'<button type="button" class="visualise">Visualise this {what}</button>'


def weight_layer(chain: FERModel, layer: str) -> str | None:
    """The layer with weights whose filters a step shows, as the Filters tab names it; None before the first one."""
    if layer == PIXELS:
        return None
    return receptive_field.parent_layer(
        chain, activations.active_layers(chain)[-1] if layer == PROBABILITIES else layer
    )
