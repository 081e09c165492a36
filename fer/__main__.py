"""``python -m fer COMMAND``: see `fer.cli.main`."""

import sys

from fer.cli.main import program

if __name__ == "__main__":
    sys.exit(program())
