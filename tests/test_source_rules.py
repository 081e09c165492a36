"""Nothing is unpickled, nothing swallowed; a file made to harm runs nothing."""

import ast
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.attribution import (
    benchmark,
    concept_benchmark,
    feature_table,
    region_benchmark,
    training_examples_benchmark,
)
from fer.data import fer2013, zip_dataset
from fer.data.image_io import ImageError, open_image
from fer.evaluation import predictions
from fer.features import atlas, redundancy
from fer.models import checkpoint
from fer.training import config as training_config
from fer.training import history, trainer
from fer.training.distributed import DistributedContext
from tests.test_architecture import FILES, ROOT

SOURCES = [*FILES, *sorted((ROOT / "tests").rglob("*.py"))]
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "pandas"}


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def told(call: ast.Call) -> dict[str, object]:
    return {word.arg: getattr(word.value, "value", None) for word in call.keywords}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_here_unpickles_or_runs_words(path: Path):
    """No module that unpickles, torch.load only of weights, np.load never of objects, no eval or exec."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & UNPICKLERS
    for call in calls(path):
        name, words = ast.unparse(call.func), told(call)
        assert name not in ("eval", "exec", "os.system", "os.popen", "yaml.load")
        assert name != "torch.load" or words.get("weights_only") is True
        assert name != "np.load" or words.get("allow_pickle") is False
        assert words.get("shell") is not True and words.get("trust_remote_code") is not True


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_error_is_swallowed(path: Path):
    """No bare `except`; one that catches all, or does nothing, says why beside it; nothing is loaded half."""
    text = path.read_text(encoding="utf-8")
    assert "strict" + "=False" not in text
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        assert node.type is not None, f"line {node.lineno}: a bare except"
        caught, last = ast.unparse(node.type), node.body[-1]
        broad = "Exception" in caught.replace("(", " ").split() or "BaseException" in caught
        idle = all(isinstance(part, ast.Pass) for part in node.body)
        said = "#" in "".join(lines[node.lineno - 1 : last.end_lineno])
        assert said or not (broad or idle), f"line {node.lineno}: {caught} is caught and nobody says why"
        if broad:
            ends = [part for part in ast.walk(node) if isinstance(part, ast.Raise | ast.Return)]
            assert ends, f"line {node.lineno}: {caught} is caught, and all goes on as if nothing had happened"


# ------------------------------------------------------------------------------------------------ files that harm


class Harm:
    """Once unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


@pytest.fixture
def harm(tmp_path: Path) -> Path:
    """The file that must not come to be; unpickling does make it."""
    file = tmp_path / "harmed"
    pickle.loads(pickle.dumps(Harm(file)))
    assert file.exists()
    file.unlink()
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save_model(checkpoint.FERModel("dnn"), tmp_path / "weights" / "dnn")
    return tmp_path / "weights" / "dnn"


def restore(folder: Path) -> None:
    config = training_config.default_config("dnn")
    trainer.TrainState(config, DistributedContext(torch.device("cpu"))).restore(folder / "resume.pt", config)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weights": ("model.safetensors", lambda folder: checkpoint.load_model("dnn", folder.parent)),
    "outline": ("model.safetensors", lambda folder: checkpoint.load_meta("dnn", folder.parent)),
    "config": ("config.json", lambda folder: checkpoint.load_model("dnn", folder.parent)),
    "predictions": ("predictions.npz", lambda folder: predictions.load_logits(folder, "PublicTest")),
    "regions": ("attribution_regions.npz", region_benchmark.load_region_attribution),
    "features": ("training_features.npz", feature_table.ARTIFACT.load_or_none),
    "concepts": ("concepts.npz", concept_benchmark.read),
    "influence": ("influence_benchmark.json", training_examples_benchmark.ARTIFACT.load_or_none),
    "redundancy": ("filter_redundancy.npz", redundancy.load_redundancy),
    "trust": ("attribution_benchmark.json", benchmark.load_benchmark),
    "atlas": ("feature_vis/dense_1.npz", lambda folder: atlas.load_layer(folder, "dense_1")),
    "history": ("history.csv", history.read_history),
    "unfinished training": ("resume.pt", restore),
    "cache": ("cache.safetensors", lambda folder: fer2013._read_cache(folder / "cache.safetensors", "")),
    "zip": ("faces.zip", lambda folder: zip_dataset.read(folder / "faces.zip")),
    "picture": ("face.png", lambda folder: open_image(folder / "face.png")),
    "exported network": ("x.onnx", lambda folder: checkpoint.load_model(str(folder / "x.onnx"))),
}  # fmt: skip


