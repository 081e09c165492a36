"""How fast it is: training steps of every network, one face through a network, a photograph to its answer.

    python -m tests.benchmarks.speed                  # all three, on all cores for training and one for the rest
    python -m tests.benchmarks.speed --networks cnn   # only these

Aims: one face through `compact` in 3 ms on one core, a 640x480 photograph to its answer in 40 ms. Compare figures of
one run only: another busy process halves them all.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import fer
from fer.data import dataset
from fer.faces import detector as faces_detector
from fer.inference import predictor
from fer.models import checkpoint
from fer.models import registry as models_registry
from fer.training import trainer
from fer.training.config import default_config
from fer.training.distributed import DistributedContext

EXAMPLE = Path(fer.__file__).parent / "data" / "assets" / "examples" / "happy.png"


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def training_speed(name: str) -> float:
    """Faces a second of whole training steps (augmentation, forward, backward, optimiser, average), batch 128."""
    config = default_config(name, aux_votes_weight=0.0, low_res_epochs=0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context = DistributedContext(device)
    state = trainer.TrainState(config, context)
    generator = torch.Generator(device).manual_seed(0)
    pixels = torch.randint(0, 256, (128, 48, 48), dtype=torch.uint8, device=device)
    labels, votes = torch.arange(128, device=device) % 7, torch.ones(128, 10, dtype=torch.uint8, device=device)
    batch = dataset.FaceDataset(pixels, labels, votes, torch.zeros(128, device=device).bool())
    state.model.train()
    return 128_000 / milliseconds(lambda: trainer.train_step(state, config, context, batch, 0, generator), 5)


def photograph() -> np.ndarray:
    """A 640x480 picture with the project's own example face in it."""
    picture = Image.new("RGB", (640, 480), (120, 130, 140))
    picture.paste(Image.open(EXAMPLE).convert("RGB").resize((220, 220)), (210, 130))
    return np.asarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(models_registry.ARCHITECTURES))
    parser.add_argument("--read-with", default="compact")
    arguments = parser.parse_args()
    print(f"training, batch 128, {torch.get_num_threads()} threads:")
    trainer._keep_freed_memory()
    for name in arguments.networks:
        print(f"  {name:12} {training_speed(name):8.0f} faces a second", flush=True)
    torch.set_num_threads(1)
    network, face = checkpoint.load_model(arguments.read_with), torch.rand(1, 1, 48, 48)
    with torch.inference_mode():
        print(f"one face through {network.name}, one thread: {milliseconds(lambda: network(face), 200):.2f} ms")
    detector, picture = faces_detector.load_detector(), photograph()
    answer = milliseconds(lambda: predictor.predict_image(picture, network, detector), 50)
    print(f"a 640x480 photograph to its answer, {detector.name}: {answer:.1f} ms")


if __name__ == "__main__":
    main()
