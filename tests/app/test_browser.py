"""The page in Chromium, as a visitor meets it. Skips where Playwright or a Chromium is not to be had."""

import io
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlparse

import cv2
import numpy as np
import pytest

from fer.app import model_cache, static
from fer.app.saliency.tab import BENCHMARK
from fer.features import visualization
from tests.pages import example_face, sealed_off, served, write_atlas, write_networks

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium on the PATH"),
]

QUIET = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
QUIET += "--disable-sync --disable-quic --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"


def scene(*positions: int) -> np.ndarray:
    """The happy example at 200 pixels, once for each position from the left, on grey of 640x360; BGR."""
    picture = np.full((360, 640, 3), 128, np.uint8)
    for x in positions:
        picture[80:280, x : x + 200] = np.asarray(example_face(200))[..., None]
    return picture


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    weights = write_networks(tmp_path_factory.mktemp("weights"))
    write_atlas(weights / "compact-ferplus", "conv2d_2", 64, 14)
    return weights


@pytest.fixture(scope="module")
def url(weights, uploads) -> Iterator[str]:
    with sealed_off(uploads), served(weights) as page:
        yield page.url


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser whose camera sees one face. An .mjpeg is nothing but JPEGs in a row."""
    camera = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    camera.write_bytes(cv2.imencode(".jpg", scene(220))[1].tobytes() * 30)
    with playwright.sync_playwright() as manager:
        arguments = [*QUIET.split(), f"--use-file-for-fake-video-capture={camera}"]
        browser = manager.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


LEFT = ("AbortError: signal is aborted", "Connection errored out.")  # Gradio, of answers on their way to a left page


@pytest.fixture
def visit(chromium, url):
    """Opens the page; at the end of the test, no error may be in the console and no request may have gone elsewhere."""
    contexts, errors, hosts = [], [], set()

    def open_page(width: int = 1280, scheme: str = "light", query: str = ""):
        viewport = {"width": width, "height": 860}
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, permissions=["camera"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
        page.goto(url + query)
        page.locator("#picture input[type=file]" if not query else "[role=tab]").first.wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [error for error in errors if not any(words in error for words in LEFT)] == []
    assert hosts - {None} == {"127.0.0.1"}  # None: what a data: address brings with it


def upload(page, picture: np.ndarray, name: str = "face.png") -> None:
    payload = {"name": name, "mimeType": "image/png", "buffer": cv2.imencode(".png", picture)[1].tobytes()}
    page.set_input_files("#picture input[type=file]", payload)


def turn_to(page, tab: str) -> None:
    """Chooses a tab; on a phone those for which there is no room are in a menu."""
    if not page.get_by_role("tab", name=tab).is_visible():
        page.locator(".overflow-menu > button").first.click()  # a view within a tab may have a menu of its own
        page.locator(".overflow-dropdown button", has_text=tab).click()
    else:
        page.get_by_role("tab", name=tab).click()


def set_steps(page, steps: str) -> None:
    """Into the accordion that was just opened: a slider of Gradio's sets its own value once more when it is shown."""
    field = page.locator("#steps input[type=number]")
    settled = "() => new Promise(done => setTimeout(() => requestAnimationFrame(done), 200))"
    for _ in range(20):
        field.fill(steps)
        page.evaluate(settled)
        if field.input_value() == steps:
            return


def expect(locator):
    return playwright.expect(locator)


def test_a_visitor_uploads_a_picture_and_reads_the_emotion_off_the_page(visit):
    page = visit()
    upload(page, scene(220))
    expect(page.locator("#answer")).to_have_text("Happy 90%", timeout=20_000)
    expect(page.locator("#view .box")).to_have_count(1)
    box, picture = page.locator("#view .box").bounding_box(), page.locator("#view .picture").bounding_box()
    middle = (box["x"] + box["width"] / 2 - picture["x"]) / picture["width"]
    assert middle == pytest.approx(0.5, abs=0.05)
    expect(page.locator("#verdict figure img")).to_have_attribute("alt", "The face as 48 by 48 grey pixels")
    assert page.locator("#verdict figure img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [
        48,
        48,
    ]
    assert (
        page.locator("#verdict figure img").evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    )
    expect(page.locator("#verdict .bars span").first).to_have_text("happy")
    expect(page.locator("#detector")).to_contain_text("Haar")


