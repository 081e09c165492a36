"""studies: the right faces go to the right training, figures are as by hand, and nothing is trained twice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fer.cli.main import main
from fer.data import dataset
from fer.data.transforms import Augmentation
from fer.features import redundancy
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.studies import architecture, augmentation, dead_units, duplicates, pseudo_labels, runner, seeds
from fer.studies import run as studies_run
from fer.studies.runner import StudyConfig
from fer.training import trainer
from fer.training.config import default_config

TRAINING = ["cnn-against-dnn", "pseudo-labels", "normalisation", "augmentation", "duplicates"]


@pytest.fixture(scope="module")
def root(folder_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up data, with one face of Training in the test split as well."""
    folder = tmp_path_factory.mktemp("duplicates") / "faces"
    shutil.copytree(folder_data, folder, ignore=shutil.ignore_patterns("cache*"))
    shutil.copy(folder / "train" / "sad" / "3.png", folder / "test" / "sad" / "9.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No shipped networks, for as long as the tests of this file run."""
    folder = tmp_path_factory.mktemp("none") / "weights"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "WEIGHTS", folder)
        yield folder


@pytest.fixture(scope="module")
def tables(root: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict]]:
    """Every study that trains, run once as the command does it: its folder and its table."""
    made = {}
    for name in TRAINING:
        folder = tmp_path_factory.mktemp("studies") / name
        assert main(["study", name, "--quick", "--data", str(root), "--out", str(folder), "--json"]) == 0
        made[name] = folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return made


def quick(root: Path, folder: Path, **changes: object) -> StudyConfig:
    return StudyConfig(folder, root, quick=True, quiet=True, **changes)


# ------------------------------------------------------------------------------------------------ the command


@pytest.mark.parametrize("name, rows", list(zip(TRAINING, (2, 3, 3, 4, 2), strict=True)))
def test_a_study_leaves_a_table_a_page_and_a_figure(tables: dict, name: str, rows: int):
    """A row for everything that is compared, each in the page's table too, and a PNG that can be opened."""
    folder, table = tables[name]
    assert (table["study"], table["quick"], len(table["rows"])) == (name, True, rows)
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("| ") for line in lines) == rows + 2
    assert all(
        0 <= row["accuracy"] <= 1 and row["ci95"][0] <= row["accuracy"] <= row["ci95"][1] for row in table["rows"]
    )
    with Image.open(folder / "figure.png") as figure:
        assert figure.format == "PNG" and figure.width >= 500


