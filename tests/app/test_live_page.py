"""The Live view in Chromium, with a camera that sees one face. Skips where test_browser.py does."""

from pathlib import Path

import pytest
from gradio.utils import get_upload_folder  # noqa: E402

from tests.app.test_browser import chromium, expect, pytestmark, uploads, url, visit, weights  # noqa: E402, F401

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

ROOT = Path(__file__).parents[2]
TRACK = "document.querySelector('#camera video').srcObject.getVideoTracks()[0]"


@pytest.fixture
def live(visit):  # noqa: F811
    """Opens the Live view and starts the camera; `window.track` is the camera's."""

    def start(**options):
        page = visit(**options)
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").click()
        expect(page.locator("#camera h3 b")).to_have_text("Happy", timeout=20_000)
        page.evaluate(f"window.track = {TRACK}")
        return page

    return start


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and not {".git", "__pycache__"} & set(path.parts)}


def test_a_visitor_looks_into_the_camera_and_nothing_of_it_is_kept_anywhere(live):
    """Twenty readings, then a frozen face is explained in the next tab: no file, nothing in the browser's storage."""
    before = files(ROOT) | files(Path(get_upload_folder()))
    page = live()
    page.evaluate(
        "window.readings = 0; document.querySelector('#camera .view').parentElement"
        ".addEventListener('reading', event => { readings += event.detail.faces.length; })"
    )
    page.wait_for_function("readings >= 20")
    expect(page.locator("#camera .face")).to_contain_text("90%")
    expect(page.locator("#camera .pace")).to_contain_text("fps")
    page.get_by_role("button", name="Use this face in other tabs").click()
    expect(page.locator("#camera .note")).to_contain_text("Paused")
    page.get_by_role("tab", name="Saliency").click()
    expect(page.locator("#explained figure")).to_have_count(2, timeout=20_000)
    stored = "(async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length, "
    stored += "(await caches.keys()).length])()"
    assert page.evaluate(stored)[1:] == [0, 0, 0]
    assert page.evaluate("Object.values(localStorage).join().includes('data:image')") is False
    assert files(ROOT) | files(Path(get_upload_folder())) == before


def test_the_camera_is_released_on_stop_on_leaving_the_tab_and_on_hiding_the_page(live):
    page = live()
    page.get_by_role("button", name="Stop").click()
    assert page.evaluate("track.readyState") == "ended"
    expect(page.locator("#camera .say")).to_have_text("The camera is off.")
    leave = {
        "tab": lambda: page.get_by_role("tab", name="Models").click(),
        "view": lambda: page.get_by_role("tab", name="Photo").click(),
        "hide": lambda: page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        ),
    }
    for act in leave.values():
        page.get_by_role("tab", name="Predict").click()
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").click()
        page.wait_for_function("document.querySelector('#camera .view').dataset.state === 'live'")
        page.evaluate(f"window.track = {TRACK}")
        act()
        page.wait_for_function("track.readyState === 'ended'")
        expect(page.locator("#camera .say")).to_contain_text("you left this view")


@pytest.mark.parametrize(
    "error, sentence", [("NotAllowedError", "did not give the camera"), ("NotFoundError", "no camera here")]
)
def test_a_refused_or_missing_camera_is_a_sentence_and_another_way_in(visit, error, sentence):  # noqa: F811
    page = visit(width=375)
    page.get_by_role("tab", name="Live").click()
    page.evaluate(
        f"void (navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}') }})"
    )
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera .say")).to_contain_text(sentence)
    assert page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [375, 375]
    page.get_by_role("button", name="Use a photograph instead").click()
    expect(page.locator("#picture")).to_be_visible()


def test_another_network_reads_on_without_a_new_start_and_its_doubt_is_shown(live):
    page = live(width=375, scheme="dark")
    page.locator("#model input").click()
    page.get_by_role("option", name="cnn").click()
    expect(page.locator("#camera h3")).to_contain_text("low confidence", timeout=20_000)
    assert page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [375, 375]
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("tab", name="Photo").click()
    expect(page.locator("#strip .prediction")).to_contain_text("Sad")


def test_the_view_goes_on_by_itself_after_the_server_was_away_and_says_when_the_camera_is_unplugged(live):
    """As while it is started anew: first no frame gets an answer (Gradio says null), then all do."""
    page = live()
    page.route("**/component_server/**", lambda route: route.fulfill(content_type="application/json", body="null"))
    expect(page.locator("#camera .note")).to_have_text("The server does not answer. Trying again.", timeout=20_000)
    page.unroute("**/component_server/**")
    page.wait_for_function("document.querySelector('#camera .note').hidden", timeout=20_000)
    expect(page.locator("#camera h3 b")).to_have_text("Happy", timeout=20_000)
    page.evaluate("track.dispatchEvent(new Event('ended'))")
    expect(page.locator("#camera .say")).to_contain_text("The camera was unplugged")
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()
    expect(page.get_by_role("button", name="Use a photograph instead")).to_be_visible()
