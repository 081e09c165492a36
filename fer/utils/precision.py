"""The number format of forward and backward passes: bfloat16 where it is faster, else float32."""

import time
from functools import cache

import torch
from torch.nn import functional


def autocast(device: torch.device, bf16: bool | None = None) -> torch.autocast:
    """A context that computes in bfloat16, or with ``bf16`` False in float32; by default as `use_bf16` decides."""
    return torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(device) if bf16 is None else bf16)


def use_bf16(device: torch.device, batch_independent: bool = False) -> bool:
    """Whether bfloat16 is faster on ``device``.

    batch_independent: only where the result for a face does not depend on the others in its batch, as with AMX.
    """
    if device.type == "cuda":
        return True
    return torch.cpu._is_amx_tile_supported() if batch_independent else bf16_is_faster()


@cache
def bf16_is_faster() -> bool:
    """Whether this CPU convolves faster in bfloat16 than in float32.

    With AMX it does. With AVX512's instructions alone some CPUs take half the time and some longer, so those are timed,
    once a process. The two cases differ so much that every process decides alike.
    """
    if torch.cpu._is_amx_tile_supported() or not torch.cpu._is_avx512_bf16_supported():
        return torch.cpu._is_amx_tile_supported()
    # In turns, as a CPU's speed changes.
    times = [(_seconds(torch.bfloat16), _seconds(torch.float32)) for _ in range(3)]
    return min(half for half, _ in times) < 0.85 * min(full for _, full in times)


@torch.inference_mode(False)
@torch.enable_grad()
def _seconds(dtype: torch.dtype, repeats: int = 5) -> float:
    """The shortest CPU time of this thread for a convolution, forward and backward. Draws no random number."""
    faces = torch.ones(16, 64, 24, 24).to(dtype, memory_format=torch.channels_last)
    weight = torch.ones(64, 64, 3, 3).to(dtype, memory_format=torch.channels_last).requires_grad_()
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        functional.conv2d(faces, weight, padding=1).sum().backward()
        times.append(time.thread_time() - began)
    return min(times)
