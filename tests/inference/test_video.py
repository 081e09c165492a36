"""Films of a few made-up frames, read into files."""

import csv
import itertools
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fer.cli.main import main
from fer.faces import detector
from fer.inference import frames as inference_frames
from fer.inference import tracker, video
from fer.inference.predictor import predict_image
from tests.inference.test_prediction import LEFT, Brightness, finding, picture
from tests.inference.test_scenes import scene


def film(file: Path, frames: list[np.ndarray], rate: float = 10, kind: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*kind), rate, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()
    return file


def webm(file: Path) -> Path:
    """Two seconds at 10 frames a second: ten white ones, ten black ones with a little white."""
    black = np.zeros_like(picture())
    black[180:, 200:] = 60
    return film(file, [picture()] * 10 + [black] * 10, kind="VP80")


def restated(file: Path, rate: float | None = None, times: list[float] | None = None) -> Path:
    """The same WebM, which states another frame rate, or whose 20 frames have these times in seconds."""
    content = bytearray(file.read_bytes())
    if rate:
        place = content.index(b"\x23\xe3\x83\x84")  # DefaultDuration, in nanoseconds
        content[place + 4 : place + 8] = struct.pack(">I", round(1e9 / rate))
    place = cluster = 0  # where it is; when the cluster began, in milliseconds
    for number, at in enumerate(times or ()):  # of a SimpleBlock: track, milliseconds since then, flags
        since = re.escape(struct.pack(">h", 100 * number - cluster))
        block = re.compile(b"\x81(?:%s|(\0\0))[\0\x80]" % since, re.DOTALL)
        found = block.search(content, place)
        cluster = 100 * number if found[1] else cluster
        place = found.start() + 1
        content[place : place + 2] = struct.pack(">h", round(1000 * at) - cluster)
    file.write_bytes(content)
    return file


def pictures(file: Path) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(file)), []
    while (read_ := capture.read())[0]:
        found.append(read_[1])
    return found


def shown(file: Path) -> tuple[int, float]:
    """Frames and seconds of a film of constant rate."""
    frames = len(pictures(file))
    return frames, frames / cv2.VideoCapture(str(file)).get(cv2.CAP_PROP_FPS)


