"""The command line: ``python -m fer COMMAND``, or ``fer COMMAND`` where the project is installed.

Every command prints for a person and, with ``--json``, one JSON value for a program. An error is one line on standard
error and exit status 2; pictures that `predict` could not read are a line each, and exit status 1.
"""

import sys

from fer.cli.commands import COMMANDS
from fer.cli.flags import parser_for


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0, or 1 after pictures that could not be read, or 2 after an error that the caller can mend."""
    arguments = vars(parser_for(COMMANDS).parse_args(argv))
    command = arguments.pop("command")
    try:
        return COMMANDS[command](**arguments) or 0
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
