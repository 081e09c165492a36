"""The Activations tab's card: one filter's map over the face, what made its brightest spot, its values, its twins."""

from html import escape

import numpy as np
import torch
from torch import nn

from fer.app import components
from fer.features import activations, receptive_field
from fer.features.layer_report import PIXELS, PROBABILITIES, LayerReport
from fer.models.checkpoint import FERModel
from fer.plotting import encode, maps

HINT = '<div class="empty">Click a map, or a bar, to look closer: what excites its filter, and which are like it.</div>'

CSS = (
    components.CARD_CSS
    + """
.empty { padding: 32px 24px; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--block-radius); }
.card { gap: 12px; }
figure { flex: 1 1 40%; max-width: 200px; }
figure.little { display: flex; flex: 1 1 40%; gap: 8px; align-items: flex-start; }
figure.little div { flex: 0 0 64px; }
figure.little figcaption { margin: 0; }
figure img { width: 100%; height: auto; aspect-ratio: 1; }
figure div { position: relative; }
figure svg { position: absolute; inset: 0; width: 100%; height: 100%; }
figure rect { fill: none; stroke: #000; stroke-width: 1; vector-effect: non-scaling-stroke; }
figure rect + rect { stroke: #fde047; stroke-width: 2; }
figcaption { margin-top: 4px; line-height: 1.35; }
.values { width: 100%; }
.values div { display: flex; align-items: flex-end; gap: 1px; height: 56px;
  border-bottom: 1px solid var(--border-color-primary); }
.values b { flex: 1; min-height: 0; }
.values p { display: flex; justify-content: space-between; margin: 2px 0 0; font-size: var(--text-sm);
  color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.up { background: #d6604d; } .down { background: #4393c3; } .zero { background: var(--neutral-400); }
dl { flex: 1 1 100%; font-size: var(--text-sm); }
.twins { display: flex; flex-wrap: wrap; gap: 8px; width: 100%; }
.twins button { display: flex; flex-direction: column; gap: 3px; width: 72px; padding: 4px; cursor: pointer;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-md); background: none;
  color: var(--body-text-color); font: 12px/1.3 var(--font); font-variant-numeric: tabular-nums; }
.twins img { display: block; width: 100%; aspect-ratio: 1; margin: 0; image-rendering: pixelated; }
.twins button:hover { border-color: var(--primary-400); }
.jump { width: 100%; padding: 9px; border: 0; border-radius: var(--radius-md); cursor: pointer; color: #fff;
  background: var(--primary-600); font: 600 14px/1.3 var(--font); }
.jump:hover { background: var(--primary-500); }
button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 2px; }
h4 { width: 100%; margin: 4px 0 -6px; font-size: var(--text-sm); font-weight: 600; color: var(--body-text-color); }
"""
)

# On a phone the card lies below the sheet: whoever clicks a map there is taken to it.
JS = """let clicked = -1e9;
document.addEventListener('click', event => {
  if (event.target.closest('#map-sheet [data-choice]')) clicked = performance.now();
});
watch('value', () => {
  if (performance.now() - clicked > 3000 || element.getBoundingClientRect().top < innerHeight - 160) return;
  clicked = -1e9;
  element.scrollIntoView({behavior: 'smooth', block: 'start'});
});
element.addEventListener('click', event => {
  const twin = event.target.closest('[data-choice]');
  if (twin) trigger('choice', {index: Number(twin.dataset.choice)});
  if (event.target.closest('.jump')) trigger('jump', {});
});"""

_BARS = 24  # of a histogram


def card(chain: FERModel, network: str, answer: LayerReport, number: int, face: np.ndarray, faces: int) -> str:
    """One filter's card as markup. face: uint8 (48, 48). faces: over how many `answer.known` was measured."""
    name = answer.name(number)
    title = escape(f"{name[0].upper()}{name[1:]}, {answer.layer} of {network}")
    if answer.layer == PIXELS:
        title = "The face as the network gets it"
    parts = [f"<h3>{title}</h3>"]
    if answer.values.ndim == 3:
        parts += [_figures(chain, answer, number, face), _histogram(answer.values[number])]
    parts += [_facts(answer, number, faces), _twins(answer, number, faces), _button(chain, answer)]
    return f'<section class="card" aria-label="{title}">{"".join(parts)}</section>'


# ------------------------------------------------------------------------------------------------ pictures


def _figures(chain: FERModel, answer: LayerReport, number: int, face: np.ndarray) -> str:
    values = answer.values[number]
    if answer.layer == PIXELS:
        return _figure(face, "48 x 48 pixels, from 0 for black to 1 for white")
    spot = np.unravel_index(values.argmax(), values.shape)
    top, left, bottom, right = receptive_field.receptive_box(chain, answer.layer, *map(int, spot))
    laid = receptive_field.upsample_to_input(chain, answer.layer, torch.from_numpy(values)).numpy()
    frame = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
    box = f'<svg viewBox="0 0 48 48" aria-hidden="true"><rect {frame}/><rect {frame}/></svg>'
    if maps.constant_map_message(values):
        return _figure(maps.overlay(face, laid), f"{maps.constant_map_message(values)} No spot stands out.")
    over = _figure(
        maps.overlay(face, laid), "Its map over the face, and a frame around what made its brightest spot", box
    )
    own = maps.tile_signed_maps(values[None], maps.map_scales(values[None]), 1)
    alone = _figure(maps.palette_url(own), f"Its map alone, {values.shape[0]} x {values.shape[1]}")
    cut = face[top:bottom, left:right]
    little = ""
    if cut.shape[0] < 40:
        little = _figure(_square(cut), f"In the frame: {bottom - top} x {right - left} pixels", kind="little")
    return over + alone + _kernel(chain, answer.layer, number) + little


