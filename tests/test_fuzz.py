"""Properties that hold for whatever comes: pictures, boxes, figures. 30 to 200 cases each, always the same ones."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from PIL import Image

from fer.data.image_io import ImageError, open_image
from fer.evaluation import calibration, metrics
from fer.faces import framing
from fer.faces.framing import Box


def fixed(cases: int):
    """So many cases, the same in every run, however slow the machine is."""
    steady = settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    return lambda test: seed(0)(steady(test))


# ------------------------------------------------------------------------------------------------ pictures

KINDS = [("PNG", "L"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "CMYK"), ("GIF", "P"), ("BMP", "RGB"),
         ("TIFF", "F"), ("TIFF", "1"), ("WEBP", "RGB"), ("TIFF", "LA")]  # fmt: skip


def saved(kind: str, mode: str, width: int, height: int) -> bytes:
    stream = io.BytesIO()
    noise = Image.effect_noise((width, height), 60)
    (Image.new(mode, (width, height)) if mode == "I;16" else noise.convert(mode)).save(stream, kind)
    return stream.getvalue()


@fixed(150)
@given(some.sampled_from(KINDS), some.integers(1, 130), some.integers(1, 130))
def test_a_picture_of_any_size_is_read_or_refused_by_its_size(kind, width, height):
    """RGB bytes of just that size; below 24 pixels a sentence that names the size."""
    content = saved(*kind, width, height)
    if min(width, height) < 24:
        with pytest.raises(ImageError, match=f"{width} x {height} pixels"):
            open_image(content)
    else:
        picture = open_image(content)
        assert picture.shape == (height, width, 3) and picture.dtype == np.uint8


WHOLE = {kind: saved(*kind, 64, 50) for kind in KINDS}


@fixed(200)
@given(
    some.sampled_from(KINDS),
    some.lists(some.tuples(some.integers(0), some.integers(1, 255)), max_size=8),
    some.integers(0),
)
@pytest.mark.filterwarnings("ignore")
def test_a_spoilt_picture_is_read_or_refused_in_one_sentence(kind, changes, end):
    """Any bytes changed and any end cut off: RGB bytes, or PictureError; nothing else is raised."""
    content = bytearray(WHOLE[kind])
    for place, change in changes:
        content[place % len(content)] ^= change
    try:
        picture = open_image(bytes(content[: len(content) - end % len(content)]))
    except ImageError as refusal:
        assert str(refusal).endswith(".") and "\n" not in str(refusal)
    else:
        assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


@fixed(150)
@given(some.binary(max_size=400))
@example(b"")
@pytest.mark.filterwarnings("ignore")
def test_bytes_that_are_no_picture_are_refused_in_one_sentence(content):
    with pytest.raises(ImageError) as refusal:
        open_image(content)
    assert str(refusal.value).endswith(".") and len(str(refusal.value)) < 300


@fixed(60)
@given(arrays.arrays(np.float32, (48, 49), elements=some.floats(width=32)))
@pytest.mark.filterwarnings("ignore")
def test_a_picture_of_any_floats_becomes_bytes(values):
    """NaN, infinities and 1e38 included."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    picture = open_image(stream.getvalue())
    assert picture.shape == (48, 49, 3) and (picture[..., 0] == picture[..., 2]).all()


# ------------------------------------------------------------------------------------------------ framing

PLACE = some.floats(-300, 600)
SIDE = some.floats(0.5, 900)


@fixed(200)
@given(PLACE, PLACE, SIDE, some.integers(0, 255))
def test_a_crop_of_one_grey_is_that_grey_wherever_it_lies(x, y, side, grey):
    """48 x 48 bytes, within the picture, across its edge or far out of it."""
    crop = framing.crop(np.full((120, 90, 3), grey, np.uint8), Box(x, y, side, side))
    assert crop.shape == (48, 48) and crop.dtype == np.uint8 and (crop == grey).all()


