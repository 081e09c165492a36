"""The words on the page are those of the field: none of our old ones stands in what the browser is sent at first."""

import json
import re
from pathlib import Path

import pytest

from fer.app import page as app_page
from fer.app import static
from tests.pages import sealed_off, write_networks

GONE = (
    "read as", "the answer appears", "nobody's own", "unsure", "what the network sees", "take the whole picture",
    "faces are found by", "freeze this face", "go on", "readings a second", "from camera to box", "speak for",
    "memory and forgotten", "camera was released", "faces marked", "every frame and face", "sound is left out",
    "honest one", "time it on", "tell nothing", "have no place here", "learnt from", "known of it",
    "where the others' figures", "how it was trained", "repeated", "FER_YUNET", "committee", "taggers", "twin",
    "and not", "its answer", "kept by the mask", "how far to trust", "region correlation",
    "know nothing of the network",
    "let it forget", "side by side", "download the three", "which methods are faithful", "what does each filter see",
    "say the same", "follow my webcam", "how they grow", "what is moved", "how it is shaken", "what is to grow",
    "steps by", "seed of the noise", "reseed", "how far on the way", "ten views", "python -m",
)  # fmt: skip
SKIPPED = {"elem_id", "elem_classes", "css_template", "js_on_load", "name", "key", "picture"}


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> str:
    """All that the page's configuration says, and the sentences of its scripts; lower case, without data addresses."""
    with sealed_off(tmp_path_factory.mktemp("uploads")):
        page = app_page.build(write_networks(tmp_path_factory.mktemp("weights")))
    said = [
        json.dumps({key: value for key, value in part["props"].items() if key not in SKIPPED}, default=str)
        for part in page.config["components"]
    ]
    for file in sorted(Path(static.FOLDER).glob("*.js")):
        said += re.findall(
            r"'([^'\n]* [^'\n]*)'", re.sub(r"^\s*//.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        )
    return re.sub(r"data:[\w/+;]+,[\w+/=]+|%[0-9A-F]{2}", " ", " ".join(said)).lower()


@pytest.mark.parametrize("words", GONE)
def test_an_old_word_is_not_on_the_page(texts: str, words: str):
    """Names of classes and functions are not words of the page."""
    found = re.search(rf".{{0,60}}\b{re.escape(words.lower())}\b.{{0,40}}", texts)
    assert found is None, found.group()
