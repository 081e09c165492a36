"""What commands print for programs."""

import json


def print_json(value: object) -> None:
    """One JSON value on a line of standard output."""
    print(json.dumps(value))