def quick(usual):
    """Opening a film without looking at the clock."""

    def opened(*given):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fer.inference.frames.MAX_PROBE_SECONDS", float("inf"))
            usual(*given)

    return opened


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds: white at the left, then black."""
    return film(tmp_path_factory.mktemp("clip") / "clip.avi", [picture()] * 10 + [picture()[:, ::-1]] * 10)


def follow(clip: Path, out: Path, **options) -> list[video.VideoProgress]:
    return list(video.process_video(clip, out, Brightness().eval(), finding(LEFT), **options))


def test_every_frame_and_face_is_a_row_and_the_same_is_json(clip, tmp_path):
    steps = follow(clip, tmp_path, smoothing=0)
    files = steps[-1].files
    rows = list(csv.DictReader(files["csv"].open(encoding="utf-8")))
    assert len(steps) == len(rows) == 20 and (steps[-1].of, steps[-1].seconds) == (20, pytest.approx(1.9))
    assert [row["emotion"] for row in rows] == ["bright"] * 10 + ["dark"] * 10
    assert {row["face"] for row in rows} == {"1"} and float(rows[3]["seconds"]) == pytest.approx(0.3)
    entries = json.loads(files["json"].read_text(encoding="utf-8"))
    assert entries[12]["faces"][0]["probabilities"]["dark"] == float(rows[12]["dark"]) > 0.97
    assert steps[-1].faces.rows()[0]["frames"] == 20


def test_a_frame_says_what_the_photograph_says(clip, tmp_path):
    """Compression may move a probability by .02, and no more."""
    own = predict_image(picture(), Brightness().eval(), finding(LEFT)).faces[0].probabilities
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
    steps = video.process_video(clip, tmp_path, Brightness().eval(), finding(LEFT))
    for _ in range(5):
        files = next(steps).files
    steps.close()
    assert len(json.loads(files["json"].read_text(encoding="utf-8"))) == 5
    assert len(files["csv"].read_text(encoding="utf-8").splitlines()) == 6 and files["timeline"].exists()


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
    with pytest.raises(inference_frames.VideoError, match=sentence) as error:
        follow(file, tmp_path / "out")
    assert str(tmp_path) not in str(error.value) and not list((tmp_path / "out").glob("*"))


def test_a_film_that_is_too_long_is_refused_before_it_is_read(clip, tmp_path):
    with pytest.raises(inference_frames.VideoError, match="has 2 seconds; at most 1 can"):
        follow(clip, tmp_path, limits=video.Limits(seconds=1))


def test_a_film_of_large_frames_is_refused_before_one_is_decoded(clip, tmp_path, monkeypatch):
    """400 x 400 pixels are .16 megapixels."""
    monkeypatch.setattr(inference_frames.VideoReader, "frames", None)
    with pytest.raises(inference_frames.VideoError, match=r"clip.avi' have 400x400 pixels; at most 0.1 megapixels can"):
        follow(clip, tmp_path, limits=video.Limits(pixels=1e5))


@pytest.mark.parametrize(
    "limits, frames, sentence",
    [
        ({"frames": 7}, 7, "Stopped at the limit of 7 frames: 0.6 of 2.0 seconds were read."),
        ({"seconds": 1.6}, 17, "Stopped at the limit of 1.6 seconds of film: 1.6 of 2.0 seconds were read."),
        ({"work": 10}, 4, "Stopped at the limit of 10 seconds of work: 0.3 of 2.0 seconds were read."),
    ],
)
def test_a_film_beyond_a_limit_is_read_up_to_it_and_the_last_step_says_how_far(
    clip, tmp_path, monkeypatch, limits, frames, sentence
):
    """By a clock that goes on by 2 seconds at every look."""
    if "work" in limits:
        monkeypatch.setattr(video.time, "monotonic", itertools.count(step=2).__next__)
        monkeypatch.setattr(inference_frames.VideoReader, "__init__", quick(inference_frames.VideoReader.__init__))
    *steps, last = follow(clip, tmp_path, limits=video.Limits(**limits))
    assert (len(steps), last.stopped) == (frames, sentence) and not any(step.stopped for step in steps)
    assert (
        len(json.loads(last.files["json"].read_text(encoding="utf-8"))) == frames
        and shown(last.files["video"])[0] == frames
    )


def test_fps_reads_so_many_frames_a_second_and_keeps_times_and_numbers(clip, tmp_path):
    """Of 20 frames at 10 a second, at 4 a second: 8, and a marked film of two seconds."""
    last = follow(clip, tmp_path, fps=4)[-1]
    rows = list(csv.DictReader(last.files["csv"].open(encoding="utf-8")))
    assert (last.frames, last.of, len(rows)) == (8, 8, 8)
    assert [row["frame"] for row in rows] == ["1", "4", "6", "9", "11", "14", "16", "19"]
    assert shown(last.files["video"])[1] == pytest.approx(2, abs=0.1)
    with pytest.raises(ValueError, match="fps is 0: expected a number of frames a second above 0"):
        follow(clip, tmp_path, fps=0)


def test_a_browser_s_recording_is_as_long_as_its_times_say(clip, tmp_path):
    """Two seconds of a film that states 1000 frames a second may be read where 60 are the limit; of: its frames."""
    recording = restated(webm(tmp_path / "film.webm"), rate=1000)
    last = follow(recording, tmp_path / "out", limits=video.Limits(seconds=60))[-1]
    assert (last.frames, last.of, last.seconds, last.length) == (20, 20, pytest.approx(1.9), pytest.approx(2.0))
    assert shown(last.files["video"]) == (20, pytest.approx(2.0, abs=0.06))


def test_the_marked_film_of_a_film_without_constant_rate_shows_each_frame_when_it_was_seen(tmp_path):
    """Ten white frames in 1.8 seconds, then ten black ones in 3: white for 1.8 seconds of 4.8."""
    times = [0.2 * k for k in range(9)] + [1.7 + 0.1 * k for k in range(2)] + [2.1 + 0.3 * k for k in range(9)]
    film_ = restated(webm(tmp_path / "film.webm"), times=times)
    last = follow(film_, tmp_path / "out", smoothing=0)[-1]
    rows = list(csv.DictReader(last.files["csv"].open(encoding="utf-8")))
    assert [float(row["seconds"]) for row in rows] == pytest.approx(times, abs=0.002)
    frames, seconds = shown(last.files["video"])
    assert seconds == pytest.approx(times[-1] + 0.2, abs=0.2)
    whites = sum(frame[200, 20].mean() > 128 for frame in pictures(last.files["video"]))
    assert whites / frames * seconds == pytest.approx(times[10], abs=0.1)


def test_a_film_of_one_frame_in_two_seconds_lasts_as_long_as_it_does(tmp_path):
    slow = film(tmp_path / "slow.mp4", [picture(), picture()], 0.5, "mp4v")
    last = follow(slow, tmp_path)[-1]
    assert (last.frames, last.length) == (2, 4.0) and shown(last.files["video"])[1] == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("name", [b"\xff\xfe.avi", b"clip:1.avi", b"http:x.avi", b"caf\xe9 %03d.avi"])
def test_a_film_of_any_name_is_read_and_marked(clip, tmp_path, monkeypatch, name):
    """In a process of its own, which OpenCV would take with it. `a:b` is an address to FFmpeg."""
    monkeypatch.chdir(tmp_path)
    Path(os.fsdecode(name)).write_bytes(clip.read_bytes())
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; from tests.inference.test_video import follow\n"
        "last = follow(Path(sys.argv[1]), Path('out'))[-1]\n"
        "print(last.frames, last.files['video'].stat().st_size > 1000, last.files['timeline'].exists())"
    )
    here = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", program, name, str(here)], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "20 True True\n"), run.stderr


def test_after_a_cut_nobody_keeps_a_number_or_is_blended_with_who_was_there_before(tmp_path):
    """Two scenes of five frames; the box stays where it is."""
    one, other = scene(1), scene(2)
    one[100:220, 40:160], other[100:220, 40:160] = 255, 0
    cut = film(tmp_path / "cut.avi", [one] * 5 + [other] * 5)
    steps = follow(cut, tmp_path, smoothing=2)
    faces = [step.reading.faces[0] for step in steps]
    assert [face.number for face in faces] == [1] * 5 + [2] * 5
    assert faces[5].probabilities["bright"] < 0.05


def test_ctrl_c_keeps_what_was_read_and_ends_the_command(tmp_path, clip, capsys, monkeypatch):
    """After the seventh frame; the film after it is not begun."""
    from fer.inference.tracker import FaceTracker
    from fer.models import checkpoint

    calls, usual = itertools.count(1), FaceTracker.read

    def read_(self, *given):
        if next(calls) == 8:
            raise KeyboardInterrupt
        return usual(self, *given)

    monkeypatch.setattr(FaceTracker, "read", read_)
    monkeypatch.setattr(checkpoint, "load_model", lambda name: Brightness().eval())
    monkeypatch.setattr("fer.faces.detector.load_detector", lambda: finding(LEFT))
    arguments = ["predict", str(clip), str(clip), "--video-out", str(tmp_path), "--json"]
    assert main(arguments) == 130
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["frames"], row["stopped"]) == (7, "Stopped by Ctrl+C: 0.6 of 2.0 seconds were read.")
    assert set(row["files"]) == {"video", "csv", "json", "timeline"}
    assert (
        len(json.loads(Path(row["files"]["json"]).read_text(encoding="utf-8"))) == 7
        and shown(Path(row["files"]["video"]))[0] == 7
    )


def test_the_timeline_has_so_many_places_and_no_more_however_long_the_film():
    """An hour at ten frames a second: 1,200 places of four seconds hold 36,000 frames of one face."""
    network, timeline = Brightness(), video.Timeline(["dark", "bright"])
    reading = tracker.FaceTracker(network, finding(LEFT)).read(picture(), 0.0)
    for frame in range(36_000):
        timeline.add(reading, frame / 10)
    seconds, shares = timeline.shares(1)
    assert timeline.seconds == 4.0 and len(seconds) == 900
    assert timeline.rows()[0]["frames"] == 36_000 and shares.sum(1) == pytest.approx(np.ones(900))


def test_the_command_reads_a_film(tmp_path, clip, capsys, monkeypatch):
    from tests.pages import write_networks

    weights = write_networks(tmp_path / "weights")
    monkeypatch.setenv("FER_YUNET", "") if os.environ.get("FER_YUNET") else None
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    asked = ["--model", str(weights / "compact"), "--video-out", str(tmp_path), "--json"]
    assert main(["predict", str(clip), *asked]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["frames"], entry["faces"]) == (20, []) and Path(entry["files"]["video"]).exists()


def test_the_number_of_threads_is_as_before_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """For the photographs that are read after it; also if the film could not be read."""
    monkeypatch.setattr(detector, "load_detector", lambda: finding(LEFT))
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(3)
    cv2.setNumThreads(3)
    try:
        asked = ["--model", "cnn", "--video-out", str(tmp_path), "--json"]
        assert main(["predict", str(tmp_path / "none.mp4"), *asked]) == 1
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
