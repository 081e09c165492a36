"""Files of ours gone wrong: each is told from a sound one, and the page starts with what is left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fer.app import integrity
from fer.app import page as app_page
from fer.app.confusion import handlers as confusion_handlers
from fer.app.confusion.matrix import COUNTS
from fer.app.confusion.request import ConfusionRequest
from fer.app.models import studies
from fer.app.models import tab as models_tab
from fer.attribution import benchmark, face_regions, region_benchmark
from fer.evaluation import predictions
from fer.features import atlas, redundancy
from fer.models import checkpoint
from fer.models.checkpoint import CheckpointError
from fer.utils import artifacts
from tests.pages import write_atlas, write_networks, write_predictions

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """weights/ with one network, `dnn`, that has everything; what was measured of it is made up."""
    weights = tmp_path_factory.mktemp("sound")
    write_networks(weights)
    for name in ("compact", "compact-ferplus", "vgg16-relu", "cnn"):
        shutil.rmtree(weights / name)
    folder = weights / "dnn"
    torch.manual_seed(0)
    network = checkpoint.FERModel("dnn").eval()
    checkpoint.save_model(network, folder)
    write_predictions(folder)
    (folder / "history.csv").write_text(
        "epoch,loss,accuracy,public_loss,public_accuracy\n1,2,0.2,2,0.2\n", encoding="utf-8"
    )
    write_atlas(folder, "dense_4", 7, 48)
    benchmark.save_benchmark(
        [
            {
                "method": "gradient",
                "faithfulness_correlation": 0.1,
                "ci95_half_width": 0.1,
                "infidelity_score": 0.1,
                "n": 9,
            }
        ],
        folder,
    )
    seven = np.full((7, 2), 5)
    shares = np.full((7, len(face_regions.FACE_REGIONS)), 0.1)
    claim = region_benchmark.RegionClaim(2.0, 1.5, 2.5, 1.0)
    face, maps = np.zeros((48, 48), np.uint8), np.ones((7, 2, 48, 48))
    region_benchmark.save_region_attribution(
        region_benchmark.RegionAttribution(network.labels, face, maps, seven, shares, claim), folder
    )
    faces = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    layers = redundancy.measure_redundancy(network, faces, quiet=True)
    redundancy.save_redundancy(redundancy.Redundancy(4, {"dense_3": layers["dense_3"]}), folder)
    return weights


@pytest.fixture
def weights(sound: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(sound, tmp_path / "weights"))


def test_sound_files_are_not_complained_of(sound: Path):
    """No trouble with six files of one network."""
    assert integrity.look(sound) == [] and integrity.sound(sound, []) == ["dnn"]


# ------------------------------------------------------------------------------------------------ config.json

NO_CONFIG = {
    "empty": b"",
    "cut": b'{"architecture": "dnn", "lab',
    "not text": b"\xff\xfe\0",
    "a list": b"[]",
    "a number": b"5",
    "nested without end": b"[" * 100_000,
}
NO_VALUE = {
    "architecture": ["resnet", ["dnn"], {"a": 1}, None, 5],
    "labels": [
        [1, 2, 3, 4, 5, 6, 7],
        [["a"]] * 7,
        {"a": 1},
        "happy",
        ["happy", ""],
        ["happy", "x" * 41],
        ["happy", MARKUP],
        ["happy", "${alert(1)}"],
        ["happy", "![x](http://evil.example/x)"],
        ["happy", "sad\nangry"],
    ],
    "name": ["../dnn", "/etc", MARKUP, 5, ["dnn"], "x" * 100, ""],
    "temperature": [0, -1, float("nan"), float("inf"), "warm", True, None, 1e-300, 10**400],
    "confidence_threshold": ["x", float("nan"), -0.1, 2, None, [0.5]],
    "metrics": [
        [],
        {"private_test": 5},
        {"private_test": {"accuracy": 0.5}},
        {"private_test": dict.fromkeys(("accuracy", "n", "ci95"), "x")},
        {"milliseconds": MARKUP},
    ],
    "train_config": [[1], "x", {"start": "x\n```\n" + MARKUP}, {"a": ["`"]}],
}


@pytest.mark.parametrize("content", NO_CONFIG.values(), ids=NO_CONFIG)
def test_a_config_that_is_no_json_object_is_refused(weights: Path, content: bytes):
    """By loading and by looking, in one line with the command that makes it anew."""
    (weights / "dnn" / "config.json").write_bytes(content)
    for read in (checkpoint.load_model, checkpoint.load_meta):
        with pytest.raises(CheckpointError, match=r"config\.json .*`python -m fer train dnn` makes it anew") as error:
            read("dnn", weights)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("key, value", [(key, value) for key, values in NO_VALUE.items() for value in values])
def test_a_config_with_a_value_that_no_network_has_is_refused(weights: Path, key: str, value: object):
    """Names and labels hold no markup, no path and no template, for they go into pages and file names."""
    path = weights / "dnn" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {key: value}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"config.json has the {key} .*: expected"):
        checkpoint.load_meta("dnn", weights)
    with pytest.raises(ValueError, match=f"the {key}"):  # as it would be read from the Hub
        checkpoint.FERModel(**{"architecture": "dnn", key: value})


# ------------------------------------------------------------------------------------------------ weights


def spoil_a_number(file: Path) -> None:
    tensors = load_file(file)
    tensors["dense_2.weight"][3, 4] = float("nan")
    save_file(tensors, file)


NO_WEIGHTS: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1000]),
    "empty": lambda file: file.write_bytes(b""),
    "foreign": lambda file: file.write_bytes(b"PK\3\4" + bytes(999)),
    "a header without end": lambda file: file.write_bytes(b"\xff" * 100),
    "missing": lambda file: file.unlink(),
    "of another network": lambda file: save_file({"conv2d_1.weight": torch.zeros(64, 1, 3, 3)}, file),
    "with a NaN": spoil_a_number,
}


@pytest.mark.parametrize("spoil", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_a_network_with_broken_weights_is_left_out(weights: Path, spoil: Callable):
    """And named with the command that makes it anew, but without the way to it."""
    spoil(weights / "dnn" / "model.safetensors")
    (trouble,) = integrity.look(weights)
    assert trouble.left_out and integrity.sound(weights, [trouble]) == []
    assert "`python -m fer train dnn`" in trouble.words and str(weights) not in trouble.words
    with pytest.raises(CheckpointError):
        checkpoint.load_model("dnn", weights)


# ------------------------------------------------------------------------------------------------ what goes with them


def altered(name: str, key: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Path], None]:
    """Changes all arrays of an .npz whose name ends so, or takes them out."""

    def spoil(folder: Path) -> None:
        with np.load(folder / name) as file:
            arrays = dict(file)
        for found in [found for found in arrays if found.endswith(key) and found != artifacts.STAMP]:
            arrays[found] = change(arrays[found])
        np.savez(folder / name, **{k: value for k, value in arrays.items() if value is not None})

    return spoil


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-200])


def put(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def kept(rows: object) -> Callable[[Path], object]:
    return lambda folder: (folder / benchmark.FILE).write_text(
        json.dumps({"weights": artifacts.weights_digest(folder), "rows": rows}), encoding="utf-8"
    )


OBJECTS = np.array([{}], dtype=object)
BESIDE: dict[str, Callable[[Path], object]] = {
    "predictions empty": put("predictions.npz", b""),
    "predictions cut": cut("predictions.npz"),
    "predictions foreign": put("predictions.npz", b"PK\3\4 and no more"),
    "predictions a lone array": put("predictions.npz", b"\x93NUMPY"),
    "predictions NaN": altered("predictions.npz", "_logits", lambda a: a * np.nan),
    "predictions of too few classes": altered("predictions.npz", "_logits", lambda a: a[:, :3]),
    "predictions of eight labels": altered("predictions.npz", "_logits", lambda a: np.pad(a, ((0, 0), (0, 1)))),
    "predictions of fewer labels": altered("predictions.npz", "_labels", lambda a: a[:5]),
    "predictions of no face": altered("predictions.npz", "", lambda a: a[:0]),
    "predictions with labels 200 up": altered("predictions.npz", "_labels", lambda a: a + 200),
    "predictions without labels": altered("predictions.npz", "_labels", lambda a: None),
    "predictions with fractions as labels": altered("predictions.npz", "_labels", lambda a: a + 0.5),
    "predictions of words": altered("predictions.npz", "_logits", lambda a: a.astype(str)),
    "predictions with a pickle": altered("predictions.npz", "_labels", lambda a: OBJECTS),
    "history not text": put("history.csv", b"\xff\xfe\0"),
    "history of words": put("history.csv", b"epoch,loss\nx,y\n"),
    "history cut": put("history.csv", b"epoch,loss\n1\n"),
    "atlas cut": cut("feature_vis/dense_4.npz"),
    "atlas picture cut": cut("feature_vis/dense_4.webp"),
    "atlas picture missing": lambda folder: (folder / "feature_vis/dense_4.webp").unlink(),
    "atlas of fewer filters": altered("feature_vis/dense_4.npz", "curves", lambda a: a[:3]),
    "atlas of shorter curves": altered("feature_vis/dense_4.npz", "curves", lambda a: a[:, :3]),
    "atlas with NaN": altered("feature_vis/dense_4.npz", "curves", lambda a: a * np.nan),
    "atlas with a pickle": altered("feature_vis/dense_4.npz", "dead", lambda a: OBJECTS),
    "trust no JSON": put("attribution_benchmark.json", b"{"),
    "trust not text": put("attribution_benchmark.json", b"\xff"),
    "trust a list": put("attribution_benchmark.json", b"[]"),
    "trust nested without end": put("attribution_benchmark.json", b"[" * 100_000),
    "trust rows a number": kept(5),
    "trust rows of words": kept(["x"]),
    "trust rows empty": kept([{}]),
    "trust rows with NaN": kept(
        [dict.fromkeys(("faithfulness_correlation", "ci95_half_width", "infidelity_score", "n"), float("nan"))]
    ),
    "regions cut": cut("attribution_regions.npz"),
    "regions of other shape": altered("attribution_regions.npz", "maps", lambda a: a[:, :, :5]),
    "regions of fewer labels": altered("attribution_regions.npz", "labels", lambda a: a[:2]),
    "regions without faces": altered("attribution_regions.npz", "counts", lambda a: a * 0),
    "regions with NaN": altered("attribution_regions.npz", "maps", lambda a: a * np.nan),
    "regions with a pickle": altered("attribution_regions.npz", "labels", lambda a: OBJECTS),
    "redundancy cut": cut("filter_redundancy.npz"),
    "redundancy of fewer filters": altered("filter_redundancy.npz", "/dead", lambda a: a[:3]),
    "redundancy naming others": altered("filter_redundancy.npz", "/representative", lambda a: a + 30_000),
    "redundancy with a pickle": altered("filter_redundancy.npz", "about", lambda a: OBJECTS),
    "everything stale": lambda folder: checkpoint.save_model(checkpoint.FERModel("dnn").eval(), folder),
}


@pytest.mark.parametrize("spoil", BESIDE.values(), ids=BESIDE)
def test_what_lies_beside_the_weights_is_told_from_a_sound_one(weights: Path, spoil: Callable):
    """The network stays; whatever else is wrong is named with the command that mends it, or so that one can."""
    spoil(weights / "dnn")
    troubles = integrity.look(weights)
    assert troubles and not any(trouble.left_out for trouble in troubles)
    for trouble in troubles:
        assert "`python -m fer" in trouble.words or "take it out" in trouble.words
        assert str(weights) not in trouble.words and "\n" not in trouble.words
    rendered = confusion_handlers.render(ConfusionRequest("dnn", "PrivateTest", COUNTS), None, weights)
    assert isinstance(rendered["cell"], str)


def test_a_network_whose_history_is_broken_is_still_told_of(weights: Path):
    """Its page has everything but the curves."""
    (weights / "dnn" / "history.csv").write_bytes(b"\xff,")
    known, curves, *rest = models_tab.show("dnn", weights=weights)
    assert curves == models_tab.NO_CURVES and known and all(rest)


def test_to_measure_anew_mends_predictions_that_are_broken(weights: Path):
    """The command that the message names does not stumble over the broken file itself."""
    (weights / "dnn" / "predictions.npz").write_bytes(b"PK\3\4")
    write_predictions(weights / "dnn")
    assert len(predictions.load_logits(weights / "dnn", "PrivateTest")[1]) == 8


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff", b"[]", b'{"members": 5}', b'{"members": ["dnn", "no"], "confidence_threshold": 0, "metrics": {}}'],
)
def test_a_broken_ensemble_is_left_out(weights: Path, content: bytes):
    """The networks stay."""
    (weights / "ensemble.json").write_bytes(content)
    (trouble,) = integrity.look(weights)
    assert trouble.left_out and trouble.network == "ensemble" and "`python -m fer ensemble`" in trouble.words
    assert integrity.sound(weights, [trouble]) == ["dnn"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"rows": 5, "notes": [], "question": ""}'])
def test_a_broken_study_is_said_to_be(weights: Path, content: bytes):
    """By a sentence that names it."""
    (weights / "studies" / "duplicates").mkdir(parents=True)
    (weights / "studies" / "duplicates" / "results.json").write_bytes(content)
    with pytest.raises(gr.Error, match="duplicates is broken"):
        studies.show("duplicates", weights=weights)


def test_a_card_that_is_no_text_or_of_another_host_is_drawn_without_harm(weights: Path):
    """Pictures and markup are taken out; bytes that are no text do not stop the page."""
    (weights / "dnn" / "README.md").write_bytes(
        b"\xff![a](http://evil/a) ![b][c]<img src=http://evil/x>" + MARKUP.encode()
    )
    card = models_tab.card(weights / "dnn")
    assert "<img" not in card and "![" not in card


# ------------------------------------------------------------------------------------------------ the page


def test_the_page_starts_with_what_is_sound_and_says_what_is_not(weights: Path):
    """The default is the first sound network, menus have no other, and the notice names what is broken and stale."""
    write_networks(weights)
    (weights / "compact" / "model.safetensors").write_bytes(b"broken")
    (weights / "cnn" / "predictions.npz").write_bytes(b"broken")
    page = app_page.build(weights)
    blocks = page.blocks.values()
    menus = [block for block in blocks if isinstance(block, gr.Dropdown) and block.label == "Model"]
    names = ["cnn", "vgg16-relu", "compact-ferplus"]
    assert len(menus) == 1
    assert all([name for _, name in menu.choices] == names and menu.value == "cnn" for menu in menus)
    (told,) = (block for block in blocks if getattr(block, "elem_id", None) == "unsound")
    assert told.label.count("compact") == 1 and "dnn" in told.label
    assert "cnn" in told.children[0].value and "python -m" not in told.children[0].value
    assert str(weights) not in told.children[0].value


def test_the_notice_holds_no_markup_but_its_own():
    """Words out of a broken file are escaped."""
    said = integrity.listed([integrity.Trouble(MARKUP, True, f"config.json has {MARKUP}: `x`")])
    assert "<img" not in said and said.count("<li>") == 1


def test_an_atlas_or_a_measurement_of_earlier_weights_is_not_shown(weights: Path):
    """Once the weights change, none of the four readers gives anything."""
    folder = weights / "dnn"
    assert (
        benchmark.load_benchmark(folder)
        and region_benchmark.load_region_attribution(folder)
        and redundancy.load_redundancy(folder)
        and atlas.load_layer(folder, "dense_4")
    )
    checkpoint.save_model(checkpoint.FERModel("dnn").eval(), folder)
    assert not (
        benchmark.load_benchmark(folder)
        or region_benchmark.load_region_attribution(folder)
        or redundancy.load_redundancy(folder)
        or atlas.load_layer(folder, "dense_4")
    )
    assert atlas.is_stale(folder, "dense_4")


def test_missing_predictions_are_no_trouble_but_are_told(weights: Path):
    """A network that was not measured is sound."""
    (weights / "dnn" / "predictions.npz").unlink()
    assert integrity.look(weights) == []
    with pytest.raises(predictions.NotMeasuredError, match="evaluate dnn --split PrivateTest"):
        predictions.load_predictions(checkpoint.load_meta("dnn", weights), "PrivateTest", weights)
