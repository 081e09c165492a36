"""python -m fer: JSON for programs, one line and status 2 for mistakes."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import fer
from fer.cli.main import main
from fer.data import labels
from fer.faces import detector
from fer.features import visualization
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.studies import runner
from fer.utils import model_files

EXAMPLES = Path(fer.__file__).parent / "data" / "assets" / "examples"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setenv("FER_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def run(capsys: pytest.CaptureFixture, *arguments: object) -> object:
    """The one JSON value that a command prints, and nothing else."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_summary_ends_with_the_reports_count(capsys: pytest.CaptureFixture):
    """43,070,631 at the foot of vgg19-selu's table, and the same in JSON."""
    assert main(["summary", "vgg19-selu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["conv2d_1", "Conv2d", "64", "x", "48", "x", "48", "640"]
    assert lines[-1].split() == ["total", "43,070,631"]
    assert run(capsys, "summary", "vgg19-selu")["parameters"] == 43_070_631


def test_train_evaluate_and_models_fit_together(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """A trained network is measured, listed with the same figures, and its card says them."""
    trained = run(capsys, "train", "dnn", "--data", folder_data, "--epochs", 1, "--batch-size", 64)
    measured = run(capsys, "evaluate", "dnn", "--data", folder_data)
    assert trained["n"] == 28 and measured["accuracy"] == pytest.approx(trained["accuracy"], abs=0.04)
    (row,) = run(capsys, "models")
    assert (row["name"], row["parameters"], row["private_test"]) == ("dnn", 3_151_367, None)
    assert row["public_test"]["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-5)
    card = (weights / "dnn" / "README.md").read_text(encoding="utf-8")
    assert f"| PublicTest | {measured['accuracy']:.4f} (n 28;" in card
    assert sorted(path.name for path in (weights / "dnn").iterdir()) == [
        "README.md", "config.json", "history.csv", "model.safetensors", "predictions.npz"
    ]  # fmt: skip


def test_own_faces_train_a_network_whose_card_claims_no_more(weights: Path, folder_data: Path, tmp_path: Path, capsys):
    """140 faces, of which 14 are held out; neither the card nor what the Hub reads speaks of FER-2013's faces."""
    own, out = folder_data / "train", tmp_path / "mine"
    trained = run(capsys, "train", "dnn", "--data", own, "--epochs", 1, "--batch-size", 63, "--out", out)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert trained["n"] == 14 and "On 126 labelled faces that are not FER-2013's" in card
    assert card.count("# mine\n") == 1 and trained["model"] == "mine"
    assert "28,709" not in card and "fer2013" not in card and "model-index" not in card


def test_what_people_wrote_in_a_card_stays(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """A new measurement renews the figures between their marks and nothing else."""
    run(capsys, "train", "dnn", "--data", folder_data, "--epochs", 1, "--batch-size", 64)
    card = weights / "dnn" / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nOurs.\n", encoding="utf-8")
    run(capsys, "evaluate", "dnn", "--data", folder_data, "--tta")
    assert "| PublicTest, ten views |" in card.read_text(encoding="utf-8") and card.read_text(
        encoding="utf-8"
    ).endswith("\nOurs.\n")


@pytest.fixture
def predicting(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network to read with, and the detector that needs no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("FER_YUNET", raising=False)
    checkpoint.save_model(FERModel("compact"), weights / "compact")


def test_predict_gives_every_face_its_box_and_probabilities(predicting: None, capsys: pytest.CaptureFixture):
    """One face in the project's own example, and nowhere else; seven probabilities that sum to 1."""
    ((reading,),) = (run(capsys, "predict", EXAMPLES / "happy.png"),)
    (face,) = reading["faces"]
    assert reading["path"].endswith("happy.png") and face["emotion"] in labels.EMOTIONS
    assert face["box"] == pytest.approx([24, 25, 194, 194], abs=6)
    assert sum(face["probabilities"].values()) == pytest.approx(1)


def test_whole_pictures_wait_for_no_detector(predicting: None, capsys: pytest.CaptureFixture, monkeypatch):
    """None is loaded, which may take three seconds; the picture is the face."""
    monkeypatch.setattr(detector, "load_detector", lambda: pytest.fail("a detector was loaded"))
    (reading,) = run(capsys, "predict", EXAMPLES / "happy.png", "--no-detect")
    assert reading["faces"][0]["box"] == [0, 0, 240, 240]


def test_a_file_that_cannot_be_read_does_not_hide_the_others(predicting: None, capsys, tmp_path: Path):
    """The good picture is answered, the bad one named on standard error, and the status is 1."""
    bad = tmp_path / "bad.png"
    bad.write_text("no picture", encoding="utf-8")
    assert main(["predict", str(bad), str(EXAMPLES / "happy.png"), "--json"]) == 1
    printed = capsys.readouterr()
    first, second = json.loads(printed.out)
    assert "error" in first and len(second["faces"]) == 1
    detector, sentence, report = printed.err.splitlines()
    assert "Haar" in detector and second["detector"] == "haar"
    assert "bad.png" in sentence and report == "read 1 picture; left out 1: 1 unreadable (named above)"


def test_data_says_what_would_be_read_and_what_not(tmp_path: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """Of a folder, a zip and a CSV file; the same line for a person and beside JSON, and nothing is written."""
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        archive.write(folder_data / "test" / "happy" / "0.png", "happy/0.png")
        archive.writestr("bored/1.heic", b"")
    (tmp_path / "few.csv").write_text(
        "pixels,emotion\n" + f"{' '.join(['7'] * 2304)},3\n" * 2 + "1 2 3,3\n", encoding="utf-8"
    )
    before = sorted(tmp_path.iterdir())
    found = run(capsys, "data", folder_data)
    assert found["splits"]["Training"]["faces"] == 140 and found["splits"]["PublicTest"]["labels"]["happy"] == 4
    assert (found["left_out"], found["remarks"]) == ([], ["choices are made on test/"])
    found = run(capsys, "data", tmp_path / "own.zip")
    assert found["splits"] == {"all": {"faces": 1, "labels": {"happy": 1}}}
    assert found["left_out"] == [{"what": ".heic", "count": 1, "why": "install pillow-heif"}]
    found = run(capsys, "data", tmp_path / "few.csv")
    assert found["left_out"] == [{"what": "rows", "count": 1, "why": "not 2,304 pixels of 0 to 255"}]
    assert sorted(tmp_path.iterdir()) == before
    assert main(["data", str(tmp_path / "own.zip")]) == 0
    printed = capsys.readouterr()
    assert "left out: 1 .heic" in printed.out
    assert printed.err == "read 1 face; left out 1: 1 .heic (install pillow-heif)\n"


def test_every_command_that_reads_a_folder_ends_with_what_was_left_out(predicting: None, tmp_path: Path, capsys):
    """predict, crop, confusion --faces, train and evaluate: one line on standard error, after all else."""
    for emotion in ("happy", "sad"):
        for number in range(2):
            (tmp_path / "own" / emotion).mkdir(parents=True, exist_ok=True)
            moved = Image.open(EXAMPLES / f"{emotion}.png").crop((0, 16 * number, 240 - 16 * number, 240))
            moved.save(tmp_path / "own" / emotion / f"{number}.png")
    for name in ("a.heic", "b.mov"):
        (tmp_path / "own" / "sad" / name).write_bytes(b"")
    own, folder = tmp_path / "own", tmp_path / "dnn"
    for arguments, read in (
        (["predict", own, "--no-detect"], "read 4 pictures"),
        (["crop", own, tmp_path / "cut"], "read 4 pictures"),
        (["confusion", "compact", "--faces", own], "read 4 faces"),
        (["train", "dnn", "--data", own, "--epochs", 1, "--out", folder], "read 4 faces"),
        (["evaluate", folder, "--data", own], "read 4 faces"),
    ):
        main([*map(str, arguments), "--json"])
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"{read}; left out 2: 1 .heic (install pillow-heif), 1 .mov (a film"), arguments


def test_saliency_writes_the_three_pictures_and_says_how_far_to_trust_them(predicting: None, capsys, tmp_path: Path):
    """One PNG; the probability before and after masking, and the map's score beside those of three controls."""
    file = tmp_path / "why.png"
    asked = ("--target", "sad", "--against", "fear", "--method", "gradient", "--top-fraction", 1, "--out", file)
    answer = run(capsys, "saliency", EXAMPLES / "happy.png", *asked)
    assert [answer[key] for key in ("method", "target", "against", "file")] == ["gradient", "sad", "fear", str(file)]
    assert answer["scores"]["probability"] == answer["scores"]["probability_masked"]  # all of the face was kept
    assert -1 <= answer["scores"]["faithfulness_correlation"] <= 1
    assert 0 <= answer["scores"]["infidelity_score"] <= 1
    assert list(answer["scores"]["controls"]) == ["edges", "blob", "noise"]
    assert Image.open(file).size == (1170, 435)


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--method", "magic"], "no method 'magic'"),
        (["--target", "bored"], "no label 'bored': expected one of angry"),
        (["--target", "sad", "--against", "sad"], "against itself"),
        (["--top-fraction", "20"], "expected 0 to 1"),
        (["--baseline", "white"], "no baseline 'white': expected one of blurred, black, mean"),
        (["--layer", "conv2d_1"], "expected none for gradient"),
    ],
)
def test_what_saliency_cannot_do_is_told(predicting: None, capsys, tmp_path: Path, changes: list, words: str):
    """In one line, with nothing written."""
    file = tmp_path / "why.png"
    assert main(["saliency", str(EXAMPLES / "happy.png"), "--out", str(file), "--method", "gradient", *changes]) == 2
    assert words in capsys.readouterr().err and not file.exists()


def test_activations_writes_the_maps_and_tells_what_every_filter_answers(weights: Path, tmp_path: Path, capsys):
    """Of a cnn whose filter 3 is its filter 2: 64 rows, and the pair among the redundant ones."""
    network = FERModel("cnn")
    for part in (network["conv2d_1"].weight.data, network["conv2d_1"].bias.data):
        part[3] = part[2]
    checkpoint.save_model(network, weights / "cnn")
    file = tmp_path / "maps.png"
    told = run(capsys, "activations", EXAMPLES / "happy.png", "conv2d_1", "--model", "cnn", "--out", file)
    assert (told["layer"], told["file"], len(told["filters"])) == ("conv2d_1", str(file), 64)
    assert told["filters"][2] == told["filters"][3] | {"filter": 2}
    stands = {row["filter"]: row["representative"] for row in told["redundant"]}
    assert stands.get(2, 2) == stands.get(3, 3) and file.exists()
    assert main(["activations", str(EXAMPLES / "happy.png"), "conv2d_9", "--model", "cnn"]) == 2
    assert "no layer 'conv2d_9'" in capsys.readouterr().err


def test_redundancy_is_kept_beside_the_weights_and_in_the_card(weights: Path, folder_data: Path, capsys):
    """On made-up faces, of 64 neurons; what is written in the card stays, and a second run renews the first."""
    folder, asked = weights / "small", ("redundancy", "small", "--data", folder_data)
    with runner.study_architectures():
        checkpoint.save_model(FERModel("small"), folder)
        (folder / "README.md").write_text("Ours.\n\n## Use and limits\n\nNone.\n", encoding="utf-8")
        told = [run(capsys, *asked), run(capsys, *asked, "--prune-layers", "dense_1")]
        assert main([*map(str, asked), "--prune-layers", "dense_2"]) == 2
    assert "expected one of dense_1" in capsys.readouterr().err
    assert told[0] == told[1] and told[0]["faces"] == 28
    assert {"layer", "filters", "redundant", "dead", "always_active", "effective_rank"} == set(told[0]["layers"][0])
    assert [(row["layer"], row["filters"]) for row in told[0]["pruned"]] == [("dense_1", 64)]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("Ours.") and card.endswith("## Use and limits\n\nNone.\n")
    assert card.count("## Redundant filters and pruning") == 1 and "| dense_1 | 64 |" in card
    assert (folder / "filter_redundancy.npz").exists() and (folder / "pruning-dense_1.png").exists()


def test_ascend_writes_the_grid_and_tells_every_filter_s_value(weights: Path, tmp_path: Path, capsys):
    """Four filters of cnn's first convolution: a row of 4 tiles of 96 pixels and the gaps around them, and 4 rows."""
    checkpoint.save_model(FERModel("cnn"), weights / "cnn")
    *_, frame = visualization.visualize(checkpoint.load_model("cnn"), "conv2d_1", [0, 1, 2, 63], steps=3)
    file = tmp_path / "grid.png"
    told = run(capsys, "ascend", "cnn", "conv2d_1", "--filters", "0-2,63", "--steps", 3, "--out", file)
    assert [row["filter"] for row in told["filters"]] == [0, 1, 2, 63]
    assert [row["ascent"] for row in told["filters"]] == pytest.approx(frame.values.tolist(), abs=1e-3)
    assert not any(row["dead"] for row in told["filters"])
    assert (told["layer"], told["file"]) == ("conv2d_1", str(file)) and told["seconds"] > 0
    with Image.open(file) as grid:
        assert grid.size == (4 * 98 + 2, 100)


def test_ascend_exchanges_a_part_of_its_preset(weights: Path, tmp_path: Path, capsys):
    """Within faces a filter of 3 x 3 pixels gets a whole face of 48, here with 2 pixels for each and the gaps."""
    checkpoint.save_model(FERModel("cnn"), weights / "cnn")
    file = tmp_path / "grid.png"
    run(capsys, "ascend", "cnn", "conv2d_1", "--filters", "0", "--steps", 1, "--parametrise", "faces", "--out", file)
    with Image.open(file) as grid:
        assert grid.size == (100, 100)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["evaluate", "dnn"], "no network 'dnn' in"),
        (["train", "dnn", "--data", "nowhere"], "FER-2013 not found"),
        (["train", "dnn", "--epochs", "0"], "epochs is 0"),
        (["ascend", "cnn", "conv2d_1"], "no network 'cnn' in"),
        (["train", "dnn", "--learning-rate", "nan"], "learning_rate is nan: expected a number"),
        (["train", "dnn", "--learning-rate", "inf"], "learning_rate is inf: expected a number"),
        (["train", "dnn", "--seed", "1" + 30 * "0"], "expected 0 to 2147483647"),
        (["train", "dnn", "--seed", "-1"], "seed is -1"),
        (["train", "dnn", "--data", __file__], "FER-2013 not found"),
        (["evaluate", ""], "no network '' in"),
        (["evaluate", "../../nowhere"], "no network '../../nowhere' in"),
        (["evaluate", "https://example.com/x"], "no network 'https://example.com/x' in"),
        (["evaluate", "ensemble:"], "no network '' in"),
        (["evaluate", "x.onnx"], "x.onnx is no network that `python -m fer export` wrote"),
        (["confusion", "dnn", "--faces", "nowhere.zip"], "The archive cannot be read (FileNotFoundError)"),
        (["confusion", "dnn", "--faces", __file__], "This is no zip archive"),
        (["saliency", "http://example.com/x.png"], "no network 'compact' in"),
        (["saliency", "x.png", "--out", "/nowhere/x.png"], "out is '/nowhere/x.png': expected a file in a folder"),
        (["saliency", "x.png", "--out", "/"], "out is '/': expected a file"),
        (["activations", "x.png", "conv2d_1", "--out", "/nowhere/x.png"], "expected a file in a folder"),
        (["predict", "x.png", "--out", "x.txt"], "no network 'compact' in"),
        (["study", "nothing"], "nothing"),
        (["push", "dnn", "me/dnn"], "dnn"),
    ],
)
def test_mistakes_are_one_line_and_status_2(weights: Path, capsys: pytest.CaptureFixture, arguments: list, words: str):
    """Nothing on standard output, one line on standard error, no trace."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1


@pytest.mark.parametrize(
    "asked, words",
    [
        (["conv2d_1", "--steps", "0"], "steps is 0"),
        (["conv2d_1", "--steps", "-7"], "steps is -7"),
        (["conv2d_1", "--steps", "10000000000"], "at most 10000 steps"),
        (["conv2d_1", "--seed", "1" + 30 * "0"], "expected 0 to 2147483647"),
        (["conv2d_1", "--seed", "-1"], "seed is -1"),
        (["conv2d_1", "--filters", "0-9999"], "has the filters 0 to 63"),
        (["conv2d_1", "--filters", "a"], "filters are 'a'"),
        (["conv2d_1", "--out", "/nowhere/x.png"], "expected a file in a folder that is there"),
        (["", "--filters", "0"], "no layer ''"),
    ],
)
def test_an_ascent_that_cannot_be_is_one_line(weights: Path, capsys: pytest.CaptureFixture, asked: list, words: str):
    """Before anything is computed or held in memory."""
    if not (weights / "cnn").exists():
        checkpoint.save_model(FERModel("cnn"), weights / "cnn")
    assert main(["ascend", "cnn", "--filters", "0", *asked]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1


def test_a_stop_by_the_keyboard_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """With the status that shells give it, 130."""

    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model_files, "read_models", stopped)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "fer models: stopped\n"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_name_that_is_no_text_does_not_hide_the_others(predicting: None, capsys, tmp_path: Path, kind: str):
    """Two pictures, one of them named by a byte that is no UTF-8; a second run finds both answered."""
    folder, out = tmp_path / "pictures", tmp_path / f"answers.{kind}"
    folder.mkdir()
    for name in (b"\xff.png", b"b.png"):
        (folder / os.fsdecode(name)).write_bytes((EXAMPLES / "happy.png").read_bytes())
    for _ in range(2):
        assert run(capsys, "predict", folder, "--out", out)["pictures"] == 2


def test_a_training_that_comes_apart_writes_nothing(weights: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """A loss that is no number ends in one line; the weights that were there are as before."""
    checkpoint.save_model(FERModel("dnn"), weights / "dnn")
    before = (weights / "dnn" / "model.safetensors").read_bytes()
    asked = ["train", "dnn", "--data", str(folder_data), "--epochs", "1", "--optimizer", "sgd"]
    assert main([*asked, "--learning-rate", "1e30", "--clip-grad-norm", "0", "--batch-size", "16", "--json"]) == 2
    assert "the loss of epoch 1 is" in capsys.readouterr().err
    assert (weights / "dnn" / "model.safetensors").read_bytes() == before


def test_a_layer_or_filter_that_is_not_there_is_one_line_too(weights: Path, capsys: pytest.CaptureFixture):
    """The line names those that are there."""
    checkpoint.save_model(FERModel("cnn"), weights / "cnn")
    for layer, filters, words in (("conv2d_9", "0", "expected one of conv2d_1"), ("conv2d_1", "64", "0 to 63")):
        assert main(["ascend", "cnn", layer, "--filters", filters]) == 2
        printed = capsys.readouterr()
        assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1
