import base64
import io

import numpy as np
from PIL import Image

from fer import plots


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))


def test_a_grey_crop_reaches_the_page_pixel_for_pixel():
    crop = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    url = plots.data_url(crop)
    assert url.startswith("data:image/png;base64,")
    assert (np.asarray(opened(url)) == crop).all()


def test_a_picture_of_2600_by_1300_is_sent_as_1280_by_640():
    url = plots.data_url(np.full((1300, 2600, 3), 90, np.uint8))
    assert url.startswith("data:image/jpeg;base64,")
    assert opened(url).size == (1280, 640)


def test_a_small_picture_is_not_enlarged():
    assert opened(plots.data_url(np.zeros((48, 60, 3), np.uint8))).size == (60, 48)


def test_a_figure_reaches_the_page_as_svg():
    rows = [{"n": 10, "confidence": 0.4, "accuracy": 0.3}, {"n": 90, "confidence": 0.9, "accuracy": 0.8}]
    url = plots.figure_url(plots.reliability(rows, rows))
    assert base64.b64decode(url.removeprefix("data:image/svg+xml;base64,")).startswith(b"<?xml")


def test_the_curves_have_training_and_public_test_in_both_panels():
    rows = [dict.fromkeys(("loss", "accuracy", "public_loss", "public_accuracy"), 0.5) | {"epoch": n} for n in (1, 2)]
    panels = plots.curves(rows).axes
    assert [panel.get_ylabel() for panel in panels] == ["loss", "accuracy"]
    assert [[line.get_label() for line in panel.lines] for panel in panels] == [["Training", "PublicTest"]] * 2