def test_the_strip_shows_the_face_its_prediction_and_the_model_on_every_tab(visit):
    """Another face and another model change it; the photograph stands on the page once."""
    page = visit()
    expect(page.locator("#strip small")).to_have_text("Example: average of many happy faces")
    example = page.locator("#strip img").get_attribute("src")
    upload(page, scene(220))
    expect(page.locator("#strip small")).to_have_text("Current face", timeout=20_000)
    expect(page.locator("#strip img")).not_to_have_attribute("src", example)
    expect(page.locator("#picture")).to_be_hidden()
    for tab in ("Saliency", "Activations", "Filters", "Confusion", "Models"):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator("#strip .prediction")).to_have_text("Happy 90%")
    page.locator("#model input").click()
    page.get_by_role("option", name="cnn").click()
    expect(page.locator("#strip .prediction")).to_have_text("Sad 31% · low confidence", timeout=20_000)


def test_on_a_phone_the_verdict_stands_on_the_first_screen(visit):
    """667 pixels high, after one click on an example or an upload."""
    page = visit(width=375)
    page.set_viewport_size({"width": 375, "height": 667})
    upload(page, scene(220))
    expect(page.locator("#answer strong")).to_have_text("Happy", timeout=20_000)
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#answer strong").bounding_box()
    assert box["y"] + box["height"] <= 667


def test_the_address_follows_the_page_and_restores_it(visit):
    """Tab, model and split survive a reload; what is not known is ignored with a word."""
    page = visit()
    page.locator("#model input").click()
    page.get_by_role("option", name="vgg16-relu").click()
    page.get_by_role("tab", name="Confusion").click()
    page.wait_for_function("/model=vgg16-relu/.test(location) && /tab=Confusion/.test(location)")
    page.reload()
    expect(page.locator("#figures")).to_contain_text("0.1250", timeout=20_000)
    expect(page.locator("#model input")).to_have_value(re.compile("^vgg16-relu"))
    page = visit(query="?tab=Nowhere&model=gpt&view=Live")
    expect(page.locator(".toast-body")).to_contain_text("tab=Nowhere, model=gpt", timeout=20_000)
    expect(page.locator("#camera")).to_be_visible()


def test_the_address_is_not_written_before_it_was_read(visit):
    """Gradio may select the first tab before the page is restored: `tab=Filters` must still be there to be read."""
    page = visit(query="?tab=Filters")
    page.wait_for_function("document.addressRestored", timeout=20_000)
    select_first = f"({static.text('address.js')})(['tab'], ['Predict'], ['Predict'])"
    page.evaluate(f"document.addressRestored = false; {select_first}")
    assert "tab=Filters" in page.url
    page.evaluate(f"document.addressRestored = true; {select_first}")
    assert "tab=" not in page.url


def test_a_face_outlives_a_reload_only_where_the_visitor_asks_for_it(visit):
    page = visit()
    upload(page, scene(220))
    expect(page.locator("#strip small")).to_have_text("Current face", timeout=20_000)
    page.reload()
    expect(page.locator("#strip small")).to_contain_text("Example")
    upload(page, scene(220))
    page.locator("#strip .keep").check(timeout=20_000)
    face = page.locator("#strip img").get_attribute("src")
    page.reload()
    expect(page.locator("#strip img")).to_have_attribute("src", face, timeout=20_000)
    expect(page.locator("#strip .keep")).to_be_checked()


def test_a_webcam_shot_gets_an_answer(visit):
    page = visit()
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(page.locator("#answer")).to_have_text("Happy 90%", timeout=20_000)


@pytest.fixture
def broken(weights) -> Iterator[str]:
    """A network that was sound when the page started, and is not any more."""
    file = weights / "vgg16-relu" / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(b"broken")
    model_cache._load.cache_clear()
    yield "vgg16-relu"
    file.write_bytes(content)


def test_another_network_answers_by_itself_and_a_broken_one_leaves_no_old_answer_standing(visit, broken):
    page = visit()
    upload(page, scene(220))
    expect(page.locator("#answer")).to_contain_text("Happy", timeout=20_000)
    page.locator("#model input").click()
    page.get_by_role("option", name="cnn").click()
    expect(page.locator("#answer")).to_have_text("Sad 31% low confidence", timeout=20_000)
    page.locator("#model input").click()
    page.get_by_role("option", name=broken).click()
    expect(page.locator("#answer")).to_contain_text(f"'{broken}' is broken", timeout=20_000)
    expect(page.locator("#verdict figure")).to_be_hidden()


