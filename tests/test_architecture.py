"""The rules of the house: a package imports only packages above it in the table, importing does nothing, no cycles."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A package imports only those before it: the README's table of packages, from the ground up.
ORDER = (
    "utils data plotting models faces evaluation training inference attribution features studies release app cli"
).split()
# What else a package may import, by the name of the heavy library.
HEAVY = {
    "gradio": {"app"},
    "captum": {"attribution"},
    "cv2": {"faces", "inference", "app", "cli"},
    "matplotlib": {"plotting", "inference", "app"},
}
# What a machine with torch, torchvision, numpy, safetensors, huggingface_hub and tqdm must be able to import.
BARE = ("utils", "data", "models", "evaluation", "training", "studies")
FILES = sorted((ROOT / "fer").rglob("*.py"))
NAMES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def package_of(path: Path) -> str | None:
    """The package in which a file of fer/ lies; None for fer/__init__.py and fer/__main__.py."""
    parts = path.relative_to(ROOT / "fer").parts
    return parts[0] if len(parts) > 1 else None


def imports(path: Path) -> set[str]:
    """Full names of all that a file imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules(path: Path) -> set[str]:
    """The modules of fer that a file imports."""
    return {name if name in NAMES else name.rpartition(".")[0] for name in imports(path) if name.startswith("fer.")}


def test_only_the_front_and_the_entry_stand_beside_the_packages():
    """`ls fer/*.py` prints two files, and every folder of code is a package of the table."""
    assert sorted(path.name for path in (ROOT / "fer").glob("*.py")) == ["__init__.py", "__main__.py"]
    assert {package_of(path) for path in FILES} - {None} == set(ORDER)


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_above_it_in_the_table(package: str):
    """Itself and the ones before it in ORDER, within functions too."""
    allowed = ORDER[: ORDER.index(package) + 1]
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "fer" / package).rglob("*.py")
        for name in modules(path)
        if name.split(".")[1] not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_by_few_packages(library: str):
    """Gradio by the page, Captum by the attributions, OpenCV by what reads pictures, Matplotlib by what draws."""
    users = {package_of(path) for path in FILES if any(name.split(".")[0] == library for name in imports(path))}
    assert users <= HEAVY[library]


def test_no_modules_import_each_other_in_a_circle():
    """Not within functions either."""
    graph = {name: modules(path) & NAMES.keys() for name, path in NAMES.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above[above.index(name) :], name))
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_below_500_lines(path: Path):
    """A longer file has two subjects."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_what_trains_imports_neither_gradio_captum_nor_opencv():
    """Nor Matplotlib, so that a bare GPU machine can train: all modules of these packages, in a fresh process."""
    names = [name for name, path in NAMES.items() if package_of(path) in BARE]
    program = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfor name in {names!r}:\n    __import__(name)\n"
        f"print(sorted({set(HEAVY)!r} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout.strip(), run.returncode) == ("[]", 0), run.stderr


def test_the_page_does_not_import_the_trainer():
    """In a fresh process, with all tabs built from."""
    program = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport demo\nprint('fer.training.trainer' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout.strip(), run.returncode) == ("False", 0), run.stderr


def test_importing_does_nothing(tmp_path: Path):
    """All modules, imported in an empty folder, write no file, open no connection and say nothing."""
    names = ["demo", *(name for name in NAMES if not name.endswith("__main__"))]
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
        f"for name in {names!r}:\n"
        "    __import__(name)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
