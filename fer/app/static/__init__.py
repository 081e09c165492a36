"""The page's CSS, JavaScript and HTML, as files: `static.text("strip.css")` is the content of one of them."""

import functools
from pathlib import Path

FOLDER = Path(__file__).parent


@functools.cache
def text(*names: str) -> str:
    """The content of these files of fer/app/static/, one after the other.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
