"""The Saliency tab's foot: what was measured of a network's maps over many faces, by method and by emotion."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from fer.app.saliency import view
from fer.attribution import benchmark, faithfulness, region_benchmark
from fer.attribution.face_regions import BOXES
from fer.attribution.region_benchmark import RegionAttribution
from fer.plotting import encode

DRAWING = view.Drawing(common=True)
NOTHING = (
    '<div class="empty">Not measured for {name} with these weights: '
    "<code>python -m fer {command} {name}</code> does it.</div>"
)


def looks(weights: Path, name: str) -> str:
    """Report 2's claim answered, the parts of the face, and each emotion's mean map over the mean face."""
    look = region_benchmark.load_region_attribution(weights / name)
    if look is None:
        return NOTHING.format(name=escape(name), command="benchmark-regions")
    words = (
        f"Integrated gradients of its answers to {look.counts.sum()} faces of PublicTest. The bars say how many times "
        "as much lies in each part of the face as its area alone would have; the tick is 1, chance."
    )
    told = f"<div><p>{region_benchmark.claim_sentence(look)}</p><p>{words}</p>{_density(look)}</div>"
    return f'<div class="beside">{_parts(look)}{told}</div>{_faces(look)}'


def _parts(look: RegionAttribution) -> str:
    """The parts, drawn on the mean face."""
    boxes = "".join(
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"><title>{part}</title></rect>'
        for part, areas in BOXES.items()
        for top, bottom, left, right in areas
    )
    drawing = f'<svg viewBox="0 0 48 48" aria-hidden="true">{boxes}</svg>'
    face = f'<img src="{encode.data_url(look.face, lossless=True)}" alt="The mean face and its parts">'
    caption = "<figcaption>Eyes, brows, mouth, nose and cheeks</figcaption>"
    return f'<figure><div class="face">{face}{drawing}</div>{caption}</figure>'


def _density(look: RegionAttribution) -> str:
    found = sorted(look.density().items(), key=lambda item: -item[1])
    most = max(1.0, *(times for _, times in found))
    rows = "".join(view.bar(part, times, True, [1.0], signed=False, most=most) for part, times in found)
    return f'<div class="scores">{rows}</div>'


def _faces(look: RegionAttribution) -> str:
    """Each emotion's mean maps, of right and of wrong answers, over the mean face, all on one scale, without grain."""
    scale = DRAWING.scale(*look.maps.reshape(-1, 48, 48))
    return "".join(
        f"<p><b>{kind}</b></p>" + view.figures("all", *_figures(look, place, scale))
        for place, kind in enumerate(("Faces read right", "Faces read wrong: why it gave its wrong answers"))
    )


def _figures(look: RegionAttribution, place: int, scale: float) -> Iterator[str]:
    """A figure an emotion that has such faces."""
    for row, label_maps, counts in zip(look.rows(), look.maps, look.counts, strict=True):
        if counts[place]:
            most = sorted(BOXES, key=lambda part, row=row: -row[part])[:2]
            shares = ", ".join(f"{part} {row[part]:.0%}" for part in most) + "; " if not place else ""
            caption = f"<b>{escape(row['label'])}</b>{shares}{counts[place]} of {counts.sum()} faces"
            yield view.figure(DRAWING.of(look.face, label_maps[place], scale), caption, row["label"])


def ranking(weights: Path, name: str) -> str:
    """Every method's and control's mean region correlation as bars, and what is left once the last layer forgets."""
    rows = benchmark.load_benchmark(weights / name)
    if not rows:
        return NOTHING.format(name=escape(name), command="benchmark-saliency")
    words = (
        f"Means over {rows[0]['n']} faces of PublicTest, maps that know nothing of the network in grey. The bar is "
        "the region correlation, the tick the fidelity. In brackets: how much the maps still rank the pixels alike "
        "once the network's last layer has forgotten what it learnt; those marked red do not depend on it."
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
        return escape(row["method"])
    text = f"{escape(row['method'])} ({left:.2f})"
    return f'<span class="badge">{text}</span>' if left > faithfulness.INSENSITIVE_CORRELATION else text
