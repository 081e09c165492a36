"""Whether a folder is a Hugging Face Space as it stands: ``python -m fer check-space [OUT]``.

What can be told here is: the README's front matter, the requirements, files that git alone may not bring to the Hub,
and the page itself, which is started without network and timed; of a static site, as `fer web` writes it, its files.
Keys and values are those of the Hub's documentation ("Spaces Configuration Reference").
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from fer.release.web import check as web_check

ROOT = Path(__file__).resolve().parents[2]
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
PYTHONS = ("3.10", "3.12")  # what ZeroGPU runs
LARGE_FILE_BYTES = 10_000_000  # bytes; larger files go to the Hub by `hf upload` or git-xet
PLATFORM_PACKAGES = ("spaces", "huggingface-hub")  # the Space's own; a pin of ours could only disagree
MAX_START_SECONDS, MAX_START_MEGABYTES = 15, 2000  # what start-up aims at, on two cores
HEADERS = {f"cross-origin-{name}" for name in ("embedder-policy", "opener-policy", "resource-policy")}
_NEEDED = {"title", "sdk", "sdk_version", "app_file"}
_KNOWN = _NEEDED | {"emoji", "colorFrom", "colorTo", "python_version", "short_description", "license", "tags"}
_KNOWN |= {"models", "datasets", "preload_from_hub", "pinned", "thumbnail", "suggested_hardware", "header"}
_KNOWN |= {"startup_duration_timeout", "fullWidth", "disable_embedding", "custom_headers"}


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: whether it is as a Space needs it, and what was found."""

    check: str
    good: bool
    found: str


def check_space(root: Path = ROOT) -> list[Finding]:
    """All findings about the folder ``root``; unless it is a static site, its page is started, for at most a minute."""
    if not (root / "README.md").is_file():
        return [Finding("front matter", False, f"{root} has no README.md")]
    checks = CHECKS
    if front_matter(root).get("sdk") == "static":
        checks = {name: CHECKS[name] for name in ("front matter", "large files")} | web_check.CHECKS
    return [Finding(name, *found) for name, function in checks.items() for found in function(root)]


def front_matter(root: Path) -> dict:
    """The README's settings of the Space; none where it has no front matter, or one that is no YAML."""
    found = re.match(r"---\n(.*?)\n---\n", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    try:
        return (found and yaml.safe_load(found[1])) or {}
    except yaml.YAMLError:
        return {}


def _check_front_matter(root: Path) -> Iterator[tuple[bool, str]]:
    """Each rule of the front matter, and the value that it was held against."""
    told = front_matter(root)
    is_static = told.get("sdk") == "static"
    needed = _NEEDED - {"sdk_version", "app_file"} if is_static else _NEEDED
    missing, unknown = sorted(needed - told.keys()), sorted(told.keys() - _KNOWN)
    yield not missing, f"missing: {', '.join(missing)}" if missing else "all that is needed is there"
    yield not unknown, f"unknown: {', '.join(unknown)}" if unknown else "no unknown key"
    rules = {
        "sdk": lambda value: value in ("gradio", "static"),
        "sdk_version": lambda value: str(value) == _installed_version("gradio"),
        "python_version": lambda value: isinstance(value, str) and value in PYTHONS,
        "app_file": lambda value: (root / str(value)).is_file(),
        "colorFrom": lambda value: value in COLOURS,
        "colorTo": lambda value: value in COLOURS,
        "short_description": lambda value: len(value) <= 60,
        "custom_headers": lambda value: isinstance(value, dict) and set(value) <= HEADERS,
        "preload_from_hub": lambda value: all(re.fullmatch(r"[\w.-]+/[\w.-]+( \S+)?", line) for line in value),
    }
    for key, rule in rules.items():
        if key in told:
            yield rule(told[key]), f"{key}: {told[key]}"


def _check_requirements(root: Path) -> Iterator[tuple[bool, str]]:
    """A Space brings its own gradio and hub; ZeroGPU offers torch 2.8 to 2.11."""
    lines = [
        line.split("#")[0].strip() for line in (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ]
    named = {re.split(r"[<>=~! \[;]", line)[0].lower().replace("_", "-"): line for line in lines if line}
    ours = [named[name] for name in PLATFORM_PACKAGES if name in named and "==" in named[name]]
    yield not ours, f"pinned against the Space's own: {', '.join(ours)}" if ours else "no pin against the Space's own"
    torch = named.get("torch", "")
    yield torch in ("torch", "torch>=2.8"), f"{torch or 'no torch'}: ZeroGPU has 2.8 to 2.11"
    yield "opencv-python" not in named, "OpenCV without a screen" if "opencv-python" not in named else "needs libGL"


def _check_files(root: Path) -> Iterator[tuple[bool, str]]:
    """Files above 10 MB, which plain git may not push: good to know, and no fault."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True).stdout.split("\0")
    if not any(listed):
        listed = [str(file.relative_to(root)) for file in root.rglob("*")]
    large = [
        name for name in listed if name and (root / name).is_file() and (root / name).stat().st_size > LARGE_FILE_BYTES
    ]
    yield True, f"by `hf upload` only: {', '.join(large)}" if large else "none above 10 MB"


def _check_start(root: Path) -> Iterator[tuple[bool, str]]:
    """The page, started with every way out closed: seconds until it answers, and the memory that it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = os.environ | nowhere | {"no_proxy": "127.0.0.1,localhost", "HF_HUB_OFFLINE": "1"}
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "demo.py", "--port", str(port)], cwd=root, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        up = _wait_until_up(f"http://127.0.0.1:{port}/", server)
        seconds, memory = time.monotonic() - began, _peak_megabytes(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    yield (
        up and seconds <= MAX_START_SECONDS,
        f"{seconds:.1f} s until the page was up" if up else "the page did not start",
    )
    if memory is not None:
        yield memory <= MAX_START_MEGABYTES, f"{memory:,.0f} MB of memory at start"


def _wait_until_up(address: str, server: subprocess.Popen) -> bool:
    """Whether the page at ``address`` is there within a minute."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return direct.open(address, timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def _peak_megabytes(process: int) -> float | None:
    """The most memory that a process has held; None where the system does not tell (it is not Linux)."""
    status = Path(f"/proc/{process}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.is_file() else None
    return int(found[1]) / 1000 if found else None


def _installed_version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


CHECKS: dict[str, Callable[[Path], Iterator[tuple[bool, str]]]] = {
    "front matter": _check_front_matter,
    "requirements": _check_requirements,
    "large files": _check_files,
    "start": _check_start,
}
