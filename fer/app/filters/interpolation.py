"""The Filters tab's way from one class to another: pictures grown for mixtures of two logits, and a slider over them.

section(shared)     lays it out, inside the Filters tab
"""

from collections.abc import Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr
import torch
from torch import Tensor

from fer.app.errors import user_error
from fer.app.events import QUIET, on_model_change
from fer.app.filters.job import JobToken, best_logit
from fer.app.filters.view import EMPTY_CSS
from fer.app.gpu import on_gpu, placed
from fer.app.model_cache import load_network
from fer.app.session import Session
from fer.features import visualization
from fer.features.presets import PRESETS
from fer.models.checkpoint import FERModel
from fer.plotting import encode, maps

STOPS = 9

INTRO = "### From one class to another\nNine pictures grow from the same noise, each for its own mixture of two \
classes; the slider walks through them. (For all classes at once, choose the last layer above.)"

# The slider sets `--at` on the component itself, so a frame that arrives meanwhile does not move it back.
VIEW = """<p role="status" class="status">${status}</p>
${picture
  ? `<div class="morph" style="--sheet: url(${picture})"><i class="large" role="img" aria-label="${label}"></i>
       <div class="strip">${value}</div></div>`
  : '<div class="empty">Choose two classes and press Morph.</div>'}"""

CSS = (
    EMPTY_CSS
    + f"""
.empty {{ min-height: 120px; }}
i {{ display: block; aspect-ratio: 1; border-radius: 4px; image-rendering: pixelated; background-image: var(--sheet);
  background-size: {STOPS}00% 100%; }}
.morph {{ display: flex; flex-wrap: wrap; gap: 16px; }}
.large {{ flex: 0 0 240px; background-position: calc(1% * var(--at, 50)) 0; }}
.strip {{ flex: 1 1 300px; display: grid; gap: 8px; align-content: start;
  grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); }}
.strip div {{ font: 12px/1.4 var(--font); color: var(--body-text-color); }}
"""
)

MOVE = "at => { document.querySelector('#morph').style.setProperty('--at', at); }"

NOTHING = {"value": "", "status": "", "picture": "", "label": ""}


# ---- handlers


def grow(turn: JobToken, network: str, first: str, second: str, *, weights: Path) -> Iterator[gr.HTML]:
    """The view after every few steps for as long as it is wanted; once more, with where it ended, after a Stop."""
    mine, chain = turn.wanted, load_network(weights, network)
    ends = [_class(chain, name) for name in (first, second)]
    if ends[0] == ends[1]:
        raise user_error("Choose two different classes.")
    frame = None
    for frame in _climb(weights, network, ends) if mine else ():  # none: stopped as it waited
        if turn.wanted != mine:
            break
        yield view(chain, ends, frame, weights / network)
    stopped = frame is not None and not turn.wanted
    if turn.wanted == mine:
        turn.end()
    # Without a yield, Gradio would empty the sheet.
    yield view(chain, ends, frame, weights / network, stopped=True) if stopped else gr.skip()


def wait(turn: JobToken) -> gr.HTML:
    """What is seen of a Start until its first frame; what was there stays below."""
    turn.begin()
    return gr.HTML(status="Waiting for its turn.")


def stop(turn: JobToken) -> gr.HTML | dict:
    """Ends what grows, at its next frame; does nothing where nothing does."""
    told = gr.HTML(status="Stopped.") if turn.wanted else gr.skip()
    turn.end()
    return told


@on_gpu(duration=lambda *_: 20)
def _climb(weights: Path, network: str, ends: Sequence[int]) -> Iterator[visualization.Snapshot]:
    yield from visualization.interpolate_classes(placed(load_network(weights, network)), *ends, stops=STOPS)


def _class(chain: FERModel, name: object) -> int:
    if name not in chain.labels:
        raise user_error(f"There is no class {str(name)[:40]!r}. Choose one of: {', '.join(chain.labels)}.")
    return chain.labels.index(name)


