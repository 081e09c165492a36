"""influence, concepts and suspects: what they print, write and refuse, on made-up faces."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import fer
from fer.attribution import feature_table
from fer.cli.main import main
from fer.data.labels import EMOTIONS
from fer.models import checkpoint
from fer.models.checkpoint import FERModel

HAPPY = Path(fer.__file__).parent / "data" / "assets" / "examples" / "happy.png"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`dnn` and `other`, drawn at random."""
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path / "weights")
    for seed, name in enumerate(("dnn", "other")):
        torch.manual_seed(seed)
        checkpoint.save_model(FERModel("dnn"), tmp_path / "weights" / name)
    return tmp_path / "weights"


def run(capsys: pytest.CaptureFixture, *arguments: object) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one line on standard error of a command that ends with status 2."""
    assert main([*map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    return line


# ------------------------------------------------------------------------------------------------ influence


def test_influence_names_training_faces(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """By split, row and label; proponents strongest first; the table is kept and the next call needs no faces."""
    asked = ("influence", HAPPY, "--model", "dnn", "--no-detect", "--count", 5, "--data")
    found = run(capsys, *asked, folder_data)
    values = [row["influence"] for row in found["proponents"]]
    assert len(values) == 5 and values == sorted(values, reverse=True) and values[-1] > 0
    assert found["training_faces"] == 140 and found["checkpoints"] == 1
    for name in ("proponents", "opponents", "nearest", "nearest_unlike", "prototypes"):
        for row in found[name]:
            assert row["split"] == "Training" and row["label"] in EMOTIONS and 0 <= row["row"] < 140
            assert row["votes"] is None
    assert all(row["label"] == found["target"] for row in found["proponents"])
    assert all(row["label"] != found["target"] for row in found["nearest_unlike"])
    assert [row["label"] for row in found["prototypes"]] == list(EMOTIONS)
    assert 0 <= found["controls"]["overlap_randomised_last_layer"] <= 1
    again = run(capsys, *asked, weights / "no-data")
    assert again["proponents"] == found["proponents"]


def test_influence_adds_up_over_checkpoints(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    asked = ("influence", HAPPY, "--model", "dnn", "--checkpoints", "other", "--no-detect", "--target", "sad")
    found = run(capsys, *asked, "--data", folder_data)
    assert found["checkpoints"] == 2 and found["target"] == "sad"
    assert feature_table.ARTIFACT.load(weights / "other").labels.shape == (140,)


def test_influence_says_what_it_lacks(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """The data, an image, a label that there is, a network of FER-2013's labels: a line each."""
    named = ("influence", HAPPY, "--model", "dnn", "--no-detect")
    assert "not found" in refusal(capsys, *named, "--data", weights)
    assert "photograph, or --benchmark" in refusal(capsys, "influence")
    assert "target is 'joy'" in refusal(capsys, *named, "--target", "joy", "--data", folder_data)


def test_influence_is_measured(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """Removal of proponents, of random and of nearest faces, and agreement; kept beside the weights."""
    found = run(capsys, "influence", "--benchmark", "--model", "dnn", "--faces", 3, "--against", "other",
                "--data", folder_data)  # fmt: skip
    assert [row["removed"] for row in found["removal"]][0] == "proponents" and found["n"] == 3
    assert set(found["agreement"]) == {"randomised_weights", "other", "random"}
    kept = json.loads((weights / "dnn" / "influence_benchmark.json").read_text(encoding="utf-8"))
    assert kept["removal"] == found["removal"]


# ------------------------------------------------------------------------------------------------ concepts


def test_concepts_are_found_and_a_face_is_taken_apart(
    weights: Path, folder_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """Without a photograph the file and the picture are written; with one, shares add up to the logit."""
    picture = tmp_path / "concepts.png"
    made = run(capsys, "concepts", "dnn", "--rank", 4, "--faces", 60, "--out", picture, "--data", folder_data)
    assert len(made["concepts"]) == 4 and picture.is_file()
    assert made["figures"]["largest_error"] < 1e-4
    for row in made["concepts"]:
        assert sum(row["best_faces"].values()) == 60
        assert sum(row["regions"].values()) == pytest.approx(1, abs=0.01) or not any(row["regions"].values())
    found = run(capsys, "concepts", "dnn", HAPPY, "--no-detect")
    total = sum(row["share"] for row in found["concepts"]) + found["residual"] + found["constant"]
    assert total == pytest.approx(found["logit"], abs=1e-3)
    assert len(found["concepts"]) == 4 and 0 <= found["probability"] <= 1


def test_concepts_are_asked_for_before_a_face(weights: Path, capsys: pytest.CaptureFixture):
    line = refusal(capsys, "concepts", "dnn", HAPPY, "--no-detect")
    assert "concepts dnn" in line and "Traceback" not in line


# ------------------------------------------------------------------------------------------------ suspects


@pytest.fixture
def mislabelled(tmp_path: Path) -> Path:
    """20 made-up faces of each emotion, a white band that moves with it; two sad ones are filed as happy."""
    own, generator = tmp_path / "own", torch.Generator().manual_seed(0)
    for index, emotion in enumerate(EMOTIONS):
        (own / emotion).mkdir(parents=True)
        for number in range(20):
            face = torch.randint(0, 60, (48, 48), generator=generator, dtype=torch.uint8)
            face[6 * index : 6 * index + 6] = 255
            Image.fromarray(face.numpy()).save(own / emotion / f"{number}.png")
    for number in (0, 1):
        (own / "sad" / f"{number}.png").rename(own / "happy" / f"wrong{number}.png")
    return own


def test_suspects_finds_misfiled_faces_of_ones_own(
    weights: Path, mislabelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """Both are the 2 most suspect of 140, by path, with the right label; the CSV has a row a face."""
    out = tmp_path / "suspects.csv"
    found = run(capsys, "suspects", "dnn", "--data", mislabelled, "--out", out, "--count", 2)
    (part,) = found["splits"]
    assert part["n"] == 140 and part["annotators"] is None and len(part["rows"]) == 2
    wrong = {row["path"]: row for row in part["rows"] if "wrong" in row["path"]}
    assert set(wrong) == {"happy/wrong0.png", "happy/wrong1.png"}
    assert all((row["label"], row["suggested"]) == ("happy", "sad") for row in wrong.values())
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert len(rows) == 140 and rows[0]["path"] == part["rows"][0]["path"]
    assert [float(row["suspicion"]) for row in rows] == sorted((float(row["suspicion"]) for row in rows), reverse=True)


def test_suspects_prints_a_line_a_face(weights: Path, mislabelled: Path, capsys: pytest.CaptureFixture):
    assert main(["suspects", "dnn", "--data", str(mislabelled), "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("own: 140 faces") and len(lines) == 4


def test_suspects_needs_two_labels(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "own" / "happy").mkdir(parents=True)
    shutil.copy(HAPPY, tmp_path / "own" / "happy")
    assert "expected two labels or more" in refusal(capsys, "suspects", "dnn", "--data", tmp_path / "own")
