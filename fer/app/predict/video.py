"""The Video view: a short film goes in; the same film with its faces marked, their timeline and a table come out.

tab(shared)     lays it out, inside a `gr.Tab`
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from fer.app import static
from fer.app.errors import image_errors_as_messages, user_error
from fer.app.events import QUIET
from fer.app.model_cache import load_detector, load_network, single_threaded
from fer.app.session import Session
from fer.app.uploads import picture_file
from fer.data import image_folder
from fer.inference import annotate, video
from fer.plotting import encode

FPS = 30  # frames that are read of a second of film
LIMITS = video.Limits(seconds=60, pixels=9.5e6, frames=60 * FPS, work=120)  # the command line has almost none
LONGEST = 640  # pixels
EVERY = 0.4  # seconds between two previews
WAITING = 5  # visitors whose films wait for another one to be read

EMPTY = '<div class="empty">The annotated video appears here.</div>'
PRIVACY = (
    f"At most {LIMITS.seconds} seconds and {FPS} frames of each; no audio. Uploads and results are deleted within "
    "twenty minutes."
)


# ---- one film at a time


class Turns:
    """Whose film is read next; for one event loop."""

    def __init__(self) -> None:
        self._line: list[object] = []

    @contextmanager
    def joined(self) -> Iterator["Turn"]:
        """A place at the end of the line, for as long as the block lasts. Raises gr.Error where it is full."""
        if len(self._line) > WAITING:
            raise user_error(f"{len(self._line)} other videos are queued. Please try again in a few minutes.")
        turn = Turn(self._line)
        try:
            yield turn
        finally:
            self._line.remove(turn)


class Turn:
    """A place in the line."""

    def __init__(self, line: list[object]) -> None:
        self._line = line
        line.append(self)

    @property
    def before(self) -> int:
        """How many films come first."""
        return self._line.index(self)


# ---- handlers: generators, which yield the outputs (view, film, timeline, files, stop)


async def watch(
    payload: dict | None, network: str, smoothing: float, stopping: dict, *, weights: Path, reader: Executor,
    turns: Turns,
) -> AsyncIterator[tuple]:  # fmt: skip
    """The outputs while a film waits, is read, and is done; `stopping["stop"]` ends it early and keeps what was read.

    It is asynchronous so that who waits holds no thread.
    """
    hidden = [gr.update(visible=False)] * 3
    if payload is None:
        yield gr.HTML(EMPTY), *hidden, gr.update(visible=False)
        return
    stopping["stop"] = False
    with image_errors_as_messages(), turns.joined() as turn:
        file = picture_file(payload)
        while (before := turn.before) and not stopping["stop"]:
            yield gr.HTML(_waiting(before)), *hidden, gr.update(visible=True)
            await asyncio.sleep(EVERY)
        if stopping["stop"]:
            yield gr.HTML(EMPTY), *hidden, gr.update(visible=False)
            return
        yield gr.HTML("<p>Opening the video ...</p><progress></progress>"), *hidden, gr.update(visible=True)
        chosen, detector = await asyncio.to_thread(lambda: (load_network(weights, network), load_detector()))
        with scratch() as folder:
            steps = video.process_video(file, folder, chosen, detector, smoothing, LONGEST, FPS, LIMITS)
            began, shown, step = time.perf_counter(), 0.0, None
            async with _closed_by(reader, steps):
                while not stopping["stop"] and (following := await _in(reader, next, steps, None)):
                    step = following
                    if time.perf_counter() - shown > EVERY:
                        shown = time.perf_counter()
                        yield gr.HTML(_progress(step, shown - began)), *[gr.skip()] * 4
            yield _result(step, stopping["stop"]) if step else (gr.HTML(EMPTY), *hidden, gr.update(visible=False))


async def _in(reader: Executor, function, *given: object) -> object:
    return await asyncio.wrap_future(reader.submit(function, *given))


@asynccontextmanager
async def _closed_by(reader: Executor, steps: Iterator) -> AsyncIterator[None]:
    """Closes the steps where they are computed, after the one under way, and before their folder is deleted."""
    try:
        yield
    finally:
        await _in(reader, steps.close)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one film's files, deleted afterwards; if the page is killed, before the next film is read.

    It lies among the uploads, where what a killed page left is swept.
    """
    uploads = Path(get_upload_folder())
    uploads.mkdir(parents=True, exist_ok=True)
    sweep(uploads)
    folder = tempfile.mkdtemp(prefix=f"film-{os.getpid()}-", dir=uploads)
    _own.add(folder)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _own.discard(folder)