def test_one_of_two_faces_is_chosen_by_mouse_on_the_picture_or_by_keyboard(visit):
    page = visit()
    upload(page, scene(60, 380))
    expect(page.locator("#answer")).to_contain_text("face 1 of 2", timeout=20_000)
    page.locator("#view .picture button.box:not(.chosen)").click()
    expect(page.locator("#answer")).to_contain_text("face 2 of 2")
    first = page.get_by_role("group", name="Choose a face").get_by_role("button").first
    first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_contain_text("face 1 of 2")
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-pressed", "true")


def test_an_example_is_one_click_away_and_a_removed_picture_takes_its_answer_along(visit):
    page = visit()
    page.get_by_role("group", name="Examples").get_by_role("button", name="happy").click()
    expect(page.locator("#answer")).to_contain_text("Happy", timeout=20_000)
    page.get_by_role("button", name="Change the photograph").click()
    expect(page.locator("#answer .empty")).to_be_visible()
    expect(page.locator("#picture")).to_be_visible()
    expect(page.locator("#verdict figure")).to_be_hidden()


def test_without_a_face_the_whole_picture_can_be_taken(visit):
    page = visit()
    upload(page, scene())
    expect(page.locator("#answer")).to_contain_text("No face was found", timeout=20_000)
    page.get_by_role("button", name="Skip face detection").click()
    expect(page.locator("#answer")).to_have_text("Happy 90%", timeout=20_000)


def test_a_file_that_is_no_picture_is_told_in_a_sentence(visit):
    page = visit()
    text = {"name": "face.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#picture input[type=file]", text)
    expect(page.locator("#answer .refused")).to_contain_text("picture", timeout=20_000)
    assert "/" not in page.locator("#answer").inner_text()


def test_the_chosen_face_is_explained_in_the_next_tab(visit):
    """Two methods, the slider, a PNG, and the badge of a map that is left when the network forgets."""
    page = visit()
    page.locator("#model input").click()
    page.get_by_role("option", name="compact-ferplus").click()
    upload(page, scene(220))
    expect(page.locator("#view .box")).to_have_count(1, timeout=20_000)
    page.get_by_role("tab", name="Saliency").click()
    expect(page.locator("#explained figure")).to_have_count(2, timeout=20_000)
    expect(page.locator("#trust .bar")).to_have_count(2, timeout=20_000)
    expect(page.locator("#curves polyline")).to_have_count(2, timeout=20_000)
    first = page.locator("#explained img").nth(1).get_attribute("src")
    page.get_by_label("Method").click()
    page.get_by_role("option", name="Guided backpropagation").click()
    expect(page.locator("#hint")).to_contain_text("Springenberg", timeout=20_000)
    expect(page.locator("#explained img").nth(1)).not_to_have_attribute("src", first)
    page.locator("#keep input[type=number]").fill("100")
    expect(page.locator("#masked figcaption")).to_contain_text("top 100%", timeout=20_000)
    page.get_by_role("tab", name="Sanity check").click()
    page.get_by_role("button", name="Randomise last layer").click()
    expect(page.locator("#forgot .badge")).to_have_text("fails parameter randomisation", timeout=20_000)
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download figure").click()
    assert taken.value.suggested_filename.startswith("guided-backprop-")


@pytest.fixture
def gate(monkeypatch) -> Iterator[threading.Semaphore]:
    """Ascents wait here after every frame but the last, so that none is missed however fast the machine is."""
    semaphore = threading.Semaphore(0)

    def waiting(ascend: Callable) -> Callable:
        def slowly(*arguments, **options):
            for frame in ascend(*arguments, **options):
                yield frame
                semaphore.acquire(timeout=60)

        return slowly

    for name in ("visualize", "interpolate_classes"):
        monkeypatch.setattr(visualization, name, waiting(getattr(visualization, name)))
    yield semaphore
    semaphore.release(100)


def test_filters_grow_before_the_visitor_s_eyes_are_stopped_and_opened(visit, gate):
    page = visit(width=375)
    turn_to(page, "Filters")
    page.locator("#start").click()
    expect(page.locator("#sheet .status")).to_contain_text("step 0 of 48", timeout=60_000)
    expect(page.locator("#start")).to_be_hidden()
    gate.release()
    expect(page.locator("#sheet .status")).to_contain_text("step 4 of 48", timeout=60_000)
    expect(page.locator("#sheet .progress")).to_be_visible()
    page.locator("#stop").click()
    gate.release()
    expect(page.locator("#sheet .status")).to_contain_text("dense_4 of compact, step 4 of 48, stopped", timeout=60_000)
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#sheet .tiles button")).to_have_count(7)
    page.get_by_role("button", name="surprise, activation").click()
    expect(page.locator("#filter-card h3")).to_have_text("Surprise, dense_4 of compact", timeout=20_000)
    assert page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [375, 375]


