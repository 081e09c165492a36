"""Photographs -> readings with one network and one detector, for programs.

predictor = Predictor("compact")
for face in predictor("photo.jpg").faces:
    print(face.emotion, face.confidence)
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from torch import nn

from fer import checkpoint
from fer.faces import Detector, load_detector, open_picture
from fer.prediction import Reading, read


class Predictor:
    """Reads the faces of pictures.

    network: what `checkpoint.load` takes (a name in weights/, a folder, OWNER/NAME of the Hub, a committee, an .onnx
    file of `python -m fer export`), or a network. detector: by default YuNet where its model is at hand, else OpenCV's
    own. Raises CheckpointError for a network that cannot be had.
    """

    def __init__(self, network: str | nn.Module = "compact", detector: Detector | None = None) -> None:
        self.network = checkpoint.load(network) if isinstance(network, str) else network
        self.detector = detector or load_detector()

    def __call__(
        self, picture: str | Path | bytes | BinaryIO | Image.Image | np.ndarray, whole: bool = False
    ) -> Reading:
        """The reading of a picture: a file, its bytes, a PIL image, or RGB uint8 (H, W, 3); faces largest first.

        whole: takes the picture's centred square as the one face. Raises PictureError for what is no picture.
        """
        pixels = picture if isinstance(picture, np.ndarray) else open_picture(picture)
        return read(pixels, self.network, self.detector, whole)
