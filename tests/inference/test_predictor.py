"""Predictor: whatever people have as a picture, on whatever process, or one sentence why not."""

import copy
import io
import multiprocessing
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fer.data import image_io
from fer.faces import detector
from fer.inference.predictor import Predictor, to_rgb
from fer.models import checkpoint
from fer.utils import threads

EXAMPLE = Path(__file__).parents[2] / "fer" / "data" / "assets" / "examples" / "happy.png"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor("compact-small", detector.load_detector("haar"))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A face as RGB uint8 (H, W, 3)."""
    return image_io.open_image(EXAMPLE)


def test_a_network_is_named_by_text_or_path(tmp_path: Path):
    """Four ways to the same one; a Path that is not there is no repository of the Hub."""
    folder = checkpoint.WEIGHTS / "cnn"
    for name in ("cnn", Path("cnn"), folder, str(folder)):
        assert Predictor(name, detector.load_detector("haar")).network.name == "cnn"
    assert checkpoint.load_model("cnn", str(checkpoint.WEIGHTS)).name == "cnn"
    with pytest.raises(checkpoint.CheckpointError, match="no network 'owner/none'"):
        checkpoint.load_model(Path("owner/none"), tmp_path)


@pytest.mark.parametrize("name", [None, 5, b"cnn", ["cnn"]])
def test_what_names_no_network_is_refused_in_a_sentence(name: object):
    """With what came, and what would be right."""
    for load in (checkpoint.load_model, Predictor):
        with pytest.raises(TypeError, match=r"the network is .*: expected a name such as 'compact', a path"):
            load(name)


def forms(pixels: np.ndarray) -> dict[str, object]:
    """The same grey picture in every form that people have it in."""
    grey = pixels[..., 0]
    encoded = io.BytesIO()
    Image.fromarray(grey).save(encoded, "PNG")
    alpha = np.full_like(grey, 255)
    return {
        "uint8 (H, W)": grey,
        "uint8 (H, W, 1)": grey[..., None],
        "uint8 (H, W, 3)": np.stack([grey] * 3, -1),
        "uint8 (H, W, 4)": np.stack([grey, grey, grey, alpha], -1),
        "uint16": grey.astype(np.uint16) * 257,
        "uint16 of another order": (grey.astype(np.uint16) * 257).astype(">u2"),
        "float32": grey / np.float32(255),
        "float64 (H, W, 3)": np.stack([grey] * 3, -1) / 255,
        "turned round twice": np.ascontiguousarray(grey[::-1, ::-1])[::-1, ::-1],
        "read-only": np.frombuffer(grey.tobytes(), np.uint8).reshape(grey.shape),
        "PIL": Image.fromarray(grey),
        "bytes": encoded.getvalue(),
        "bytearray": bytearray(encoded.getvalue()),
        "stream": io.BytesIO(encoded.getvalue()),
        "tensor (H, W)": torch.from_numpy(grey.copy()),
        "tensor (1, H, W)": torch.from_numpy(grey.copy())[None] / 255,
        "tensor (3, H, W)": torch.from_numpy(grey.copy())[None].expand(3, -1, -1),
        "tensor (H, W, 3)": torch.from_numpy(np.stack([grey] * 3, -1)),
        "tensor with a gradient": (torch.from_numpy(grey.copy()) / 255).requires_grad_(),
    }


def test_every_form_of_a_picture_gives_the_same_prediction(predictor: Predictor, pixels: np.ndarray):
    """Nineteen forms, one answer to the digit."""
    grey = np.stack([pixels[..., 0]] * 3, -1)
    expected = predictor(grey, whole=True).faces[0].probabilities
    for name, form in forms(pixels).items():
        assert predictor(form, whole=True).faces[0].probabilities == expected, name


def test_halves_and_truth_values_are_pictures_too():
    """float16 and bfloat16 within a grey level, bool as black and white, transparency on white."""
    ramp = np.tile(np.linspace(0, 1, 64), (64, 1))
    for given in (ramp.astype(np.float16), torch.from_numpy(ramp).bfloat16()):
        assert np.abs(to_rgb(given)[..., 0] - 255.0 * ramp).max() <= 1.5
    assert np.unique(to_rgb(ramp > 0.5)).tolist() == [0, 255]
    assert to_rgb(np.zeros((64, 64, 4), np.uint8)).min() == 255


REFUSED = {
    "None": (None, TypeError, "None"),
    "a list": ([[0.5] * 60] * 60, TypeError, "list"),
    "a number": (5, TypeError, "int"),
    "text that is no file": (io.StringIO("x"), TypeError, "StringIO"),
    "whole numbers": (np.zeros((60, 60), np.int64), TypeError, "int64"),
    "complex numbers": (np.zeros((60, 60), complex), TypeError, "complex128"),
    "objects": (np.full((60, 60), None), TypeError, "object"),
    "texts": (np.full((60, 60), "x"), TypeError, "<U1"),
    "empty": (np.zeros((0, 0), np.uint8), ValueError, r"\(0, 0\)"),
    "empty in colour": (np.zeros((0, 60, 3), np.uint8), ValueError, r"\(0, 60, 3\)"),
    "a row": (np.zeros(60, np.uint8), ValueError, r"\(60,\)"),
    "a number in an array": (np.array(5.0), ValueError, r"\(\)"),
    "two channels": (np.zeros((60, 60, 2), np.uint8), ValueError, r"\(60, 60, 2\)"),
    "five channels": (np.zeros((60, 60, 5), np.uint8), ValueError, r"\(60, 60, 5\)"),
    "channels first": (np.zeros((3, 60, 60), np.uint8), ValueError, "transpose"),
    "a batch": (np.zeros((2, 60, 60, 3), np.uint8), ValueError, "one picture at a time"),
    "floats to 255": (np.full((60, 60), 254.0), ValueError, "254"),
    "below 0": (np.full((60, 60), -0.5), ValueError, "-0.5"),
    "NaN": (np.full((60, 60), np.nan), ValueError, "nan"),
    "infinity": (np.full((60, 60), np.inf), ValueError, "inf"),
    "a tensor of either order": (torch.zeros(3, 60, 3), ValueError, "channels first or last"),
    "no file": ("none.png", ValueError, "none.png"),
    "no path": (Path("none.png"), ValueError, "none.png"),
    "no picture": (b"no picture", ValueError, "no picture reader"),
}


@pytest.mark.parametrize("picture, kind, words", REFUSED.values(), ids=REFUSED)
def test_what_is_no_picture_is_refused_in_a_sentence(predictor: Predictor, picture: object, kind: type, words: str):
    """With what came; nothing is answered for it."""
    with pytest.raises(kind, match=words) as error:
        predictor(picture)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------ processes


def answer(predictor: Predictor, picture: np.ndarray) -> tuple[int, dict]:
    """How many faces it finds, and the probabilities of the whole picture."""
    return len(predictor(picture).faces), predictor(picture, whole=True).faces[0].probabilities


def work(predictor: Predictor, picture: np.ndarray, out: object) -> None:
    with threads.one_thread():
        out.put(answer(predictor, picture))


def in_a_process(how: str, predictor: Predictor, picture: np.ndarray, seconds: float = 60) -> tuple[int, dict]:
    """What another process answers. Raises queue.Empty if it does not."""
    context = multiprocessing.get_context(how)
    out = context.Queue()
    process = context.Process(target=work, args=(predictor, picture, out), daemon=True)
    process.start()
    try:
        return out.get(timeout=seconds)
    finally:
        process.kill()
        process.join()


@pytest.fixture
def several_threads():
    """More than one thread, without which nothing could hang."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(4)
    cv2.setNumThreads(4)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.parametrize("how", ["fork", "spawn"])