def test_who_waits_for_two_others_is_told_and_starts_when_one_of_them_stops(visit, gate):
    """Two ascents run at once; the page of a third says that it waits, above the sheet that was there."""
    pages = [visit(query="?tab=Filters") for _ in range(3)]
    for page in pages[:2]:
        page.locator("#start").click()
        expect(page.locator("#sheet .status")).to_contain_text("step 0 of 48", timeout=60_000)
    pages[2].locator("#start").click()
    expect(pages[2].locator("#sheet .status")).to_have_text("Queued.")
    pages[0].locator("#stop").click()
    expect(pages[0].locator("#sheet .status")).to_contain_text("stopped")
    gate.release(2)
    expect(pages[2].locator("#sheet .status")).to_contain_text("step 0 of 48", timeout=60_000)
    pages[0].locator("#start").click()
    expect(pages[0].locator("#sheet .status")).to_have_text("Queued.")
    expect(pages[0].locator("#sheet .tiles button")).to_have_count(7)


def test_start_begins_anew_at_once_even_while_an_ascent_is_still_being_stopped(visit, gate):
    """A step may take seconds, and a Stop waits for it; pressed meanwhile, Start was lost, and "waiting" for ever."""
    page = visit(query="?tab=Filters")
    page.get_by_role("button", name="Optimisation settings").click()
    page.locator("#start").click()
    expect(page.locator("#sheet .status")).to_contain_text("step 0 of 48", timeout=60_000)
    set_steps(page, "7")
    page.locator("#stop").click()
    page.locator("#start").click()
    gate.release()
    expect(page.locator("#sheet .status")).to_contain_text("step 0 of 7.", timeout=60_000)
    set_steps(page, "5")
    page.locator("#stop").click()
    expect(page.locator("#sheet .status")).to_contain_text("step 0 of 7, stopped")
    page.locator("#start").click()
    gate.release(3)  # of the one that stops, and of the two frames before the last
    expect(page.locator("#sheet .status")).to_contain_text("5 steps, done", timeout=60_000)


def test_the_link_on_a_card_opens_the_same_card_afresh(visit):
    """Two steps from seed 3: the link leads to the very same picture on a new page, and nothing else grows there."""
    page = visit()
    page.get_by_role("tab", name="Filters").click()
    page.get_by_role("button", name="Optimisation settings").click()
    set_steps(page, "2")
    page.locator("#seed input").fill("3")
    page.locator("#start").click()
    expect(page.locator("#sheet .status")).to_contain_text("2 steps, done", timeout=60_000)
    page.get_by_role("button", name="surprise, activation").click()
    expect(page.locator("#filter-card h3")).to_have_text("Surprise, dense_4 of compact", timeout=20_000)
    picture = page.locator("#filter-card img").first.get_attribute("src")
    page.locator("#filter-card a").click()
    page.wait_for_url("**/?tab=Filters&model=compact&layer=dense_4&filter=5&preset=clear&steps=2&seed=3")
    expect(page.locator("#filter-card img").first).to_have_attribute("src", picture, timeout=60_000)
    expect(page.locator("#filter-card h3")).to_have_text("Surprise, dense_4 of compact")
    expect(page.locator("#sheet .tiles button")).to_have_count(1)
    expect(page.locator("#which input")).to_have_value("5")


def test_a_link_to_another_network_turns_all_menus_to_it(visit):
    """The page starts with `compact`, which has no such layer in these tests."""
    page = visit(query="?tab=Filters&model=compact-ferplus&layer=conv2d_2&filter=5&preset=clear&steps=1&seed=0")
    expect(page.locator("#filter-card h3")).to_have_text("Filter 5, conv2d_2 of compact-ferplus", timeout=60_000)
    expect(page.locator("#model input")).to_have_value(re.compile("^compact-ferplus"), timeout=20_000)
    expect(page.locator("#layer input")).to_have_value("conv2d_2: 64 filters, receptive field 8×8", timeout=20_000)
    expect(page.locator("#which input")).to_have_value("5")


