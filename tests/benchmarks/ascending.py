"""How long gradient ascent takes, and in how much memory: many filters at once, and against one at a time.

    python -m tests.benchmarks.ascending            # all of it, about five minutes on two cores
    python -m tests.benchmarks.ascending --quick    # without the 512 filters of vgg19-selu
    python -m tests.benchmarks.ascending --exact    # in float32, where the machine computes in bfloat16

Aims on two cores: 16 filters x 32 steps of vgg19-selu's conv2d_15 in 15 s with the first frame in 1 s; all 64 filters
of cnn's conv2d_1 in 1 s; peak memory under 4 GB for 512 filters; a batch of 64 three times as fast as one by one.
A network that is not in weights/ is drawn at random: its times are the same.
"""

import argparse
import resource
import time
from contextlib import nullcontext

import torch

from fer.features import visualization
from fer.models.layers import NamedSequential
from tests.benchmarks.explaining import network_called

DEEP = ("vgg19-selu", "conv2d_15")


def timed(network: NamedSequential, layer: str, filters: range, steps: int) -> tuple[float, float]:
    """Seconds to the first frame and to the last, of preset `clear`."""
    began = time.perf_counter()
    frames = visualization.visualize(network, layer, filters, steps=steps)
    next(frames)
    first = time.perf_counter() - began
    for _ in frames:
        pass
    return first, time.perf_counter() - began


def told(name: str, layer: str, count: int, steps: int) -> None:
    network = network_called(name)
    timed(network, layer, range(1), 1)  # warm
    first, whole = timed(network, layer, range(count), steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name} {layer}: {count} filters x {steps} steps in {whole:.2f} s, first frame in {first:.2f} s, "
        f"peak memory so far {peak:.2f} GB",
        flush=True,
    )


def against_one_by_one(name: str, layer: str, count: int, steps: int) -> None:
    """As flashtorch and pytorch-cnn-visualizations do it: a whole ascent for one filter, then for the next."""
    network = network_called(name)
    timed(network, layer, range(1), 1)
    _, together = timed(network, layer, range(count), steps)
    alone = sum(timed(network, layer, range(number, number + 1), steps)[1] for number in range(count))
    print(
        f"{name} {layer}: {count} filters x {steps} steps together {together:.2f} s, one by one {alone:.2f} s: "
        f"{alone / together:.1f} times as fast",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--steps", type=int, default=48, metavar="N", help="of the 512 filters")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.exact:
        visualization.autocast = lambda *_: nullcontext()
    told("cnn", "conv2d_1", 64, 48)
    told("compact", "conv2d_3", 16, 48)
    told("compact", "dense_1", 7, 48)
    told(*DEEP, 16, 32)
    for name, layer in (("cnn", "conv2d_1"), ("compact", "conv2d_3"), ("compact", "conv2d_5")):
        against_one_by_one(name, layer, 64, 8)
    if not options.quick:
        told(*DEEP, 512, options.steps)


if __name__ == "__main__":
    main()
