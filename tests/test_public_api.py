"""The front of the library: what `from fer import ...` gives, and that the README's example runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fer
from fer.data import image_io
from fer.data.image_io import ImageError
from fer.faces.detector import Detector
from fer.inference import predictor
from fer.models import checkpoint

ROOT = Path(__file__).parent.parent
HAAR = Detector("haar", lambda view: [], coarse=400, fine=400)


@pytest.mark.parametrize("name", fer.__all__)
def test_every_name_of_the_front_is_there_and_documented(name: str):
    """It is what its room has under its own name, and has a docstring."""
    assert callable(getattr(fer, name)) and getattr(fer, name).__doc__


def test_an_unknown_name_lists_the_known_ones():
    """As a module's missing attribute does, with what there is."""
    with pytest.raises(AttributeError, match="no attribute 'predict': expected one of load_model, Predictor"):
        fer.predict  # noqa: B018


def test_a_predictor_takes_files_bytes_and_arrays_alike():
    """The project's own example as a path, as bytes and as pixels gives one reading."""
    path = ROOT / "fer" / "data" / "assets" / "examples" / "happy.png"
    read = predictor.Predictor(checkpoint.load_model("cnn"), HAAR)
    pixels = image_io.open_image(path)
    readings = [read(picture, whole=True) for picture in (path, path.read_bytes(), pixels)]
    assert len({reading.faces[0].confidence for reading in readings}) == 1
    assert read(np.zeros((60, 60, 3), np.uint8)).faces == ()
    with pytest.raises(ImageError):
        read(b"no picture")


def test_the_readmes_example_runs():
    """From a fresh process in the repository, as a reader would try it; it prints an emotion and a shape."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "happy" in ran.stdout and "(1, 1, 48, 48)" in ran.stdout
