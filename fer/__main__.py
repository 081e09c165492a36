"""The command line: ``python -m fer COMMAND``.

Every command prints for a person and, with ``--json``, one JSON value for a program. An error is one line on standard
error and exit status 2.
"""

import sys

from fer.commands import COMMANDS
from fer.flags import parser_for


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0, or 2 after an error that the caller can mend."""
    arguments = vars(parser_for(COMMANDS).parse_args(argv))
    command = arguments.pop("command")
    try:
        COMMANDS[command](**arguments)
    except BrokenPipeError:
        return 0
    except (ValueError, OSError) as error:
        print(f"fer {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
