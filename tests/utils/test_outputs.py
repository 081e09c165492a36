"""Outputs: never an input, never another output, never through a link, never two writers at once."""

import hashlib
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.cli.main import main
from fer.faces import detector
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.utils import outputs
from tests.inference.test_prediction import LEFT, finding
from tests.inference.test_prediction import picture as half


def errors(capsys) -> list[str]:
    """The lines on standard error that tell of an error; which detector is used is another line."""
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("fer ")]


def digests(folder: Path) -> dict[str, str]:
    """Every ordinary file in and below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photographs of a face, a network to read with, and a folder to stand in."""
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(detector, "load_detector", lambda: finding(LEFT))
    monkeypatch.chdir(tmp_path)
    checkpoint.save_model(FERModel("compact"), tmp_path / "weights" / "compact")
    (tmp_path / "in" / "happy").mkdir(parents=True)
    for name in ("a.png", "happy/b.jpg", "happy/c.png"):
        Image.fromarray(half()).save(tmp_path / "in" / name)
    return tmp_path / "in"


def film(file: Path, frames: int = 3) -> Path:
    file.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (400, 400))
    for _ in range(frames):
        writer.write(np.ascontiguousarray(half()))
    writer.release()
    return file


# ------------------------------------------------------------------------------------------------ crop


@pytest.mark.parametrize("out", ["in", "in/faces", "in/../in", "link", "link/new"])
def test_faces_are_not_cut_into_the_folder_that_they_are_cut_from(photos: Path, out: str, capsys):
    """By whatever name: status 2, one line, and 3 originals as they were."""
    (photos.parent / "link").symlink_to(photos)
    before = digests(photos)
    assert main(["crop", "in", out]) == 2
    assert len(errors(capsys)) == 1
    assert digests(photos) == before


@pytest.mark.parametrize(
    "prepare", ["file link", "folder link", "hard link", "foreign file", "folder link to nothing new"]
)
def test_faces_are_not_cut_over_what_is_not_theirs(photos: Path, prepare: str, capsys):
    """Through a link, over a hard link of an original, or over a picture of somebody's own: nothing is written."""
    out, precious = photos.parent / "out", photos.parent / "precious"
    (out / "happy").mkdir(parents=True)
    precious.mkdir()
    Image.fromarray(half()).save(precious / "b.png")
    if prepare == "file link":
        (out / "a.png").symlink_to(precious / "b.png")
    elif prepare == "folder link":
        (out / "happy").rmdir()
        (out / "happy").symlink_to(precious)
    elif prepare == "folder link to nothing new":
        (precious / "b.png").unlink()
        (out / "happy").rmdir()
        (out / "happy").symlink_to(precious)
    elif prepare == "hard link":
        (out / "a.png").hardlink_to(photos / "happy" / "c.png")
    else:
        (out / "a.png").write_bytes((precious / "b.png").read_bytes())
    before = digests(photos.parent)
    assert main(["crop", "in", "out"]) == 2
    assert len(errors(capsys)) == 1
    assert digests(photos.parent) == before


def test_every_picture_gets_a_face_of_its_own(photos: Path, capsys):
    """Of a.jpg, a.jpeg, a.png and A.PNG four files that differ in more than case; a second run gives the same ones."""
    for name in ("a.jpg", "a.jpeg"):
        Image.fromarray(half()).save(photos / name, "JPEG")
    for _ in range(2):
        assert main(["crop", "in", "out", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["faces"] == 5
        names = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.png"))
        assert names == ["a.jpeg.png", "a.jpg.png", "a.png.png", "happy/b.png", "happy/c.png"]


@pytest.mark.parametrize(
    "files, names",
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["A.jpg", "a.png"], ["A.jpg", "a.png"]),
        (["a.jpg", "A.JPG"], ["a.jpg", "A.JPG-2"]),
        (["clip.mp4", "clip.mp4", "clip.mp4"], ["clip.mp4", "clip.mp4-2", "clip.mp4-3"]),
        (["a.jpg", "a.png", "a.jpg.bmp"], ["a.jpg-2", "a.png", "a.jpg"]),
        (["caf\u00e9.jpg", "cafe\u0301.jpg"], ["caf\u00e9.jpg", "cafe\u0301.jpg-2"]),
        (["one/a.jpg", "two/a.jpg", "v1.2.jpg"], ["one/a", "two/a", "v1.2"]),
    ],
)
def test_names_are_distinct_on_every_file_system(files: list[str], names: list[str]):
    """Also where case, or the way an accent is written, makes no difference."""
    assert [str(name) for name in outputs.distinct([Path(file) for file in files])] == names


# ------------------------------------------------------------------------------------------------ single files


