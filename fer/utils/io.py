"""Atomic writes, and reading of ``.npz`` files that may be truncated, altered or malicious."""

import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

# Whatever NumPy and zipfile raise on a file that is none of theirs; ValueError is also its refusal to unpickle.
_BROKEN: tuple[type[Exception], ...] = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, SyntaxError)
_BROKEN += (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, RuntimeError, MemoryError)


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """All of a file's arrays by name; none holds Python objects, so nothing is ever unpickled.

    Raises:
        OSError: there is no such file.
        ValueError: it is no .npz, or a broken one.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return dict(file)
    except _BROKEN as error:
        raise ValueError(f"{path.name} is broken ({type(error).__name__})") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which replaces `path` at the end of the block and is removed if that fails.

    A symbolic link at `path` is replaced, never followed.

    Raises:
        OSError: also for what torch and safetensors raise as another error when a disk is full.
    """
    path = Path(path)
    partial = beside(path)
    try:
        yield partial
        partial.replace(path)
    except (SafetensorError, RuntimeError) as error:
        raise OSError(f"{path} cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        partial.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A name in the folder of `path`, with its ending, that no other process or thread writes to."""
    return path.with_name(f".{os.getpid()}-{threading.get_ident()}.{path.name[-40:]}")  # a name has at most 255 bytes


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all. Raises OSError."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
