"""The command line: ``python -m fer COMMAND``, or ``fer COMMAND`` where the project is installed.

Every command prints for a person and, with ``--json``, one JSON value for a program. An error is one line on standard
error and exit status 2; pictures that `predict` could not read are a line each, and exit status 1.
"""

import argparse
import ast
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

# The module of fer.cli in which each command stands: a function of the command's name, and `add_parser`.
COMMANDS = {
    "data": "data",
    "models": "models",
    "summary": "models",
    "train": "train",
    "evaluate": "evaluate",
    "confusion": "evaluate",
    "ensemble": "evaluate",
    "predict": "predict",
    "crop": "predict",
    "saliency": "saliency",
    "benchmark-saliency": "saliency",
    "benchmark-regions": "saliency",
    "influence": "influence",
    "concepts": "concepts",
    "suspects": "suspects",
    "activations": "features",
    "redundancy": "features",
    "ascend": "features",
    "atlas": "features",
    "study": "study",
    "export": "release",
    "push": "release",
    "web": "web",
    "check-space": "release",
}


class _Parser(argparse.ArgumentParser):
    """An error is one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def parser_for(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, with the flags of the module of ``command`` alone: others are not imported."""
    parser = _Parser(prog="python -m fer", description="A laboratory for facial-expression networks.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    if command in COMMANDS:
        import_module(f"fer.cli.{COMMANDS[command]}").add_parser(subparsers)
        return parser
    for name, module in COMMANDS.items():
        subparsers.add_parser(name, help=_first_line(name.replace("-", "_"), Path(__file__).with_name(f"{module}.py")))
    return parser


def _first_line(function: str, file: Path) -> str:
    """What a command says of itself, read from its source so that nothing is imported."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    found = next(part for part in body if isinstance(part, ast.FunctionDef) and part.name == function)
    return (ast.get_docstring(found) or "").partition("\n")[0]


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0, or 1 after pictures that could not be read, or 2 after an error that the caller can mend."""
    words = sys.argv[1:] if argv is None else argv
    named = next((word for word in words if not word.startswith("-")), None)
    arguments = vars(parser_for(named).parse_args(words))
    command, run = arguments.pop("command"), arguments.pop("run")
    try:
        return run(**arguments) or 0
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print(f"fer {command}: stopped", file=sys.stderr)
        return 130  # as shells have it
    except (ValueError, OSError) as error:
        print(f"fer {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def program() -> int:
    """The command line as a program of its own: what the command ``fer`` starts."""
    sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text at all
    return main()
