"""What the tests of the page share: networks whose answer is known, and a page of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gradio import processing_utils
from gradio.utils import get_upload_folder
from PIL import Image

from fer.app import examples, model_cache
from fer.app import page as app_page
from fer.app.predict import tab as predict_tab
from fer.data import dataset, ferplus
from fer.evaluation import predictions
from fer.faces import detector as faces_detector
from fer.features import atlas
from fer.models import checkpoint

HAPPY = 0.9  # softmax of one logit of 3.989 among six of 0


def network_that_says(emotion: str, folder: Path, logit: float = 3.989, confidence_threshold: float = 0.0) -> None:
    """Saves a network that answers every face with the same emotion."""
    network = checkpoint.FERModel("dnn", name=folder.name, confidence_threshold=confidence_threshold)
    last = [layer for layer in network if hasattr(layer, "weight")][-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    last.bias.data[network.labels.index(emotion)] = logit
    checkpoint.save_model(network, folder)


def write_predictions(folder: Path, answers: tuple[int, ...] = (3, 3, 3, 3, 4, 6, 6, 6)) -> None:
    """Answers on eight faces of PrivateTest: four happy, read as such; four sad, three of them read as neutral."""
    answers, truth = torch.tensor(answers), torch.tensor([3] * 4 + [4] * 4)
    faces = dataset.FaceDataset(torch.zeros(8, 48, 48), truth, None, torch.arange(8) == 0)
    predictions.save_predictions(folder / predictions.PREDICTIONS, "PrivateTest", 4 * torch.eye(7)[answers], faces)


def write_atlas(folder: Path, layer: str, count: int, side: int) -> None:
    """A made-up atlas of a layer: filter n climbed from 0 to n, 7 is dead, the best real face of each gives 2."""
    images = np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)
    curves = np.arange(count, dtype=np.float32)[:, None] * np.linspace(0, 1, 7, dtype=np.float32)
    best = np.full((count, 1), 2, np.float32), np.zeros((count, 1), np.int32), np.zeros((count, 1, 2), np.uint8)
    found = atlas.LayerVisualization(images, curves, np.full(count, 0.5, np.float32), np.arange(count) == 7, *best)
    atlas.save_layer(folder, layer, found)


def write_networks(folder: Path) -> Path:
    """`compact` is happy at 90 % and measured, `cnn` sad at 31 % and confidence_threshold, `dnn` broken;
    `compact-ferplus` looks.

    `vgg16-relu`, of other layers than its name says, is measured as well, and is right on one face in eight.
    """
    network_that_says("happy", folder / "compact")
    write_predictions(folder / "compact")
    network_that_says("happy", folder / "vgg16-relu")
    write_predictions(folder / "vgg16-relu", (0, 0, 0, 0, 0, 4, 0, 0))
    network_that_says("sad", folder / "cnn", logit=1.0, confidence_threshold=0.5)
    network_that_says("sad", folder / "dnn")
    (folder / "dnn" / "model.safetensors").write_bytes(b"broken")
    torch.manual_seed(0)
    checkpoint.save_model(checkpoint.FERModel("compact-ferplus", ferplus.FERPLUS), folder / "compact-ferplus")
    return folder


def example_face(size: int) -> Image.Image:
    """The happy example, which is an average of many faces, grey, as a square."""
    return Image.open(examples.FOLDER / "happy.png").convert("L").resize((size, size))


def write_face(file: Path) -> Path:
    """An example face of 240 pixels in the middle of a grey picture of 640x480."""
    picture = Image.new("L", (640, 480), 128)
    picture.paste(example_face(240), (200, 120))
    picture.save(file)
    return file


def uploaded(file: Path) -> dict:
    """What a handler gets for a picture that was uploaded."""
    return {"path": processing_utils.save_file_to_cache(file, get_upload_folder())}


@contextmanager
def sealed_off(uploads: Path) -> Iterator[Path]:
    """Uploads go to a folder of the test's own, and faces are found by Haar, which nobody needs to download."""
    detector = faces_detector.load_detector("haar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        for module in (predict_tab, model_cache):
            patch.setattr(module, "load_detector", lambda: detector)
        yield uploads


@contextmanager
def served(weights: Path, **launch: object) -> Iterator[SimpleNamespace]:
    """The page over these networks, at `.url`."""
    page = app_page.build(weights)
    _, url, _ = app_page.launch(page, server_name="127.0.0.1", quiet=True, **launch)
    try:
        yield SimpleNamespace(url=url, blocks=page)
    finally:
        page.close(verbose=False)
