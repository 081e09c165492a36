"""``config.json`` of a checkpoint: what it may hold, checked before anything is made of it.

Whoever wrote it may be a stranger, and its words go into pages, cards and file names: so they are words.
"""

import json
import re
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from fer.models.registry import ARCHITECTURES

_LABEL = re.compile(r"[\w][\w ./+'-]{0,39}")
_NAME = re.compile(r"[\w][\w.+:-]{0,79}")
_SHARES = ("accuracy", "accuracy_deduplicated", "macro_f1", "balanced_accuracy", "ece")
_COUNTS, _INTERVALS = ("n", "n_deduplicated"), ("ci95", "ci95_deduplicated")


def read_config(path: Path) -> dict:
    """What a ``config.json`` holds. Raises ValueError, in a line that names the file, for what no network has."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in ("architecture", "labels", "temperature") if key not in config]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is missing or broken ({type(error).__name__}): {str(error)[:200]}") from error
    if missing or not isinstance(config, dict):
        raise ValueError(f"{path} is broken: it has no {', '.join(missing) or 'keys'}")
    try:
        check_fields(config)
    except ValueError as error:
        raise ValueError(f"{path} has {error}") from None
    return config


def check_fields(config: dict) -> None:
    """Raises ValueError for the first value that no network can have, in words that say what would be right."""
    for key, (holds, right) in CHECKS.items():
        if key in config and not holds(config[key]):
            raise ValueError(f"the {key} {str(config[key])[:80]!r}: expected {right}")


def _are_labels(given: Any) -> bool:
    words = isinstance(given, list | tuple) and all(isinstance(one, str) and _LABEL.fullmatch(one) for one in given)
    return words and 2 <= len(given) <= 100 and len(set(given)) == len(given)


def _is_number(given: Any, low: float = -inf, high: float = inf) -> bool:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    return number and -1e300 < given < 1e300 and low <= given <= high


def _is_adjustment(given: object) -> bool:
    if not isinstance(given, dict) or set(given) != {"share", "prior"} or not isinstance(given["prior"], list):
        return False
    return _is_number(given["share"], 0, 2) and all(_is_number(part, 1e-6, 1) for part in given["prior"])


def _are_figures(given: object) -> bool:
    """Figures by the split that they are of, as `cards.record` keeps them; whatever else is there is a lone number."""
    rows = given.items() if isinstance(given, dict) else [("", None)]
    return all(_is_row(row) if "test" in str(key) else _is_number(row) for key, row in rows)


def _is_row(row: object) -> bool:
    if not isinstance(row, dict):
        return False
    intervals = [row.get(key) for key in _INTERVALS]
    return (
        all(_is_number(row.get(key), 0, 1) for key in _SHARES)
        and all(_is_number(row.get(key), 0) for key in _COUNTS)
        and all(isinstance(part, list) and len(part) == 2 and all(map(_is_number, part)) for part in intervals)
    )


def _is_plain(given: Any) -> bool:
    """Nothing but numbers and short words on one line, without a backtick, which would end a card's code."""
    if isinstance(given, dict):
        return all(map(_is_plain, (*given, *given.values())))
    if isinstance(given, list | tuple):
        return all(map(_is_plain, given))
    return given is None or isinstance(given, int | float) or (given.isprintable() and "`" not in given)


CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "architecture": (lambda x: isinstance(x, str) and x in ARCHITECTURES, f"one of {', '.join(ARCHITECTURES)}"),
    "name": (lambda x: x is None or (isinstance(x, str) and bool(_NAME.fullmatch(x))), "letters, digits and dashes"),
    "labels": (_are_labels, "at least two different names, of letters, digits and spaces"),
    "temperature": (lambda x: _is_number(x, 1e-3, 1e3), "a number above 0"),
    "logit_adjustment": (lambda x: x is None or _is_adjustment(x), "a share, and a frequency above 0 for each label"),
    "prediction_set": (lambda x: _is_number(x, 0, 1), "a probability, 0 to 1"),
    "confidence_threshold": (lambda x: _is_number(x, 0, 1), "a probability, 0 to 1"),
    "metrics": (lambda x: x is None or _are_figures(x), "what `python -m fer evaluate` measured"),
    "train_config": (lambda x: x is None or (isinstance(x, dict) and _is_plain(x)), "the settings of a training"),
}