@pytest.mark.parametrize(
    "arguments",
    [
        ["saliency", "in/a.png", "--method", "gradient", "--out"],
        ["activations", "in/a.png", "conv2d_1", "--out"],
        ["predict", "in/a.png", "--out"],
    ],
)
@pytest.mark.parametrize("kind", ["same", "link", "hard link", "folder link"])
def test_a_picture_is_not_written_over_by_what_is_made_of_it(photos: Path, arguments: list[str], kind: str, capsys):
    """Whether named as it is, through a link, a hard link or a folder that is a link: status 2 and one line."""
    (photos / "a.csv").write_bytes((photos / "a.png").read_bytes())
    name = {"same": "in/a", "link": "link", "hard link": "hard", "folder link": "folder/a"}[kind]
    suffix = ".csv" if arguments[0] == "predict" else ".png"
    source = photos / f"a{suffix}"
    (photos.parent / f"link{suffix}").symlink_to(source)
    (photos.parent / f"hard{suffix}").hardlink_to(source)
    (photos.parent / "folder").symlink_to(photos)
    before = digests(photos.parent)
    asked = [arguments[0], f"in/a{suffix}", *arguments[2:], f"{name}{suffix}"]
    assert main(asked) == 2
    assert len(errors(capsys)) == 1
    assert digests(photos.parent) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "compact", "--out", "weights/compact/model.safetensors"],
        ["export", "compact", "--out", "weights/compact/../compact/config.json"],
        ["ascend", "compact", "conv2d_1", "--filters", "0", "--steps", "1", "--out", "weights/compact/config.json"],
        ["train", "dnn", "--data", "in", "--init-from", "compact", "--out", "weights/compact"],
        [
            "train",
            "dnn",
            "--data",
            "in",
            "--teacher",
            "weights/compact",
            "--distill-weight",
            ".5",
            "--out",
            "weights/compact",
        ],
        ["train", "dnn", "--data", "in", "--out", "in"],
        ["study", "duplicates", "--quick", "--data", "in", "--out", "in"],
    ],
)
def test_what_a_command_reads_is_not_written_over(photos: Path, arguments: list[str], capsys):
    """A network's own files, those that a training begins with, and the folder of its faces."""
    before = digests(photos.parent)
    assert main(arguments) == 2
    (printed,) = errors(capsys)
    assert "which is read" in printed or "read from" in printed
    assert digests(photos.parent) == before


@pytest.mark.parametrize("command", ["train", "study"])
def test_a_folder_is_not_written_to_through_a_link(photos: Path, command: str, capsys):
    """Where a file there would be replaced: its README.md stays."""
    (photos.parent / "mine").mkdir()
    (photos.parent / "mine" / "README.md").write_text("Mine.", encoding="utf-8")
    (photos.parent / "link").symlink_to("mine")
    asked = ["train", "dnn"] if command == "train" else ["study", "duplicates", "--quick"]
    assert main([*asked, "--data", "in", "--out", "link"]) == 2
    assert "through the link 'link'" in capsys.readouterr().err
    assert (photos.parent / "mine" / "README.md").read_text(encoding="utf-8") == "Mine."


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path):
    """Such as /dev/null, which a rename would replace."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="no ordinary file"):
        outputs.check_outputs([], [tmp_path / "pipe.png"])


def test_a_new_file_behind_a_folder_that_is_a_link_is_fine(tmp_path: Path):
    """Nothing there is written over."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    outputs.check_outputs([tmp_path / "a.png"], [tmp_path / "link" / "b.png"])


# ------------------------------------------------------------------------------------------------ films


