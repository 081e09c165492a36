"""Installed as a wheel: the code, `compact`'s weights and the command `fer`; and what is asked of other packages."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.version import Version

from fer.models import checkpoint
from fer.utils import model_files
from tests import lock

ROOT = Path(__file__).resolve().parent.parent
UNBOUNDED = {"torch", "torchvision", "gradio", "ruff", "onnxscript"}  # a Space brings its own; 0.x has no promise


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    setuptools = pytest.importorskip("setuptools", "77", reason="an older setuptools; pip would get one to build with")
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("fer", "weights/compact"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "resume.pt"))
    build = f"from setuptools import build_meta; print(build_meta.build_wheel(r'{out}'))"
    made = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True)
    assert made.returncode == 0, (setuptools.__version__, made.stderr)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_all_of_fer_and_compact(wheel: Path):
    """Every file of fer/ and three of weights/compact/; no tests; less than 10 MB."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {str(file.relative_to(ROOT).as_posix()) for file in (ROOT / "fer").rglob("*") if file.is_file()}
    files = {name for name in files if "__pycache__" not in name and not name.startswith("fer/weights/")}
    assert names == files | {
        f"fer/weights/compact/{name}" for name in ("config.json", "model.safetensors", "README.md")
    }
    assert wheel.name.startswith("fer_laboratory-") and wheel.stat().st_size < 10_000_000


def test_the_wheel_reads_a_face_from_any_folder(wheel: Path, tmp_path: Path):
    """`Predictor("compact")` and the function of the command `fer`, in a folder without weights/."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    example = tmp_path / "site" / "fer" / "data" / "assets" / "examples" / "happy.png"
    code = (
        "import sys; from fer import Predictor; from fer.models import checkpoint; from fer.cli.main import program\n"
        f"print(Predictor('compact')({str(example)!r}).faces[0].emotion, checkpoint.list_checkpoints())\n"
        f"sys.argv = ['fer', 'predict', {str(example)!r}, '--json']\n"
        "sys.exit(program())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "FER_WEIGHTS"}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("happy ['compact']") and '"emotion": "happy"' in ran.stdout
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert told["scripts"] == {"fer": "fer.cli.main:program"}


def test_networks_are_found_in_the_named_folder_then_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """$FER_WEIGHTS first; what it lacks comes out of the wheel; what neither has is told with all the places."""
    torch.manual_seed(0)
    for place in ("named", "packaged"):
        checkpoint.save_model(
            checkpoint.FERModel("dnn", temperature=2.0 if place == "named" else 1.0), tmp_path / place / "dnn"
        )
    checkpoint.save_model(checkpoint.FERModel("dnn", name="other"), tmp_path / "packaged" / "other")
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path / "named")
    monkeypatch.setattr(checkpoint, "PACKAGED", tmp_path / "packaged")
    assert checkpoint.list_checkpoints() == ["dnn", "other"]
    assert checkpoint.load_model("dnn").temperature == checkpoint.load_meta("dnn").temperature == 2
    assert checkpoint.load_model("other").name == checkpoint.load_meta("other").name == "other"
    with pytest.raises(checkpoint.CheckpointError) as error:
        checkpoint.load_model("nothing")
    assert all(
        word in str(error.value) for word in (str(tmp_path / "named"), "dnn, other", "$FER_WEIGHTS", "OWNER/NAME")
    )


def test_where_there_is_no_checkout_weights_are_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Training with an installed package does not write into the package."""
    monkeypatch.delenv("FER_WEIGHTS", raising=False)
    assert model_files.weights_folder(tmp_path / "site-packages" / "fer") == Path("weights")
    assert model_files.weights_folder(ROOT / "fer") == ROOT / "weights"
    monkeypatch.setenv("FER_WEIGHTS", str(tmp_path))
    assert model_files.weights_folder(ROOT / "fer") == tmp_path


def test_requirements_have_bounds_and_the_lock_file_keeps_them():
    """A lower bound each, an upper one but where another program brings its own version; the lock file has them all."""
    asked = lock.requirements(ROOT / "tests" / "requirements.txt")
    lines = lock.LOCK.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds: dict[str, str] = {}
    for each in asked:
        bounds[each.name] = bounds.get(each.name, "") + str(each.specifier)
        assert each.specifier.contains(Version(pins[each.name.lower().replace("_", "-")]))
    for name, bound in bounds.items():
        assert ">=" in bound and ("<" in bound.replace("<=", "<") or name in UNBOUNDED), f"{name}{bound}"
    assert not [name for name in pins if re.match("nvidia|cuda|triton", name)]


def test_the_hub_is_as_new_as_gradio_needs():
    """Gradio's own lower bound of huggingface_hub is not above ours, so the lowest versions fit each other."""
    from importlib.metadata import requires

    needed = next(Requirement(line) for line in requires("gradio") if line.startswith("huggingface-hub"))
    ours = next(each for each in lock.requirements(ROOT / "requirements.txt") if each.name == "huggingface_hub")
    lowest = next(each.version for each in ours.specifier if each.operator == ">=")
    assert needed.specifier.contains(Version(lowest))
