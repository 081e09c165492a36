"""How long a layer's maps take to the bytes that the browser gets, and how many webcam frames a second they follow.

    python -m tests.benchmarks.activations                                  # the layers that have an aim
    python -m tests.benchmarks.activations --layers cnn:conv2d_1 --threads 1

Aims on two cores: all 64 maps of `cnn` conv2d_1 in 0.2 s, all 512 of `vgg19-selu` conv2d_16 in 0.5 s, and live 5 frames
a second or more for first layers. A network that is not in weights/ is drawn at random: its times are the same.
"""

import argparse
import base64
import io
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from PIL import Image

from fer.app import webcam
from fer.app.activations import handlers
from fer.app.activations.handlers import PER_MAP, ActivationRequest
from fer.app.activations.state import NO_FACE, NUMBER, compute_state
from fer.models import checkpoint
from fer.models import registry as models_registry
from fer.models.checkpoint import FERModel
from tests.benchmarks.speed import milliseconds, photograph

LAYERS = ("cnn:conv2d_1", "vgg19-selu:conv2d_16", "compact:conv2d_1", "vgg19-selu:conv2d_1")


def folder_of(name: str, drawn: Path) -> Path:
    """weights/, or a folder with a network drawn at random where it is not there."""
    if name in checkpoint.list_checkpoints():
        return checkpoint.WEIGHTS
    if name not in checkpoint.list_checkpoints(drawn):
        torch.manual_seed(0)
        checkpoint.save_model(FERModel(name, models_registry.label_set(name)), drawn / name)
    return drawn


def sent(weights: Path, name: str, layer: str) -> bytes:
    """A visitor's turn to a layer: the sheet and the hint beside it, as the browser gets them."""
    state = compute_state(name, layer, None, NO_FACE, weights=weights)
    sheet = handlers.render_sheet(state, NUMBER, PER_MAP, None)
    return json.dumps({"value": sheet.value, **sheet.props}).encode()


def frame() -> SimpleNamespace:
    """A webcam's frame of 320x240 with a face in it, as the browser sends it."""
    stream = io.BytesIO()
    Image.fromarray(photograph()).resize((320, 240)).save(stream, "jpeg", quality=80)
    return SimpleNamespace(number=1, image=webcam.PREFIX + base64.b64encode(stream.getvalue()).decode())


FRAME = frame()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="*", default=LAYERS, metavar="NETWORK:LAYER")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as drawn:
        for asked in options.layers:
            name, layer = asked.split(":")
            weights = folder_of(name, Path(drawn))
            maps = milliseconds(lambda n=name, at=layer, w=weights: sent(w, n, at), options.repeats)
            kilobytes = len(sent(weights, name, layer)) / 1000
            live = milliseconds(
                lambda n=name, at=layer, w=weights: handlers.show_frame(ActivationRequest(None, n, at), FRAME, w),
                options.repeats,
            )
            words = f"{asked:24} {maps:6.0f} ms, {kilobytes:4.0f} kB"
            print(f"{words}; live {live:6.0f} ms a frame, {1000 / live:5.1f} a second", flush=True)


if __name__ == "__main__":
    main()