def test_two_films_of_one_stem_give_two_results(photos: Path, capsys):
    """a/clip.avi and b/clip.mov, read at once: eight files, 3 and 2 frames; each is told with its own files."""
    long, short = film(Path("a/clip.avi"), 3), film(Path("b/clip.avi"), 2)
    assert main(["predict", str(long), str(short), str(long), "--video-out", "films", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["frames"] for row in rows] == [3, 2] and len(list(Path("films").iterdir())) == 8
    for row in rows:
        assert len(json.loads(Path(row["files"]["json"]).read_text(encoding="utf-8"))) == row["frames"]


@pytest.mark.parametrize("asked", [["a/clip.avi", "a/clip-read.webm"], ["a/clip.avi", "--out", "a/clip-read.csv"]])
def test_a_film_s_files_are_neither_input_nor_another_output(photos: Path, asked: list[str], capsys):
    """Before anything is read or written."""
    film(Path("a/clip.avi"))
    Path("a/clip-read.webm").write_bytes(Path("a/clip.avi").read_bytes())
    before = digests(Path("a"))
    assert main(["predict", *asked, "--video-out", "a"]) == 2
    assert len(errors(capsys)) == 1 and digests(Path("a")) == before


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_film_s_frames_are_in_the_answers(photos: Path, kind: str, capsys):
    """3 frames and a picture: a row for every frame and face; a second run adds nothing, a cut one is made whole."""
    film(Path("a/clip.avi"))
    asked = ["predict", "a/clip.avi", "in/a.png", "--out", f"x.{kind}", "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pictures"] == 2 and told["videos"][0]["frames"] == 3
    text = Path(f"x.{kind}").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 4 + (kind == "csv")
    assert main(asked) == 0 and Path(f"x.{kind}").read_text(encoding="utf-8") == text
    Path(f"x.{kind}").write_text("".join(text.splitlines(keepends=True)[: 2 + (kind == "csv")]), encoding="utf-8")
    assert main(asked) == 0 and Path(f"x.{kind}").read_text(encoding="utf-8") == text


def test_a_film_is_never_taken_as_one_face(photos: Path, capsys):
    """--no-detect with a film: status 2 and a sentence, rather than silence."""
    film(Path("a/clip.avi"))
    assert main(["predict", "a/clip.avi", "--no-detect"]) == 2
    assert "--no-detect is for photographs" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ answers


def test_a_picture_that_is_named_twice_is_answered_once(photos: Path, capsys):
    """By its name, its folder and a roundabout path; also where the run before named it otherwise."""
    for names in (["in/a.png", "in", "in/happy/../a.png"], [str(photos)]):
        assert main(["predict", *names, "--out", "x.jsonl", "--json"]) == 0
        capsys.readouterr()
        assert len(Path("x.jsonl").read_text(encoding="utf-8").splitlines()) == 3


# ------------------------------------------------------------------------------------------------ one writer


def hold(target: Path, ready, done) -> None:
    with outputs.one_writer(target):
        ready.set()
        done.wait(20)


@pytest.fixture
def holding():
    """A process that holds a target until it is let go."""
    fork, started = multiprocessing.get_context("fork"), []

    def begin(target: Path):
        ready, done = fork.Event(), fork.Event()
        process = fork.Process(target=hold, args=(target, ready, done))
        process.start()
        assert ready.wait(20)
        started.append((process, done))
        return process

    yield begin
    for process, done in started:
        if process.is_alive():  # an event whose waiter was killed is never set
            done.set()
        process.join(20)


@pytest.mark.parametrize(
    "target, arguments",
    [
        ("x.csv", ["predict", "in", "--out", "x.csv"]),
        ("out", ["crop", "in", "out"]),
        ("mine", ["train", "dnn", "--data", "in", "--out", "mine"]),
        ("mine", ["train", "dnn", "--data", "in", "--restart", "--out", "mine/../mine"]),
        ("study", ["study", "duplicates", "--quick", "--data", "in", "--out", "study"]),
    ],
)
def test_a_second_writer_ends_with_who_has_it(photos: Path, holding, target: str, arguments: list[str], capsys):
    """Status 2 and the number of the process; nothing is written, not even an unfinished run removed."""
    (photos.parent / "mine").mkdir()
    (photos.parent / "mine" / "resume.pt").write_text("a run under way", encoding="utf-8")
    process, before = holding(photos.parent / target), digests(photos.parent)
    assert main(arguments) == 2
    assert f"is being written by process {process.pid}" in capsys.readouterr().err
    assert digests(photos.parent) == before


def test_a_writer_that_was_killed_holds_nothing(tmp_path: Path, holding):
    """Its lock file is taken over, and removed afterwards."""
    process = holding(tmp_path / "x.csv")
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert (tmp_path / ".x.csv.lock").exists()
    with outputs.one_writer(tmp_path / "x.csv"):
        assert (tmp_path / ".x.csv.lock").read_text(encoding="utf-8") == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def count_up(target: Path, file: Path, times: int) -> None:
    while times:
        try:
            with outputs.one_writer(target):
                file.write_text(str(int(file.read_text(encoding="utf-8")) + 1), encoding="utf-8")
                times -= 1
        except ValueError:
            time.sleep(0)


def test_of_many_writers_one_at_a_time_gets_in(tmp_path: Path):
    """Four processes add 50 each to one number, which is 200 then: no two held the lock at once."""
    file, fork = tmp_path / "number", multiprocessing.get_context("fork")
    file.write_text("0", encoding="utf-8")
    writers = [fork.Process(target=count_up, args=(tmp_path / "target", file, 50)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert file.read_text(encoding="utf-8") == "200" and [path.name for path in tmp_path.iterdir()] == ["number"]
