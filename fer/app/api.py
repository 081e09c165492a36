"""What other programs may ask of the page: to predict, and for saliency, activations and ascents.

publish(shared)     adds the endpoints; no component of them is drawn (`/confusion` is that of the Confusion tab)

Pictures go in as files that Gradio's clients upload (`handle_file`) or as data addresses, and come out as PNGs in data
addresses. By MCP each endpoint is a tool of that name; a language model gets no pictures, which it could not read.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from fer.app.errors import image_errors_as_messages, user_error
from fer.app.filters import job as filters_job
from fer.app.model_cache import load_network, read
from fer.app.queue import wanted
from fer.app.session import Session
from fer.app.uploads import picture_sent
from fer.attribution import explanation
from fer.data.image_io import open_image, open_scaled
from fer.features import layer_report
from fer.inference.predictor import ImagePrediction
from fer.plotting import encode
from fer.plotting.maps import image_row, map_scales, palette_url, tile_images, tile_signed_maps

_COLUMNS = 8  # of tiles in a picture
_TILE = 96  # pixels that a tile is enlarged to
_ONE_AT_A_TIME = {"concurrency_limit": 1}  # each endpoint in a line of its own


def publish(shared: Session) -> None:
    """The endpoints; their types are read off the functions in here, their descriptions off those below."""
    weights = shared.weights

    def predict(picture: dict | str, network: str = "compact") -> dict:
        return readings(weights, picture, network)

    def saliency(
        picture: dict | str,
        network: str = "compact",
        method: str = "integrated-gradients",
        target: str | None = None,
        against: str | None = None,
        request: gr.Request = None,
    ) -> dict:
        return _told(explained(weights, picture, network, method, target, against), request)

    def activations(
        picture: dict | str, network: str = "compact", layer: str = "conv2d_1", request: gr.Request = None
    ) -> dict:
        return _told(answered(weights, picture, network, layer), request)

    def ascend(
        network: str = "compact",
        layer: str = "conv2d_4",
        filters: str = "0-15",
        steps: int = 48,
        seed: int = 0,
        request: gr.Request = None,
    ) -> dict:
        return _told(grown(weights, network, layer, filters, steps, seed), request)

    gr.api(predict, api_name="predict", api_description=readings.__doc__)
    for function, does in ((saliency, explained), (activations, answered), (ascend, grown)):
        gr.api(function, api_name=function.__name__, api_description=does.__doc__, **_ONE_AT_A_TIME)


def _told(answer: dict, request: gr.Request | None) -> dict:
    """The answer; by MCP, which would send it as text, without its picture."""
    by_mcp = request is not None and request.headers.get("x-gradio-user") == "mcp"
    return {key: value for key, value in answer.items() if key != "picture"} if by_mcp else answer


def readings(weights: Path, picture: dict | str, network: str) -> dict:
    """Finds every face in a picture and reads its expression; the largest face comes first.

    Boxes are [left, top, width, height] in pixels; "angle" is by how many degrees a face is turned clockwise;
    probabilities are calibrated, and "low_confidence" says that the highest of them is too low to be believed. A
    picture is an upload, or a data address.
    """
    with image_errors_as_messages():
        opened = open_scaled(picture_sent(picture))
    reading = read(opened.pixels, weights, network)
    rows = [
        {
            "box": face.box.scaled(opened.scale).to_list(),
            "angle": round(face.box.angle),
            "emotion": face.emotion,
            "probabilities": {name: round(share, 4) for name, share in face.probabilities.items()},
            "low_confidence": bool(face.low_confidence),
        }
        for face in reading.faces
    ]
    return {"faces": rows, "detector": reading.detector} | ({"note": opened.note} if opened.note else {})


def explained(
    weights: Path, picture: dict | str, network: str, method: str, target: str | None, against: str | None
) -> dict:
    """Why the largest face in a picture gets its answer, or `target`, or `target` rather than `against`.

    Gives the method, the target, its probability with and without the face's other pixels, the map's faithfulness
    beside that of three controls, and a picture of the face, its map and the masked face.
    """
    chain, face = load_network(weights, network), largest(weights, picture, network)
    try:
        reason = explanation.explain_face(chain, face, method, target, against, on_forward=_in_time())
    except ValueError as error:
        raise user_error(f"This cannot be explained: {error}.") from None
    scores = explanation.score_explanation(reason, explanation.measure_output_changes(chain, reason))
    three = image_row(list(explanation.labelled_images(reason).values()), scale=6)
    return explanation.to_json(reason, scores) | {"picture": encode.data_url(three, lossless=True)}


def answered(weights: Path, picture: dict | str, network: str, layer: str) -> dict:
    """What every filter of a layer answers to the largest face in a picture: red above 0, blue below.

    Gives the layer, how many filters it has, the size of their maps, and all maps as one picture, eight in a row; of a
    dense layer its values.
    """
    chain, face = load_network(weights, network), largest(weights, picture, network)
    try:
        answer = layer_report.layer_report(chain, layer, face)
    except ValueError as error:
        raise user_error(f"There are no such maps: {error}.") from None
    found = {"layer": layer, "filters": len(answer.values), "size": list(answer.values.shape[1:])}
    if answer.values.ndim == 1:
        return found | {"values": [round(float(value), 4) for value in answer.values]}
    scale = max(1, _TILE // answer.values.shape[1])
    maps = tile_signed_maps(answer.values, map_scales(answer.values), _COLUMNS, scale, gap=2)
    return found | {"picture": palette_url(maps)}


def grown(weights: Path, network: str, layer: str, filters: str, steps: int, seed: int) -> dict:
    """Grows the picture that each of some filters (as in "0-15,40") of a layer answers most, out of noise.

    Gives every filter's number, its value, whether it is dead, and all pictures as one, eight in a row. The last layer
    gives the emotions. At most 64 filters and 128 steps.
    """
    asked = filters_job.make_request(weights, network, layer, filters, "clear", steps, seed)
    if len(asked.filters) > 64:
        raise user_error(f"That is {len(asked.filters)} filters: ask for 64 at most, as in 0-63.")
    last = filters_job.load_precomputed(asked, weights) or _last(filters_job.run(asked, weights))
    if last.timed_out:
        raise user_error(
            f"This takes longer than {filters_job.MAX_SECONDS} seconds here: ask for fewer filters or steps."
        )
    rows = [
        {"filter": number, "ascent": round(value, 4), "dead": dead}
        for number, value, dead in zip(asked.filters, last.values, last.dead, strict=True)
    ]
    sheet = tile_images(last.images, _COLUMNS, max(1, _TILE // last.images.shape[1]))
    return {"layer": layer, "filters": rows, "picture": encode.data_url(sheet)}


def _in_time() -> Callable[[object], None]:
    """To be called at every step of some work: raises gr.Error once nobody waits for it, or its turn is over."""
    ends = time.monotonic() + filters_job.MAX_SECONDS

    def watch(_: object) -> None:
        if not wanted():
            raise user_error("Nobody waits for this any more.")
        if time.monotonic() > ends:
            raise user_error(f"This takes longer than {filters_job.MAX_SECONDS} seconds here: ask for less.")

    return watch


def _last(steps: Iterator[filters_job.VisualizationState]) -> filters_job.VisualizationState:
    """What an ascent comes to, which keeps its own time. Raises gr.Error once nobody waits for it."""
    last = None
    for last in steps:  # noqa: B007
        if not wanted():
            raise user_error("Nobody waits for this any more.")
    return last


def largest(weights: Path, picture: dict | str, network: str) -> np.ndarray:
    """The largest face of a picture that was sent, as networks see it: uint8 (48, 48)."""
    reading = _read(weights, picture, network)
    if not reading.faces:
        raise user_error("No face was found in this picture: send one whose face is larger or seen from the front.")
    return reading.faces[0].crop


def _read(weights: Path, picture: dict | str, network: str) -> ImagePrediction:
    with image_errors_as_messages():
        return read(open_image(picture_sent(picture)), weights, network)
