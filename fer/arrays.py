"""The arrays of an ``.npz``, which may have been cut short, altered, or made by somebody who means harm."""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

# Whatever NumPy and zipfile raise on a file that is none of theirs; ValueError is also its refusal to unpickle.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, TypeError, KeyError, AttributeError)
_BROKEN += (NotImplementedError, RuntimeError, MemoryError, SyntaxError)


def read(path: Path) -> dict[str, np.ndarray]:
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
