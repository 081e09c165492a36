"""Our training step against the usual pipeline (Dataset, PIL, torchvision transforms, DataLoader), over one network.

    python -m tests.benchmarks.loader                     # cnn with flips, as the report trained it
    python -m tests.benchmarks.loader --network compact   # with rotation, shift, zoom, light and erasing

Both train on the same made-up faces with the same optimiser and batch; compare the two figures of one run. Aim: twice
as many faces a second.
"""

import argparse
import time

import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from fer.data import dataset
from fer.models import registry as models_registry
from fer.models.checkpoint import FERModel
from fer.training import trainer
from fer.training.config import OPTIMIZERS, TrainConfig, default_config
from fer.training.distributed import DistributedContext

CPU = torch.device("cpu")


class Pictures(Dataset):
    """Faces as most training scripts hold them: pictures, transformed one at a time."""

    def __init__(self, faces: dataset.FaceDataset, config: TrainConfig) -> None:
        self.pictures = [Image.fromarray(face.numpy()) for face in faces.pixels]
        self.labels = faces.labels.tolist()
        change = config.augmentation
        steps: list = [v2.RandomHorizontalFlip(change.flip)]
        if change.rotate or change.shift or change.zoom:
            zoom = (1 - change.zoom, 1 + change.zoom)
            steps.append(v2.RandomAffine(change.rotate, (change.shift, change.shift), zoom))
        if change.light:
            steps.append(v2.ColorJitter(change.light, change.light))
        steps += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
        if change.erase:
            steps.append(v2.RandomErasing(change.erase, (0.02, 0.25)))
        self.transform = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def usual(faces: dataset.FaceDataset, config: TrainConfig, workers: int) -> float:
    """Faces a second of a plain loop over a DataLoader."""
    network = FERModel(config.network, models_registry.label_set(config.network)).train()
    optimizer = OPTIMIZERS[config.optimizer]([{"params": network.parameters()}], config.learning_rate)
    loader = DataLoader(Pictures(faces, config), config.batch_size, shuffle=True, num_workers=workers)
    start = time.perf_counter()
    for batch, labels in loader:
        optimizer.zero_grad()
        functional.cross_entropy(network(batch), labels).backward()
        optimizer.step()
    return len(faces) / (time.perf_counter() - start)


def ours(faces: dataset.FaceDataset, config: TrainConfig) -> float:
    """Faces a second of the laboratory's own epoch, average of the weights included."""
    context = DistributedContext(CPU)
    state, generator = trainer.TrainState(config, context), torch.Generator().manual_seed(0)
    state.model.train()
    start = time.perf_counter()
    for batch in trainer._batches(faces, config.batch_size, generator):
        trainer.train_step(state, config, context, batch, 0, generator)
    return len(faces) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=models_registry.ARCHITECTURES, default="cnn")
    parser.add_argument("--faces", type=int, default=2560)
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoader; 0 loads in the training process")
    arguments = parser.parse_args()
    count = arguments.faces
    pixels = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8)
    faces = dataset.FaceDataset(pixels, torch.arange(count) % 7, None, torch.zeros(count).bool())
    config = default_config(arguments.network, aux_votes_weight=0.0, low_res_epochs=0)
    plain = usual(faces, config, arguments.workers)
    trainer._keep_freed_memory()
    mine = ours(faces, config)
    print(f"{config.network}, {torch.get_num_threads()} threads: DataLoader and PIL {plain:.0f} faces a second, "
          f"ours {mine:.0f}: {mine / plain:.2f} times as many")  # fmt: skip


if __name__ == "__main__":
    main()
