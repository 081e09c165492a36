import time
from collections.abc import Iterator
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.data.dataset import to_unit
from fer.models.layers import SIDE
from fer.utils.threads import one_thread

_TTA_SHIFT = 3  # pixels


def predict_logits(network: nn.Module, pixels: Tensor, size: int = SIDE, tta: bool = False) -> Tensor:
    """Logits (N, K) of uint8 faces (N, 48, 48), on the CPU. Puts ``network`` into eval mode.

    size: side in pixels to which the faces are shrunk first, for low-resolution epochs of a training.
    tta: the mean of the logits of ten-crop test-time augmentation.
    """
    network.eval()
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    rows = []
    with torch.inference_mode():
        for block in pixels.split(256):
            faces = to_unit(block.to(device))  # (B, 1, 48, 48)
            if size != SIDE:
                faces = functional.interpolate(faces, size=size, mode="area")
            views = ten_crop(faces) if tta else [faces]
            rows.append(torch.stack([network(view).float() for view in views]).mean(0).cpu())
    return torch.cat(rows)


def ten_crop(faces: Tensor) -> Iterator[Tensor]:
    """Ten-crop test-time augmentation: the face and four shifted by 3 pixels, each also mirrored, (B, 1, 48, 48)."""
    side, shift = faces.shape[-1], _TTA_SHIFT
    padded = functional.pad(faces, [shift] * 4, mode="replicate")
    for top, left in ((shift, shift), (0, 0), (0, 2 * shift), (2 * shift, 0), (2 * shift, 2 * shift)):
        view = padded[:, :, top : top + side, left : left + side]
        yield from (view, view.flip(-1))


def measure_latency(network: nn.Module, repeats: int = 100) -> float:
    """Median CPU time of one face (1, 1, 48, 48) through ``network`` in float32 on one core, in milliseconds."""
    face, times = torch.full((1, 1, SIDE, SIDE), 0.5), []
    with one_thread(), torch.inference_mode():
        for _ in range(repeats):
            began = time.thread_time()
            network(face)
            times.append(time.thread_time() - began)
    return 1000 * median(times)
