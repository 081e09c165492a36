"""Files of results beside a model's weights, each stamped with the digest of those weights.

    REGIONS = Artifact("attribution_regions.npz", "regions", parse)
    REGIONS.save(folder, {"face": face, "maps": maps})
    found = REGIONS.load(folder)                         # what parse makes of it; an error where it is stale or broken

A file that carries no stamp, or that of other weights, is stale: it is never used, and its error names the file and
the command that makes it anew.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from fer.utils import io
from fer.utils.io import atomic_write

T = TypeVar("T")
WEIGHTS_FILE = "model.safetensors"
STAMP = "weights"  # the name that the digest has in a file

# What a file that was altered, or made by somebody who means harm, raises when it is read and taken apart.
_BROKEN: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
_BROKEN += (OverflowError, ZeroDivisionError, RecursionError)


class ArtifactError(ValueError):
    """A file beside weights cannot be used. One line: which file, why, and the command that makes it anew."""


class StaleError(ArtifactError):
    """It was made with other weights than those that lie beside it, or does not say with which."""


@dataclass(frozen=True)
class Artifact(Generic[T]):
    """One kind of file beside weights.

    name: within the model's folder; ``.json`` or ``.npz``. command: of ``python -m fer``, which makes the file anew of
    a model's name, as in ``evaluate {} --split PublicTest``; the name follows where there is no ``{}``. parse: makes of
    a file's content, a dict, what is asked for, and raises ValueError, KeyError or TypeError where it is unfit.
    """

    name: str
    command: str
    parse: Callable[[dict[str, Any]], T] = dict  # type: ignore[assignment]

    def save(self, folder: Path, content: dict[str, Any], digest: str | None = None) -> None:
        """Writes the file whole or not at all. digest: of the weights that it was made with, those in ``folder`` by
        default; without weights there, the file is not stamped.

        .npz: arrays and values that NumPy makes arrays of; .json: what JSON can hold.
        """
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = digest or digest_or_none(folder)
        stamped = ({STAMP: digest} if digest else {}) | content
        with atomic_write(path) as partial:
            if path.suffix == ".json":
                partial.write_text(json.dumps(stamped, indent=1) + "\n", encoding="utf-8")
            else:
                np.savez_compressed(partial, **stamped)

    def load(self, folder: Path) -> T:
        """What ``parse`` makes of the file.

        Where a folder has no weights, as where only a study's figures were kept, there is nothing to be stale against.

        Raises:
            FileNotFoundError: there is no such file.
            StaleError: it is of other weights, or not stamped.
            ArtifactError: it is broken, or ``parse`` refuses it.
        """
        try:
            content = self._content(folder / self.name)
        except FileNotFoundError:
            raise
        except _BROKEN as error:
            raise ArtifactError(self._broken(folder, error)) from error
        stamp = content.pop(STAMP, None)
        if (digest := digest_or_none(folder)) and str(stamp) != digest:
            why = "does not say with which weights it was made" if stamp is None else "was made with other weights"
            raise StaleError(self.sentence(folder, why))
        try:
            return self.parse(content)
        except ArtifactError:
            raise
        except _BROKEN as error:
            raise ArtifactError(self._broken(folder, error)) from error

    def load_or_none(self, folder: Path) -> T | None:
        """The same; None where there is none, or none that can be used. ``problem`` says why."""
        try:
            return self.load(folder)
        except (FileNotFoundError, ArtifactError):
            return None

    def problem(self, folder: Path) -> str:
        """Why the file that is there cannot be used, and the command that makes it anew; "" where nothing is wrong."""
        try:
            self.load(folder)
        except FileNotFoundError:
            return ""
        except ArtifactError as error:
            return str(error)
        return ""

    def sentence(self, folder: Path, why: str) -> str:
        """The file, what is wrong with it, and the command that makes it anew."""
        command = self.command if "{}" in self.command else self.command + " {}"
        return f"{folder.name}/{self.name} {why}: `python -m fer {command.format(folder.name)}` makes it anew"

    def _broken(self, folder: Path, error: Exception) -> str:
        return self.sentence(folder, f"is broken ({type(error).__name__})")

    def _content(self, path: Path) -> dict[str, Any]:
        if path.suffix != ".json":
            return io.load_npz(path)
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"{type(content).__name__}: expected an object")
        return content


def weights_digest(folder: Path) -> str:
    """The first sixteen hexadecimal digits of the SHA-256 of the weights in ``folder``.

    Raises:
        OSError: there are none.
    """
    path = folder / WEIGHTS_FILE
    status = path.stat()
    return _digest(path.absolute(), status.st_mtime_ns, status.st_size, status.st_ino)


def digest_or_none(folder: Path) -> str | None:
    """The same; None where there are no weights."""
    try:
        return weights_digest(folder)
    except OSError:
        return None


@functools.lru_cache(maxsize=64)
def _digest(path: Path, changed: int, size: int, node: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
