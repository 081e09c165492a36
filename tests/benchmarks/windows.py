"""One training step with the last convolutions by windows against the same step by oneDNN's own, in one run.

python -m tests.benchmarks.windows            # vgg16-relu, 256 faces of 32 pixels
python -m tests.benchmarks.windows --network vgg19-selu --faces 128 --side 48
"""

import argparse
import time
from unittest import mock

import torch
from torch.nn import functional

from fer import training
from fer.checkpoint import Network
from fer.networks import ARCHITECTURES, labels_of
from fer.team import precision


def rate(learner: training.Learner, faces: torch.Tensor, steps: int = 4) -> float:
    """Faces a second, forward and backward, after a step to warm up."""
    labels = torch.arange(len(faces)) % 7
    for step in range(steps + 1):
        if step < 2:
            start = time.perf_counter()
        with precision(faces.device):
            logits, _ = learner(faces)
        functional.cross_entropy(logits.float(), labels).backward()
    return steps * len(faces) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=ARCHITECTURES, default="vgg16-relu")
    parser.add_argument("--faces", type=int, default=256)
    parser.add_argument("--side", type=int, default=32)
    arguments = parser.parse_args()
    training._keep_memory()
    network = Network(arguments.network, labels_of(arguments.network)).to(memory_format=torch.channels_last)
    learner, faces = training.Learner(network, votes=False), torch.rand(arguments.faces, 1, *[arguments.side] * 2)
    with mock.patch("fer.training.convolve", lambda layer, maps: layer(maps)):
        plain = rate(learner, faces)
    ours = rate(learner, faces)
    print(f"{arguments.network}, {len(faces)} faces of {arguments.side} pixels, {torch.get_num_threads()} threads:")
    print(f"{plain:.0f} faces a second by oneDNN, {ours:.0f} by windows: {ours / plain:.2f} times as many")


if __name__ == "__main__":
    main()
