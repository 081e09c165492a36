"""The Video view: a short film goes in; the same film with its faces marked, their timeline and a table come out.

tab(shared)     lays it out, inside a `gr.Tab`
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr

from fer import annotation, plots, video
from fer.tabs.shared import QUIET, Shared, load_detector, load_network, network_menu, said_kindly, single_threaded
from fer.tabs.uploads import picture_file

SECONDS = 60  # of a film; the command line has no limit
LONGEST = 640  # pixels
EVERY = 0.4  # seconds between two previews

VIEW = '<div role="status">${value}</div>'
CSS = """
.empty { min-height: 320px; padding: 24px; display: grid; place-items: center; text-align: center;
  color: var(--body-text-color-subdued); border: 1px dashed var(--border-color-primary);
  border-radius: var(--block-radius); }
p { margin: 0 0 8px; color: var(--body-text-color); }
progress { width: 100%; height: 8px; accent-color: var(--primary-500); }
img { display: block; max-width: 100%; max-height: 420px; margin: 12px auto 0; border-radius: var(--radius-md); }
"""
EMPTY = '<div class="empty">The film with its faces marked appears here.</div>'
PRIVACY = (
    f"Up to {SECONDS} seconds are read here; `python -m fer predict VIDEO` reads films of any length. The sound is "
    "left out. The film and what was read off it are deleted within twenty minutes."
)


# ---- handlers: generators, which yield the outputs (view, film, timeline, files, stop)


def watch(
    payload: dict | None, network: str, smoothing: float, stopping: dict, *, weights: Path, reader: Executor
) -> Iterator[tuple]:
    """The outputs while a film is read, and once it is; `stopping["stop"]` ends it early and keeps what was read."""
    hidden = [gr.update(visible=False)] * 3
    if payload is None:
        yield gr.HTML(EMPTY), *hidden, gr.update(visible=False)
        return
    stopping["stop"], began, shown = False, time.perf_counter(), 0.0
    yield gr.HTML("<p>Opening the film ...</p><progress></progress>"), *hidden, gr.update(visible=True)
    with said_kindly(), tempfile.TemporaryDirectory() as folder:
        file, chosen = picture_file(payload), load_network(weights, network)
        steps = video.follow(file, Path(folder), chosen, load_detector(), smoothing, LONGEST, SECONDS)
        step = None
        while not stopping["stop"] and (following := reader.submit(next, steps, None).result()):
            step = following
            if time.perf_counter() - shown > EVERY:
                shown = time.perf_counter()
                yield gr.HTML(_progress(step, shown - began)), *[gr.skip()] * 4
        steps.close()
        yield _result(step, stopping["stop"])


def _progress(step: video.Step, took: float) -> str:
    part = f'value="{step.frames}" max="{step.of}"' if step.of else ""
    preview = plots.data_url(annotation.annotated(step.picture, step.reading.faces))
    pace = f"{step.seconds:.1f} s of film in {took:.1f} s"
    return f'<p>Frame {step.frames}, {pace}</p><progress {part}></progress><img src="{preview}" alt="The last frame">'


def _result(step: video.Step, stopped: bool) -> tuple:
    rows = step.faces.rows()
    faces = "; ".join(f"face {row['number']} mostly {escape(row['emotion'])}" for row in rows[:4])
    more = f"; and {len(rows) - 4} more" if len(rows) > 4 else ""
    said = (
        f"{step.frames} frames, {step.seconds:.1f} seconds{', stopped' if stopped else ''}: {faces or 'no face'}{more}."
    )
    files = step.files
    timeline = gr.update(value=str(files["timeline"]), visible=True) if rows else gr.update(visible=False)
    return (
        gr.HTML(f"<p>{said}</p>"),
        gr.update(value=str(files["video"]), visible=True),
        timeline,
        gr.update(value=[str(files["csv"]), str(files["json"])], visible=True),
        gr.update(visible=False),
    )


# ---- layout


def tab(shared: Shared) -> None:
    """Lays the view out and wires it; call inside a `gr.Tab`."""
    with gr.Row():
        with gr.Column(min_width=300):
            film = gr.File(label="Film", file_types=["video"], height=200, elem_id="film")
            network = network_menu(shared, "film-network")
            smoothing = gr.Slider(0, 2, 0.5, step=0.1, label="Smoothing in seconds", elem_id="film-smoothing")
        with gr.Column(min_width=300):
            view = gr.HTML(EMPTY, html_template=VIEW, css_template=CSS, apply_default_css=False, elem_id="film-view")
            stop = gr.Button("Stop", visible=False, elem_id="film-stop")
            marked = gr.Video(label="Faces marked", visible=False, interactive=False, elem_id="film-marked")
    timeline = gr.Image(
        label="Probabilities over time", alt_text="The probabilities of each face over time, stacked", visible=False,
        interactive=False, buttons=["download", "fullscreen"], elem_id="film-timeline",
    )  # fmt: skip
    files = gr.File(
        label="Every frame and face, as CSV and JSON", visible=False, interactive=False, elem_id="film-files"
    )
    gr.Markdown(PRIVACY, elem_id="film-privacy")
    stopping = gr.State({"stop": False})
    outputs = [view, marked, timeline, files, stop]
    handler = partial(watch, weights=shared.weights, reader=single_threaded(1))
    watched = film.change(
        handler, [film, network, smoothing, stopping], outputs,
        preprocess=False, concurrency_limit=1, concurrency_id="film", **QUIET,
    )  # fmt: skip
    watched.failure(lambda: (gr.HTML(EMPTY), *[gr.update(visible=False)] * 4), None, outputs, **QUIET)
    stop.click(lambda state: state.update(stop=True), stopping, None, queue=False, **QUIET)
