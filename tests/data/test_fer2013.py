"""data: what is read, which faces are duplicates, and what is said when the files are not right."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from fer.data import dataset as data_dataset
from fer.data import duplicates, fer2013, ferplus, labels
from fer.data import fer2013 as data_fer2013

ROW = " ".join(["7"] * 2304)


def kaggle(folder: Path, name: str, text: str) -> Path:
    (folder / "fer2013").mkdir(exist_ok=True)
    path = folder / "fer2013" / name
    path.write_text(text, encoding="utf-8")
    return path


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def faces(pixels: torch.Tensor) -> data_dataset.FaceDataset:
    return data_dataset.FaceDataset(pixels, torch.zeros(len(pixels)).long(), None, torch.zeros(len(pixels)).bool())


@pytest.mark.parametrize(
    "name, header, line",
    [
        ("fer2013.csv", "emotion,pixels,Usage", "{0},{2},{1}"),
        ("icml_face_data.csv", "emotion, Usage, pixels", "{0},{1},{2}"),
    ],
)
def test_rows_go_to_the_split_they_name_in_any_order(tmp_path: Path, name: str, header: str, line: str):
    """PrivateTest before PublicTest before Training: each row still lands in its own split."""
    rows = [line.format(label, usage, ROW) for label, usage in ((3, "PrivateTest"), (4, "PublicTest"), (5, "Training"))]
    kaggle(tmp_path, name, "\n".join([header, *rows]) + "\n")
    splits = data_fer2013.load_fer2013(tmp_path)
    assert {name: faces.labels.tolist() for name, faces in splits.items()} == {
        "Training": [5],
        "PublicTest": [4],
        "PrivateTest": [3],
    }
    assert splits["Training"].pixels.unique().tolist() == [7]


def test_train_csv_holds_only_training(tmp_path: Path):
    """Kaggle's train.csv has no Usage and no test faces; asking for PublicTest says so."""
    kaggle(tmp_path, "train.csv", f"emotion,pixels\n6,{ROW}\n")
    splits = data_fer2013.load_fer2013(tmp_path)
    assert splits["Training"].labels.tolist() == [6]
    with pytest.raises(data_dataset.DataError, match="no labelled PublicTest"):
        data_fer2013.get_splits(splits, "PublicTest")


def test_ferplus_votes_follow_their_rows(tmp_path: Path):
    """The votes of a face are those of its line, though the splits are put in another order."""
    rows = f"emotion,pixels,Usage\n0,{ROW},PublicTest\n1,{ROW},Training\n"
    kaggle(tmp_path, "fer2013.csv", rows)
    header = "Usage,Image name," + ",".join(ferplus.VOTES)
    kaggle(tmp_path, "fer2013new.csv", f"{header}\nPublicTest,a,10{',0' * 9}\nTraining,b,{'0,' * 9}9\n")
    splits = data_fer2013.load_fer2013(tmp_path)
    assert splits["Training"].votes.tolist() == [[0] * 9 + [9]]
    assert splits["PublicTest"].votes.tolist() == [[10] + [0] * 9]


def test_an_altered_kaggle_file_is_read_and_said_to_be_one(tmp_path: Path):
    """A file whose MD5 is not Kaggle's is no reason to stop; one line names it."""
    kaggle(tmp_path, "fer2013.csv", f"emotion,pixels,Usage\n0,{ROW},Training\n")
    report = data_fer2013.read_dataset(tmp_path).report
    assert report.count == 1 and "by their MD5" in report.line() and "\n" not in report.line()


TABLES = {
    "byte-order mark": ("fer2013/fer2013.csv", "\ufeffemotion,pixels,Usage\n{rows}", "{0},{1},{2}\n"),
    "CRLF": ("fer2013/fer2013.csv", "emotion,pixels,Usage\r\n{rows}", "{0},{1},{2}\r\n"),
    "directly in DIR": ("fer2013.csv", "emotion,pixels,Usage\n{rows}", "{0},{1},{2}\n"),
    "two folders down": ("archive/fer2013/fer2013.csv", "emotion,pixels,Usage\n{rows}", "{0},{1},{2}\n"),
    "another name": ("my faces.csv", "emotion,pixels,Usage\n{rows}", "{0},{1},{2}\n"),
    "spaces in the header": ("icml_face_data.csv", "emotion, Usage, pixels\n{rows}", "{0}, {2}, {1}\n"),
    "more columns, another order": ("fer2013.csv", "id,Usage,pixels,source,emotion\n{rows}", "7,{2},{1},web,{0}\n"),
    "semicolons": ("fer2013.csv", "emotion;pixels;Usage\n{rows}", "{0};{1};{2}\n"),
    "no header": ("fer2013.csv", "{rows}", "{0},{1},{2}\n"),
    "quoted": ("fer2013.csv", '"emotion","pixels","Usage"\n{rows}', '"{0}","{1}","{2}"\n'),
}


