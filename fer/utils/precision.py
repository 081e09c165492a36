import time
from functools import cache

import torch
from torch.nn import functional


def autocast(device: torch.device, same: bool = False) -> torch.autocast:
    """bfloat16 where this machine computes faster in it, else float32.

    same: only where what comes out of a face is the same whatever others are in the batch, as with AMX.
    """
    fast = torch.cpu._is_amx_tile_supported() if same else bf16_is_faster()
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or fast)


@cache
def bf16_is_faster() -> bool:
    """Whether this processor convolves faster in bfloat16 than in float32.

    With AMX it does; by AVX512's instructions alone some take half the time (AMD's) and some longer than in float32,
    so that those are timed, once a process. The two lie far apart, so that every process finds the same.
    """
    if torch.cpu._is_amx_tile_supported() or not torch.cpu._is_avx512_bf16_supported():
        return torch.cpu._is_amx_tile_supported()
    kinds = (torch.bfloat16, torch.float32)
    times = [[_seconds(kind) for kind in kinds] for _ in range(3)]  # in turns, as a processor's speed changes
    halves, whole = map(min, zip(*times, strict=True))
    return halves < 0.85 * whole


@torch.inference_mode(False)
@torch.enable_grad()
def _seconds(kind: torch.dtype, repeats: int = 5) -> float:
    """The shortest time that this thread works on a convolution, forward and back, whatever others do meanwhile.

    It draws no random number, as a training counts them.
    """
    faces = torch.ones(16, 64, 24, 24).to(kind, memory_format=torch.channels_last)
    weight = torch.ones(64, 64, 3, 3).to(kind, memory_format=torch.channels_last).requires_grad_()
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        functional.conv2d(faces, weight, padding=1).sum().backward()
        times.append(time.thread_time() - began)
    return min(times)
