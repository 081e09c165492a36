"""The Filters tab's class interpolation: inputs that maximise mixtures of two logits, and a slider over them.

section(session)    lays it out, inside the Filters tab
"""

from collections.abc import Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr
import torch
from torch import Tensor

from fer.app import static
from fer.app.errors import user_error
from fer.app.events import QUIET, by_name, by_name_steps, on_model_change
from fer.app.filters.handlers import run_or_stop
from fer.app.filters.job import JobToken, best_logit
from fer.app.gpu import on_gpu, placed
from fer.app.model_cache import load_network
from fer.app.session import Session
from fer.features import visualization
from fer.features.presets import PRESETS
from fer.models.checkpoint import FERModel
from fer.plotting import encode, maps

STOPS = 9
INTRO = "Nine images from the same noise, each optimised for its own mixture of two classes."
# The slider sets `--at` on the component itself, so a frame that arrives meanwhile does not move it back.
MOVE = "at => { document.querySelector('#morph').style.setProperty('--at', at); }"
EMPTY = {"value": "", "status": "", "progress": "", "picture": "", "label": "", "count": STOPS}


# ---- handlers


def begin(token: JobToken) -> dict:
    """A click on Run: the run is queued until its turn comes."""
    token.begin()
    return {**run_or_stop(True), "sheet": gr.HTML(status="Queued.", progress="")}


def stop(token: JobToken) -> dict:
    """A click on Stop: the run ends at its next step."""
    token.end()
    return {**run_or_stop(False), "sheet": gr.HTML(status="Stopped.", progress="")}


def run(token: JobToken, model: str, first: str, second: str, *, weights: Path) -> Iterator[dict]:
    """The images after every few steps, for as long as this run is the current one."""
    mine, chain = token.wanted, load_network(weights, model)
    if not mine:  # stopped while it was queued
        return
    ends = [_class_index(chain, name) for name in (first, second)]
    if ends[0] == ends[1]:
        raise user_error("Choose two different classes.")
    snapshot = None
    for snapshot in _interpolate(weights, model, ends):
        if token.wanted != mine:
            break
        yield {"sheet": render(chain, ends, snapshot, weights / model)}
    if token.wanted == mine:
        token.end()
        yield run_or_stop(False)
    elif snapshot is not None and not token.wanted:
        yield {"sheet": render(chain, ends, snapshot, weights / model, stopped=True)}


def fail(token: JobToken) -> dict:
    """After an error, of which Gradio tells the visitor."""
    token.end()
    return {**run_or_stop(False), "sheet": gr.HTML(status="", progress="")}


@on_gpu(duration=lambda *_: 20)
def _interpolate(weights: Path, model: str, ends: Sequence[int]) -> Iterator[visualization.Snapshot]:
    yield from visualization.interpolate_classes(placed(load_network(weights, model)), *ends, stops=STOPS)


def _class_index(chain: FERModel, name: object) -> int:
    if name not in chain.labels:
        raise user_error(f"There is no class {str(name)[:40]!r}. Choose one of: {', '.join(chain.labels)}.")
    return chain.labels.index(name)


def render(
    chain: FERModel, ends: Sequence[int], snapshot: visualization.Snapshot, folder: Path, stopped: bool = False
) -> gr.HTML:
    """The images, their predictions, and the ends' logits beside those of real faces."""
    names = [chain.labels[end] for end in ends]
    with torch.inference_mode():
        logits = chain(snapshot.images)  # (STOPS, K)
    sheet = maps.tile_images(snapshot.images[:, 0].numpy(), STOPS, scale=3, gap=0)
    steps = PRESETS["clear"].steps
    place = f"{'Stopped at step' if stopped else 'Step'} {snapshot.step} of {steps}."
    ended = snapshot.step == steps
    return gr.HTML(
        strip(chain.labels, logits),
        status=" ".join(map(escape, ["Done." if ended else place, *logit_texts(names, ends, logits, folder)])),
        progress="" if ended or stopped else f"{snapshot.step / steps:.0%}",
        picture=encode.data_url(sheet, longest=8000),
        label=escape(f"Between {names[0]} and {names[1]}"),
        count=STOPS,
    )


def strip(labels: Sequence[str], logits: Tensor) -> str:
    """A tile for every stop, with its prediction; logits (STOPS, K)."""
    shares, best = logits.softmax(1).max(1)
    texts = [
        f"{escape(labels[index])} {share:.0%}" for index, share in zip(best.tolist(), shares.tolist(), strict=True)
    ]
    places = [f"{at / (len(texts) - 1):.4%} 0" for at in range(len(texts))]
    return "".join(
        f'<div><i style="background-position: {place}"></i>{text}</div>'
        for place, text in zip(places, texts, strict=True)
    )


def logit_texts(names: Sequence[str], ends: Sequence[int], logits: Tensor, folder: Path) -> list[str]:
    """Each end's logit beside the maximum over the test set; none where that is not known."""
    texts = []
    for name, end, row in zip(names, ends, (logits[0], logits[-1]), strict=True):
        best, reached = best_logit(folder, end), row[end].item()
        if best is not None:
            texts.append(f"Logit of {name} at its end {reached:.1f}, max on test set {best:.1f}.")
    return texts


def class_menus(model: str | None, *, weights: Path) -> tuple[dict, dict]:
    """The two menus of a model's classes, with happy and surprise chosen where it has them."""
    try:
        labels = load_network(weights, model).labels
    except gr.Error:  # told where the model is chosen
        labels = ()
    first, second = ("happy", "surprise") if {"happy", "surprise"} <= set(labels) else ("", "")
    return gr.update(choices=list(labels), value=first or None), gr.update(choices=list(labels), value=second or None)


# ---- layout


def section(session: Session) -> None:
    """Lays it out and wires it."""
    gr.Markdown(INTRO)
    ends = _end_menus(session)
    start = gr.Button("Run", variant="primary", elem_id="morph-start", min_width=140)
    end = gr.Button("Stop", variant="stop", visible=False, elem_id="morph-stop", min_width=140)
    slider = gr.Slider(0, 100, value=50, step=100 / (STOPS - 1), label="Mix, %", elem_id="morph-at")
    sheet = gr.HTML(
        **EMPTY, html_template=static.text("interpolation.html"), css_template=static.text("tabs.css", "filters.css"),
        apply_default_css=False, elem_id="morph",
    )  # fmt: skip
    token, outputs = gr.State(JobToken()), {"run": start, "stop": end, "sheet": sheet}
    every = list(outputs.values())
    start.click(by_name(outputs, begin), token, every, queue=False, **QUIET)
    end.click(by_name(outputs, stop), token, every, queue=False, **QUIET)
    # As in `tab.py`: where a run is being stopped, the next one waits for its end.
    running = start.click(
        by_name_steps(outputs, partial(run, weights=session.weights)), [token, session.model, *ends], every,
        concurrency_id="ascent", trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    running.failure(by_name(outputs, fail), token, every, **QUIET)
    slider.change(None, slider, None, js=MOVE, **QUIET)
    on_model_change(session, partial(class_menus, weights=session.weights), *ends)


def _end_menus(session: Session) -> list[gr.Dropdown]:
    menus = class_menus(session.model.value, weights=session.weights)
    with gr.Row():
        return [
            gr.Dropdown(menu["choices"], value=menu["value"], label=label, elem_id=elem_id, min_width=140)
            for menu, label, elem_id in zip(menus, ("From", "To"), ("morph-from", "morph-to"), strict=True)
        ]