@pytest.mark.parametrize("place, text, line", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_people_have_it(tmp_path: Path, place: str, text: str, line: str):
    """Three rows, one of each split, by the folder and by the file's own path."""
    rows = "".join(line.format(label, ROW, usage) for label, usage in enumerate(data_dataset.SPLITS))
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(text.format(rows=rows), encoding="utf-8", newline="")
    for root in (tmp_path, tmp_path / place):
        splits = data_fer2013.load_fer2013(root)
        assert {name: part.labels.tolist() for name, part in splits.items()} == {
            "Training": [0], "PublicTest": [1], "PrivateTest": [2]
        }  # fmt: skip


@pytest.mark.parametrize("header, line", [("emotion,pixels", "{0},{1}"), ("emotion,pixels,Usage", "{0},{1},Training")])
def test_a_table_without_faces_to_choose_on_has_some_held_out(tmp_path: Path, header: str, line: str):
    """Of 20 faces of each of two emotions two each, the same in every run, and the report says so."""
    rows = "\n".join(line.format(number % 2, ROW) for number in range(40))
    kaggle(tmp_path, "fer2013.csv", f"{header}\n{rows}\n")
    dataset = data_fer2013.read_dataset(tmp_path)
    assert {name: part.labels.bincount().tolist() for name, part in dataset.splits.items()} == {
        "Training": [18, 18], "PublicTest": [2, 2]
    }  # fmt: skip
    assert "4 faces of Training are held out" in dataset.report.line()


def test_rows_that_are_not_right_are_left_out_and_counted(tmp_path: Path):
    """Of nine rows two are read; a blank line at the end is no row."""
    bad = [f"7,{ROW},Training", f"x,{ROW},Training", f"1,{ROW} 7,Training", f"1,{ROW[:-2]},Training"]
    bad += [f"1,{ROW[:-1]}256,Training", f"1,{ROW},Elsewhere", "1"]
    rows = [f"3,{ROW},Training", *bad, f"Suprise,{ROW},PublicTest"]
    kaggle(tmp_path, "fer2013.csv", "\n".join(["emotion,pixels,Usage", *rows]) + "\n\n")
    dataset = data_fer2013.read_dataset(tmp_path)
    assert dataset.splits["PublicTest"].labels.tolist() == [5] and dataset.report.count == 2
    assert {part.why: part.count for part in dataset.report.left_out} == {
        "no emotion of 0 to 6": 2, "not 2,304 pixels of 0 to 255": 3, "no split": 1, "cut short": 1
    }  # fmt: skip
    assert data_fer2013.read_dataset(tmp_path).report == dataset.report  # from the cache


def test_votes_that_do_not_follow_the_rows_are_not_used(tmp_path: Path):
    """One line of votes for two faces: the faces are read, and the report says why they have no votes."""
    kaggle(tmp_path, "fer2013.csv", f"emotion,pixels,Usage\n0,{ROW},PublicTest\n1,{ROW},Training\n")
    kaggle(tmp_path, "fer2013new.csv", "Usage,Image name," + ",".join(ferplus.VOTES) + f"\nTraining,a,10{',0' * 9}\n")
    dataset = data_fer2013.read_dataset(tmp_path)
    assert dataset.splits["Training"].votes is None and "do not follow fer2013.csv" in dataset.report.line()


def test_missing_data_says_what_was_looked_for_and_where(tmp_path: Path):
    """The message names the folder, the files and $FER2013_ROOT."""
    with pytest.raises(data_dataset.DataError) as error:
        data_fer2013.load_fer2013(tmp_path / "nowhere")
    assert all(word in str(error.value) for word in ("nowhere", "fer2013.csv", "$FER2013_ROOT", "Kaggle"))


def test_folder_layout_is_read_with_its_lone_test_as_public_test(folder_data: Path):
    """7 x 20 faces in train/, 7 x 4 in test/: choices are made on the only held-out part there is."""
    splits = data_fer2013.load_fer2013(folder_data)
    assert {name: len(faces) for name, faces in splits.items()} == {"Training": 140, "PublicTest": 28}
    assert splits["PublicTest"].labels.bincount().tolist() == [4] * 7


def test_folder_files_named_after_their_split_go_there(tmp_path: Path):
    """Kaggle's own folder copy keeps PublicTest_ and PrivateTest_ in the names of the files in test/."""
    for part, name in (("train", "Training_1"), ("test", "PublicTest_2"), ("test", "PrivateTest_3")):
        folder = tmp_path / part / "Happiness"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(1)[0].numpy()).save(folder / f"{name}.png")
    splits = data_fer2013.load_fer2013(tmp_path)
    assert {name: faces.labels.tolist() for name, faces in splits.items()} == {
        name: [3] for name in data_dataset.SPLITS
    }


