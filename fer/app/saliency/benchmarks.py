"""The Saliency tab's sections over many faces: mean saliency by class, and the benchmark of the methods."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from fer.app.saliency import method_menu, view
from fer.attribution import benchmark, faithfulness, region_benchmark
from fer.attribution.face_regions import BOXES
from fer.attribution.region_benchmark import RegionAttribution
from fer.plotting import encode

DRAWING = view.Drawing(shared_scale=True)
NOT_MEASURED = '<div class="empty">Not available for {name}: it has not been measured.</div>'


def mean_saliency(weights: Path, name: str) -> str:
    """Report 2's claim tested, the attribution by face region, and each class's mean map over the mean face."""
    look = region_benchmark.load_region_attribution(weights / name)
    if look is None:
        return NOT_MEASURED.format(name=escape(name))
    words = (
        f"Integrated Gradients for the predictions on {look.counts.sum()} validation faces. The bars are each region's "
        "share of the attribution divided by its share of the area; the tick is 1, chance."
    )
    told = f"<div><p>{region_benchmark.claim_sentence(look)}</p><p>{words}</p>{_density(look)}</div>"
    return f'<div class="beside">{_parts(look)}{told}</div>{_faces(look)}'


def _parts(look: RegionAttribution) -> str:
    """The regions, drawn on the mean face."""
    boxes = "".join(
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"><title>{part}</title></rect>'
        for part, areas in BOXES.items()
        for top, bottom, left, right in areas
    )
    drawing = f'<svg viewBox="0 0 48 48" aria-hidden="true">{boxes}</svg>'
    face = f'<img src="{encode.data_url(look.face, lossless=True)}" alt="The mean face and its regions">'
    caption = "<figcaption>Eyes, brows, mouth, nose and cheeks</figcaption>"
    return f'<figure><div class="face">{face}{drawing}</div>{caption}</figure>'


def _density(look: RegionAttribution) -> str:
    found = sorted(look.density().items(), key=lambda item: -item[1])
    most = max(1.0, *(times for _, times in found))
    rows = "".join(view.bar(part, times, True, [1.0], signed=False, most=most) for part, times in found)
    return f'<div class="scores">{rows}</div>'


def _faces(look: RegionAttribution) -> str:
    """Each class's mean maps, of correct and of misclassified faces, over the mean face, all on one scale."""
    scale = DRAWING.scale(*look.maps.reshape(-1, 48, 48))
    return "".join(
        f"<p><b>{kind}</b></p>" + view.figures("all", *_figures(look, place, scale))
        for place, kind in enumerate(("Correct", "Misclassified: maps for the wrong prediction"))
    )


def _figures(look: RegionAttribution, place: int, scale: float) -> Iterator[str]:
    """A figure for each class that has such faces."""
    for row, label_maps, counts in zip(look.rows(), look.maps, look.counts, strict=True):
        if counts[place]:
            most = sorted(BOXES, key=lambda part, row=row: -row[part])[:2]
            shares = ", ".join(f"{part} {row[part]:.0%}" for part in most) + "; " if not place else ""
            caption = f"<b>{escape(row['label'])}</b>{shares}{counts[place]} of {counts.sum()} faces"
            yield view.figure(DRAWING.of(look.face, label_maps[place], scale), caption, row["label"])


def method_benchmark(weights: Path, name: str) -> str:
    """Every method's mean scores over many faces, and its rank correlation after parameter randomisation."""
    rows = benchmark.load_benchmark(weights / name)
    if not rows:
        return NOT_MEASURED.format(name=escape(name))
    words = (
        f"Means over {rows[0]['n']} validation faces, model-independent baselines in grey. Bar: perturbation "
        "correlation; tick: 1 − normalised infidelity. In brackets: rank correlation of the maps before and after the "
        "last layer is re-initialised; methods marked red fail parameter randomisation."
    )
    bars = "".join(
        view.bar(
            _named(row),
            row["faithfulness_correlation"],
            row["method"] not in faithfulness.CONTROL_MAPS,
            [row["infidelity_score"]],
        )
        for row in rows
    )
    return f'<p>{words}</p><div class="scores">{bars}</div>'


def _named(row: dict) -> str:
    left = row.get("randomization_rank_corr")
    if left is None:
        return escape(method_menu.name(row["method"]))
    text = f"{escape(method_menu.name(row['method']))} ({left:.2f})"
    return f'<span class="badge">{text}</span>' if left > faithfulness.INSENSITIVE_CORRELATION else text
