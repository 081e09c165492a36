"""How many faces a second a network's own recipe trains on, at each size of face that it uses.

    python -m tests.benchmarks.train_speed --quick             # one step of each: does it run here?
    python -m tests.benchmarks.train_speed --network compact   # 40 steps of each, after 10 to warm up
    python -m tests.benchmarks.train_speed --compile --batch-size 512

Set, augmentation and network are on the GPU if there is one; faces are made up. Aim: 40,000 faces a second of compact
on an H100.
"""

import argparse
import time

import torch

from fer.data.dataset import SPLITS, FaceDataset
from fer.models.registry import ARCHITECTURES
from fer.training import trainer
from fer.training.config import TrainConfig, default_config
from fer.training.distributed import DistributedContext


def made_up(count: int, device: torch.device) -> FaceDataset:
    """Faces with votes and soft targets, so that every part of the recipe has its work."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=generator)
    votes = torch.randint(0, 5, (count, 10), dtype=torch.uint8, generator=generator)
    soft = torch.rand(count, 7, generator=generator).softmax(1)
    labels = torch.arange(count) % 7
    parts = (pixels, labels, votes, torch.zeros(count).bool(), soft)
    return FaceDataset(*(part.to(device) for part in parts))


def faces_a_second(config: TrainConfig, epoch: int, steps: int, warm: int, device: torch.device) -> float:
    """Of ``steps`` whole training steps as ``epoch`` takes them, after ``warm`` that are not timed."""
    context = DistributedContext(device)
    state, generator = trainer.TrainState(config, context), torch.Generator(device).manual_seed(0)
    state.model.train()
    faces = made_up(4 * config.batch_size, device)
    for step in range(warm + steps):
        if step == warm:
            wait(device)
            began = time.perf_counter()
        part = faces[config.batch_size * (step % 4) : config.batch_size * (step % 4 + 1)]
        trainer.train_step(state, config, context, part, epoch, generator)
    wait(device)
    return steps * config.batch_size / (time.perf_counter() - began)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=ARCHITECTURES, default="compact")
    parser.add_argument("--batch-size", type=int, help="the recipe's own unless given")
    parser.add_argument("--compile", action="store_true", help="by torch.compile")
    parser.add_argument("--quick", action="store_true", help="one step of each")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = default_config(arguments.network, compile=arguments.compile)
    if arguments.batch_size:
        config = default_config(arguments.network, compile=arguments.compile, batch_size=arguments.batch_size)
    steps, warm = (1, 0) if arguments.quick else (40, 10)
    kinds = {}  # epochs at each size of face
    for epoch in range(config.epochs):
        kinds.setdefault((config.input_size(epoch), config.crop_fraction(epoch)), []).append(epoch)
    seconds = 0.0
    for (size, kept), epochs in kinds.items():
        rate = faces_a_second(config, epochs[0], steps, warm, device)
        seconds += len(epochs) * SPLITS["Training"] / rate
        print(f"{config.network} on {device}, faces of {round(size * kept)} pixels: {rate:,.0f} faces a second, "
              f"{len(epochs)} epochs")  # fmt: skip
    print(f"all {config.epochs} epochs, teachers and measuring aside: {seconds / 60:.0f} minutes")


if __name__ == "__main__":
    main()
