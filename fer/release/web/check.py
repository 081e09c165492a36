"""Whether a folder is a static Space that works: what ``python -m fer check-space OUT`` says of a site of `fer web`."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from fer.release.web import runtime, site

OWN = re.compile(r"""(?:src|href)="(?!https?:|data:)([^"]+)\"""")  # what index.html loads of the folder itself
ADDRESS = re.compile(r"https?://[\w.-]+[^\s\"'`;)]*")


def table(root: Path) -> dict:
    """What `site.js` holds. Raises ValueError where there is none, or a broken one."""
    try:
        text = (root / "site.js").read_text(encoding="utf-8")
        return json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (OSError, ValueError):
        raise ValueError(f"{root / 'site.js'} is missing or broken: `python -m fer web` writes it") from None


def pages(root: Path) -> Iterator[tuple[bool, str]]:
    """Every file that index.html, the service worker and the table name is there."""
    index, found = (root / "index.html").read_text(encoding="utf-8"), table(root)
    named = set(OWN.findall(index)) | {entry["file"] for entry in found["examples"]}
    named |= {"sw.js", "worker.js", "vision.js"}
    missing = sorted(name for name in named if not (root / name).is_file())
    yield (
        not missing,
        f"missing: {', '.join(missing)}" if missing else f"{len(named)} files that the page names are there",
    )


def digests(root: Path) -> Iterator[tuple[bool, str]]:
    """Models and runtime are the very files whose digests the page compares."""
    found = table(root)
    builds = [entry for build in found["runtime"].values() for entry in build.values()]
    for entry in (*found["models"], found["yunet"], *builds):
        if entry["file"].startswith("https:"):
            continue
        file = root / entry["file"]
        good = file.is_file() and runtime.sha384(file.read_bytes()) == entry["sha384"]
        if not good:
            yield False, f"{entry['file']} is {'another file' if file.is_file() else 'missing'}"
    pinned = runtime.table(), runtime.table("runtime/")
    yield found["runtime"] in pinned, f"ONNX Runtime Web {runtime.VERSION}, pinned by SHA-384"


def hosts(root: Path) -> Iterator[tuple[bool, str]]:
    """The page's Content-Security-Policy names no other host than those that its files come from."""
    index, found = (root / "index.html").read_text(encoding="utf-8"), table(root)
    stated = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', index)
    own = not found["runtime"]["wasm"]["script"]["file"].startswith("https:")
    expected = site.policy(own, not found["yunet"]["file"].startswith("https:"))
    yield bool(stated) and stated[1] == expected, f"policy: {stated[1] if stated else 'none'}"
    for name in ("index.html", "style.css", "page.js", "worker.js", "vision.js", "sw.js"):
        text = (root / name).read_text(encoding="utf-8").replace(expected, "")
        foreign = [address for address in ADDRESS.findall(text) if not address.startswith("http://www.w3.org/")]
        if foreign:
            yield False, f"{name} names {', '.join(foreign)}"


CHECKS: dict[str, Callable[[Path], Iterator[tuple[bool, str]]]] = {"pages": pages, "digests": digests, "hosts": hosts}
