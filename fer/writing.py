"""Atomic writes: a full disk, a kill or two writers at once leave the earlier file whole."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
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
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
