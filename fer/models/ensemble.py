"""An ensemble: the average of the calibrated probabilities of several networks, usable wherever a network is.

ensemble = checkpoint.load_model("ensemble:compact+cnn")
ensemble = checkpoint.load_model("ensemble")  # the one that `python -m fer ensemble` selected
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fer.utils.model_files import PREFIX


def average_probabilities(logits: Sequence[Tensor], temperatures: Sequence[float]) -> Tensor:
    """The logarithm (B, K) of the mean of the members' probabilities, softmax(logits (B, K) / temperature)."""
    shares = [(each / temperature).softmax(1) for each, temperature in zip(logits, temperatures, strict=True)]
    return torch.stack(shares).mean(0).clamp_min(1e-12).log()


class Ensemble(nn.Module):
    """Faces (B, 1, 48, 48) in 0..1 -> logits (B, K): the logarithm of the members' mean probability.

    Each member's probabilities are softmax(logits / its temperature), and the softmax of the ensemble's logits is
    their mean. That mean is underconfident where calibrated members differ (Wu and Gales 2021, arXiv 2101.05397), so
    ``python -m fer ensemble`` fits a temperature for it; else it is 1. Members must have the same labels, in order.

    Raises:
        ValueError: fewer than two members, or members of different labels.
    """

    name: str
    labels: tuple[str, ...]
    temperature: float
    confidence_threshold: float
    prediction_set: float
    metrics: dict
    members: Any
    """An nn.ModuleList of FERModels."""

    def __init__(
        self,
        members: Sequence[Any],
        temperature: float = 1.0,
        confidence_threshold: float = 0.0,
        metrics: dict | None = None,
        prediction_set: float = 0.0,
    ) -> None:
        super().__init__()
        if len(members) < 2:
            raise ValueError(f"an ensemble of {len(members)}: expected at least two networks")
        self.labels = members[0].labels
        for member in members:
            if member.labels != self.labels:
                raise ValueError(
                    f"{member.name} has the labels {', '.join(member.labels)}, not {', '.join(self.labels)}"
                )
        self.members = nn.ModuleList(members)
        self.name = PREFIX + "+".join(member.name for member in members)
        self.temperature, self.confidence_threshold = temperature, confidence_threshold
        self.prediction_set = prediction_set
        self.metrics = metrics or {}

    def forward(self, faces: Tensor) -> Tensor:
        return average_probabilities(
            [member(faces) for member in self.members], [member.temperature for member in self.members]
        )