def view(
    chain: FERModel, ends: Sequence[int], frame: visualization.Snapshot, folder: Path, stopped: bool = False
) -> gr.HTML:
    """The pictures, what the network reads each of them as, and how far its answers lie from those to real faces."""
    names = [chain.labels[end] for end in ends]
    with torch.inference_mode():
        logits = chain(frame.images)  # (STOPS, K)
    sheet = maps.tile_images(frame.images[:, 0].numpy(), STOPS, scale=3, gap=0)
    steps = PRESETS["clear"].steps
    place = f"{'Stopped at step' if stopped else 'Step'} {frame.step} of {steps}."
    ended = "Done." if frame.step == steps else place
    return gr.HTML(
        strip(chain.labels, logits),
        status=" ".join(escape(words) for words in [ended, *beyond(names, ends, logits, folder)]),
        picture=encode.data_url(sheet, longest=8000),
        label=escape(f"Between {names[0]} and {names[1]}"),
    )


def strip(labels: Sequence[str], logits: Tensor) -> str:
    """A tile for every stop, with what the network reads it as; logits (STOPS, K)."""
    sure, best = logits.softmax(1).max(1)
    read = [f"{escape(labels[index])} {share:.0%}" for index, share in zip(best.tolist(), sure.tolist(), strict=True)]
    places = [f"{at / (len(read) - 1):.4%} 0" for at in range(len(read))]
    return "".join(
        f'<div><i style="background-position: {place}"></i>{words}</div>'
        for place, words in zip(places, read, strict=True)
    )


def beyond(names: Sequence[str], ends: Sequence[int], logits: Tensor, folder: Path) -> list[str]:
    """The honest line: each end's logit beside the highest that any real face got; none where that is not known."""
    lines = []
    for name, end, row in zip(names, ends, (logits[0], logits[-1]), strict=True):
        best, reached = best_logit(folder, end), row[end].item()
        if best is not None:
            lines.append(f"The {name} end's {name} logit is {reached:.1f}; the highest of any real face is {best:.1f}.")
    return lines


def classes(network: str | None, *, weights: Path) -> tuple[dict, dict]:
    """The two menus of a network's classes: happy and surprise, or the first and the last."""
    try:
        labels = load_network(weights, network).labels
    except gr.Error:  # told where the network is chosen
        labels = ()
    first, second = ("happy", "surprise") if {"happy", "surprise"} <= set(labels) else ("", "")
    return gr.update(choices=list(labels), value=first or None), gr.update(choices=list(labels), value=second or None)


# ---- layout


def section(shared: Session) -> None:
    """Lays it out and wires it."""
    gr.Markdown(INTRO)
    first, second = classes(shared.model.value, weights=shared.weights)
    with gr.Row():
        ends = [
            gr.Dropdown(first["choices"], value=first["value"], label="From", elem_id="morph-from", min_width=140),
            gr.Dropdown(second["choices"], value=second["value"], label="To", elem_id="morph-to", min_width=140),
        ]
    with gr.Row():
        start = gr.Button("Morph", variant="primary", elem_id="morph-start", min_width=140)
        end = gr.Button("Stop", elem_id="morph-stop", min_width=140)
    slider = gr.Slider(0, 100, value=50, step=100 / (STOPS - 1), label="How far on the way, in %", elem_id="morph-at")
    sheet = gr.HTML(**NOTHING, html_template=VIEW, css_template=CSS, apply_default_css=False, elem_id="morph")
    turn = gr.State(JobToken())
    start.click(wait, turn, sheet, queue=False, **QUIET)
    # As in `tab.py`: where one still runs, Gradio follows this Start once that has ended, at its next frame.
    climbing = start.click(
        partial(grow, weights=shared.weights), [turn, shared.model, *ends], sheet,
        concurrency_id="ascent", trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    climbing.failure(stop, turn, sheet, **QUIET)
    end.click(stop, turn, sheet, queue=False, **QUIET)
    slider.change(None, slider, None, js=MOVE, **QUIET)
    on_model_change(shared, partial(classes, weights=shared.weights), *ends)
