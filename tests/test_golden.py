"""Golden results: what commands, the page's API and the public functions give is what tests/golden/ holds.

They show that moving and renaming code changes no result. After a change that is meant, write them anew and read the
difference in git:

    GOLDEN=rewrite python -m pytest tests/test_golden.py

Numbers are compared with a tolerance, since machines differ in the last digits. Made-up faces stand in for FER-2013;
what needs the real one is marked ``data``.
"""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image

import fer
from fer.app import page as app_page
from fer.cli.main import main
from fer.models import checkpoint

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = Path(fer.__file__).parent / "data" / "assets" / "examples"
RELATIVE, ABSOLUTE = 0.02, 0.005  # how far numbers may be from the golden ones
LOOSE = {"redundancy": 0.05}  # absolute, where one face of 28 may go one way or the other
MEASURED = {"seconds", "bytes"}  # keys whose values are no result: of those only that they are there

FACE = "{examples}/happy.png"
COMMANDS = {
    "models": "models",
    "summary-cnn": "summary cnn",
    "summary-vgg19-selu": "summary vgg19-selu",
    "confusion": "confusion compact --against cnn",
    "confusion-ensemble": "confusion ensemble:compact+cnn --split PublicTest --no-duplicates --threshold 0.6",
    "confusion-faces": "confusion cnn --faces {faces}/test",
    "ensemble": "ensemble",
    "predict": "predict {examples} --model compact",
    "predict-cnn": "predict {examples} --model cnn --no-detect",
    "predict-ferplus": f"predict {FACE} --model compact-ferplus",
    "predict-ensemble": f"predict {FACE} --model ensemble:compact+cnn",
    "predict-table": "predict {examples} --out {out}/read.csv",
    "predict-film": "predict {film} --video-out {out}",
    "crop": "crop {photographs} {out}/faces",
    "saliency": f"saliency {FACE} --target sad --against fear --top-fraction 0.3 --out {{out}}/why.png",
    "saliency-grad-cam": f"saliency {FACE} --model cnn --method grad-cam --out {{out}}/why.png",
    "activations": f"activations {FACE} conv2d_1 --model cnn --out {{out}}/maps.png",
    "activations-dense": f"activations {FACE} dense_2 --model cnn --no-detect --common --out {{out}}/maps.png",
    "ascend-clear": "ascend compact conv2d_3 --filters 0-2 --steps 4 --out {out}/grown.png",
    "ascend-report": "ascend cnn conv2d_1 --filters 0-2 --preset report --out {out}/grown.png",
    "ascend-classes": "ascend compact dense_1 --steps 4 --seed 1 --out {out}/grown.png",
    "ascend-parts": "ascend dnn dense_1 --filters 3,5 --steps 4 --parametrise waves --loop plain --out {out}/grown.png",
    "train": "train dnn --data {faces} --epochs 1 --batch-size 64 --out {out}/dnn",
    "evaluate": "evaluate {weights}/dnn --data {faces} --split PublicTest --tta",
    "benchmark-saliency": "benchmark-saliency {weights}/dnn --data {faces} --faces 4",
    "benchmark-regions": "benchmark-regions {weights}/dnn --data {faces} --per-class 2",
    "redundancy": "redundancy {weights}/cnn --data {faces} --faces 20 --prune-layers conv2d_1",
    "atlas": "atlas {weights}/dnn --data {faces}",
    "export": "export {weights}/dnn --data {faces} --out {out}/dnn.onnx",
    "study": "study cnn-against-dnn --quick --data {faces} --out {out}/study",
    "push": "push {weights}/dnn someone/dnn",
}
ONLY_KEYS = {"train", "study", "export"}  # numbers of a training, or of rounding errors, differ from machine to machine
REAL = {
    "data-evaluate": "evaluate {weights}/dnn --split PublicTest",
    "data-benchmark-regions": "benchmark-regions {weights}/dnn --per-class 5",
}
METHODS = (
    *("integrated-gradients", "occlusion", "gradient", "input-x-gradient", "smoothgrad", "gradient-shap", "deeplift"),
    *("ablation", "region-shap", "hirescam", "grad-cam", "guided-backprop", "guided-grad-cam", "deconvolution"),
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Haar's detector, and no Hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("FER_YUNET", raising=False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: "https://huggingface.co/someone/dnn")
    monkeypatch.setattr(HfApi, "upload_folder", lambda *_, **__: None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the commands write to."""
    folder = tmp_path_factory.mktemp("golden") / "weights"
    for name in ("compact", "cnn", "dnn", "compact-small"):
        shutil.copytree(checkpoint.WEIGHTS / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, weights: Path, folder_data: Path) -> dict[str, Path]:
    """What stands in braces in COMMANDS."""
    root = tmp_path_factory.mktemp("inputs")
    for name in ("happy", "sad"):
        (root / "photographs" / name).mkdir(parents=True)
        shutil.copy(EXAMPLES / f"{name}.png", root / "photographs" / name)
    places = {"examples": EXAMPLES, "weights": weights, "faces": folder_data, "photographs": root / "photographs"}
    return places | {"film": film(root / "film.avi")}


def film(file: Path) -> Path:
    """A second of the happy example."""
    import cv2

    picture = cv2.imread(str(EXAMPLES / "happy.png"))
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, picture.shape[1::-1])
    for _ in range(10):
        writer.write(picture)
    writer.release()
    return file


def check(name: str, found: object, only_keys: bool = False) -> None:
    """Compares with tests/golden/NAME.json, or writes it where $GOLDEN is "rewrite"."""
    file = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "rewrite":
        file.write_text(json.dumps(tidied(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    expected = json.loads(file.read_text(encoding="utf-8"))
    differences = list(compared(expected, json.loads(json.dumps(tidied(found))), name, only_keys))
    assert not differences, "\n".join([*differences[:20], "if this is meant: GOLDEN=rewrite, as this file's head says"])


def tidied(value: object) -> object:
    """Floats with six digits, so that the files stay short; 0 for what is measured anew each time."""
    if isinstance(value, dict):
        return {str(key): 0 if key in MEASURED else tidied(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [tidied(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def compared(expected: object, found: object, where: str, only_keys: bool):
    """A sentence for every difference."""
    numbers = isinstance(expected, int | float) and isinstance(found, int | float)
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            yield f"{where}: keys {list(found)}, expected {list(expected)}"
        for key in expected.keys() & found.keys():
            yield from compared(expected[key], found[key], f"{where}.{key}", only_keys)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{where}: {len(found)} values, expected {len(expected)}"
        for index in range(min(len(expected), len(found))):
            one, other = expected[index], found[index]
            yield from compared(one, other, f"{where}[{index}]", only_keys)
    elif only_keys and type(expected) is type(found):
        return
    elif (
        not (
            numbers
            and math.isclose(expected, found, rel_tol=RELATIVE, abs_tol=LOOSE.get(where.split(".")[0], ABSOLUTE))
        )
        and expected != found
    ):
        yield f"{where}: {found!r}, expected {expected!r}"


def ran(command: str, places: dict[str, Path], out: Path, capsys: pytest.CaptureFixture) -> dict:
    """The command, the JSON that it printed, and the files that it wrote to a folder of its own; paths as in braces."""
    arguments = [argument.format(out=out, **places) for argument in command.split()]
    assert main([*arguments, "--json"]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    for name, path in {"out": out, **places, "root": ROOT}.items():
        text = text.replace(str(path), f"{{{name}}}")
    files = {str(file.relative_to(out)): picture(file) for file in sorted(out.rglob("*")) if file.is_file()}
    return {"command": command, "answer": json.loads(text), "files": files}


def picture(file: Path) -> dict | None:
    """A PNG's size and its mean brightness in 4 x 4 cells; None for any other file."""
    if file.suffix != ".png":
        return None
    opened = Image.open(file).convert("L")
    cells = np.asarray(opened.resize((4, 4), Image.Resampling.BOX)) / 255
    return {"size": opened.size, "cells": cells.round(2).tolist()}


def statistics(maps: torch.Tensor) -> dict:
    """Of maps (B, 1, H, W): the mean, the spread, and the means of 4 x 4 cells of the first, over its largest value."""
    scale = maps.abs().amax().clamp(min=1e-12)
    cells = torch.nn.functional.adaptive_avg_pool2d(maps[:1] / scale, 4).flatten()
    return {
        "largest": scale.item(), "mean": (maps / scale).mean().item(), "spread": (maps / scale).std().item(),
        "cells": cells.tolist(),
    }  # fmt: skip


def faces() -> torch.Tensor:
    """Two of the examples, (2, 1, 48, 48) in 0..1."""
    opened = [Image.open(EXAMPLES / f"{name}.png").convert("L").resize((48, 48)) for name in ("happy", "sad")]
    return torch.from_numpy(np.stack([np.asarray(each) for each in opened])).float()[:, None] / 255


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_gives_its_golden_result(name: str, places, weights: Path, tmp_path: Path, capsys, monkeypatch):
    """Its JSON, and the names of its files; of pictures their size and brightness too."""
    if name == "ensemble":
        monkeypatch.setattr(checkpoint, "WEIGHTS", shutil.copytree(weights, tmp_path.with_name("selected")))
    monkeypatch.chdir(tmp_path)
    check(name, ran(COMMANDS[name], places, tmp_path, capsys), name in ONLY_KEYS)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_a_command_on_fer2013_gives_its_golden_result(name: str, fer2013, places, tmp_path: Path, capsys):
    """The same over the real faces."""
    check(name, ran(REAL[name], places, tmp_path, capsys))


@pytest.mark.parametrize("network", ["compact", "cnn"])
def test_saliency_maps_are_the_golden_ones(network: str):
    """Of every method that holds for the network, for two faces; the others refuse with the same sentence."""
    chain, found = fer.load_model(network), {}
    for method in METHODS:
        try:
            found[method] = statistics(fer.explain(chain, faces(), method, target=3, against=4))
        except ValueError as error:
            found[method] = str(error)
    check(f"maps-{network}", found)


def test_ascents_grow_as_the_golden_ones():
    """Three frames of three ascents from the same noise: values and pictures."""
    found = {}
    asked = (("compact", "conv2d_1", [0, 1]), ("compact", "conv2d_8", [5]), ("cnn", "dense_3", [3]))
    for network, layer, filters in asked:
        frames = list(fer.visualize(fer.load_model(network), layer, filters, seed=0, steps=4, every=2))
        found[f"{network} {layer}"] = [
            {"step": frame.step, "values": frame.values.tolist(), "image": statistics(frame.images)} for frame in frames
        ]
    check("ascents", found)


def test_feature_maps_are_the_golden_ones():
    """Of a convolution, an activation and a dense layer, for two faces."""
    chain, found = fer.load_model("cnn"), {}
    for layer in ("conv2d_1", "activation_2", "dense_1"):
        maps = fer.activation_maps(chain, layer, faces()).float()
        found[layer] = {"shape": list(maps.shape)} | statistics(maps.reshape(2, 1, maps[0].shape[0], -1))
    check("feature-maps", found)


def test_the_page_has_the_golden_endpoints_and_components(weights: Path):
    """Every named endpoint with its parameters and answers; every component with a name; how many events there are."""
    page = app_page.build(weights)
    info = page.get_api_info()
    keys = ("parameter_name", "parameter_has_default", "parameter_default", "type", "python_type")
    endpoints = {
        name: {
            "parameters": [{key: each.get(key) for key in keys} for each in told["parameters"]],
            "returns": [each["type"] for each in told["returns"]],
            "description": told.get("description"),
        }
        for name, told in sorted(info["named_endpoints"].items())
    }
    named = [
        (part["type"], part["props"].get("elem_id"), part["props"].get("label")) for part in page.config["components"]
    ]
    components = sorted(" ".join(filter(None, name)) for name in named if any(name[1:]))
    events = sorted([len(each["inputs"]), len(each["outputs"])] for each in page.config["dependencies"])
    check("page", {"endpoints": endpoints, "components": components, "events (inputs, outputs)": events})


def test_weights_has_the_golden_files():
    """By name: nothing is lost while files are moved or renamed."""
    files = (file.relative_to(checkpoint.WEIGHTS) for file in checkpoint.WEIGHTS.rglob("*") if file.is_file())
    kept = (file for file in files if not file.stem.startswith(("resume", ".")) and "runs" not in file.parts)
    check("weights", sorted(str(file) for file in kept))
