"""The house's rules: imports go down only, importing does nothing, and files stay short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The rooms, floor by floor, the lowest first.
FLOORS = [
    set(rooms.split())
    for rooms in (
        "arrays artifacts augmentation committee configs crop data degradations fer2013 image_folder labels networks "
        "pictures read_report taggers threads writing",
        "checkpoint copies export faces facespace filters frames marked parts presets recipes scenes team "
        "verifier zip_dataset",
        "activations ascent attributions evaluation faithfulness inheritance mosaic plots prediction pruning saliency "
        "units",
        "album annotation answers atlas calibration cards charts corruptions distillation election flags hub lessons "
        "mixups predictor pseudo published reasons redundancy regions responses shipped soundness space studies "
        "thinning tracking training trials trust video",
        "commands tabs",
        "__main__",
        "demo",
    )
]
HEAVY = {"gradio", "captum", "cv2", "matplotlib"}
# What a machine that only trains must be able to import.
BARE = set(
    (
        "arrays artifacts augmentation cards checkpoint configs corruptions crop data degradations distillation "
        "election evaluation export fer2013 hub image_folder inheritance labels lessons networks pictures pseudo "
        "read_report recipes shipped studies taggers team threads training trials units writing zip_dataset"
    ).split()
)
FILES = sorted([ROOT / "demo.py", *(ROOT / "fer").rglob("*.py")])


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if len(parts) == 1 else parts[1]


def imports(path: Path) -> set[str]:
    """Full names of all that a file imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path):
    """A room knows rooms on its own floor or below, never one above."""
    own = room(path)
    if own != "__init__":
        rooms = {name.split(".")[1] for name in imports(path) if name.startswith("fer.")}
        assert all(floor(other) <= floor(own) for other in rooms), f"{own} imports {rooms}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_tabs_and_the_demo_know_gradio(path: Path):
    """And what trains knows neither Gradio, Captum, OpenCV nor Matplotlib."""
    tops = {name.split(".")[0] for name in imports(path)}
    if room(path) not in ("tabs", "demo"):
        assert "gradio" not in tops
    if room(path) in BARE:
        assert not tops & HEAVY


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_below_500_lines(path: Path):
    """A longer file is two rooms."""
    assert len(path.read_text().splitlines()) <= 500


def test_importing_does_nothing(tmp_path: Path):
    """All modules, imported in an empty folder, write no file, open no connection and say nothing."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES]
    program = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event == 'socket.connect' or (event == 'open' and args[1] and set(args[1]) & set('wax+')):\n"
        "        raise SystemExit(f'{event} {args}')\n"
        "sys.argv = ['python', '--nonsense']\n"
        "sys.dont_write_bytecode = True\n"
        "import torch, torchvision, gradio, captum.attr, cv2, matplotlib.figure, huggingface_hub\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "sys.addaudithook(hook)\n"
        f"for name in {[name for name in modules if not name.endswith('__main__')]!r}:\n"
        "    __import__(name)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