@pytest.mark.parametrize("used", [False, True], ids=["loaded", "used"])
def test_another_process_predicts_with_what_its_parent_loaded(how: str, used: bool, pixels, several_threads):
    """Within a minute, whether or not the parent has predicted; and the parent keeps its threads."""
    if how not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {how} here")
    picture = cv2.resize(pixels, (900, 900))
    predictor = Predictor("compact-small", detector.load_detector("haar"))
    expected = answer(predictor, picture) if used else None
    found = in_a_process(how, predictor, picture, 30 if how == "fork" else 60)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (4, 4)
    expected = expected or answer(predictor, picture)
    assert found[0] == expected[0] and found[1] == pytest.approx(expected[1], abs=1e-5)


def test_a_predictor_is_pickled_and_copied(predictor: Predictor, pixels: np.ndarray):
    """The copy finds and answers the same, and shares no lock."""
    for is_duplicate in (pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor), copy.copy(predictor)):
        assert answer(is_duplicate, pixels) == answer(predictor, pixels)
    assert copy.deepcopy(predictor.detector)._lock is not predictor.detector._lock


def test_threads_are_as_before_after_a_block(several_threads):
    """Also if it fails: one thread within, four outside."""
    with pytest.raises(ArithmeticError), threads.one_thread():
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
        raise ArithmeticError
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (4, 4)
