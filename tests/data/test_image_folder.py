"""Folders of faces as people have them: what is read, and that nothing is left out in silence."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fer.data import crop, fer2013, image_folder
from fer.data.labels import ALL_LABELS, EMOTIONS, label_named, numbered_labels, split_named


def face(path: Path, size: tuple[int, int] = (48, 48), mode: str = "L", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def every_emotion(root: Path, names: list[str], each: int = 2, between: str = "", kind: str = "png") -> None:
    for name in names:
        for number in range(each):
            face(root / name / between / f"{number}.{kind}", seed=number)


def survey(root: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Faces by split and what was left out, once it is sure that the two are all files there are."""
    report = fer2013.survey(root)
    assert report.count + sum(part.count for part in report.left_out) == sum(path.is_file() for path in root.rglob("*"))
    splits = {name: sum(labels.values()) for name, labels in report.splits.items()}
    return splits, {part.what: part.count for part in report.left_out}


@pytest.mark.parametrize("name", ["valid", "val", "Validation", "DEV", "val_set", "PublicTest"])
def test_validation_has_many_names(tmp_path: Path, name: str):
    """14 faces of train, 7 of what is named so, and 7 of test."""
    for split, each in (("Train", 2), (name, 1), ("test", 1)):
        every_emotion(tmp_path / split, list(EMOTIONS), each)
    assert survey(tmp_path) == ({"Training": 14, "PublicTest": 7, "PrivateTest": 7}, {})


@pytest.mark.parametrize("around, between", [("", "session2"), ("images", ""), ("a/b/c", "person0/monday")])
def test_folders_around_and_below_the_emotions_are_looked_through(tmp_path: Path, around: str, between: str):
    """14 of train and 7 of validation, whatever lies between."""
    for split, each in (("train", 2), ("validation", 1)):
        every_emotion(tmp_path / around / split, list(EMOTIONS), each, between)
    assert survey(tmp_path) == ({"Training": 14, "PublicTest": 7}, {})


@pytest.mark.parametrize(
    "names",
    [
        "anger disgust fear joy sadness suprise neutrality".split(),
        "Angry Disgusted Fearful HAPPY Sad Surprised Natural".split(),
        "0 1 2 3 4 5 6".split(),
        "0_angry 1_disgust 2_fear 3_happy 4_sad 5_surprise 6_neutral".split(),
    ],
)
def test_emotions_are_known_by_the_names_that_data_sets_use(tmp_path: Path, names: list[str]):
    """Two faces of each of the seven."""
    every_emotion(tmp_path, names)
    found, _ = image_folder.read_splits(tmp_path, EMOTIONS)
    assert sorted(found["Training"][1] + found["PublicTest"][1]) == sorted(EMOTIONS * 2)


def test_numbers_mean_emotions_only_where_their_order_is_known():
    """0 to 6 are FER-2013's, 1 to 7 RAF-DB's; a lone number, a person's 12 and AffectNet's 0 to 7 are nobody's."""
    assert numbered_labels(["0", "3", "6"]) == {"0": "angry", "3": "happy", "6": "neutral"}
    assert numbered_labels([str(number) for number in range(1, 8)])["1"] == "surprise"
    assert numbered_labels(["3"]) == numbered_labels(["3", "12"]) == numbered_labels(list("01234567")) == {}


def test_a_person_s_number_below_an_emotion_is_no_emotion(tmp_path: Path):
    """happy/3/ and happy/4/ hold happy faces."""
    for person in ("3", "4"):
        every_emotion(tmp_path, ["happy", "sad"], 2, person)
    assert image_folder.read_labelled(tmp_path, ALL_LABELS).names.count("happy") == 4


def test_words_that_are_no_emotion_or_split_are_none():
    assert [label_named(name) for name in ("bored", "not happy", "person3", "")] == [None] * 4
    assert [split_named(name) for name in ("images", "happy", "2024", "testimony")] == [None] * 4


def test_all_kinds_of_pictures_are_read_and_the_others_named(tmp_path: Path):
    """TIFF, GIF, WebP, BMP and PGM as well; HEIC with its remedy; films, texts, archives and broken pictures."""
    for kind in ("png", "tif", "gif", "webp", "bmp", "pgm", "jpg"):
        every_emotion(tmp_path, ["happy", "sad"], 1, kind=kind)
    for name in ("a.HEIC", "b.mov", "c.mp4", "d.txt", "e.zip", "f.png", "g"):
        (tmp_path / "sad" / name).write_bytes(b"no picture")
    splits, left_out = survey(tmp_path)
    assert sum(splits.values()) == 14
    assert left_out == {
        ".heic": 1, ".mov": 1, ".mp4": 1, ".txt": 1, ".zip": 1, "unreadable": 1, "files without suffix": 1
    }  # fmt: skip
    line = fer2013.survey(tmp_path).line()
    assert line.startswith("read 14 faces; left out 7: ") and ".heic (install pillow-heif)" in line
    assert "sad/f.png" in line and "\n" not in line