def test_the_atlas_is_browsed_without_starting_anything(visit):
    """A layer that is in the atlas shows once it is chosen, another page of it as well; a card opens on it."""
    page = visit(query="?tab=Filters")
    page.locator("#model input").click()
    page.get_by_role("option", name="compact-ferplus").click()
    expect(page.locator("#layer input")).to_have_value("dense_1: the 8 classes", timeout=20_000)
    page.locator("#layer input").click()
    page.get_by_role("option", name="conv2d_2: 64 filters, receptive field 8×8").click()
    expect(page.locator("#sheet .status")).to_contain_text("conv2d_2 of compact-ferplus", timeout=20_000)
    expect(page.locator("#sheet .status")).to_contain_text("precomputed")
    page.locator("#which input").click()
    page.get_by_role("option", name="0-63", exact=True).click()
    expect(page.locator("#sheet .tiles button")).to_have_count(64, timeout=20_000)
    page.get_by_role("button", name="filter 5, activation 5.00").click()
    expect(page.locator("#filter-card dl")).to_contain_text("this image has 2.5 times as much", timeout=20_000)


def test_the_filters_tab_remembers_the_layer_of_each_model_and_never_shows_two(visit):
    """Menus of one model stood above the images of another, and the layer was lost on the way back."""
    page = visit(query="?tab=Filters")
    expect(page.locator("#layer input")).to_be_visible(timeout=20_000)

    def choose(model: str) -> None:
        page.locator("#model input").click()
        page.get_by_role("option", name=model).first.click()

    choose("compact-ferplus")
    expect(page.locator("#layer input")).to_have_value("dense_1: the 8 classes", timeout=20_000)
    page.locator("#layer input").click()
    page.get_by_role("option", name="conv2d_2: 64 filters").click()
    expect(page.locator("#sheet .status")).to_contain_text("conv2d_2 of compact-ferplus", timeout=20_000)
    choose("cnn")
    expect(page.locator("#layer input")).to_have_value("dense_4: the 7 classes", timeout=20_000)
    expect(page.locator("#sheet .status")).not_to_contain_text("compact-ferplus")
    choose("compact-ferplus")
    expect(page.locator("#layer input")).to_have_value("conv2d_2: 64 filters, receptive field 8×8", timeout=20_000)
    expect(page.locator("#sheet .status")).to_contain_text("conv2d_2 of compact-ferplus", timeout=20_000)


def test_a_filter_that_is_not_there_closes_the_card_and_hides_its_button(visit):
    page = visit(query="?tab=Filters&model=compact&layer=dense_4&filter=5&preset=clear&steps=1&seed=0")
    expect(page.locator("#filter-card h3")).to_be_visible(timeout=60_000)
    expect(page.locator("#compare")).to_be_visible()
    page.locator("#which input").fill("999")
    page.locator("#which input").press("Enter")
    page.locator("#start").click()
    expect(page.locator(".toast-body")).to_contain_text("No such filter", timeout=20_000)
    expect(page.locator("#filter-card h3")).to_have_count(0)
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.locator("#stop")).to_be_hidden()


def test_a_filter_starts_from_the_visitor_s_face_and_is_compared_with_another_seed(visit):
    page = visit()
    upload(page, scene(220))
    expect(page.locator("#answer")).to_contain_text("Happy", timeout=20_000)
    page.get_by_role("tab", name="Filters").click()
    page.get_by_role("button", name="Optimisation settings").click()
    expect(page.locator("#budget")).to_be_hidden()
    page.get_by_label("current face").check()
    expect(page.locator("#budget")).to_be_visible()
    set_steps(page, "2")
    page.locator("#start").click()
    expect(page.locator("#sheet .status")).to_contain_text("2 steps, done", timeout=60_000)
    page.get_by_role("button", name="surprise, activation").click()
    expect(page.locator("#filter-card figcaption").first).to_have_text("Your face, optimised", timeout=20_000)
    page.locator("#compare").click()
    expect(page.locator("#filter-card dl")).to_contain_text("Similarity across seeds", timeout=60_000)


def test_the_slider_walks_from_one_class_to_another(visit):
    """At 0 the first of nine pictures shows, at 100 the last."""
    page = visit()
    page.get_by_role("tab", name="Filters").click()
    page.get_by_role("button", name="Class interpolation").click()
    page.locator("#morph-start").click()
    expect(page.locator("#morph .strip > div")).to_have_count(9, timeout=60_000)
    expect(page.locator("#morph .status")).to_contain_text("Done.", timeout=60_000)
    for at, stop in (("0", 0), ("100", 8)):
        page.locator("#morph-at input[type=number]").fill(at)
        place = page.locator("#morph .strip i").nth(stop).evaluate("tile => getComputedStyle(tile).backgroundPositionX")
        expect(page.locator("#morph .large")).to_have_css("background-position-x", place)


