"""Films of a few made-up frames, read into files."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from test_prediction import LEFT, Brightness, finding, picture

from fer import video
from fer.commands import using
from fer.prediction import read


def film(file: Path, frames: list[np.ndarray], rate: float = 10, kind: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*kind), rate, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()
    return file


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds: white at the left, then black."""
    return film(tmp_path_factory.mktemp("clip") / "clip.avi", [picture()] * 10 + [picture()[:, ::-1]] * 10)


def follow(clip: Path, out: Path, **options) -> list[video.Step]:
    return list(video.follow(clip, out, Brightness().eval(), finding(LEFT), **options))


def test_every_frame_and_face_is_a_row_and_the_same_is_json(clip, tmp_path):
    steps = follow(clip, tmp_path, smoothing=0)
    files = steps[-1].files
    rows = list(csv.DictReader(files["csv"].open()))
    assert len(steps) == len(rows) == 20 and (steps[-1].of, steps[-1].seconds) == (20, pytest.approx(1.9))
    assert [row["emotion"] for row in rows] == ["bright"] * 10 + ["dark"] * 10
    assert {row["face"] for row in rows} == {"1"} and float(rows[3]["seconds"]) == pytest.approx(0.3)
    entries = json.loads(files["json"].read_text())
    assert entries[12]["faces"][0]["probabilities"]["dark"] == float(rows[12]["dark"]) > 0.97
    assert steps[-1].faces.rows()[0]["frames"] == 20


def test_a_frame_says_what_the_photograph_says(clip, tmp_path):
    """Compression may move a probability by .02, and no more."""
    own = read(picture(), Brightness().eval(), finding(LEFT)).faces[0].probabilities
    for step in follow(clip, tmp_path, smoothing=0)[:10]:
        assert step.reading.faces[0].probabilities == pytest.approx(own, abs=0.02)


def test_the_annotated_film_has_every_frame_and_the_box_on_it(clip, tmp_path):
    """VP8 in WebM, which browsers play; the box's upper edge is the colour of a label without one of its own, grey."""
    files = follow(clip, tmp_path)[-1].files
    capture = cv2.VideoCapture(str(files["video"]))
    shown = []
    while True:
        read_, frame = capture.read()
        if not read_:
            break
        shown.append(frame)
    assert len(shown) == 20 and shown[0].shape == (400, 400, 3)
    assert abs(shown[0][100, 100].astype(int) - (0xB4, 0xA5, 0x9A)).max() < 40
    assert Image.open(files["timeline"]).format == "PNG"


def test_who_stops_half_way_keeps_what_was_read(clip, tmp_path):
    steps = video.follow(clip, tmp_path, Brightness().eval(), finding(LEFT))
    for _ in range(5):
        files = next(steps).files
    steps.close()
    assert len(json.loads(files["json"].read_text())) == 5
    assert len(files["csv"].read_text().splitlines()) == 6 and files["timeline"].exists()


def test_a_large_film_is_shrunk(tmp_path):
    large = film(tmp_path / "large.avi", [np.full((300, 800, 3), 99, np.uint8)] * 2)
    assert follow(large, tmp_path, longest=400)[0].picture.shape == (150, 400, 3)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "is no video that can be read"),
        (b"", "is no video that can be read"),
        (b"\0\0\0\x18ftypmp42" + bytes(60), "is damaged"),
        (None, "There is no file"),
    ],
)
def test_what_is_no_film_gets_a_sentence_without_a_path_and_leaves_no_file(tmp_path, content, sentence):
    """A list of other files is not even opened."""
    file = tmp_path / "film.mp4"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(video.VideoError, match=sentence) as error:
        follow(file, tmp_path / "out")
    assert str(tmp_path) not in str(error.value) and not list((tmp_path / "out").glob("*"))


def test_a_film_that_is_too_long_is_refused_before_it_is_read(clip, tmp_path):
    with pytest.raises(video.VideoError, match="has 2 seconds; at most 1 can"):
        follow(clip, tmp_path, limits=video.Limits(seconds=1))


def test_the_timeline_has_so_many_places_and_no_more_however_long_the_film():
    """An hour at ten frames a second: 1,200 places of four seconds hold 36,000 frames of one face."""
    network, timeline = Brightness(), video.Timeline(["dark", "bright"])
    reading = video.Tracker(network, finding(LEFT)).read(picture(), 0.0)
    for frame in range(36_000):
        timeline.add(reading, frame / 10)
    seconds, shares = timeline.shares(1)
    assert timeline.seconds == 4.0 and len(seconds) == 900
    assert timeline.rows()[0]["frames"] == 36_000 and shares.sum(1) == pytest.approx(np.ones(900))


def test_the_command_reads_a_film(tmp_path, clip, capsys, monkeypatch):
    from pages import write_networks

    from fer.__main__ import main

    weights = write_networks(tmp_path / "weights")
    monkeypatch.setenv("FER_YUNET", "") if os.environ.get("FER_YUNET") else None
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    assert main(["predict", str(clip), "--network", str(weights / "compact"), "--films", str(tmp_path), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["frames"], entry["faces"]) == (20, []) and Path(entry["files"]["video"]).exists()


def test_the_number_of_threads_is_as_before_a_film(tmp_path: Path):
    """For the photographs that are read after it; also if the film could not be read."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(3)
    cv2.setNumThreads(3)
    try:
        assert using.predict([str(tmp_path / "none.mp4")], "cnn", True, None, str(tmp_path), 0.5, True) == 1
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