def test_foreign_folders_and_those_of_an_eighth_emotion_are_named_and_left_out(tmp_path: Path):
    """bored/ and contempt/ stop nothing, nor does a picture that lies in no folder, nor one in two emotions'."""
    every_emotion(tmp_path / "train", ["happy", "sad", "bored", "contempt"])
    face(tmp_path / "x.png")
    face(tmp_path / "train" / "happy" / "sad" / "y.png")
    splits, left_out = survey(tmp_path)
    assert sum(splits.values()) == 4
    assert left_out == {"contempt": 2, "in train/bored/": 2, "in no folder of an emotion": 1, "in train/happy/sad/": 1}
    assert image_folder.read_labelled(tmp_path, ALL_LABELS).names.count("contempt") == 2


def test_a_folder_around_the_emotions_may_have_the_name_of_one(tmp_path: Path):
    """In contempt/happy/ and contempt/sad/ lie happy and sad faces."""
    every_emotion(tmp_path / "contempt", ["happy", "sad"])
    found = image_folder.read_labelled(tmp_path, ALL_LABELS)
    assert found.names == ("happy", "happy", "sad", "sad")
    assert [path.split("/")[-1][-4:] for path in found.paths] == [".png"] * 4 and len(set(found.paths)) == 4


def test_what_systems_leave_in_folders_is_skipped_and_counted(tmp_path: Path):
    """Synology's thumbnails and a Mac's copies are no faces though they are named so."""
    every_emotion(tmp_path, ["happy", "sad"])
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "happy/._1.png", "happy/.ipynb_checkpoints/1-checkpoint.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"junk")
    face(tmp_path / "@eaDir" / "happy" / "SYNOPHOTO_THUMB.png")
    face(tmp_path / "__MACOSX" / "sad" / "1.png")
    splits, left_out = survey(tmp_path)
    assert sum(splits.values()) == 4 and left_out == {"system files": 7}


def test_small_faces_are_enlarged_down_to_24_pixels(tmp_path: Path):
    """44 and 24 pixels are read with a remark; 23 are left out."""
    every_emotion(tmp_path, ["happy", "sad"])
    for side in (44, 24, 23):
        face(tmp_path / "happy" / f"small{side}.png", (side, side + 5))
    splits, left_out = survey(tmp_path)
    assert sum(splits.values()) == 6 and left_out == {"too small": 1}
    assert "2 below 48 pixels were enlarged" in fer2013.survey(tmp_path).remarks


def test_linked_folders_are_read_once_and_no_cycle_is_endless(tmp_path: Path):
    """A link to a folder elsewhere is followed; one to a folder around it is not, and is counted."""
    every_emotion(tmp_path / "here", ["happy"])
    every_emotion(tmp_path / "elsewhere", ["sad"])
    (tmp_path / "here" / "sad").symlink_to(tmp_path / "elsewhere" / "sad")
    (tmp_path / "here" / "happy" / "around").symlink_to(tmp_path / "here")
    report = fer2013.survey(tmp_path / "here")
    assert report.count == 4 and [(part.what, part.count) for part in report.left_out] == [("links", 1)]


def test_a_folder_named_after_an_emotion_labels_its_own_pictures(tmp_path: Path):
    """happy/1.png is happy also when happy/ itself is named."""
    every_emotion(tmp_path, ["happy"])
    assert image_folder.read_labelled(tmp_path / "happy", ALL_LABELS).names == ("happy", "happy")


def test_names_that_are_no_text_are_one_line(tmp_path: Path):
    """A line break, U+2028 and a byte that is no UTF-8."""
    every_emotion(tmp_path, ["happy", "sad"])
    for name in ("a\nb", "a\u2028b", "\udcff"):
        face(tmp_path / name / "1.png")
    line = fer2013.survey(tmp_path).line()
    line.encode("utf-8")
    assert line.splitlines() == [line] and "left out 3" in line


def test_training_and_measuring_read_a_folder_with_the_same_pixels(tmp_path: Path):
    """Sizes from 30 to 200, grey, colour and transparent: byte for byte what `crop` cuts of the whole picture."""
    for seed, (size, mode) in enumerate([((201, 131), "RGB"), ((60, 60), "RGBA"), ((48, 48), "RGB"), ((30, 41), "L")]):
        face(tmp_path / "happy" / f"{seed}.png", size, mode, seed)
    splits, _ = image_folder.read_splits(tmp_path, EMOTIONS)
    trained = torch.cat([pixels for pixels, _ in splits.values()])
    measured = image_folder.read_labelled(tmp_path, ALL_LABELS).pixels
    assert {row.numpy().tobytes() for row in trained} == {row.numpy().tobytes() for row in measured}
    pixels = np.asarray(Image.open(tmp_path / "happy" / "0.png"))
    expected = cv2.resize(pixels[:, 35:166], (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY).astype(int) - measured[0].numpy()).max() <= 2


def test_greys_are_opencv_s():
    """All of 2 ** 18 colours, byte for byte."""
    levels = np.arange(0, 256, 4, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(512, 512, 3)
    assert np.array_equal(crop.to_grey(colours), cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


def test_empty_folders_are_remarked_upon(tmp_path: Path):
    every_emotion(tmp_path, ["happy", "sad"])
    (tmp_path / "bored").mkdir()
    assert "empty: bored/" in fer2013.survey(tmp_path).remarks