def as_pickle(harm: Harm, file: Path) -> None:
    file.write_bytes(pickle.dumps(harm))


def as_torch(harm: Harm, file: Path) -> None:
    torch.save({"config": harm, "model": harm}, file)


def as_arrays(harm: Harm, file: Path) -> None:
    names = ("PublicTest_logits", "PublicTest_labels", "PublicTest_duplicate", "weights", "labels", "about", "made")
    with file.open("wb") as stream:
        np.savez(stream, **{name: np.array([harm], dtype=object) for name in names})


@pytest.mark.parametrize("disguise", [as_pickle, as_torch, as_arrays])
@pytest.mark.parametrize("name, read", READERS.values(), ids=READERS)
def test_a_malicious_file_runs_nothing(folder: Path, harm: Path, name: str, read: Callable, disguise: Callable):
    """A pickle, torch's archive of one, and arrays of objects, in the place of every file that we read."""
    (folder / name).parent.mkdir(exist_ok=True)
    disguise(Harm(harm), folder / name)
    try:
        found = read(folder)
    except (ValueError, OSError, ImageError) as error:
        assert "\n" not in str(error)  # one line, for the command line
    else:
        assert not found
    assert not harm.exists()


def test_a_checkpoint_of_torch_is_no_checkpoint(folder: Path):
    """pytorch_model.bin beside a missing model.safetensors is not looked at."""
    torch.save(checkpoint.FERModel("dnn").state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(checkpoint.CheckpointError, match=r"model\.safetensors cannot be used"):
        checkpoint.load_model("dnn", folder.parent)


def test_what_is_shipped_holds_no_pickle():
    """No file under weights/ begins as a pickle or holds one."""
    for path in (ROOT / "weights").rglob("*"):
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    with archive.open(name) as member:
                        assert b"'|O'" not in member.read(128), f"{path.name}: {name} holds objects"
        elif path.is_file():
            assert path.suffix in {".json", ".safetensors", ".md", ".csv", ".png", ".webp", ".pt"}, path.name
            assert path.suffix != ".json" or json.loads(path.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------ text


def opens_text_without_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding that the machine happens to have."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if any(word.arg in (None, "encoding") for word in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute) and len(call.args) < (1 if name == "read_text" else 2)
    if name != "open" or ast.unparse(call.func) in ("Image.open", "os.open", "webbrowser.open"):
        return False
    place = 0 if isinstance(call.func, ast.Attribute) else 1
    mode = call.args[place] if len(call.args) > place else told(call).get("mode", "r")
    mode = getattr(mode, "value", mode)
    return isinstance(mode, str) and set(mode) <= set("rwax+t")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_read_and_written_as_utf_8(path: Path):
    """On Windows, and in an ASCII locale, the default is another."""
    lines = [call.lineno for call in calls(path) if opens_text_without_encoding(call)]
    assert not lines


@pytest.mark.parametrize("code", ["p.read_text()", "p.write_text(x)", "p.open()", "p.open('w')", "open(p)"])
def test_text_without_an_encoding_would_be_found(code: str):
    assert opens_text_without_encoding(ast.parse(code, mode="eval").body)
    more = code.replace("()", "(encoding='utf-8')").replace("x)", "x, encoding='utf-8')")
    assert more == code or not opens_text_without_encoding(ast.parse(more, mode="eval").body)
    assert not opens_text_without_encoding(ast.parse("p.open('rb')", mode="eval").body)
