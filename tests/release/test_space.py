"""check-space: the repository is a Space as it stands, and what is wrong with another one is said."""

from pathlib import Path

import pytest

from fer.release import space

SERVES = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[2]))"


def wrong(check: str, root: Path) -> list[str]:
    return [found for good, found in space.CHECKS[check](root) if not good]


@pytest.mark.parametrize("check", ["front matter", "requirements", "large files"])
def test_the_repository_is_a_space(check: str):
    """Nothing of its front matter, requirements and files would keep a Space from being built."""
    assert wrong(check, space.ROOT) == []


def test_each_wrong_setting_is_named(tmp_path: Path):
    """No title, a key that the Hub does not know, a colour that it lacks, a version as number, too long a sentence."""
    lines = ["sdk: gradio", "sdk_version: 1.0.0", "app_file: none.py", "colour: red", "colorTo: mauve"]
    lines += ["python_version: 3.12", f"short_description: {'x' * 61}", "preload_from_hub: [nobody]"]
    (tmp_path / "README.md").write_text("\n".join(["---", *lines, "---", "", "# Words"]), encoding="utf-8")
    found = wrong("front matter", tmp_path)
    expected = ["missing: title", "unknown: colour", "sdk_version: 1.0.0", "python_version: 3.12", "app_file: none.py"]
    assert found[:5] == expected and found[5] == "colorTo: mauve" and len(found) == 8


@pytest.mark.parametrize("front", ["# No front matter\n", "---\n: : [\n---\n"])
def test_a_readme_without_readable_settings_lacks_them_all(tmp_path: Path, front: str):
    """The four that are needed are named."""
    (tmp_path / "README.md").write_text(front, encoding="utf-8")
    assert wrong("front matter", tmp_path) == ["missing: app_file, sdk, sdk_version, title"]


def test_pins_against_the_platform_are_named(tmp_path: Path):
    """A pinned hub, a torch that ZeroGPU lacks, and an OpenCV that wants a screen."""
    (tmp_path / "requirements.txt").write_text("huggingface_hub==1.0\ntorch>=2.14\nopencv-python\n", encoding="utf-8")
    found = wrong("requirements", tmp_path)
    assert (
        found[0].endswith("huggingface_hub==1.0") and found[1].startswith("torch>=2.14") and found[2] == "needs libGL"
    )


def test_a_page_that_answers_is_told_from_one_that_ends(tmp_path: Path):
    """Both are started; only the second is found bad."""
    (tmp_path / "demo.py").write_text(SERVES, encoding="utf-8")
    assert wrong("start", tmp_path) == []
    (tmp_path / "demo.py").write_text("raise SystemExit(1)", encoding="utf-8")
    assert wrong("start", tmp_path)[0] == "the page did not start"
