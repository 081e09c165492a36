"""Writes requirements.lock: the versions of this environment, with which the tests were run.

    python -m tests.lock

It holds what tests/requirements.txt asks for and whatever that needs, without packages of one platform (NVIDIA's).
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEAD = "# The versions that the tests were run with; `python -m tests.lock` writes this file.\n"
PLATFORM = re.compile(r"nvidia-|cuda-|triton")


def requirements(file: Path) -> list[Requirement]:
    """What a file of requirements and the files that it names with -r ask for."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            found += requirements(file.parent / line[3:])
        elif line:
            found.append(Requirement(line))
    return found


def closure(asked: list[Requirement]) -> dict[str, str]:
    """The installed version of each distribution that these need, directly or not; without what is not installed."""
    pins: dict[str, str] = {}
    seen, waiting = set(), [(each, {""}) for each in asked]
    while waiting:
        required, extras = waiting.pop()
        name = canonicalize_name(required.name)
        wanted = any(required.marker is None or required.marker.evaluate({"extra": extra}) for extra in extras)
        if not wanted or PLATFORM.match(name) or (name, frozenset(required.extras)) in seen:
            continue
        seen.add((name, frozenset(required.extras)))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        pins[name] = installed.version.split("+")[0]
        waiting += [(Requirement(line), {"", *required.extras}) for line in installed.requires or ()]
    return dict(sorted(pins.items()))


def main() -> None:
    pins = closure(requirements(ROOT / "tests" / "requirements.txt"))
    LOCK.write_text(HEAD + "".join(f"{name}=={version}\n" for name, version in pins.items()), encoding="utf-8")
    print(f"{LOCK.name}: {len(pins)} packages")


if __name__ == "__main__":
    main()