def test_second_read_comes_from_the_cache_until_the_source_changes(tmp_path: Path, monkeypatch):
    """The parser runs once for two loads, and again after the file was touched."""
    path = kaggle(tmp_path, "fer2013.csv", f"emotion,pixels,Usage\n0,{ROW},Training\n")
    reads = []
    original = fer2013.read_table
    monkeypatch.setattr(fer2013, "read_table", lambda source: (reads.append(1), original(source))[1])
    first, second = data_fer2013.load_fer2013(tmp_path), data_fer2013.load_fer2013(tmp_path)
    assert len(reads) == 1 and torch.equal(first["Training"].pixels, second["Training"].pixels)
    path.write_text(f"emotion,pixels,Usage\n0,{ROW},Training\n1,{ROW},Training\n", encoding="utf-8")
    assert len(data_fer2013.load_fer2013(tmp_path)["Training"]) == 2


def test_a_picture_that_is_added_deep_in_a_folder_is_seen_despite_the_cache(tmp_path: Path):
    """Three folders below the one that is read."""
    own_faces(tmp_path, each=10)
    assert data_fer2013.read_dataset(tmp_path).report.count == 20
    (tmp_path / "sad" / "monday" / "noon").mkdir(parents=True)
    Image.fromarray(noise(1, seed=9)[0].numpy()).save(tmp_path / "sad" / "monday" / "noon" / "x.png")
    assert data_fer2013.read_dataset(tmp_path).report.count == 21


def test_a_broken_cache_is_read_anew(tmp_path: Path):
    """A cache cut short by a full disk costs time, not the data."""
    kaggle(tmp_path, "fer2013.csv", f"emotion,pixels,Usage\n0,{ROW},Training\n")
    data_fer2013.load_fer2013(tmp_path)
    cache = tmp_path / "fer2013" / "cache.safetensors"
    cache.write_bytes(cache.read_bytes()[:100])
    assert len(data_fer2013.load_fer2013(tmp_path)["Training"]) == 1


def test_duplicates_are_found_as_they_are_mirrored_and_relit_and_no_others():
    """Of five test faces, the copy, the mirrored and the darker one have a duplicate; noise and a blank one have
    not."""
    training = noise(50)
    relit = (training[2].float() * 0.5 + 20).to(torch.uint8)
    blank = torch.full((48, 48), 9, dtype=torch.uint8)
    test = torch.stack([training[0], training[1].flip(-1), relit, noise(1, seed=1)[0], blank])
    marked = duplicates.mark_duplicates({"Training": faces(training), "PublicTest": faces(test)})
    assert marked["PublicTest"].is_duplicate.tolist() == [True, True, True, False, False]
    assert marked["Training"].is_duplicate.nonzero().flatten().tolist() == [0, 1, 2]


def test_ferplus_labels_need_a_majority_of_the_votes_that_are_not_single():
    """6 of 10 votes win; 5 of 10 do not; 5, 3 and two single ones are 5 of 8; a face that is none is left out."""
    votes = torch.zeros(4, 10, dtype=torch.uint8)
    votes[0, [3, 0]] = torch.tensor([6, 4], dtype=torch.uint8)
    votes[1, [3, 0]] = torch.tensor([5, 5], dtype=torch.uint8)
    votes[2, [1, 0, 2, 4]] = torch.tensor([5, 3, 1, 1], dtype=torch.uint8)
    votes[3, 9] = 10
    four = data_dataset.FaceDataset(noise(4), torch.zeros(4).long(), votes, torch.tensor([True, False, False, True]))
    kept = data_dataset.with_label_set(four, ferplus.FERPLUS)
    assert (kept.labels.tolist(), kept.is_duplicate.tolist()) == ([3, 1], [True, False])
    assert [ferplus.FERPLUS[label] for label in kept.labels] == ["sad", "happy"]
    assert data_dataset.with_label_set(four, labels.EMOTIONS) is four
    with pytest.raises(data_dataset.DataError, match="fer2013new.csv"):
        data_dataset.with_label_set(faces(noise(1)), ferplus.FERPLUS)


def test_unit_pixels_run_from_0_to_1_in_one_channel():
    """255 becomes 1, 0 stays 0, and a channel is put in."""
    unit = data_dataset.to_unit(torch.tensor([[[0, 255]]], dtype=torch.uint8))
    assert unit.shape == (1, 1, 1, 2) and unit.flatten().tolist() == [0.0, 1.0]


