"""Concepts, at the foot of the Saliency tab: what the model's answer to the current face is the sum of.

section(session)    lays it out, inside the tab; it is computed when it is opened and closes when face or model change
"""

import functools
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
import torch

from fer.app.errors import user_error
from fer.app.events import QUIET
from fer.app.model_cache import load_network
from fer.app.saliency import view
from fer.app.saliency.fold import close_on_change, results
from fer.app.session import Session
from fer.attribution import concept_benchmark, concepts
from fer.attribution.concept_benchmark import ConceptSet
from fer.attribution.concepts import ConceptShares
from fer.attribution.face_regions import FACE_REGIONS
from fer.data.dataset import to_unit

TITLE = "Concepts"
SHOWN = 8  # of the largest shares
WORDS = (
    "The last activation maps are a sum of non-negative concepts "
    '(<a href="https://arxiv.org/abs/2211.10154" target="_blank" rel="noopener">CRAFT, Fel et al. 2023</a>), and what '
    "follows them is linear: so the answer's logit is exactly the sum of the concepts' shares, of what they leave over "
    "(the residual) and of a constant. Each picture is the average of a concept's 64 best training faces."
)


def section(session: Session) -> None:
    """Lays it out and wires it; call inside the Saliency tab."""
    with gr.Accordion(TITLE, open=False, elem_id="concepts-fold") as fold:
        with gr.Row(visible=False) as controls:
            removed = gr.Dropdown([], value=[], multiselect=True, label="Weaken concepts", elem_id="concepts-weakened")
            kept = gr.Slider(0, 100, 0, step=5, label="What is left of them, %", elem_id="concepts-kept")
        shown = results("concepts")
    opened = functools.partial(open_face, weights=session.weights)
    weakened = functools.partial(render, weights=session.weights)
    fold.expand(opened, [session.face, session.model], [controls, removed, shown], **QUIET)
    inputs = [session.face, session.model, removed, kept]
    gr.on([removed.input, kept.input], weakened, inputs, shown, trigger_mode="always_last", **QUIET)
    close_on_change(session, fold, shown)


def open_face(face: np.ndarray | None, name: str, *, weights: Path) -> tuple[dict, dict, str]:
    """The concepts that can be weakened, none of which is yet, and their shares."""
    drawn = render(face, name, [], 0, weights=weights)  # which refuses a model that is not there
    known = concept_benchmark.read(weights / name) if face is not None else None
    numbers = [] if known is None else [(f"Concept {number}", number) for number in range(len(known.basis))]
    menu = gr.update(choices=numbers, value=[])
    return gr.update(visible=known is not None), menu, drawn


def render(face: np.ndarray | None, name: str, removed: list[int], kept: float, *, weights: Path) -> str:
    """Each concept's share of the answer's logit, and the probabilities once some count only ``kept`` per cent."""
    if face is None:
        return view.NO_FACE
    network = load_network(weights, name)
    known = concept_benchmark.read(weights / name)
    if known is None:
        command = f"<code>python -m fer concepts {escape(name)}</code>"
        return f'<div class="empty">No concepts of these weights: {command} finds them.</div>'
    body, tail = concepts.split_at_linear_tail(network)
    shares = concepts.concept_shares(body, tail, known.basis, to_unit(torch.from_numpy(np.array(face))[None]))
    left = torch.ones(len(known.basis))
    for number in _checked(removed, len(left)):
        left[number] = min(max(float(kept), 0), 100) / 100
    return _markup(shares, known, left, tuple(network.labels), network.temperature)


def _checked(removed: object, count: int) -> list[int]:
    """What the browser sent, which may be anything."""
    numbers = removed if isinstance(removed, list) else []
    if not all(isinstance(number, int) and 0 <= number < count for number in numbers):
        raise user_error("There is no such concept any more. Please open the section again.")
    return numbers


def _markup(
    shares: ConceptShares, known: ConceptSet, left: torch.Tensor, labels: tuple[str, ...], temperature: float
) -> str:
    answer = int(shares.logits.argmax())
    each = shares.contributions[0, :, answer]
    order = each.abs().argsort(descending=True)[:SHOWN].tolist()
    most = max(each.abs().max().item(), shares.residual[0, answer].abs().item(), 1e-6)
    rows = [view.bar(f"Concept {number}", each[number].item(), True, most=most) for number in order]
    rest = each.sum().item() - each[order].sum().item()
    others = {
        f"{len(each) - len(order)} other concepts": rest,
        "Residual": shares.residual[0, answer].item(),
        "Constant": shares.constant[answer].item(),
    }
    rows += [view.bar(name, value, most=max(most, abs(value))) for name, value in others.items()]
    figures = "".join(_figure(number, each[number].item(), known) for number in order)
    logit = f"{shares.logits[0, answer]:.3f}"
    total = f"<p>Shares of the logit of <b>{escape(labels[answer])}</b>, {logit}:</p>"
    again = _probabilities(shares, left, labels, temperature)
    drawn = f'<div class="scores">{"".join(rows)}</div>'
    return f'<p>{WORDS}</p>{total}{drawn}{again}<div class="figures all">{figures}</div>{_trust(known.figures)}'


def _probabilities(shares: ConceptShares, left: torch.Tensor, labels: tuple[str, ...], temperature: float) -> str:
    """The prediction without the weakened concepts, with a tick where it was."""
    before = (shares.logits[0] / temperature).softmax(0).tolist()
    after = (concepts.without(shares, left)[0] / temperature).softmax(0).tolist()
    rows = zip(labels, after, before, strict=True)
    bars = "".join(view.bar(escape(label), now, True, [then], signed=False) for label, now, then in rows)
    words = "The prediction" if left.min() == 1 else "The prediction with the chosen concepts weakened (tick: before)"
    return f'<p>{words}:</p><div class="scores">{bars}</div>'


def _figure(number: int, share: float, known: ConceptSet) -> str:
    region = int(known.regions[number].argmax())
    where = f"{FACE_REGIONS[region]} {known.regions[number][region]:.0%}"
    caption = f"<b>Concept {number}</b>{share:+.2f}; {where}"
    return view.figure(
        known.mean_faces[number], caption, f"Average of the faces in which concept {number} is strongest"
    )


def _trust(figures: dict) -> str:
    """What was measured of these concepts, beside the controls."""
    mean = {key: value[0] for key, value in figures.items() if isinstance(value, list)}
    if "fall_top" not in mean:
        return ""
    stable = figures["matched_cosine"][1] > mean["matched_cosine_randomised_weights"]  # its interval's lower end
    verdict = "" if stable else ", not clearly more"
    return (
        f"<p>Over {figures['n']} faces of PublicTest: without its top concept the answer's probability falls by "
        f"{mean['fall_top']:.2f}, without a random one by {mean['fall_random']:.2f}. The concepts leave over "
        f"{mean['residual_share']:.0%} of the logit (drawn directions {mean['residual_share_random_rows']:.0%}"
        f"). Two seeds find the same ones with a cosine of {mean['matched_cosine']:.2f} (randomised weights "
        f"{mean['matched_cosine_randomised_weights']:.2f}){verdict}.</p>"
    )
