"""What a visitor chooses in the Confusion tab, and the predictions that follow from it.

Everything but the faces is computed from the logits that `python -m fer evaluate` keeps in predictions.npz, so no data
set is needed.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from fer.app.confusion import upload
from fer.app.errors import user_error
from fer.app.model_cache import outline
from fer.data.image_folder import LabelledFaces
from fer.evaluation import predictions
from fer.evaluation.predictions import Predictions
from fer.models import checkpoint
from fer.utils.model_files import PREFIX, SELECTED

OWN, NO_MODEL = "own", ""
SPLIT_NAMES = {"PrivateTest": "Test", "PublicTest": "Validation", OWN: "Your own faces"}


@dataclass(frozen=True)
class ConfusionRequest:
    """A visitor's choices, in the order of the tab's controls. Unchecked: they come from the browser."""

    model: str
    split: str
    normalize: str
    compare_with: str = NO_MODEL
    threshold: float = 0.0
    no_duplicates: bool = False
    ensemble_with: list[str] | None = None
    own_faces: LabelledFaces | None = None

    @property
    def name(self) -> str:
        """The model, or its ensemble with the other members."""
        others = [name for name in self.ensemble_with or () if name != self.model]
        return PREFIX + "+".join([self.model, *others]) if others else self.model

    @property
    def awaits_upload(self) -> bool:
        return self.split == OWN and self.own_faces is None

    def predictions(self, weights: Path) -> Predictions:
        """Raises gr.Error, in a sentence, for what is not there."""
        return self._load(self.name, weights)

    def other_predictions(self, weights: Path) -> Predictions | None:
        """Those of the model that it is compared with, if there is one. Raises gr.Error."""
        absent = self.compare_with in (NO_MODEL, None, self.name)
        return None if absent else self._load(self.compare_with, weights)

    def faces(self) -> LabelledFaces | None:
        return self.own_faces if self.split == OWN else None

    def comparable(self, weights: Path) -> "ConfusionRequest":
        """The same without models that have other labels than the chosen one, as after another model was chosen."""
        names = comparable_models(self.model, checkpoint.list_models(weights), weights)
        members = [name for name in self.ensemble_with or () if name in names and name != SELECTED]
        kept = self.compare_with if self.compare_with in names else NO_MODEL
        return replace(self, compare_with=kept, ensemble_with=members)

    def _load(self, name: str, weights: Path) -> Predictions:
        model = outline(weights, name)
        try:
            if self.split != OWN:
                found = predictions.load_predictions(model, self.split, weights)
            elif self.own_faces is None:
                raise ValueError("no faces are uploaded yet")
            else:
                logits = upload.predict_uploaded(self.own_faces, weights, name)
                found = predictions.predict_own_faces(self.own_faces, model, logits)
            return found.select(bool(self.no_duplicates)).above_confidence(self.threshold)
        except gr.Error:
            raise
        except ValueError as error:
            raise user_error(error_text(error, weights)) from None


def comparable_models(model: str, names: list[str], weights: Path) -> list[str]:
    """Those of the names whose models predict the same labels as `model`, itself left out."""
    return [name for name in names if name != model and _labels(name, weights) == _labels(model, weights)]


def _labels(name: str, weights: Path) -> tuple[str, ...] | None:
    try:
        return tuple(outline(weights, name).labels)
    except gr.Error:  # a broken one is reported where it is chosen
        return None


def error_text(error: ValueError, weights: Path) -> str:
    """What is wrong, as a sentence, without the commands that only concern whoever runs the page.

    It begins with a capital, unless it begins with a model's name.
    """
    text = getattr(error, "message", str(error)).partition(": `")[0].rstrip(".") + "."  # gr.Error has a message
    for split, shown in SPLIT_NAMES.items():
        text = text.replace(f"measured on {split}", f"measured on {shown}")
    starts_with_name = text.startswith((PREFIX, *(f"{name} " for name in checkpoint.list_checkpoints(weights))))
    return text if starts_with_name else text[:1].upper() + text[1:]
