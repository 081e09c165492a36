"""The Live view: the camera's picture moves in the browser, small frames go to the server, and boxes come back.

tab(shared)     lays it out, inside a `gr.Tab`; `camera.html`, `.css`, `.js` and `live.js` are its browser half

A frame is decoded, read and forgotten: it never touches a disk. What stays for a visitor between two frames are the
boxes and the smoothed probabilities of the faces in sight, under a token that the browser makes up at each start.
"""

import base64
import binascii
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
import torch

from fer.app.blocks import UNFORESEEN
from fer.app.errors import user_error
from fer.app.events import QUIET, event_value, on_model_change
from fer.app.model_cache import load_detector, load_network, single_threaded
from fer.app.session import Session
from fer.app.uploads import small_jpeg
from fer.attribution import explain
from fer.data import dataset
from fer.data.image_io import ImageError
from fer.inference import annotate
from fer.inference.predictor import FacePrediction, ImagePrediction
from fer.inference.tracker import FaceTracker
from fer.models import checkpoint

log = logging.getLogger(__name__)
HERE = Path(__file__).parent.parent / "static"

PREFIX = "data:image/jpeg;base64,"
LONGEST = 400_000  # characters of a frame: 320x240 has about 16,000
SIDE = 640  # pixels of a frame's longer side, at most
FACES = 8  # of one frame, the largest
AT_ONCE = 2  # frames that are read at the same time; more would only share the cores
PATIENCE = 0.5  # seconds for which a frame waits for its turn before it is dropped
WAITING = 4  # frames that wait at most: each holds one of the page's threads


class FrameError(ValueError):
    """A frame that cannot be read; the message is one sentence for the visitor."""


class Visitors:
    """One tracker for each token: at most `most` of them, each forgotten `seconds` after its last frame."""

    def __init__(self, most: int = 64, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic):
        self.most, self.seconds, self._clock = most, seconds, clock
        self._trackers: OrderedDict[str, tuple[float, FaceTracker]] = OrderedDict()  # the longest unused first
        self._lock = threading.Lock()

    def tracker(self, token: str, network: checkpoint.FERModel) -> FaceTracker:
        """The visitor's own; a new one for a new token or another network."""
        now = self._clock()
        with self._lock:
            self._sweep(now)
            _, tracker = self._trackers.pop(token, (now, None))
            if tracker is None or tracker.network is not network:
                tracker = FaceTracker(network, load_detector(), fresh_numbers=False)
            self._trackers[token] = (now, tracker)
            while len(self._trackers) > self.most:
                self._trackers.popitem(last=False)
        return tracker

    def forget(self, token: str) -> None:
        with self._lock:
            self._trackers.pop(token, None)

    def __len__(self) -> int:
        with self._lock:
            self._sweep(self._clock())
            return len(self._trackers)

    def _sweep(self, now: float) -> None:
        while self._trackers and now - next(iter(self._trackers.values()))[0] > self.seconds:
            self._trackers.popitem(last=False)


class Turns:
    """So many frames are read at once, each in a thread of its own; a few wait a moment, the others are not read."""

    def __init__(self, most: int = AT_ONCE, waiting: int = WAITING):
        self.free, self._pool = threading.BoundedSemaphore(most), single_threaded(most)
        self.room = threading.BoundedSemaphore(most + waiting)

    def take(self, work: Callable[[], dict]) -> dict | None:
        """What the work returns, or None where there was no turn within `PATIENCE` seconds, or no room to wait."""
        if not self.room.acquire(blocking=False):
            return None
        try:
            if not self.free.acquire(timeout=PATIENCE):
                return None
            try:
                return self._pool.submit(work).result()
            finally:
                self.free.release()
        finally:
            self.room.release()


# ---- handlers


def answer(payload: dict, weights: Path, visitors: Visitors, turns: Turns) -> dict:
    """What the browser draws for a frame; {"busy": True} where it found no turn, {"refused": sentence} where it erred.

    Anybody can call this with anything, so all of it is checked.
    """
    began = time.perf_counter()
    try:
        token, at, seconds = _token(payload), _number(payload, "at", 1e9), _number(payload, "smoothing", 10)
        network = load_network(weights, payload.get("network"))

        def look() -> dict:
            tracker = visitors.tracker(token, network)
            tracker.seconds = seconds
            return _told(tracker.read(_frame(payload.get("frame")), at), network, bool(payload.get("why")))

        told = turns.take(look)
    except (FrameError, ImageError) as error:
        return {"refused": str(error)}
    except gr.Error as error:
        return {"refused": error.message}
    except Exception:  # whatever it is: the browser would take no answer for a lost one, and go on asking
        log.exception("A frame was not read")
        return {"refused": UNFORESEEN}
    return {"busy": True} if told is None else told | {"milliseconds": round(1000 * (time.perf_counter() - began), 1)}