@pytest.mark.data
def test_real_fer2013_is_read_whole(fer2013: dict[str, data_dataset.FaceDataset]):
    """28,709 / 3,589 / 3,589 faces with the published class counts, and FER+'s votes for each."""
    assert {name: len(faces) for name, faces in fer2013.items()} == data_dataset.SPLITS
    assert fer2013["Training"].labels.bincount().tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]


@pytest.mark.data
def test_real_duplicates(fer2013: dict[str, data_dataset.FaceDataset]):
    """294 faces of PublicTest and 310 of PrivateTest have a duplicate in Training at correlation .99."""
    assert (int(fer2013["PublicTest"].is_duplicate.sum()), int(fer2013["PrivateTest"].is_duplicate.sum())) == (294, 310)


@pytest.mark.data
def test_real_ferplus_majorities(fer2013: dict[str, data_dataset.FaceDataset]):
    """25,060 / 3,199 / 3,153 faces by FER+'s published rule, contempt on 16 of PrivateTest."""
    kept = {name: data_dataset.with_label_set(faces, ferplus.FERPLUS) for name, faces in fer2013.items()}
    assert [len(faces) for faces in kept.values()] == [25060, 3199, 3153]
    assert int((kept["PrivateTest"].labels == 7).sum()) == 16


def own_faces(root: Path, each: int = 20, size: tuple[int, int] = (48, 48), emotions=("Happiness", "sad")) -> Path:
    """A folder an emotion with so many faces of noise, all different."""
    for place, emotion in enumerate(emotions):
        (root / emotion).mkdir(parents=True)
        for number, face in enumerate(noise(each, seed=place)):
            Image.fromarray(face.numpy()).resize(size).save(root / emotion / f"{number}.png")
    return root


def test_own_faces_are_divided_by_emotion_the_same_way_every_time(tmp_path: Path):
    """Of 20 happy and 20 sad ones two of each are held out, and no picture is on both sides."""
    splits = data_fer2013.load_fer2013(own_faces(tmp_path))
    assert {name: part.labels.bincount().tolist() for name, part in splits.items()} == {
        "Training": [0, 0, 0, 18, 18],
        "PublicTest": [0, 0, 0, 2, 2],
    }
    (tmp_path / "cache.safetensors").unlink()
    assert torch.equal(data_fer2013.load_fer2013(tmp_path)["PublicTest"].pixels, splits["PublicTest"].pixels)
    assert not splits["PublicTest"].is_duplicate.any()


def test_a_lone_train_folder_is_divided_as_well(tmp_path: Path):
    own_faces(tmp_path / "train", each=10)
    assert {name: len(part) for name, part in data_fer2013.load_fer2013(tmp_path).items()} == {
        "Training": 18,
        "PublicTest": 2,
    }


def test_own_faces_of_another_size_are_their_centred_square(tmp_path: Path):
    """A picture of 200x100 whose middle is white and whose sides are black becomes a white face."""
    (tmp_path / "fear").mkdir()
    wide = torch.zeros(100, 200, dtype=torch.uint8)
    wide[:, 50:150] = 255
    for name in ("a.png", "b.png"):
        Image.fromarray(wide.numpy()).convert("RGB").save(tmp_path / "fear" / name)
    assert data_fer2013.load_fer2013(tmp_path)["Training"].pixels.unique().tolist() == [255]


def test_copies_among_own_faces_are_duplicates_where_they_were_divided(tmp_path: Path):
    """Every face is there twice, once mirrored: a held-out one is marked just where its copy is in Training."""
    for path in sorted(own_faces(tmp_path).glob("*/*.png")):
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path.with_stem(f"{path.stem}-copy"))
    splits = data_fer2013.load_fer2013(tmp_path)
    training, held = splits["Training"].pixels, splits["PublicTest"]
    copied = [bool((training == face.flip(-1)).all((1, 2)).any()) for face in held.pixels]
    assert held.is_duplicate.tolist() == copied and any(copied) and len(held) == 8


def test_mirror_images_follow_the_faces_with_their_labels():
    """Two faces become four: as they are, then mirrored; votes that are not there stay away."""
    faces = data_dataset.FaceDataset(
        torch.arange(2 * 48 * 48).view(2, 48, 48), torch.tensor([3, 4]), None, torch.zeros(2).bool()
    )
    both = data_dataset.with_mirror_images(faces)
    assert both.labels.tolist() == [3, 4, 3, 4] and both.votes is None
    assert torch.equal(both.pixels[2:], faces.pixels.flip(-1)) and torch.equal(both.pixels[:2], faces.pixels)
