"""Flags come from dataclasses, each with its help, and nothing heavy is imported before a command needs it."""

import argparse
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pytest

from fer.cli.main import COMMANDS, main, parser_for
from fer.cli.settings import Settings, add_command, argument, field_docs
from fer.data.transforms import Augmentation
from fer.training.config import TrainConfig

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class ToySettings(Settings):
    paths: list[str] = argument(metavar="PATH")
    """What is read."""
    place: str | None = argument(None, "DIR", positional=True)
    """Where it is."""
    kind: Literal["a", "b"] = "a"
    """Its kind, of which 50 %
    are a."""
    count: int | None = None
    """How many."""

    def __post_init__(self) -> None:
        if self.count == 0:
            raise ValueError("count is 0: expected 1 or more")


def parse(*words: str) -> dict:
    """What the command `toy` is given."""
    given = {}

    def toy(settings: ToySettings) -> None:
        """Do nothing."""
        given.update(vars(settings))

    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(dest="command"), toy, ToySettings)
    arguments = vars(parser.parse_args(["toy", *words]))
    del arguments["command"]
    arguments.pop("run")(**arguments)
    return given


def test_fields_become_positional_arguments_and_flags_with_their_defaults():
    usual = {"json": False, "place": None, "kind": "a", "count": None}
    assert parse("x", "--kind", "a") == usual | {"paths": ["x"]}
    assert parse("x", "y", "--count", "3", "--kind", "b", "--json")["count"] == 3


def test_settings_are_checked_where_they_are_made():
    with pytest.raises(ValueError, match="count is 0"):
        parse("x", "--count", "0")
    with pytest.raises(SystemExit):
        parse("x", "--kind", "c")


def test_the_string_under_a_field_is_its_help_on_one_line():
    docs = field_docs(ToySettings)
    assert list(docs) == ["json", "paths", "place", "kind", "count"]
    assert docs["kind"] == "Its kind, of which 50 % are a."


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_every_command_has_a_help_line(command: str):
    (subparsers,) = (part for part in parser_for(command)._actions if part.choices)
    for action in subparsers.choices[command]._actions:
        assert action.help and len(action.help) > 5, action.option_strings or action.dest
    assert subparsers.choices[command].format_help().startswith(f"usage: python -m fer {command}")


def test_the_help_of_train_explains_the_recipe(capsys: pytest.CaptureFixture):
    """Every field of TrainConfig and Augmentation, with the words that stand under it in the source."""
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "recipe" in words and "PrivateTest is never read" in words
    for config in (TrainConfig, Augmentation):
        docs = field_docs(config)
        for each in fields(config):
            if each.name not in ("network", "augmentation"):
                assert f"--{each.name.replace('_', '-')}" in words
                assert docs[each.name][:20] in words


def test_an_unknown_command_or_flag_is_one_line_and_status_2(capsys: pytest.CaptureFixture):
    for words in (["nothing"], ["train", "cnn", "--epoch-count", "3"], [], ["models", "--readme=3"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "words", ["--help", "models", "models --json", "models --help", "summary --help", "data --help"]
)
def test_what_needs_no_torch_does_not_import_it(words: str):
    """Neither at import, nor for the lists of commands and models, nor for a help."""
    code = (
        "import sys; from fer.cli.main import main\n"
        f"try: main({words.split()!r})\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'gradio', 'captum', 'cv2', 'matplotlib'} & sys.modules.keys()), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (run.stderr.strip(), run.returncode) == ("[]", 0) and run.stdout