_own: set[str] = set()  # folders of this process's films


def sweep(uploads: Path) -> None:
    """Deletes the folders of films that were being read by pages which are no more."""
    for folder in uploads.glob("film-*-*"):
        process = folder.name.split("-")[1]
        if str(folder) not in _own and (process == str(os.getpid()) or not _alive(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: str) -> bool:
    if os.name == "nt" or not process.isdecimal():
        return True  # unknown: the sweep by age deletes it
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _waiting(before: int) -> str:
    films = "Another video is" if before == 1 else f"{before} other videos are"
    most = round(before * LIMITS.work / 60)
    return f"<p>{films} processed before yours: at most {most} minutes.</p><progress></progress>"


def _progress(step: video.VideoProgress, took: float) -> str:
    part = f'value="{step.frames}" max="{step.of}"' if step.of else ""
    preview = encode.data_url(annotate.draw_faces(step.picture, step.reading.faces))
    pace = f" of {step.of}, about {took / step.frames * (step.of - step.frames):.0f} s left" if step.of else ""
    return f'<p>Frame {step.frames}{pace}</p><progress {part}></progress><img src="{preview}" alt="The last frame">'


def _result(step: video.VideoProgress, stopped: bool) -> tuple:
    rows = step.faces.rows()
    faces = "; ".join(f"face {row['number']}: most frequent {escape(row['emotion'])}" for row in rows[:4])
    more = f"; and {len(rows) - 4} more" if len(rows) > 4 else ""
    said = (
        f"{step.frames} frames, {step.seconds:.1f} seconds{', stopped' if stopped else ''}: {faces or 'no face'}{more}."
    )
    said += f" {step.stopped}" if step.stopped else ""
    # Gradio copies no file that lies among the uploads, and the film's folder is deleted now.
    files = {kind: save_file_to_cache(file, get_upload_folder()) for kind, file in step.files.items() if file.exists()}
    timeline = gr.update(value=files["timeline"], visible=True) if rows else gr.update(visible=False)
    return (
        gr.HTML(f"<p>{said}</p>"),
        gr.update(value=files["video"], visible=True),
        timeline,
        gr.update(value=[files["csv"], files["json"]], visible=True),
        gr.update(visible=False),
    )


# ---- layout


def tab(shared: Session) -> None:
    """Lays the view out and wires it; call inside a `gr.Tab`."""
    sweep(Path(get_upload_folder()))
    with gr.Row():
        with gr.Column(min_width=300):
            film = gr.File(
                label="Video", file_types=["video", *sorted(image_folder.VIDEOS)], height=200, elem_id="film"
            )
            smoothing = gr.Slider(0, 2, 0.5, step=0.1, label="Temporal smoothing, seconds", elem_id="film-smoothing")
            again = gr.Button("Run again", visible=False, elem_id="film-again")
        with gr.Column(min_width=300):
            view = gr.HTML(
                EMPTY,
                html_template=static.text("video.html"),
                css_template=static.text("video.css"),
                apply_default_css=False,
                elem_id="film-view",
            )
            stop = gr.Button("Stop", visible=False, elem_id="film-stop")
            marked = gr.Video(label="Annotated video", visible=False, interactive=False, elem_id="film-marked")
    timeline = gr.Image(
        label="Probabilities over time", alt_text="The probabilities of each face over time, stacked", visible=False,
        interactive=False, buttons=["download", "fullscreen"], elem_id="film-timeline",
    )  # fmt: skip
    files = gr.File(label="Per-frame predictions (CSV, JSON)", visible=False, interactive=False, elem_id="film-files")
    gr.Markdown(PRIVACY, elem_id="film-privacy")
    stopping = gr.State({"stop": False})
    outputs = [view, marked, timeline, files, stop]
    handler = partial(watch, weights=shared.weights, reader=single_threaded(1), turns=Turns())
    film.change(lambda film: gr.update(visible=film is not None), film, again, queue=False, **QUIET)
    watched = gr.on(
        [film.change, again.click], handler, [film, shared.model, smoothing, stopping], outputs,
        preprocess=False, concurrency_limit=2 * WAITING, concurrency_id="film", **QUIET,
    )  # fmt: skip
    watched.failure(lambda: (gr.HTML(EMPTY), *[gr.update(visible=False)] * 4), None, outputs, **QUIET)
    stop.click(lambda state: state.update(stop=True), stopping, None, queue=False, **QUIET)
