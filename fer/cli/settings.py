"""Dataclasses of settings -> flags. A command has one; its fields are its flags, and the string under a field its help.

    @dataclass(frozen=True, kw_only=True)
    class ExportSettings(Settings):
        model: str
        "A model in weights/."  # without a default: a positional argument, MODEL
        out: str | None = argument(None, "FILE")
        "Where to write, instead of MODEL.onnx."  # --out FILE

    def export(settings: ExportSettings) -> None:
        "Writes a model as ONNX."

    def add_parser(subparsers) -> None:
        add_command(subparsers, export, ExportSettings)

Settings are checked where they are made, in ``__post_init__``, before anything is read or computed.
"""

import argparse
import ast
import inspect
import textwrap
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, dataclass, field, fields
from itertools import pairwise
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Subparsers = Any  # what `ArgumentParser.add_subparsers` gives; its class is private


def argument(default: Any = MISSING, metavar: str | None = None, positional: bool = False) -> Any:
    """A field whose value has another name in the help than its own; positional: also where it may be left out."""
    return field(default=default, metadata={"metavar": metavar, "positional": positional or default is MISSING})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every command takes."""

    json: bool = False
    """Print one JSON value on standard output, and nothing else there."""


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """What every command takes that reads FER-2013."""

    data: str | None = argument(None, "DIR")
    """Where FER-2013 is: a folder or a CSV file. By default $FER2013_ROOT, else data/."""


def add_command(
    subparsers: Subparsers, function: Callable[[Any], int | None], settings: type
) -> argparse.ArgumentParser:
    """Adds the command ``function``, named and described as it is, with a flag for each field of ``settings``."""
    parser = subparsers.add_parser(
        function.__name__.replace("_", "-"),
        description=inspect.getdoc(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_flags(parser, settings)
    parser.set_defaults(run=lambda **given: function(settings(**given)))
    return parser


def add_flags(
    parser: argparse._ActionsContainer, settings: type, skip: Collection[str] = (), optional: bool = False
) -> None:
    """Adds an argument for each field of the dataclass ``settings``, but for those called ``skip``.

    optional: a flag that is not given is None, whatever the field's default is, and a bool has a --no-FLAG as well.
    """
    docs, types = field_docs(settings), get_type_hints(settings)
    for each in fields(settings):
        if each.name not in skip:
            _add_flag(parser, each, types[each.name], docs.get(each.name, ""), optional)


def field_docs(settings: type) -> dict[str, str]:
    """The string under each field of a dataclass, on one line, by the field's name; inherited ones as well."""
    docs: dict[str, str] = {}
    for owner in reversed(settings.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body  # type: ignore[attr-defined]
        for part, following in pairwise(body):
            if isinstance(part, ast.AnnAssign) and isinstance(following, ast.Expr):
                docs[part.target.id] = " ".join(ast.literal_eval(following.value).split())  # type: ignore[union-attr]
    return docs


def _add_flag(parser: argparse._ActionsContainer, each: Field, kind: Any, doc: str, optional: bool) -> None:
    words: dict[str, Any] = {"help": doc.replace("%", "%%")}
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    positional = each.metadata.get("positional", each.default is MISSING and each.default_factory is MISSING)
    default = None if optional or each.default is MISSING else each.default
    if not positional:
        words["default"] = default
        words["help"] += "" if default in (None, False, "", ".", ()) else f" Default: {default}."
    if kind is bool:
        words["action"] = argparse.BooleanOptionalAction if optional else "store_true"
    elif get_origin(kind) is Literal:
        words |= {"choices": get_args(kind), "metavar": each.metadata.get("metavar") or "|".join(get_args(kind))}
    else:
        if get_origin(kind) is list:
            kind, words["nargs"] = get_args(kind)[0], "+"
        usual = {int: "N", float: "X"}.get(kind, each.name.upper())
        words |= {"type": kind, "metavar": each.metadata.get("metavar") or usual}
    if positional and each.default is not MISSING:
        words |= {"nargs": "?", "default": each.default}
    parser.add_argument(each.name if positional else f"--{each.name.replace('_', '-')}", **words)
