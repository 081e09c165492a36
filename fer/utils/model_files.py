"""Models as files: where they are kept, what they are called, and a list of them that loads no weights and no torch."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

import fer
from fer.utils import artifacts

PACKAGE = Path(fer.__file__).resolve().parent
PREFIX = "ensemble:"  # ensemble:a+b
SELECTED = "ensemble"  # the one whose members stand in weights/ensemble.json
PACKAGED = PACKAGE / "weights"  # in an installed wheel alone: `compact`


def weights_folder(package: Path = PACKAGE) -> Path:
    """$FER_WEIGHTS, else weights/ of the checkout that ``package`` stands in, else weights/ of the current folder."""
    if given := os.environ.get("FER_WEIGHTS"):
        return Path(given)
    checkout = package.parent
    return (checkout if (checkout / "pyproject.toml").is_file() else Path()) / "weights"


# ------------------------------------------------------------------------------------------------ a list of them

DEFAULT = "compact"  # the model that is used where none is named


@dataclass(frozen=True)
class ModelFacts:
    """A model's name, its parameters (Keras's count: BN statistics included), its labels, and metrics by split."""

    name: str
    parameters: int
    labels: tuple[str, ...]
    metrics: dict


def read_models(folder: Path | None = None) -> list[ModelFacts]:
    """Every model of ``folder``, by default `weights_folder`, and of an installed wheel: `compact`, the others by name,
    and last the ensemble that was selected.

    Raises:
        ValueError: a file is broken, or the ensemble was selected with other weights; with the command that mends it.
    """
    places = (folder,) if folder else (weights_folder(), PACKAGED)
    found: dict[str, Path] = {}
    for path in (file.parent for place in places for file in place.glob("*/config.json")):
        found.setdefault(path.name, path)
    models = [_read(found[name]) for name in sorted(found, key=lambda name: (name != DEFAULT, name))]
    selected = places[0] / f"{SELECTED}.json"
    return models + ([_read_ensemble(selected, models)] if selected.is_file() else [])


def _read(folder: Path) -> ModelFacts:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        labels, metrics = tuple(map(str, config["labels"])), dict(config.get("metrics") or {})
        with safe_open(folder / artifacts.WEIGHTS_FILE, "np") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys() if not key.endswith("_tracked")]  # noqa: SIM118
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, SafetensorError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ValueError(f"{folder} cannot be used ({reason}): train it anew, or take it out of the folder") from error
    return ModelFacts(folder.name, sum(map(math.prod, shapes)), labels, metrics)


def _read_ensemble(path: Path, models: list[ModelFacts]) -> ModelFacts:
    known = {model.name: model for model in models}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        members, metrics = [known[name] for name in kept["members"]], dict(kept["metrics"])
        stamps = {member.name: artifacts.digest_or_none(path.parent / member.name) for member in members}
        changed = [name for name, digest in stamps.items() if (kept.get("weights") or {}).get(name) != digest]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is missing or broken: `python -m fer ensemble` makes it") from error
    if changed:
        names = ", ".join(changed)
        raise ValueError(f"{path} was made with other weights of {names}: `python -m fer ensemble` makes it anew")
    name = PREFIX + "+".join(member.name for member in members)
    return ModelFacts(name, sum(member.parameters for member in members), members[0].labels, metrics)