def _kernel(chain: FERModel, layer: str, number: int) -> str:
    """The filter's own weights where they can be looked at: those of a first convolution, or right behind it."""
    source = receptive_field.parent_layer(chain, layer)
    module = chain[source] if source else None
    if not isinstance(module, nn.Conv2d) or module.in_channels > 1:
        return ""
    weights = module.weight[number, 0].detach().numpy()
    return _figure(maps.signed_rgb(weights), "Its weights: red for, blue against", kind="little")


def _square(pixels: np.ndarray) -> np.ndarray:
    """What was cut off at the face's edge, filled up with grey to a square."""
    side = max(pixels.shape)
    square = np.full((side, side), 128, np.uint8)
    square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return square


def _figure(picture: np.ndarray | str, caption: str, over: str = "", kind: str = "") -> str:
    """A picture, or its address, with markup over it and a caption under it."""
    address = picture if isinstance(picture, str) else encode.data_url(picture, lossless=True)
    return (
        f'<figure class="{kind}"><div><img src="{address}" alt="">{over}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _histogram(values: np.ndarray) -> str:
    """How often which value occurs in a map, from its lowest to its highest."""
    if maps.constant_map_message(values):
        return ""
    counts, edges = np.histogram(values, _BARS)
    bars = "".join(
        f'<b class="{"down" if high <= 0 else "up" if low >= 0 else "zero"}" '
        f'style="height:{100 * (count / counts.max()) ** 0.5:.1f}%"></b>'
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    )
    ends = f"<p><span>{values.min():.3g}</span><span>{values.max():.3g}</span></p>"
    return f'<h4>Its values on this face</h4><div class="values"><div>{bars}</div>{ends}</div>'


# ------------------------------------------------------------------------------------------------ words


def _facts(answer: LayerReport, number: int, faces: int) -> str:
    values, known = answer.values[number], answer.known
    facts = {}
    if answer.values.ndim == 1:
        shown = f"{values:.1%}" if answer.layer == PROBABILITIES else f"{values:.3f}"
        facts["On this face"] = shown
    else:
        facts["Above 0"] = f"{(values > 0).mean():.0%} of this face"
    if known is not None:
        if known.dead[number]:
            facts[f"Over {faces:,} faces"] = "dead: it never changes"
        else:
            spread = f"mean {known.mean[number]:.3f}, deviation {known.spread[number]:.3f}"
            facts[f"Over {faces:,} faces"] = f"above 0 at {float(known.positive_share[number]):.0%}; {spread}"
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>"


def _twins(answer: LayerReport, number: int, faces: int) -> str:
    """The filters whose maps are most like this one's, as buttons that open them."""
    if answer.known is not None:
        found = zip(answer.known.most_similar[number].tolist(), answer.known.similarity[number].tolist(), strict=True)
        over = f"{faces:,} faces"
    elif (alike := answer.alike()) is not None and len(alike) > 1:
        alike = alike[number].copy()
        alike[number] = -2
        found = ((int(other), float(alike[other])) for other in alike.argsort()[::-1][:3])
        over = "this face"
    else:
        return ""
    found = [(other, likeness) for other, likeness in found if likeness > 0]
    if not found or answer.labels:
        return ""
    buttons = "".join(_twin(answer, other, likeness) for other, likeness in found)
    return f'<h4>Most like it, over {over}</h4><div class="twins">{buttons}</div>'


def _twin(answer: LayerReport, other: int, likeness: float) -> str:
    picture = ""
    if answer.values.ndim == 3:
        own = answer.values[other][None]
        picture = f'<img src="{maps.palette_url(maps.tile_signed_maps(own, maps.map_scales(own), 1))}" alt="">'
    words = f"{other}: {likeness:.2f}"
    return (
        f'<button type="button" data-choice="{other}" title="{escape(answer.name(other))}, correlation {likeness:.3f}">'
        f"{picture}{words}</button>"
    )


def _button(chain: FERModel, answer: LayerReport) -> str:
    if filters_of(chain, answer.layer) is None:
        return ""
    what = "emotion" if answer.labels else "filter" if answer.values.ndim == 3 else "neuron"
    return f'<button type="button" class="jump">See what this {what} looks for</button>'


def filters_of(chain: FERModel, layer: str) -> str | None:
    """The layer whose filters a step shows, as the Filters tab names it; None before the first one."""
    if layer == PIXELS:
        return None
    return receptive_field.parent_layer(
        chain, activations.active_layers(chain)[-1] if layer == PROBABILITIES else layer
    )
