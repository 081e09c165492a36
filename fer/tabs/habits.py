"""The Saliency tab's foot: what was measured of a network's maps over many faces, by method and by emotion."""

from html import escape
from pathlib import Path

from fer import faithfulness, plots, regions, trust
from fer.regions import Look
from fer.tabs import maps

NOTHING = '<div class="empty">Not measured for {name} yet: <code>python -m fer {command} {name}</code> does it.</div>'


def looks(weights: Path, name: str) -> str:
    """Each emotion's mean map over the mean face, and how much of the maps lies in which part of the face."""
    look = regions.read(weights / name)
    if look is None:
        return NOTHING.format(name=escape(name), command="regions")
    return f"<p>{_density(look)}</p>{_faces(look)}"


def _density(look: Look) -> str:
    """Report 2's claim beside what was found."""
    found = sorted(look.density().items(), key=lambda item: -item[1])
    words = ", ".join(f"{name} {times:.1f}" for name, times in found)
    return (
        f"Integrated gradients of its answers to {look.counts.sum()} faces of PublicTest. How many times as much lies "
        f"in each part of the face as its area alone would have: {words}. Report 2 says that eyes, nose, mouth and "
        "cheeks matter, and hair and plain skin do not."
    )


def _faces(look: Look) -> str:
    """The mean map of right answers over the mean face, a figure an emotion, all on one scale."""
    scale = plots.scale_of(*look.maps[:, 0])
    figures = []
    for row, label_maps, counts in zip(look.rows(), look.maps, look.counts, strict=True):
        most = sorted(regions.BOXES, key=lambda name, row=row: -row[name])[:2]
        shares = ", ".join(f"{name} {row[name]:.0%}" for name in most)
        caption = f"<b>{escape(row['label'])}</b>{shares}; {counts[0]} of {counts.sum()} faces read right"
        figures.append(maps.figure(plots.overlay(look.face, label_maps[0], scale), caption, row["label"]))
    return maps.figures("all", *figures)


def ranking(weights: Path, name: str) -> str:
    """Every method's and control's mean region correlation as bars, and what is left once the last layer forgets."""
    rows = trust.read(weights / name)
    if not rows:
        return NOTHING.format(name=escape(name), command="trust")
    words = (
        f"Mean region correlation over {rows[0]['faces']} faces, the controls in grey. In brackets: how much the maps "
        "still rank the pixels alike once the network's last layer has forgotten what it learnt; near 1 they do not "
        "depend on it."
    )
    bars = "".join(
        maps.bar(_named(row), row["correlation"], own=row["method"] not in faithfulness.CONTROLS) for row in rows
    )
    return f'<p>{words}</p><div class="scores">{bars}</div>'


def _named(row: dict) -> str:
    left = row.get("forgotten")
    return escape(row["method"]) + ("" if left is None else f" ({left:.2f})")
