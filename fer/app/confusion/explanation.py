"""Why a model confuses two classes: what differs between a cell's faces and correctly predicted ones, as markup."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from torch import Tensor, nn

from fer.app.confusion.faces import select_rows
from fer.app.saliency import view as saliency_view
from fer.app.session import FilterRequest
from fer.attribution import confusion_pairs
from fer.attribution.confusion_pairs import ConfusionPair
from fer.evaluation.predictions import Predictions
from fer.plotting import encode


def explain_cell(model: nn.Module, found: Predictions, pixels: Tensor, cell: int) -> ConfusionPair:
    """What differs between a cell's faces and correctly predicted faces of the same class; pixels uint8 (N, 48, 48)."""
    row, column = divmod(cell, len(found.labels))
    _, wrong = select_rows(found, None, cell)
    _, correct = select_rows(found, None, row * len(found.labels) + row)
    return confusion_pairs.explain_pair(model, pixels[wrong], pixels[correct], column, row)


def explanation_card(pair: ConfusionPair, name: str, labels: Sequence[str], cell: int) -> str:
    """The mean map over the mean face, the face regions, the filters that differ, and whether they matter."""
    truth, predicted = (labels[number] for number in divmod(cell, len(labels)))
    regions = sorted(pair.shares.items(), key=lambda item: -item[1])[:3]
    where = ", ".join(f"{region} {share:.0%}" for region, share in regions)
    caption = (
        f"Mean of {pair.mapped} faces. Red raises the logit of {predicted} over that of {truth}, blue lowers it "
        f"(integrated gradients). Largest shares: {where}."
    )
    address = encode.data_url(saliency_view.Drawing().of(pair.face, pair.map), lossless=True)
    picture = f'<img src="{address}" alt="Mean saliency map for {escape(predicted)} against {escape(truth)}">'
    return (
        f'<div class="face">{picture}<div><p>{escape(caption)}</p>{_filters_text(pair, name, truth, predicted)}'
        "</div></div>"
    )


def _filters_text(pair: ConfusionPair, name: str, truth: str, predicted: str) -> str:
    if not pair.filters or pair.gap is None:
        return ""
    links = ", ".join(
        f'<a href="{escape(_filter_link(name, pair.layer, row.number))}" target="_blank">{row.number}</a> '
        f"({row.distance:+.1f} std)"
        for row in pair.filters
    )
    before, without, random = pair.gap
    effect = (
        f"On average the logit of {predicted} exceeds that of {truth} by {before:+.2f}; without the filters that "
        f"respond more by {without:+.2f}, without as many random ones by {random:+.2f}."
    )
    return (
        f"<p>Filters of {escape(pair.layer)} that respond most differently to {pair.faces} of these faces than to "
        f"correctly predicted {escape(truth)} faces: {links}.</p><p>{escape(effect)}</p>"
    )


def _filter_link(model: str, layer: str, number: int) -> str:
    """The address of one filter in the Filters tab."""
    return "?" + urlencode(FilterRequest(model, layer, number, 0).query_params)