def test_a_morph_begins_anew_at_once_even_while_one_is_still_being_stopped(visit, gate):
    page = visit(query="?tab=Filters")
    page.get_by_role("button", name="Class interpolation").click()
    page.locator("#morph-start").click()
    expect(page.locator("#morph .status")).to_contain_text("Step 0 of 48.", timeout=60_000)
    page.locator("#morph-stop").click()
    expect(page.locator("#morph .status")).to_have_text("Stopped.")
    page.locator("#morph-start").click()
    expect(page.locator("#morph .status")).to_have_text("Queued.")
    gate.release(100)
    expect(page.locator("#morph .status")).to_contain_text("Done.", timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_a_phone_375_pixels_wide(visit, scheme):
    page = visit(width=375, scheme=scheme)
    upload(page, scene(0, 440))
    expect(page.locator("#answer")).to_contain_text("of 2", timeout=20_000)
    assert page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [375, 375]
    assert page.locator("#verdict .bars").bounding_box()["width"] > 300
    assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")


def test_a_cell_of_the_matrix_is_chosen_by_mouse_and_by_keyboard(visit):
    page = visit()
    page.get_by_role("tab", name="Confusion").click()
    page.get_by_role("button", name="true sad, predicted neutral: 3 faces, 75%").click()
    expect(page.locator("#cell [role=status]")).to_contain_text("True sad, predicted neutral: 3 of 4 faces (75%)")
    page.get_by_role("button", name="true sad, predicted neutral").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#cell")).to_contain_text("True sad, predicted surprise: no faces")
    assert page.locator("#matrix [tabindex='0']").count() == 1
    page.get_by_role("button", name="Confidence threshold, duplicates").click()
    page.get_by_label("Without duplicates").check()
    expect(page.locator("#figures")).to_contain_text("0.5714n 7;")
    expect(page.locator("#cell")).to_contain_text("True sad, predicted surprise: no faces")


def test_only_models_with_the_same_labels_are_offered_for_comparison(visit):
    """compact-ferplus has eight labels, so it was offered and never worked."""
    page = visit(query="?tab=Confusion")
    page.get_by_label("Compare with").click()
    expect(page.get_by_role("option", name="vgg16-relu")).to_be_visible()
    expect(page.get_by_role("listbox").get_by_role("option", name="compact-ferplus")).to_have_count(0)


def test_choosing_own_faces_shows_the_upload_and_keeps_the_matrix(visit):
    """The tab went blank, and the upload hid in a closed accordion at its foot."""
    page = visit(query="?tab=Confusion")
    expect(page.locator("#own-zip")).to_be_hidden()
    page.get_by_label("Your own faces").check()
    expect(page.locator("#own-zip")).to_be_visible()
    expect(page.locator("#cell")).to_contain_text("Upload labelled faces first")
    expect(page.locator("#matrix td button")).to_have_count(49)
    upload_bottom = page.locator("#own-zip").bounding_box()["y"]
    assert upload_bottom < page.locator("#matrix").bounding_box()["y"]


def test_two_networks_are_compared_and_the_matrix_can_be_saved(visit):
    """Of eight faces only one network reads five right, only the other one: p is 14 of 64."""
    page = visit()
    page.get_by_role("tab", name="Confusion").click()
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="vgg16-relu").click()
    expect(page.locator("#against")).to_contain_text("p = 0.2188, so the difference is not significant")
    page.get_by_role("button", name="1 only vgg16-relu is correct").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#cell")).to_contain_text("Faces that vgg16-relu predicts correctly and compact does not")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.locator("#saved [data-png]").click()
    assert download.value.suggested_filename == "compact-test-matrix.png"
    assert Path(download.value.path()).read_bytes()[:4] == b"\x89PNG"


