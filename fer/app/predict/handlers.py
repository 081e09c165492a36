"""What the events of the Photo view do: a picture goes in, its faces and the predictions for them come out."""

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import numpy as np
import torch

from fer.app.errors import image_errors_as_messages
from fer.app.events import validated_index
from fer.app.examples import example_face, example_files
from fer.app.model_cache import load_network, read
from fer.app.predict import view
from fer.app.uploads import picture_file
from fer.data.image_io import open_image, open_scaled
from fer.inference import predictor
from fer.inference.predictor import ImagePrediction
from fer.models.checkpoint import FERModel
from fer.plotting import encode


@dataclass(frozen=True)
class PredictState:
    """What a visitor has before them; kept in a `gr.State`, without the picture."""

    prediction: ImagePrediction
    chosen: int = 0  # which face; 0 is the largest


@dataclass(frozen=True)
class PhotoOutputs:
    """The values of the Photo view's components, in their order in `tab.photo`."""

    upload: dict
    view: gr.HTML
    verdict: gr.HTML
    skip_detection: dict
    state: PredictState | None
    face: np.ndarray  # uint8 (48, 48), for all tabs


def predict(picture: dict | None, name: str, *, weights: Path, whole_picture: bool = False) -> PhotoOutputs:
    """Everything for a new picture; without one, or with one that cannot be read, the empty view and why."""
    if picture is None:
        return empty(view.NOTHING_YET)
    try:
        with image_errors_as_messages():
            opened = open_scaled(picture_file(picture))
            prediction = read(opened.pixels, weights, name, whole_picture=whole_picture)
    except gr.Error as error:
        return empty(view.refused(str(error.message)))
    if opened.note:
        gr.Info(opened.note, title="")
    width, height = prediction.size
    shown = {"picture": encode.data_url(opened.pixels), "wide": width, "high": height}
    return outputs(PredictState(prediction), **shown)


def predict_again(state: PredictState, name: str, *, weights: Path) -> PhotoOutputs:
    """Everything for the same faces and another model; the choice of a face stays."""
    try:
        network = load_network(weights, name)
    except gr.Error as error:
        return empty(view.refused(str(error.message)))
    return outputs(replace(state, prediction=with_model(state.prediction, network)))


def with_model(prediction: ImagePrediction, network: FERModel) -> ImagePrediction:
    """The same faces with this model's probabilities."""
    if not prediction.faces:
        return prediction
    rows = predictor.predict_probabilities(
        network, torch.from_numpy(np.stack([face.crop for face in prediction.faces]))
    )
    faces = tuple(
        replace(
            face,
            probabilities=dict(zip(network.labels, row, strict=True)),
            low_confidence=max(row) < network.confidence_threshold,
            set_threshold=network.prediction_set,
        )
        for face, row in zip(prediction.faces, rows.tolist(), strict=True)
    )
    return replace(prediction, faces=faces)


def choose(state: PredictState | None, event: gr.EventData) -> PhotoOutputs:
    """Everything for another face of the same picture."""
    chosen = validated_index(event, len(state.prediction.faces) if state else 0)
    return outputs(replace(state, chosen=chosen))


def outputs(state: PredictState, **picture: object) -> PhotoOutputs:
    """What a prediction shows; without `picture`, the picture itself is not sent again."""
    prediction, chosen = state.prediction, state.chosen
    found = bool(prediction.faces)
    return PhotoOutputs(
        upload=gr.update(visible="hidden"),
        view=gr.HTML(view.boxes(prediction, chosen), strip=view.strip(prediction, chosen), **picture),
        verdict=gr.HTML(**view.verdict(prediction, chosen)),
        skip_detection=gr.update(visible=not found),
        state=state,
        face=prediction.faces[chosen].crop if found else example_face(),
    )


def empty(sentence: str) -> PhotoOutputs:
    """No prediction, and why."""
    return PhotoOutputs(
        upload=gr.update(visible=True),
        view=gr.HTML(**view.NO_PICTURE),
        verdict=gr.HTML(sentence, details=""),
        skip_detection=gr.update(visible=False),
        state=None,
        face=example_face(),
    )


def example(event: gr.EventData) -> np.ndarray:
    """The example picture that was clicked."""
    files = example_files()
    return open_image(files[validated_index(event, len(files))])
