"""Files that are whole or not there: a full disk, a kill or two writers at once leave what was there before."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end of the block, and is gone if that fails.

    Raises:
        OSError: also for what torch and safetensors call otherwise when a disk is full.
    """
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except (SafetensorError, RuntimeError) as error:
        raise OSError(f"{path} cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        partial.unlink(missing_ok=True)