@fixed(100)
@given(arrays.arrays(np.uint8, (60, 70)), PLACE, PLACE, SIDE)
def test_a_crop_stays_within_the_greys_that_there_are_and_turns_with_its_picture(picture, x, y, side):
    """Means of areas: no new extremes. Mirrored picture and box: the mirrored crop, but for rounding."""
    crop = framing.crop(picture, Box(x, y, side, side))
    assert picture.min() <= crop.min() and crop.max() <= picture.max()
    mirrored = framing.crop(picture[:, ::-1].copy(), Box(70 - x - side, y, side, side))
    assert np.abs(mirrored[:, ::-1].astype(int) - crop).max() <= 1


@pytest.mark.parametrize("side", [0.0, -1.0, math.nan, math.inf])
def test_a_box_without_a_side_is_refused(side):
    with pytest.raises(ValueError, match="a positive side is needed"):
        framing.crop(np.zeros((60, 60, 3), np.uint8), Box(0, 0, side, side))


@fixed(100)
@given(PLACE, PLACE, SIDE, some.sampled_from(["haar", "yunet"]))
def test_a_frame_moves_and_grows_with_its_box(x, y, side, detector):
    """A square; a box twice as large and moved has a frame twice as large and moved."""
    once, twice = (framing.frame(Box(k * x, k * y, k * side, k * side), detector) for k in (1, 2))
    assert once.width == once.height > 0
    assert (twice.x, twice.y, twice.width) == pytest.approx(
        (2 * once.x, 2 * once.y, 2 * once.width), rel=1e-9, abs=1e-6
    )


# ------------------------------------------------------------------------------------------------ figures


@some.composite
def measured(draw) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    count, classes = draw(some.integers(1, 40)), draw(some.integers(2, 8))
    logits = draw(arrays.arrays(np.float32, (count, classes), elements=some.floats(-50, 50, width=32)))
    labels = draw(arrays.arrays(np.int64, count, elements=some.integers(0, classes - 1)))
    is_duplicate = draw(arrays.arrays(bool, count))
    is_duplicate[0] = False  # the honest figures are of at least one face
    return torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(is_duplicate)


@fixed(60)
@given(measured(), some.floats(0.25, 8))
def test_figures_are_shares_and_agree_with_each_other(kept, temperature):
    """All in 0..1; the diagonal is the accuracy, rows are supports, intervals hold the share; order means nothing."""
    logits, labels, is_duplicate = kept
    found = metrics.classification_metrics(logits, labels, is_duplicate, temperature)
    names = ("accuracy", "accuracy_deduplicated", "macro_f1", "balanced_accuracy", "ece")
    assert all(-1e-6 <= found[name] <= 1 + 1e-6 for name in names)
    matrix = torch.tensor(found["confusion"])
    assert matrix.sum() == found["n"] == len(labels)
    assert matrix.diagonal().sum().item() / len(labels) == pytest.approx(found["accuracy"], abs=1e-6)
    assert matrix.sum(1).tolist() == [row["support"] for row in found["per_class"]]
    low, high = found["ci95"]
    assert -1e-9 <= low <= found["accuracy"] + 1e-6 and found["accuracy"] - 1e-6 <= high <= 1 + 1e-9
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    again = metrics.classification_metrics(logits[order], labels[order], is_duplicate[order], temperature)
    assert [again[name] for name in names] == pytest.approx([found[name] for name in names], abs=1e-5)


@fixed(100)
@given(some.integers(0, 5000), some.integers(0, 5000))
def test_an_interval_holds_its_share_and_narrows_with_more_faces(right, wrong):
    """Within 0..1; ten times as many faces of the same share give a narrower one."""
    total = right + wrong
    low, high = metrics.wilson_interval(right, total)
    assert 0 <= low + 1e-12 and high - 1e-12 <= 1 and low <= high
    if total:
        assert low - 1e-12 <= right / total <= high + 1e-12
        more = metrics.wilson_interval(10 * right, 10 * total)
        assert more[1] - more[0] < high - low


@fixed(30)
@given(measured())
def test_thresholds_and_temperatures_are_numbers_that_a_config_takes(kept):
    """0.25 to 8, and 0 to 1."""
    logits, labels, _ = kept
    assert 0.25 <= calibration.fit_temperature(logits, labels) <= 8
    assert 0 <= calibration.fit_rejection_threshold(logits.softmax(1), labels) <= 1
