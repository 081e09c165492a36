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


def test_tiles_lie_row_by_row_with_gaps_and_each_on_its_own_scale():
    tiles = np.array([[[0.0, 1.0]], [[0.2, 0.4]], [[3.0, 3.0]]])
    assert plots.sheet(tiles, columns=2, gap=1).tolist() == [
        [255, 255, 255, 255, 255, 255, 255],
        [255, 0, 255, 255, 0, 255, 255],
        [255, 255, 255, 255, 255, 255, 255],
        [255, 128, 128, 255, 255, 255, 255],
        [255, 255, 255, 255, 255, 255, 255],
    ]


def test_tiles_on_a_common_scale_can_be_compared_and_pixels_are_repeated():
    tiles = np.array([[[0.0, 0.5]], [[1.0, 0.25]]])
    sheet = plots.sheet(tiles, columns=8, scale=2, gap=0, common=True)
    assert sheet.tolist() == [[0, 0, 128, 128, 255, 255, 64, 64]] * 2
