import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch

from fer.app.errors import user_error
from fer.app.session import log
from fer.faces import detector
from fer.inference import predictor
from fer.models import checkpoint
from fer.models.ensemble import Ensemble
from fer.utils.model_files import PREFIX


def load_network(weights: Path, name: str) -> checkpoint.FERModel:
    """The network `name` of a folder, loaded once for all visitors. Do not hook or alter it: copy it for that.

    Raises gr.Error for any other name than those of the folder's own networks, and for a broken one.
    """
    names = checkpoint.list_checkpoints(weights)
    if name not in names:
        raise user_error(
            f"There is no network {str(name)[:40]!r} here. Choose one of: {', '.join(names) or 'none yet'}."
        )
    try:
        return _load(name, weights)
    except checkpoint.CheckpointError as error:
        log.error("%s", error)  # it names files of the server, which are not a visitor's business
        raise user_error(f"The network {name!r} is broken on the server. Please choose another one.") from None


def outline(weights: Path, name: str) -> checkpoint.FERModel | Ensemble:
    """The network or ensemble `name` as far as its config.json tells, without weights: labels, figures, shapes.

    Raises gr.Error as `load_network` does.
    """
    members = members_of(name)
    if len(set(members)) < len(members):
        raise user_error("An ensemble needs networks that are not the same.")
    known = checkpoint.list_models(weights)
    for member in members:
        if member not in known:
            there = ", ".join(known) or "none yet"
            raise user_error(f"There is no network {member[:40]!r} here. Choose one of: {there}.")
    try:
        return _outline(name, weights)
    except checkpoint.CheckpointError as error:
        log.error("%s", error)
        if len(members) > 1 and all(_sound(member, weights) for member in members):
            raise user_error("These networks tell other labels apart, so they are no ensemble.") from None
        raise user_error(f"The network {name!r} is broken on the server. Please choose another one.") from None


def load_any(weights: Path, name: str) -> checkpoint.FERModel | Ensemble:
    """The network or ensemble `name`, its weights shared with `load_network`. Raises gr.Error."""
    found = outline(weights, name)
    if not isinstance(found, Ensemble):
        return load_network(weights, name)
    members = [load_network(weights, member.name) for member in found.members]
    return Ensemble(members, found.temperature, found.confidence_threshold, found.metrics, found.prediction_set).eval()


def members_of(name: str) -> list[str]:
    """The networks that an ensemble's name lists, or the one network."""
    return str(name).removeprefix(PREFIX).split("+")


def _sound(name: str, weights: Path) -> bool:
    try:
        return bool(_outline(name, weights))
    except checkpoint.CheckpointError:
        return False


_outline = functools.lru_cache(maxsize=64)(checkpoint.load_meta)
_load = functools.lru_cache(maxsize=16)(checkpoint.load_model)


@functools.lru_cache(maxsize=1)
def load_detector() -> detector.Detector:
    """The face detector, loaded once."""
    return detector.load_detector()


def read(picture: np.ndarray, weights: Path, name: str, whole_picture: bool = False) -> predictor.ImagePrediction:
    """Every face of an RGB picture, uint8 (H, W, 3), through the network `name`."""
    return predictor.predict_image(picture, load_network(weights, name), load_detector(), whole_picture=whole_picture)


def single_threaded(most: int) -> ThreadPoolExecutor:
    """So many threads in each of which torch shares its work with no other one.

    One face is too little to share: on two busy cores, two threads a face read half as many frames as one. Torch's
    setting is a thread's own, but also what threads to come start with, and so is put back.
    """
    threads, started = torch.get_num_threads(), threading.Barrier(most + 1)
    pool = ThreadPoolExecutor(most, initializer=_alone)
    for _ in range(most):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # of all threads: pictures of the page are small as well
    return pool


def _alone() -> None:
    torch.get_num_threads()  # the first look sets a thread's number to the usual one, and so must come before
    torch.set_num_threads(1)
