"""Every example of README.md, CONTRIBUTING.md and the model cards: who runs it; commands are run here.

Commands are run in a folder of their own, over networks of a few filters that go by the names in the README, and over
made-up faces. What would take long gets a flag more (`SHORT`); all go through the real parser, with their own words.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from PIL import Image
from torch import nn

from fer.cli.main import COMMANDS, main, parser_for
from fer.data import fer2013, labels
from fer.evaluation import predictions
from fer.models import checkpoint
from fer.models import registry as models_registry
from fer.training import config as training_config
from tests.pages import example_face

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
EXAMPLES = ROOT / "fer" / "data" / "assets" / "examples"
CARDS = sorted(ROOT.glob("weights/*/README.md"))

# How a block of code begins, and the file of tests that runs it. A block that begins in no such way has no test.
RUN_BY = {
    "import torch\nfrom fer import": "test_public_api.py",
    "from gradio_client import": "app/test_api.py",
    "api=http://127.0.0.1:7860/gradio_api": "app/test_api.py",
    '{"mcpServers"': "app/test_mcp.py",
    "python3 -m venv .venv && ": "test_readme.py",
    "python -m fer ": "test_readme.py",
    "hf repos create ": "test_readme.py",
    "pip install .": "test_packaging.py",
}
# Commands that other tests run: with a stand-in for the Hub, the page started, several processes, or slow ones.
ELSEWHERE = {"push": "release/test_hub.py", "check-space": "release/test_space.py", "web": "release/test_web.py",
             "torchrun": "training/test_distributed.py",
             "study": "studies/test_registry.py", "export": "release/test_onnx.py", "atlas": "features/test_atlas.py",
             "data": "cli/test_main.py"}  # fmt: skip
SHORT = {
    "train": "--epochs 1 --low-res-epochs 0 --batch-size 70",
    "benchmark-saliency": "--faces 2",
    "benchmark-regions": "--per-class 1",
    "redundancy": "--faces 28",
    "ascend": "--steps 2",
    "concepts": "--rank 2 --faces 16",
    "influence": "--faces 2",
}
WORDS = {
    "NETWORK": "compact",
    "NAME": "cnn",
    "COMMAND": "models",
    "MODEL": "compact",
    "VIDEO": "clip.mp4",
    "IMAGE": "photo.jpg",
}


FENCE = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> list[str]:
    """Fenced blocks, and those that are indented."""
    indented = re.findall(r"(?:^|\n\n)((?: {4}.*\n)+)", re.sub(FENCE, "", text))
    return re.findall(FENCE, text) + [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in indented]


def commands(text: str) -> list[str]:
    """Every command line of a text without its comment: lines of blocks, and what stands in backticks."""
    text = re.sub(r"<!--.*?-->", "", text)
    lines = [line for block in blocks(text) for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(FENCE, "", text))]
    found = [line.split(" #")[0].strip() for line in lines + spans]
    return list(dict.fromkeys(line for line in found if re.match(r"(python|torchrun|hf \w+) ", line)))


def fer_words(line: str) -> list[str] | None:
    """What the laboratory's own command line gets to read of a line, or None."""
    words = [WORDS.get(word, word) for word in shlex.split(line)]
    place = next((at for at in range(len(words) - 1) if words[at : at + 2] == ["-m", "fer"]), None)
    return None if place is None or len(words) == place + 2 else words[place + 2 :]


README = commands(DOCUMENTS[0].read_text(encoding="utf-8"))
LISTED = [
    line for line in README if fer_words(line) and line in "\n".join(blocks(DOCUMENTS[0].read_text(encoding="utf-8")))
]


# ------------------------------------------------------------------------------------------------ who runs what


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_has_a_test(document: Path):
    """Each begins as one of RUN_BY does, and the file named there is there."""
    for block in blocks(document.read_text(encoding="utf-8")):
        runs = [file for start, file in RUN_BY.items() if block.startswith(start)]
        assert len(runs) == 1, f"{document.name} has an example that no test runs: {block[:60]!r}"
        assert (Path(__file__).parent / runs[0]).is_file()


def test_blocks_and_commands_are_found_however_they_are_written():
    """A fence, an indented block and words in backticks; a comment is cut off."""
    text = "Words.\n\n```sh\npython -m fer a\n```\n\n    python -m fer b  # why\n    hf c d\n\n"
    text += "`python -m fer\ne`, `f`.\n<!-- `python -m fer g` -->\n"
    assert blocks(text) == ["python -m fer a\n", "python -m fer b  # why\nhf c d\n"]
    assert commands(text) == ["python -m fer a", "python -m fer b", "hf c d", "python -m fer e"]