def _told(reading: ImagePrediction, network: checkpoint.FERModel, why: bool) -> dict:
    faces = [_drawn(face) for face in reading.faces[:FACES]]
    if why and faces:
        _add_reasons(faces, reading.faces, network)
    return {"size": reading.size, "faces": faces}


def _drawn(face: FacePrediction) -> dict:
    """A face as the browser draws it; its crop as 2304 bytes of grey."""
    box = face.box
    return {
        "number": face.number,
        "box": [round(value, 1) for value in (box.x, box.y, box.width, box.height)],
        "emotion": face.emotion,
        "low_confidence": bool(face.low_confidence),
        "probabilities": {name: round(share, 6) for name, share in face.probabilities.items()},
        "crop": base64.b64encode(face.crop.tobytes()).decode(),
    }


def _add_reasons(drawn: list[dict], faces: Sequence[FacePrediction], network: checkpoint.FERModel) -> None:
    """Adds the square that was read, and over it the plain gradient of the emotion shown, as 48x48 RGBA."""
    crops = dataset.to_unit(torch.from_numpy(np.stack([face.crop for face in faces[: len(drawn)]])))
    targets = torch.tensor([network.labels.index(face["emotion"]) for face in drawn])
    maps = explain.explain(network, crops, "gradient", targets)
    for face, read, values in zip(drawn, faces[: len(drawn)], maps, strict=True):
        square = read.square
        face["square"] = [round(value, 1) for value in (square.x, square.y, square.width, square.height)]
        face["why"] = base64.b64encode(annotate.map_to_rgba(values[0].numpy()).tobytes()).decode()


def _token(payload: dict) -> str:
    token = payload.get("visitor") if isinstance(payload, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[0-9a-f-]{32,36}", token):
        raise FrameError("This page did not say whose camera it is. Please load it again.")
    return token


def _number(payload: dict, name: str, most: float) -> float:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise FrameError(f"{name} is {str(value)[:20]}: a number from 0 to {most:g} would be right.")
    return float(value)


def _frame(url: object) -> np.ndarray:
    """The frame of a data address, RGB uint8 (H, W, 3)."""
    if not isinstance(url, str) or not url.startswith(PREFIX) or len(url) > LONGEST:
        raise FrameError("The camera's picture did not arrive as a small JPEG. Please load the page again.")
    try:
        return small_jpeg(base64.b64decode(url[len(PREFIX) :], validate=True), SIDE)
    except binascii.Error:
        raise FrameError("The camera's picture arrived damaged.") from None


def taken(event: gr.EventData) -> np.ndarray:
    """The frozen face, uint8 (48, 48), for the other tabs."""
    try:
        pixels = np.frombuffer(base64.b64decode(event_value(event, "crop"), validate=True), np.uint8)
        return pixels.reshape(48, 48).copy()
    except (TypeError, ValueError):
        raise user_error("There was no face to take over. Please freeze a moment in which one is in sight.") from None


# ---- layout


def tab(shared: Session) -> gr.HTML:
    """Lays the view out and wires it; call inside a `gr.Tab`. Its `photograph` event asks for the other way in."""
    camera = component(shared.weights, shared.model.value)
    camera.freeze(taken, None, shared.face, **QUIET)
    on_model_change(shared, lambda name: gr.HTML(network=name), camera)
    return camera


def component(weights: Path, network: str | None) -> gr.HTML:
    visitors, turns = Visitors(), Turns()

    def look(payload: dict) -> dict:
        return answer(payload, weights, visitors, turns)

    def leave(token: str) -> None:
        visitors.forget(str(token))

    return gr.HTML(
        html_template=(HERE / "webcam.html").read_text(encoding="utf-8"),
        css_template=(HERE / "webcam.css").read_text(encoding="utf-8"),
        js_on_load="\n".join((HERE / name).read_text(encoding="utf-8") for name in ("live.js", "webcam.js")),
        apply_default_css=False,
        server_functions=[look, leave],
        elem_id="camera",
        network=network,
        hues=annotate.EMOTION_COLOURS,
    )
