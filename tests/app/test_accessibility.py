"""axe-core finds nothing serious on any tab. It is taken from $FER_NPM, a folder node_modules; else this skips."""

import os
from pathlib import Path

import pytest

from tests.app.test_browser import (  # noqa: F401
    CHROMIUM,
    chromium,
    expect,
    playwright,
    pytestmark,
    scene,
    turn_to,
    upload,
    uploads,
    url,
    visit,
    weights,
)  # fmt: skip

AXE = Path(os.environ.get("FER_NPM", "node_modules"), "axe-core", "axe.min.js")
# Gradio's own upload button is named "Click to upload or drop files", and says "Drop File Here".
RUN = """axe.run(document, {resultTypes: ['violations'], rules: {'label-content-name-mismatch': {enabled: false}}})
  .then(found => found.violations.filter(one => ['serious', 'critical'].includes(one.impact))
    .flatMap(one => one.nodes.map(node => one.id + ': ' + node.target.join(' '))))"""

# What stands on a tab once its opening was answered.
DRAWN = {
    "Live": "#camera", "Video": "#film", "Saliency": "#method", "Activations": "#map-sheet button",
    "Filters": "#sheet", "Confusion": "#matrix td button", "Models": "#networks tbody tr",
}  # fmt: skip


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm install axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab(visit, scheme):  # noqa: F811
    page, found = visit(scheme=scheme), {}
    page.evaluate(AXE.read_text(encoding="utf-8"))

    def look(name: str) -> None:
        for _ in range(5):  # until what fades in has its own colour
            found[name] = page.evaluate(RUN)
            if not found[name]:
                break
            page.wait_for_timeout(300)

    look("Photo, empty")
    upload(page, scene(60, 380))
    expect(page.locator("#answer")).to_contain_text("face 1 of 2", timeout=20_000)
    look("Photo")
    for tab, drawn in DRAWN.items():
        turn_to(page, tab)
        expect(page.locator(drawn).first).to_be_visible(timeout=20_000)
        look(tab)
    assert not any(found.values()), found