def zip_of(count: int, name: str, content: bytes) -> bytes:
    """An archive of as many files of one content, numbered where there are several."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(name.format(number), content)
    return stream.getvalue()


def test_own_faces_get_a_matrix_and_hostile_archives_one_sentence_each(visit, uploads):
    """Nothing of any of them stays on the server."""
    page = visit()
    page.get_by_role("tab", name="Confusion").click()
    page.get_by_label("Your own faces").check()
    field = page.locator("#own-zip").locator("xpath=preceding-sibling::input")
    face = cv2.imencode(".png", np.asarray(example_face(96)))[1].tobytes()
    hostile = {
        "leads out of it": zip_of(1, "../../happy/1.png", face),
        "1 too large": zip_of(1, "happy/1.png", bytes(300_000_000)),
        "too many files": zip_of(100_000, "happy/{}.png", b""),
    }
    for words, content in hostile.items():
        field.set_input_files({"name": "faces.zip", "mimeType": "application/zip", "buffer": content})
        expect(page.locator(".toast-body").last).to_contain_text(words, timeout=30_000)
        page.locator(".toast-close").last.click()
    good = {"name": "faces.zip", "mimeType": "application/zip", "buffer": zip_of(3, "faces/sad/{}.png", face)}
    field.set_input_files(good)
    expect(page.locator("#own-about")).to_contain_text("3 faces of faces.zip: 3 sad", timeout=20_000)
    page.get_by_role("button", name="true sad, predicted happy: 3 faces, 100%").click()
    expect(page.locator("#behind .faces button")).to_have_count(3)
    page.locator("#behind .faces button").first.click()
    expect(page.locator("#behind-face")).to_contain_text("True sad, predicted happy by compact")
    page.get_by_role("button", name="Open in Saliency").click()
    expect(page.locator("#explained figure")).to_have_count(2, timeout=20_000)
    assert [path for path in uploads.rglob("*") if path.suffix == ".zip"] == []  # other tests' pictures may lie there


def test_a_folder_becomes_a_zip_in_the_browser(visit, tmp_path):
    page = visit()
    page.get_by_role("tab", name="Confusion").click()
    page.get_by_label("Your own faces").check()
    for emotion in ("happy", "fearful"):
        (tmp_path / "mine" / emotion).mkdir(parents=True)
        example_face(64).save(tmp_path / "mine" / emotion / "1.png")
    page.locator("#own-folder input").set_input_files(tmp_path / "mine")
    expect(page.locator("#own-about")).to_contain_text("2 faces of mine.zip", timeout=20_000)
    expect(page.get_by_role("button", name="true fear, predicted happy: 1 faces, 100%")).to_be_visible()


def test_the_networks_tab_is_drawn_when_it_is_opened(visit):
    page = visit()
    expect(page.locator("#networks tr")).to_have_count(0)
    page.get_by_role("tab", name="Models").click()
    expect(page.locator("#networks tr")).to_have_count(5)
    expect(page.locator("#networks tr[aria-current] button")).to_have_text("compact")
    page.get_by_role("button", name="Validation").click()
    expect(page.locator("#networks th[aria-sort=descending]")).to_contain_text("Validation")
    expect(page.locator("#facts")).to_contain_text("3,151,367")
    page.locator("#time-it").click()
    expect(page.locator("#took")).to_contain_text("the median of 15 forwards of compact")


def test_a_network_chosen_on_one_tab_is_chosen_on_the_others(visit):
    page = visit()
    page.locator("#model input").click()
    page.get_by_role("option", name="cnn").click()
    page.get_by_role("tab", name="Confusion").click()
    expect(page.locator("#cell")).to_contain_text("cnn has not been measured on Test yet")
    page.get_by_role("tab", name="Models").click()
    expect(page.locator("#facts")).to_contain_text("below 50%")


def test_a_fold_is_filled_when_it_is_opened_and_follows_the_network_while_it_is_open(visit):
    page = visit()
    turn_to(page, "Saliency")
    expect(page.locator("#method_benchmark .empty")).to_have_count(0)
    page.get_by_role("button", name=BENCHMARK).click()
    expect(page.locator("#method_benchmark")).to_contain_text("Not available for compact")
    page.locator("#model input").click()
    page.get_by_role("option", name="cnn").click()
    expect(page.locator("#method_benchmark")).to_contain_text("Not available for cnn")


def test_a_change_of_network_sends_few_requests(visit):
    """At most 14, where every tab with a menu once sent its own: each holds the browser up for about ten ms."""
    page = visit()
    turn_to(page, "Confusion")
    expect(page.locator("#figures")).to_contain_text("0.6250")
    page.locator("#model input").click()
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("option", name="vgg16-relu").click()
    expect(page.locator("#figures")).to_contain_text("0.1250")
    expect(page.locator("#model input")).to_have_value(re.compile("^vgg16-relu"))
    page.wait_for_function("document.querySelector('#diagrams img') !== null")
    assert 2 <= len(sent) <= 14, [url.rsplit("/", 1)[-1] for url in sent]


@pytest.mark.parametrize("tab", ["Confusion", "Models"])
def test_the_tables_keep_to_a_phone_375_pixels_wide(visit, tab):
    page = visit(width=375)
    turn_to(page, tab)
    expect(page.locator("#matrix td button" if tab == "Confusion" else "#networks tbody tr").first).to_be_visible()
    assert page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [375, 375]


def test_the_matrix_names_its_rows_in_full_on_a_phone(visit):
    """Seven columns leave room for the longest name, surprise."""
    page = visit(width=375)
    turn_to(page, "Confusion")
    expect(page.locator("#matrix tbody th").first).to_be_visible()
    cut = "names => names.filter(name => name.scrollWidth > name.clientWidth).map(name => name.textContent)"
    assert page.locator("#matrix tbody th").evaluate_all(cut) == []


def test_a_visitor_slides_to_a_layer_clicks_a_map_and_follows_its_filter(visit):
    """From the first convolution to the second by keyboard, and on to the Filters tab, where the filter grows."""
    page = visit()
    page.locator("#model input").click()
    page.get_by_role("option", name="compact-ferplus").click()
    upload(page, scene(220))
    expect(page.locator("#view .box")).to_have_count(1, timeout=20_000)
    turn_to(page, "Activations")
    expect(page.locator("#map-sheet .tiles button")).to_have_count(32)
    page.locator("#ladder input").focus()
    for _ in range(3):  # over activation and pooling, without normalisation
        page.keyboard.press("ArrowRight")
    expect(page.locator("#ladder output")).to_contain_text("conv2d_2: 64 filters")
    expect(page.locator("#map-sheet .tiles button")).to_have_count(64, timeout=20_000)
    page.locator("#map-sheet [data-choice='5']").click()
    expect(page.locator("#map-card h3")).to_have_text("Filter 5, conv2d_2 of compact-ferplus", timeout=20_000)
    expect(page.locator("#map-card figure")).to_have_count(3)
    page.locator("#map-card .visualise").click()
    expect(page.locator("#filter-card h3")).to_have_text("Filter 5, conv2d_2 of compact-ferplus", timeout=60_000)


def test_the_maps_follow_the_webcam_which_is_released_with_the_tab(visit):
    """No frame is kept on the disk."""
    page = visit(width=375)
    turn_to(page, "Activations")
    expect(page.locator("#map-sheet .tiles button").first).to_be_visible(timeout=20_000)
    page.evaluate(
        "(() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async wish => window.camera = await ask(wish); })()"
    )
    before = sorted(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*"))
    page.locator("#follow .start").click()
    expect(page.locator("#follow p")).to_have_text("Your webcam", timeout=20_000)
    picture = page.locator("#follow img").get_attribute("src")
    assert picture.startswith("data:image/png")
    assert page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [375, 375]
    turn_to(page, "Saliency")
    page.wait_for_function("window.camera.getTracks().every(track => track.readyState === 'ended')")
    assert sorted(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*")) == before


def test_training_faces_concepts_and_suspect_labels_open_and_a_weakened_concept_changes_the_prediction(visit, weights):
    """Without files each says its command; with concepts, one that is weakened changes the prediction at once."""
    import torch

    from fer.attribution import concept_benchmark
    from fer.models import checkpoint

    page = visit()
    page.get_by_role("tab", name="Saliency").click()
    page.get_by_role("button", name="Training faces").click()
    page.locator("#training-faces .empty", has_text="fer influence --benchmark").wait_for()
    name = page.locator("#concepts-fold")
    name.get_by_role("button", name="Concepts").click()
    page.locator("#concepts .empty", has_text="fer concepts").wait_for()
    page.get_by_role("tab", name="Confusion").click()
    page.get_by_role("button", name="Suspect labels").click()
    page.locator("#suspects .empty", has_text="fer suspects").wait_for()
    pixels = torch.randint(0, 256, (40, 48, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = concept_benchmark.measure(
        checkpoint.load_model(weights / "compact"), pixels, torch.arange(40) % 7, pixels, 3
    )
    concept_benchmark.write(found, weights / "compact")
    page.get_by_role("tab", name="Saliency").click()
    name.get_by_role("button", name="Concepts").click()
    name.get_by_role("button", name="Concepts").click()
    page.locator("#concepts img").nth(2).wait_for()
    page.locator("#concepts-weakened input").click()
    page.get_by_role("option", name="Concept 1").click()
    page.locator("#concepts", has_text="weakened (tick: before)").wait_for()
    (weights / "compact" / concept_benchmark.FILE).unlink()
