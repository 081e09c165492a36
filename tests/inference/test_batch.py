"""album: many pictures in batches, answers on disk, and a run that goes on where it was stopped."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from fer.inference.batch import ResumableResults, crop_folder, find_pictures, predict_files
from tests.inference.test_prediction import LEFT, RIGHT, Brightness, finding
from tests.inference.test_prediction import picture as half


@pytest.fixture
def album(tmp_path):
    """A folder as people have them."""
    (tmp_path / "trip").mkdir()
    (tmp_path / ".thumbnails").mkdir()
    image = Image.fromarray(half())
    for name in ("img10.png", "img2.PNG", ".hidden.png", "trip/a.jpg", ".thumbnails/b.png"):
        image.save(tmp_path / name, "JPEG" if name.endswith("jpg") else "PNG")
    (tmp_path / "img3.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("not looked at", encoding="utf-8")
    return tmp_path


def test_a_folder_is_read_in_natural_order_past_what_cannot_be_read(album):
    """Hidden ones and other files are not even tried."""
    entries = list(predict_files(find_pictures([album])[0], Brightness(), finding(LEFT)))
    names = [entry["path"].removeprefix(str(album))[1:] for entry in entries]
    assert names == ["img2.PNG", "img3.jpg", "img10.png", "trip/a.jpg"]
    assert ["error" in entry for entry in entries] == [False, True, False, False]
    assert entries[1]["error"].startswith("This is a file of 10 bytes")


def test_an_entry_is_what_the_command_promises(album):
    """path, detector, and for each face box, angle, emotion and probabilities, all fit for JSON."""
    (entry,) = predict_files([album / "img10.png"], Brightness(), finding(LEFT))
    assert set(entry) == {"path", "detector", "faces"} and entry["detector"] == "haar"
    assert set(entry["faces"][0]) == {"box", "angle", "emotion", "prediction_set", "probabilities"}
    assert entry["faces"][0]["angle"] == 0
    assert entry["faces"][0]["box"] == [40, 100, 120, 120] and entry["faces"][0]["emotion"] == "bright"
    assert json.loads(json.dumps(entry)) == entry


def test_boxes_are_in_the_file_s_own_pixels_and_unusual_sizes_are_noted(tmp_path):
    """A JPEG of 54 megapixels is read at half its size, one of 30 x 40 pixels as it is."""
    Image.new("L", (9000, 6000), 200).save(tmp_path / "large.jpg")
    Image.new("L", (30, 40), 200).save(tmp_path / "small.png")
    large, small = predict_files([tmp_path / "large.jpg", tmp_path / "small.png"], Brightness(), None, whole=True)
    assert large["faces"][0]["box"] == [1500, 0, 6000, 6000] and "54 megapixels" in large["note"]
    assert small["faces"][0]["box"] == [0, 5, 30, 30] and "30 x 40" in small["note"]
    assert large["detector"] is None


def test_a_picture_without_faces_has_an_empty_list(album):
    assert list(predict_files([album / "img2.PNG"], Brightness(), finding()))[0]["faces"] == []


def test_videos_missing_files_and_empty_folders_get_one_line(tmp_path):
    (tmp_path / "film.MP4").write_bytes(bytes(100))
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "film.MP4", tmp_path / "gone.jpg", tmp_path / "empty"]
    errors = [entry["error"] for entry in predict_files(find_pictures(paths)[0], Brightness(), finding(LEFT))]
    assert errors[0] == "'film.MP4' is a video; `python -m fer predict VIDEO` reads it alone."
    assert errors[1].startswith("There is no file 'gone.jpg'")
    assert errors[2] == "There is no picture in this folder."


def test_the_faces_of_many_pictures_are_one_batch(album):
    """Three pictures of two faces each are one batch of six; the bad file is none of them."""
    network = Brightness().eval()
    list(predict_files(find_pictures([album])[0], network, finding(LEFT, RIGHT)))
    assert network.batches == [6]


def test_a_whole_picture_is_a_face_where_that_is_asked(album):
    """Half white, half black: no detector is asked, and the box is the picture."""
    (row,) = predict_files([album / "img2.PNG"], Brightness(), finding(), whole=True)
    assert row["faces"][0]["box"] == [0, 0, 400, 400]


# ------------------------------------------------------------------------------------------------ answers on disk


def rows_of(file: Path) -> list[str]:
    """Which pictures the lines of a file of answers are of."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["path"] for line in lines] if file.suffix == ".jsonl" else [
        row["path"] for row in csv.DictReader(lines)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_run_that_was_killed_goes_on_and_loses_nothing(album, tmp_path: Path, kind: str):
    """Killed within the third of four pictures: that one is read again, the first two are not."""
    file, names = tmp_path / f"answers.{kind}", [str(path) for path in find_pictures([album])[0]]
    answers = ResumableResults(file, ("dark", "bright"))
    entries = list(predict_files(find_pictures([album])[0], Brightness(), finding(LEFT, RIGHT)))
    for entry in entries[:3]:
        answers.add(entry)
    file.write_text(file.read_text(encoding="utf-8")[:-5], encoding="utf-8")
    again = ResumableResults(file, ("dark", "bright"))
    assert again.done == set(names[:2])
    for entry in entries[2:]:
        again.add(entry)
    assert list(dict.fromkeys(rows_of(file))) == names


def test_a_face_is_a_line_of_the_table(album, tmp_path: Path):
    """Two faces, two lines with boxes and probabilities; a file that could not be read has its sentence."""
    answers = ResumableResults(tmp_path / "a.csv", ("dark", "bright"))
    for entry in predict_files([album / "img2.PNG", album / "img3.jpg"], Brightness(), finding(LEFT, RIGHT)):
        answers.add(entry)
    first, second, bad = csv.DictReader((tmp_path / "a.csv").open(newline="", encoding="utf-8"))
    assert (first["face"], first["x"], first["emotion"], second["emotion"]) == ("0", "40", "bright", "dark")
    assert float(first["dark"]) + float(first["bright"]) == pytest.approx(1) and first["error"] == ""
    assert bad["emotion"] == "" and bad["error"].startswith("This is a file of 10 bytes")


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("a.txt", "", "expected a file that ends in .csv or .jsonl"),
        ("a.jsonl", "[1]\n[2]\n", "content is something else"),
        ("a.csv", "path,face\nx,1\n", "columns are of another network"),
    ],
)
def test_another_file_is_not_written_over(tmp_path: Path, name: str, text: str, words: str):
    """It stays as it was, and what is wrong with it is said."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        ResumableResults(tmp_path / name, ("dark", "bright"))
    assert (tmp_path / name).read_text(encoding="utf-8") == text


def test_faces_are_cut_into_the_same_folders(album, tmp_path_factory):
    """A 48x48 PNG for every picture that can be read, in its own folder; the other one is named with what is wrong."""
    out = tmp_path_factory.mktemp("faces")
    told = dict(crop_folder(album, out, finding(LEFT)))
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == ["img10.png", "img2.png", "trip/a.png"]
    assert [path.name for path, wrong in told.items() if wrong] == ["img3.jpg"]
    assert Image.open(out / "trip" / "a.png").size == (48, 48) and Image.open(out / "img2.png").mode == "L"
    assert set(dict(crop_folder(album, out / "none", finding())).values()) >= {"No face was found in it."}
    assert not (out / "none").exists()