@pytest.mark.parametrize("name", TRAINING)
def test_a_repeated_study_trains_nothing_and_prints_the_same_table(
    tables: dict, root: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """Byte by byte, with fit() out of reach: the runs are read back from runs/."""
    folder, _ = tables[name]
    before = (folder / "results.json").read_bytes()
    monkeypatch.setattr(trainer, "fit", None)
    assert main(["study", name, "--quick", "--data", str(root), "--out", str(folder), "--json"]) == 0
    assert (folder / "results.json").read_bytes() == before
    assert json.loads(capsys.readouterr().out) == json.loads(before)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["magic"], "no study 'magic': expected one of cnn-against-dnn, augmentation"),
        (["duplicates", "--seeds", "0"], "seeds is 0: expected 1 or more"),
        (["duplicates", "--out", __file__], "test_registry.py is a file: expected a folder"),
        (["augmentation", "--data", "nowhere"], "FER-2013 not found"),
        (["relu-against-selu"], "`python -m fer train vgg16-relu` makes it"),
        (["relu-against-selu", "--seeds", "2"], "seeds is 2: this study trains nothing"),
    ],
)
def test_what_cannot_be_studied_is_one_line_and_status_2(
    weights: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list, words: str
):
    """It names what was given and what would be right, and leaves no table."""
    given = ["--data", str(root)] * ("--data" not in arguments) + ["--out", str(tmp_path)] * ("--out" not in arguments)
    assert main(["study", *arguments, *given]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_table_is_written_all_the_same(
    tables: dict, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """Status 0, and one line on standard error that says what to do."""

    def draw(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    folder, _ = tables["normalisation"]
    monkeypatch.setattr(studies_run, "draw_figure", draw)
    assert main(["study", "normalisation", "--quick", "--data", str(root), "--out", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.err == "no figure.png: matplotlib is not installed; repeat the command where it is\n"
    assert "| 0..255 |" in printed.out


def test_pseudo_labels_take_three_seeds_and_a_quick_study_one(weights: Path):
    """And a quick one keeps away from weights/."""
    usual, hurried = (studies_run.study_config("pseudo-labels", quick=quick) for quick in (False, True))
    assert (usual.seeds, usual.folder) == (3, weights / "studies" / "pseudo-labels")
    assert (hurried.seeds, hurried.folder) == (1, Path("runs/quick/pseudo-labels"))
    assert studies_run.study_config("augmentation").seeds == 1


def test_studies_bring_in_no_matplotlib_until_they_draw():
    """Neither do the modules that they are built of, so that a bare GPU machine can run them."""
    program = "import sys, fer.studies.run; print({'matplotlib', 'cv2', 'gradio', 'captum'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stderr


# ------------------------------------------------------------------------------------------------ CNN against DNN


def ship_cnn(weights: Path, first: dict) -> None:
    """A cnn of two stages with 30 epochs, the n-th of which reads n % of PublicTest right."""
    shares = dict.fromkeys(("accuracy", "accuracy_deduplicated", "macro_f1", "balanced_accuracy", "ece"), 0.3)
    counts = {"n": 3589, "n_deduplicated": 3295, "ci95": [0.28, 0.32], "ci95_deduplicated": [0.28, 0.32]}
    public = {"public_test": shares | counts}
    checkpoint.save_model(
        FERModel("cnn", train_config={"epochs": 5, "previous_stage": first}, metrics=public), weights / "cnn"
    )
    keys = ("loss", "accuracy", "public_loss", "public_accuracy", "public_accuracy_deduplicated")
    lines = [",".join([str(n), *[str(n / 100)] * 5]) for n in range(1, 31)]
    (weights / "cnn" / "history.csv").write_text(
        "\n".join([f"epoch,{','.join(keys)}", *lines]) + "\n", encoding="utf-8"
    )


def test_a_shipped_network_is_compared_by_its_first_25_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The later stage's five are left off; its card's 3,589 faces are the n; parameters are counted."""
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    stored = json.loads(json.dumps(default_config("cnn"), default=vars))
    del stored["init_from"]  # as in a config.json older than that setting
    ship_cnn(tmp_path, stored)
    course = architecture.training_curve(StudyConfig(tmp_path / "study", "nowhere"), default_config("cnn"))
    assert (course.parameters, course.faces, len(course.history)) == (3_484_935, 3589, 25)
    assert course.history[-1]["public_accuracy"] == 0.25
    assert course.source == "weights/cnn/history.csv, epochs 1 to 25"
    ship_cnn(tmp_path, stored | {"optimizer": "sgd"})
    assert architecture.shipped_curve(default_config("cnn")) is None
    ship_cnn(tmp_path, stored)
    assert architecture.shipped_curve(default_config("cnn", seed=1)) is None


def test_what_is_not_shipped_is_trained_and_said_to_be(tables: dict):
    """Both curves are kept, an epoch a line, with the run's name; the report's parameters stand beside ours."""
    folder, table = tables["cnn-against-dnn"]
    assert [row["source"] for row in table["rows"]] == [f"trained here as runs/{name}-0" for name in ("cnn", "dnn")]
    assert [row["report_parameters"] for row in table["rows"]] == [3_480_000, 3_100_000]
    lines = (folder / "curves.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["cnn", "1"], ["cnn", "2"], ["dnn", "1"], ["dnn", "2"]]


# ------------------------------------------------------------------------------------------------ pseudo-labels


def faces_of(count: int) -> dataset.FaceDataset:
    """Faces that are told apart by their first pixel, 0, 1, 2 ..., all angry."""
    pixels = torch.zeros(count, 48, 48, dtype=torch.uint8)
    pixels[:, 0, 0] = torch.arange(count) % 256
    return dataset.FaceDataset(pixels, torch.zeros(count, dtype=torch.long), None, torch.zeros(count, dtype=torch.bool))


def test_training_is_split_four_to_one_to_one():
    """Of 240 faces 160, 40 and 40, each face in one part; another seed draws others."""
    split = pseudo_labels.parts(faces_of(240), seed=0)
    firsts = [part.pixels[:, 0, 0].tolist() for part in split]
    assert [len(part) for part in firsts] == [160, 40, 40]
    assert sorted(sum(firsts, [])) == list(range(240))
    assert pseudo_labels.parts(faces_of(240), seed=1)[2].pixels[:, 0, 0].tolist() != firsts[2]


def test_only_answers_above_confidence_nine_tenths_become_labels():
    """Probabilities of .88, .95 and .95 (happy, happy, sad; truly happy) keep two faces, one of them right."""
    chain = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 7))
    nn.init.zeros_(chain[1].weight)
    with torch.no_grad():
        chain[1].bias.fill_(0)
        chain[1].weight[3, 0], chain[1].weight[4, 1] = 1.0, 1.0
    faces = replace(faces_of(3), labels=torch.tensor([3, 3, 3]))
    faces.pixels[:] = 0
    scale = 255 / 6  # a pixel of 255 shall be a logit of 6; e^x / (e^x + 6) is .88 at 3.78, .95 at 4.74
    with torch.no_grad():
        chain[1].weight *= 6
    for face, (place, logit) in enumerate([(0, 3.78), (0, 4.74), (1, 4.74)]):
        faces.pixels[face, 0, place] = round(logit * scale)
    sure, right = pseudo_labels.pseudo_labelled(chain, faces)
    assert sure.labels.tolist() == [3, 4] and right == 1
    assert torch.equal(sure.pixels, faces.pixels[1:])


def test_the_last_run_learns_the_labelled_faces_and_the_sure_ones(
    tables: dict, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """94 labelled faces, and with all 23 unlabelled ones sure 117; both go on from the run of 40 epochs."""
    calls = []

    def trained(_: StudyConfig, run: str, config: object, faces: dataset.FaceDataset) -> nn.Module:
        calls.append((run, len(faces), Path(config.init_from).name if config.init_from else ""))
        return nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 7))

    monkeypatch.setattr(pseudo_labels, "train_or_load", trained)
    monkeypatch.setattr(pseudo_labels, "pseudo_labelled", lambda _, faces: (replace(faces, labels=faces.labels * 0), 5))
    with runner.study_architectures():
        result = pseudo_labels.pseudo_labels(quick(root, tmp_path))
    assert calls == [("0-40", 94, ""), ("0-50-without", 94, "0-40"), ("0-50-with", 117, "0-40")]
    assert result.rows[2]["pseudo_labels"] == 23 and result.rows[2]["share_right"] == pytest.approx(5 / 23)
    assert [row["report"] for row in tables["pseudo-labels"][1]["rows"]] == [0.6443, 0.6518, 0.6602]


# ------------------------------------------------------------------------------------------------ dead units


def test_relu_and_selu_are_compared_layer_by_layer(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A shipped network whose 64 units are all shut has 64 dead of 64, in the layer and in the whole; one has none.

    Of that one the redundancy is known, and that unit 0 says what unit 1 does.
    """
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    with runner.study_architectures():
        shut, open_ = FERModel("small-plain", name="shut"), FERModel("small-plain", name="open")
        for network, bias in ((shut, -100.0), (open_, 100.0)):
            nn.init.constant_(network["dense_1"].bias, bias)
            network["dense_1"].weight.data[0] = network["dense_1"].weight.data[1]
            checkpoint.save_model(network, tmp_path / network.name)
        pixels = torch.randint(0, 256, (20, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        alike = redundancy.measure_redundancy(open_.eval(), pixels, quiet=True)
        redundancy.save_redundancy(redundancy.Redundancy(20, alike), tmp_path / "open")
        result = dead_units.relu_against_selu(quick(root, tmp_path / "study"), ("shut", "open"))
    found = [(row["network"], row["layer"], row["units"], row["dead"]) for row in result.rows]
    assert found == [
        (name, layer, 64, dead) for name, dead in (("shut", 64), ("open", 0)) for layer in ("activation_1", "all")
    ]
    assert result.bars.series == {"shut": [1.0], "open": [0.0]}
    assert [row.get("redundant") for row in result.rows] == [None, None, 1, 1]
    assert 2 < result.rows[2]["effective_rank"] < 20


def test_three_seeds_have_their_mean_and_the_deviation_of_a_sample(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of 7 faces 7, 6 and 5 are read right: 6/7 on average, with a deviation of 1/7. Weights are not needed for it."""
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    with runner.study_architectures():
        for seed, labels in enumerate(([0, 1, 2, 3, 4, 5, 6], [1, 1, 2, 3, 4, 5, 6], [1, 2, 2, 3, 4, 5, 6])):
            told = asdict(default_config("small", seed=seed, init_from="compact-small")) | {"previous_stage": {}}
            checkpoint.save_model(FERModel("small", train_config=told), tmp_path / str(seed))
            kept = {
                "logits": np.eye(7, dtype=np.float16),
                "labels": np.array(labels, np.uint8),
                "is_duplicate": np.arange(7) < 2,
            }
            answers = {
                f"{split}_{key}": value for split in ("PublicTest", "PrivateTest") for key, value in kept.items()
            }
            np.savez(tmp_path / str(seed) / "predictions.npz", **answers)
            (tmp_path / str(seed) / "model.safetensors").unlink()
        result = seeds.seeds(quick(root, tmp_path / "study"), ("0", "1", "2"))
    assert [row["seed"] for row in result.rows] == ["0", "1", "2", "mean"] * 2
    for row in result.rows[3::4]:
        assert row["accuracy"] == pytest.approx(6 / 7) and row["accuracy_deviation"] == pytest.approx(1 / 7)
        assert (row["without_duplicates"], row["without_duplicates_deviation"]) == (1.0, 0.0)
    assert result.bars.series["PrivateTest"] == pytest.approx([1, 6 / 7, 5 / 7])
    assert "`python -m fer train small --init-from compact-small --seed 1`" in result.notes[1]


def test_normalisation_tells_how_many_units_died_beside_the_reports_accuracies(tables: dict):
    """Three settings of 64 units each, with one to seven different answers."""
    rows = tables["normalisation"][1]["rows"]
    assert [row["report_validation"] for row in rows] == [0.2547, None, 0.623]
    assert all(row["units"] == 64 and 0 <= row["dead"] <= row["changeless"] <= 64 for row in rows)
    assert all(1 <= row["answers"] <= 7 for row in rows)


# ------------------------------------------------------------------------------------------ augmentation, duplicates


def test_four_augmentations_are_compared_the_last_of_them_the_recipes_own():
    """None, flips, then rotation, shift and zoom without flips, by the recipe's own amounts."""
    full = Augmentation(hflip_prob=0.5, degrees=10, translate=0.06, scale=0.1, erase_prob=0.2)
    none, flips, moved, last = augmentation.augmentations(full).values()
    assert not any(vars(none).values()) and last == full
    assert {key: value for key, value in vars(flips).items() if value} == {"hflip_prob": 0.5}
    assert {key: value for key, value in vars(moved).items() if value} == {
        "degrees": 10,
        "translate": 0.06,
        "scale": 0.1,
    }


def test_the_augmentations_are_what_the_runs_were_trained_with(tables: dict):
    """From config.json of each run: none has nothing, the third turns faces and mirrors none."""
    folder, table = tables["augmentation"]
    kept = [
        json.loads(path.read_text(encoding="utf-8"))["train_config"]
        for path in sorted((folder / "runs").glob("*/config.json"))
    ]
    assert [each["augmentation"]["hflip_prob"] for each in kept] == [0.0, 0.5, 0.0, 0.5]
    assert [each["augmentation"]["degrees"] > 0 for each in kept] == [False, False, True, True]
    assert [row["report_public"] for row in table["rows"]] == [0.60713, None, 0.67818, None]


def test_faces_with_and_without_a_duplicate_are_read_apart():
    """Of four faces two have a duplicate, both read right; of the others one is. Without any duplicate there is no
    figure."""
    logits, labels = torch.eye(7)[[0, 1, 2, 3]], torch.tensor([0, 1, 2, 6])
    row = duplicates.duplicate_row("a", "PublicTest", logits, labels, torch.tensor([True, True, False, False]))
    assert (row["accuracy"], row["with_duplicate"], row["without_duplicate"]) == (0.75, 1.0, 0.5)
    assert (row["n"], row["n_with_duplicate"], row["n_without_duplicate"]) == (4, 2, 2)
    none = duplicates.duplicate_row("a", "PublicTest", logits, labels, torch.zeros(4, dtype=torch.bool))
    assert none["with_duplicate"] is None and none["ci95_with_duplicate"] is None and none["without_duplicate"] == 0.75


def test_the_network_without_duplicates_never_saw_them(tables: dict):
    """The made-up data has one face in both splits: 139 of 140 are trained on, and 28 of 29 have no duplicate."""
    folder, table = tables["duplicates"]
    known = json.loads((folder / "runs" / "without-duplicates-0" / "faces.json").read_text(encoding="utf-8"))
    assert known["training"].startswith("139 faces") and known["validation"].startswith("29 faces")
    assert json.loads((folder / "runs" / "with-duplicates-0" / "faces.json").read_text(encoding="utf-8"))[
        "training"
    ].startswith("140 faces")
    assert [(row["n_with_duplicate"], row["n_without_duplicate"]) for row in table["rows"]] == [(1, 28)] * 2


def test_shipped_networks_are_read_from_their_kept_answers(
    tables: dict, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Measured on PublicTest alone, dnn has one row, and a note with the command for PrivateTest."""
    folder = tmp_path / "dnn"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    kept = {
        "logits": np.eye(7, dtype=np.float16),
        "labels": np.arange(7, dtype=np.uint8),
        "is_duplicate": np.arange(7) < 2,
    }
    np.savez(folder / "predictions.npz", **{f"PublicTest_{key}": value for key, value in kept.items()})
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    with runner.study_architectures():
        result = duplicates.duplicates(quick(root, tables["duplicates"][0]))
    assert [(row["network"], row["n_with_duplicate"]) for row in result.rows] == [
        ("dnn", 2),
        ("small-plain trained with duplicates", 1),
        ("small-plain trained without duplicates", 1),
    ]
    assert "`python -m fer evaluate dnn --split PrivateTest`" in result.notes[0]
