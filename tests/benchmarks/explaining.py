"""How long an explanation takes: one face, every method that holds, and all of them side by side.

    python -m tests.benchmarks.explaining                            # compact and vgg19-selu
    python -m tests.benchmarks.explaining --networks cnn --threads 1

A network that is not in weights/ is drawn at random: its times are the same. Aims on two cores: the gradient in 30 ms
for `compact` and 200 ms for `vgg19-selu`, integrated gradients of `compact` in .3 s, all methods of `compact` in 5 s.
"""

import argparse

import numpy as np
import torch
from PIL import Image

from fer.attribution import explain
from fer.data import dataset
from fer.models import checkpoint
from fer.models import registry as models_registry
from fer.models.checkpoint import FERModel
from tests.benchmarks.speed import EXAMPLE, milliseconds


def network_called(name: str) -> FERModel:
    if name in checkpoint.list_checkpoints():
        return checkpoint.load_model(name)
    torch.manual_seed(0)
    return FERModel(name, models_registry.label_set(name)).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=["compact", "vgg19-selu"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # A real face: on noise, the outputs bend so much that integrated gradients need eight times the steps.
    face = dataset.to_unit(torch.from_numpy(np.array(Image.open(EXAMPLE).convert("L").resize((48, 48))))[None])
    for name in options.networks:
        network, total = network_called(name), 0.0
        print(f"{name}, {options.threads} threads, one face:")
        for method in explain.list_methods(network):
            took = milliseconds(
                lambda network=network, method=method: explain.explain(network, face, method, 3), options.repeats
            )
            total += took
            print(f"  {method:22} {took:8.0f} ms", flush=True)
        print(f"  {'all of them':22} {total:8.0f} ms")


if __name__ == "__main__":
    main()
