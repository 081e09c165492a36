"""Suspect labels, in the Confusion tab: faces of FER-2013 whose label is probably wrong, as `suspects` found them.

section(session)    lays it out, inside the tab
"""

from functools import partial
from pathlib import Path

from fer.app import components
from fer.app.session import Session
from fer.attribution import label_quality

TITLE = "Suspect labels"
ROWS = 25  # of each split
HEADERS = ("Row", "Label", "Suggested", "Probability of label", "Of suggested", "FER+ annotators")


def section(session: Session) -> None:
    """Lays it out; call inside the Confusion tab. It is read when it is opened."""
    tell = partial(render, session.weights)
    css = components.CSS
    components.fold(session, TITLE, tell, css_template=css, js_on_load=components.JS, padding=False, elem_id="suspects")


def render(weights: Path, name: str) -> str:
    """The most suspect labels of each split by row, with what the annotators said; no picture."""
    known = label_quality.ARTIFACT.load_or_none(weights / str(name))
    if known is None:
        return (
            '<div class="empty">Not measured for this model: <code>python -m fer suspects NETWORK</code> does it.</div>'
        )
    words = (
        "<p>A last layer that was trained on the other faces alone doubts these labels "
        '(<a href="https://arxiv.org/abs/1911.00068" target="_blank" rel="noopener">confident learning</a>). For faces '
        "of your own: <code>python -m fer suspects NETWORK --data FOLDER --out FILE</code>.</p>"
    )
    return words + "".join(_split(part) for part in known["splits"])


def _split(part: dict) -> str:
    rows = [
        (
            str(row["row"]),
            row["label"],
            row["suggested"],
            f"{row['probability_of_label']:.0%}",
            f"{row['probability_of_suggested']:.0%}",
            row["annotators"] or "-",
        )
        for row in part["rows"][:ROWS]
    ]
    title = f"Suspect labels of {part['split']}"
    return f"<h4>{part['split']}</h4>{_judged(part)}" + components.table(HEADERS, rows, title.lower(), title)


def _judged(part: dict) -> str:
    """How often FER+'s annotators contradict the most suspect labels, beside other orders and chance."""
    judged = part["annotators"]
    if not judged:
        return ""
    shares = {name: row["share"] for name, row in judged["contradicted"].items()}
    each = ", ".join(
        f"{share:.0%} by {name.replace('_', ' ')}" for name, share in shares.items() if name != "suspicion"
    )
    own, (low, high) = shares["suspicion"], judged["contradicted"]["suspicion"]["ci95"]
    better = own > shares["loss"] and low > shares["loss"]
    verdict = "" if better else " That is no better than the loss alone."
    return (
        f"<p>FER+'s annotators contradict {own:.0%} ({low:.0%} to {high:.0%}) of the {judged['most_suspect']:,} most "
        f"suspect labels; {each}; {judged['all_faces']:.0%} of all {part['n']:,}.{verdict}</p>"
    )
