"""What several tests share: a made-up data set on disk, and the real one where it is at hand."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from fer.data import dataset, labels
from fer.data import fer2013 as data_fer2013

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test waits for the Hub


@pytest.fixture(scope="session")
def fer2013() -> dict[str, dataset.FaceDataset]:
    """The real FER-2013; tests that need it skip where it is not."""
    try:
        return data_fer2013.load_fer2013(os.environ.get("FER2013_ROOT") or Path(__file__).parent.parent / "data")
    except dataset.DataError as error:
        pytest.skip(f"FER-2013 is not at hand: {error}")


@pytest.fixture(scope="session")
def folder_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder layout with 20 made-up faces of each emotion in train/ and 4 in test/."""
    root = tmp_path_factory.mktemp("faces")
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 20), ("test", 4)):
        for index, emotion in enumerate(labels.EMOTIONS):
            folder = root / part / emotion
            folder.mkdir(parents=True)
            for number in range(count):
                face = torch.randint(0, 200, (48, 48), generator=generator, dtype=torch.uint8)
                face[6 * index : 6 * index + 6] += 50  # a bright band that moves with the emotion: easy to learn
                Image.fromarray(face.numpy()).save(folder / f"{number}.png")
    return root