@pytest.mark.parametrize("document", [*DOCUMENTS, *CARDS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_one_that_the_parser_knows(document: Path):
    """With flags that it has; what a training is told to do is checked as well. Benchmarks and demo.py's flags too."""
    for line in commands(document.read_text(encoding="utf-8")):
        words = shlex.split(line)
        if asked := fer_words(line):
            arguments = vars(parser_for(asked[0]).parse_args(asked))
            if asked[0] == "train":
                names = {key: value for key, value in arguments.items() if value is not None}
                assert training_config.default_config(**{key: value for key, value in names.items() if key not in OWN})
        elif words[:2] == ["python", "-m"]:
            assert words[2] in ("fer", "pytest") or find_spec(words[2]), line
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file() and set(words[2:]) <= demo_flags(), line
        else:
            assert words[0] == "hf", line


OWN = ("command", "run", "json", "data", "out", "restart", "teachers", "fold")


def demo_flags() -> set[str]:
    return set(re.findall(r"--[a-z]+", (ROOT / "fer" / "app" / "page.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("line", [line for line in README if line.startswith("hf ")])
def test_the_hubs_own_command_line_takes_these_words(line: str):
    """The help of the installed `hf` has the command and each of its flags; nothing is sent."""
    words = shlex.split(line)
    command = words[: next((at for at, word in enumerate(words) if "/" in word), None)]
    hf = Path(sys.executable).with_name("hf")
    told = subprocess.run(
        [hf, *command[1:], "--help"], capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    assert told.returncode == 0 and f"Usage: {' '.join(command)} " in told.stdout
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", told.stdout))


@pytest.mark.parametrize(
    "line", [block for block in blocks(DOCUMENTS[0].read_text(encoding="utf-8")) if block.startswith("python3")]
)
def test_what_the_set_up_installs_is_what_runs_here(line: str):
    """Its parts are a venv, a file of requirements, all of which are met here, and a program that is there."""
    venv, install, program = (shlex.split(part) for part in line.split("&&"))
    assert venv == ["python3", "-m", "venv", ".venv"] and install[:4] == [".venv/bin/pip", "install", "-q", "-r"]
    assert program[0] == ".venv/bin/python" and (program[1:] == ["-m", "pytest"] or (ROOT / program[1]).is_file())
    for required in requirements(ROOT / install[4]):
        if not required.extras:  # what MCP needs has a test that skips without it
            assert required.specifier.contains(version(required.name)), required


def requirements(file: Path) -> Iterator[Requirement]:
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            yield from requirements(file.parent / line[3:])
        elif line:
            yield Requirement(line)


# ------------------------------------------------------------------------------------------------ commands, run


def tiny(classes: int) -> Iterator[nn.Module]:
    """Seven convolutions of four filters."""
    for inputs in (1, 4, 4, 4, 4, 4, 4):
        yield nn.Conv2d(inputs, 4, 3, padding=1)
        yield nn.ReLU()
        yield nn.MaxPool2d(2) if inputs == 1 else nn.Dropout(0.1)
    yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def splits_of_noise(root: Path) -> Path:
    """Faces of noise, 10 of an emotion to train on, and 4 to choose on and to test on."""
    chance = np.random.default_rng(0)
    for part, count in (("train", 10), ("validation", 4), ("test", 4)):
        for emotion in labels.EMOTIONS:
            (root / part / emotion).mkdir(parents=True)
            for number in range(count):
                face = chance.integers(0, 256, (48, 48), dtype=np.uint8)
                Image.fromarray(face).save(root / part / emotion / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the commands speak of: photo.jpg, clip.mp4, two folders of photographs, and weights/."""
    folder = tmp_path_factory.mktemp("place")
    photo = example_face(240).convert("RGB")
    photo.save(folder / "photo.jpg")
    for emotion in ("angry", "happy", "sad", "surprise"):
        face = Image.open(EXAMPLES / f"{emotion}.png").convert("RGB").resize((240, 240))
        for place in ("FOLDER", f"PHOTOGRAPHS/{emotion}"):
            (folder / place).mkdir(parents=True, exist_ok=True)
            for number in range(2):
                face.rotate(9 * number).save(folder / place / f"{emotion}-{number}.jpg")
    film = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (240, 240))
    for _ in range(4):
        film.write(np.asarray(photo))
    film.release()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("compact", "cnn"):
            patch.setitem(models_registry.ARCHITECTURES, name, models_registry.Architecture(tiny))
        patch.setattr(checkpoint, "WEIGHTS", folder / "weights")
        patch.setenv("FER_WEIGHTS", str(folder / "weights"))
        patch.setenv("FER2013_ROOT", str(splits_of_noise(folder / "fer2013")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("FER_YUNET", raising=False)
        splits = fer2013.load_fer2013()
        for name in ("compact", "cnn"):
            torch.manual_seed(len(name))
            network = checkpoint.FERModel(name).eval()
            checkpoint.save_model(network, folder / "weights" / name)
            for split in ("PublicTest", "PrivateTest"):
                predictions.evaluate(network, split, splits[split], folder=folder / "weights" / name)
        yield folder


@pytest.mark.parametrize("line", LISTED)
def test_the_readmes_command_runs(place: Path, line: str, capsys: pytest.CaptureFixture):
    """Status 0, something said, and no complaint; or another file of tests runs it."""
    words = fer_words(line)
    if file := ELSEWHERE.get("torchrun" if line.startswith("torchrun") else words[0]):
        assert re.search(rf"\b{words[0]}\b", (Path(__file__).parent / file).read_text(encoding="utf-8"))
        return
    status = main([*words, *SHORT.get(words[0], "").split()])
    printed = capsys.readouterr()
    assert status == 0 and printed.out, printed.err
    assert "Error" not in printed.err


def test_every_command_of_the_program_is_in_the_readme():
    assert {fer_words(line)[0] for line in README if fer_words(line)} == set(COMMANDS)


def test_a_wrong_word_would_be_found(place: Path):
    """A flag that is not there, and a network."""
    with pytest.raises(SystemExit):
        parser_for("train").parse_args(["train", "cnn", "--epoch-count", "3"])
    assert main(["evaluate", "nothing"]) == 2
