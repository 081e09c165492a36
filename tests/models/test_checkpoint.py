"""checkpoint: what is saved comes back, and what is broken is named."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fer.models import checkpoint
from fer.models.checkpoint import CheckpointError, FERModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """weights/ with one small-ish network, dnn, whose numbers all fit float16 exactly."""
    torch.manual_seed(0)
    network = FERModel("dnn", temperature=1.5, confidence_threshold=0.4, train_config={"epochs": 25})
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})
    checkpoint.save_model(network, tmp_path / "dnn")
    return tmp_path


def test_a_checkpoint_comes_back_as_it_was(folder: Path):
    """Same logits, in eval mode, float32, with its labels, temperature, threshold and recipe."""
    torch.manual_seed(0)
    network = FERModel("dnn").eval()
    loaded = checkpoint.load_model("dnn", folder)
    faces = torch.rand(2, 1, 48, 48)
    assert torch.allclose(loaded(faces), network(faces), atol=2e-3)
    assert not loaded.training and next(loaded.parameters()).dtype == torch.float32
    assert (loaded.temperature, loaded.confidence_threshold, loaded.train_config) == (1.5, 0.4, {"epochs": 25})
    assert loaded.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def test_saving_twice_changes_nothing(folder: Path):
    """float16 numbers survive a second round trip bit by bit, and so does config.json."""
    before = {path.name: path.read_bytes() for path in (folder / "dnn").iterdir()}
    checkpoint.save_model(checkpoint.load_model("dnn", folder), folder / "dnn")
    assert {path.name: path.read_bytes() for path in (folder / "dnn").iterdir()} == before


def test_weights_are_float16_safetensors(folder: Path):
    """Two bytes a weight; nothing else lies in the folder that could be a pickle."""
    tensors = load_file(folder / "dnn" / "model.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert sorted(path.name for path in (folder / "dnn").iterdir()) == ["config.json", "model.safetensors"]


def test_the_hubs_own_way_loads_the_same(folder: Path):
    """Network.from_pretrained takes the folder as it would a repository's name."""
    faces = torch.rand(1, 1, 48, 48)
    assert torch.equal(
        FERModel.from_pretrained(str(folder / "dnn"))(faces), checkpoint.load_model("dnn", folder)(faces)
    )


def test_a_slice_of_a_network_is_a_chain_that_shares_its_layers(folder: Path):
    """A truncated forward needs no copy and no hook."""
    network = checkpoint.load_model("dnn", folder)
    assert network[:"activation_1"](torch.rand(1, 1, 48, 48)).shape == (1, 1024)
    assert network[:"dense_1"][-1] is network["dense_1"]


def test_a_missing_network_is_named_with_those_there_and_its_command(folder: Path):
    """One line: what, where, what there is, how to make it."""
    with pytest.raises(CheckpointError) as error:
        checkpoint.load_model("cnn", folder)
    assert re.search(r"no network 'cnn' in .* \(there: dnn\); `python -m fer train cnn` makes it", str(error.value))


def change(path: Path, **changes: object) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | changes), encoding="utf-8")


def test_weights_of_another_network_are_refused(folder: Path):
    """cnn's config.json over dnn's tensors: the file and the first stranger are named."""
    change(folder / "dnn" / "config.json", architecture="cnn")
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be used .*`python -m fer train dnn`"):
        checkpoint.load_model("dnn", folder)


def test_labels_must_be_as_many_as_the_logits(folder: Path):
    """Eight labels on seven logits stop at the last layer's shape."""
    change(folder / "dnn" / "config.json", labels=[str(number) for number in range(8)])
    with pytest.raises(CheckpointError, match=r"dense_4\.(weight|bias) is .*expected"):
        checkpoint.load_model("dnn", folder)


@pytest.mark.parametrize("labels", [["happy"], ["a", "a"], "happy"])
def test_labels_must_be_different_names(folder: Path, labels: object):
    """The message names config.json and what it holds."""
    change(folder / "dnn" / "config.json", labels=labels)
    with pytest.raises(CheckpointError, match=r"config.json has the labels"):
        checkpoint.load_model("dnn", folder)


@pytest.mark.parametrize("temperature", [0, -1, "warm", None])
def test_the_temperature_must_be_a_positive_number(folder: Path, temperature: object):
    """Logits are divided by it."""
    change(folder / "dnn" / "config.json", temperature=temperature)
    with pytest.raises(CheckpointError, match=r"config.json has the temperature"):
        checkpoint.load_model("dnn", folder)


def test_truncated_weights_are_refused(folder: Path):
    """A download cut short is named with the command that makes it anew."""
    path = folder / "dnn" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be used"):
        checkpoint.load_model("dnn", folder)


def test_weights_with_nan_are_refused(folder: Path):
    """One NaN among three million numbers is found and its tensor named."""
    path = folder / "dnn" / "model.safetensors"
    tensors = load_file(path)
    tensors["dense_1.weight"][5, 5] = float("nan")
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"dense_1.weight holds NaN"):
        checkpoint.load_model("dnn", folder)


@pytest.mark.parametrize("text", ["", "{", '{"architecture": "resnet", "labels": ["a", "b"]}', "[]"])
def test_a_broken_config_is_named(folder: Path, text: str):
    """Empty, cut short, of an unknown architecture, or no object at all."""
    (folder / "dnn" / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config.json"):
        checkpoint.load_model("dnn", folder)


def test_compact_comes_first_among_those_there(folder: Path):
    """The demo's default leads; the rest keep the registry's order."""
    for name in ("vgg16-relu", "cnn", "compact", "mine"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}", encoding="utf-8")
    assert checkpoint.list_checkpoints(folder) == ["compact", "cnn", "dnn", "vgg16-relu", "mine"]


def test_a_network_goes_by_the_name_of_its_folder(tmp_path: Path):
    """As weights/ lists it, whatever it was called when it was trained; so its own kept answers are found."""
    checkpoint.save_model(FERModel("dnn", name="before"), tmp_path / "after")
    assert checkpoint.load_model("after", tmp_path).name == checkpoint.load_meta("after", tmp_path).name == "after"
    assert checkpoint.load_model(str(tmp_path / "after")).name == "after"
