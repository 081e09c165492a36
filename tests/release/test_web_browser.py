"""The static site in Chromium, with a camera that shows one face. The runtime comes from npm, so no CDN is asked.

Skips where Playwright, Chromium or `onnxruntime-web` (below $FER_NPM or in node_modules) is not to be had.
"""

import csv
import io
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import cv2
import numpy as np
import pytest
import torch

from fer.data import crop, dataset
from fer.faces.detector import load_detector
from fer.inference.predictor import Predictor, calibrated_probabilities
from fer.models import checkpoint
from fer.release.web import check, runtime, site
from tests import sites
from tests.pages import example_face

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("onnxscript")
YUNET = os.environ.get("FER_YUNET")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not sites.CHROMIUM, reason="no chromium on the PATH"),
    pytest.mark.skipif(not sites.runtime(), reason="no onnxruntime-web below $FER_NPM or node_modules"),
]
needs_yunet = pytest.mark.skipif(not YUNET, reason="YuNet's model is not at hand: FER_YUNET names it")


def scene(*positions: int, side: int = 200) -> np.ndarray:
    """The happy example at so many pixels, once for each position from the left, on grey of 640x480; BGR."""
    picture, top = np.full((480, 640, 3), 128, np.uint8), (480 - side) // 2
    for x in positions:
        picture[top : top + side, x : x + side] = np.asarray(example_face(side))[..., None]
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of `compact` and `cnn` with its own runtime, and with YuNet where it is at hand."""
    out = tmp_path_factory.mktemp("web") / "site"
    site.write_site(out, ["compact", "cnn"], sites.runtime())
    return out


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with sites.served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory):
    """A browser whose camera sees one face. An .mjpeg is nothing but JPEGs in a row."""
    camera = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    camera.write_bytes(cv2.imencode(".jpg", scene(90, side=460))[1].tobytes() * 30)
    with playwright.sync_playwright() as manager:
        flags = [*sites.FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = manager.chromium.launch(executable_path=sites.CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, url):
    """Opens the page and waits for its models; at the end no error may be in the console, no other host asked."""
    contexts, errors, hosts = [], [], set()

    def open_page(width: int = 1280, scheme: str = "light", address: str = url, wait: bool = True, **context):
        viewport = {"width": width, "height": 860}
        contexts.append(chromium.new_context(viewport=viewport, color_scheme=scheme, permissions=["camera"], **context))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
        page.goto(address)
        if wait:
            sites.wait_until(page, "idle", "failed")
        return page

    open_page.expected_hosts = {"127.0.0.1", "example.org", None} | ({"huggingface.co"} if not YUNET else set())
    open_page.expected = ["huggingface.co"]  # what errors may speak of
    yield open_page
    for context in contexts:
        context.close()
    assert hosts <= open_page.expected_hosts  # example.org: what the policy is to stop
    assert [error for error in errors if not any(words in error for words in open_page.expected)] == []


def expect(locator):
    return playwright.expect(locator)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "face.png"
    cv2.imwrite(str(file), scene(220))
    return file


def choose_photo(page, file: Path) -> list[dict]:
    page.get_by_role("tab", name="Photo").click()
    return sites.photograph(page, file)


NEXT_PREDICTION = """() => new Promise(done => document.addEventListener(
  'prediction', ({detail: {faces}}) => done(), {once: true}))"""


def test_a_visitor_is_read_live_and_the_camera_is_released_by_pause(visit):
    """A card with the label and seven bars, a pace, a timeline; after Pause no track of the camera is left."""
    page = visit()
    page.get_by_role("button", name="Start the camera").click()
    card = page.locator(".face").first
    expect(card.locator("h2 span")).to_have_text("Happy")
    expect(card.locator(".share")).to_have_count(7)
    expect(page.locator("#pace")).to_have_text(re.compile(r"\d+ fps · \d+ ms"))
    expect(page.locator("#timeline")).to_be_visible()
    page.evaluate("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    page.get_by_role("button", name="Pause").click()
    sites.wait_until(page, "paused")
    assert page.evaluate("[window.track.readyState, document.querySelector('video').srcObject]") == ["ended", None]
    expect(page.locator("#picture")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    sites.wait_until(page, "live")


def test_leaving_releases_the_camera(visit):
    """By the other tab, and by another page of the browser, which says so."""
    page = visit()
    page.get_by_role("button", name="Start the camera").click()
    sites.wait_until(page, "live")
    page.evaluate("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    page.get_by_role("tab", name="Photo").click()
    assert page.evaluate("window.track.readyState") == "ended"
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    sites.wait_until(page, "live")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#say")).to_have_text("Camera stopped: you left this tab.")
    assert page.evaluate("document.querySelector('video').srcObject") is None


def test_faces_are_predicted_as_by_the_library(visit):
    """Twelve pictures of noise and blobs: probabilities within 1e-5; maps that add up to the logits' differences."""
    page, network = visit(), checkpoint.load_model("compact")
    generator = torch.Generator().manual_seed(0)
    soft = torch.nn.functional.interpolate(torch.rand(12, 1, 6, 6, generator=generator), 48, mode="bilinear")
    pixels = (255 * soft[:, 0]).round().byte()
    found, maps = sites.predictions(page, pixels.numpy())
    expected = calibrated_probabilities(network, dataset.to_unit(pixels))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    with torch.inference_mode():
        logits = network(dataset.to_unit(pixels)) - network[-1].bias
    np.testing.assert_allclose(maps.sum((2, 3)), logits.numpy(), atol=1e-4)


@pytest.mark.data
def test_real_faces_are_predicted_as_by_the_library(visit, fer2013: dict[str, dataset.FaceDataset]):
    """100 faces of PublicTest, within 1e-3."""
    pixels = dataset.random_subset(fer2013["PublicTest"], 100).pixels
    found, _ = sites.predictions(visit(), pixels.numpy())
    expected = calibrated_probabilities(checkpoint.load_model("compact"), dataset.to_unit(pixels))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


@needs_yunet
def test_a_photograph_is_read_as_by_predictor(visit, tmp_path: Path):
    """Two faces: boxes within 2 pixels, the same labels, probabilities within 1e-2."""
    file = tmp_path / "two.png"
    cv2.imwrite(str(file), scene(60, 380))
    found = choose_photo(visit(), file)
    expected = Predictor("compact", load_detector("yunet"))(file).faces
    assert len(found) == len(expected) == 2
    for mine, face in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine["box"], [face.box.x, face.box.y, face.box.width, face.box.height], atol=2)
        assert list(face.probabilities)[mine["label"]] == face.emotion
        np.testing.assert_allclose(mine["probabilities"], list(face.probabilities.values()), atol=1e-2)


def test_without_a_detector_the_centre_of_the_picture_is_read_and_that_is_said(visit, folder: Path, tmp_path: Path):
    """Where YuNet can be had neither from the site nor from the Hub; the same answer as Predictor's `whole`."""
    bare = Path(shutil.copytree(folder, tmp_path / "bare"))
    table = (bare / "site.js").read_text(encoding="utf-8")
    (bare / "site.js").write_text(
        table.replace(check.table(bare)["yunet"]["file"], "models/none.onnx"), encoding="utf-8"
    )
    file = tmp_path / "face.png"
    cv2.imwrite(str(file), scene(220))
    with sites.served(bare) as address:
        page = visit(address=address, wait=False)
        sites.wait_until(page, "idle", "failed")
        (face,) = choose_photo(page, file)
        expect(page.locator("#note")).to_have_text("No face detector here: the centre of the picture is used.")
    assert face["box"] == [80, 0, 480, 480]
    (expected,) = Predictor("compact", load_detector("haar"))(file, whole=True).faces
    np.testing.assert_allclose(face["probabilities"], list(expected.probabilities.values()), atol=1e-3)


def test_the_overlay_explains_a_target_against_another_class(visit, photo: Path):
    """The card's sum adds up, changes with target and contrast; `cnn`, whose map would not be exact, has none."""
    page = visit()
    page.get_by_role("tab", name="Photo").click()
    page.check("#whole")
    sites.photograph(page, photo)
    page.check("#overlay")
    total = page.locator(".face .sum")
    score, parts = total.text_content().split(": ")[1].replace("−", "-").split(" = map ")
    over, bias = map(float, parts.split(" + bias "))
    assert float(score) == pytest.approx(over + bias, abs=0.011)
    page.select_option("#target", label="sad")
    page.select_option("#contrast", label="happy")
    expect(total).to_contain_text("Score of sad − happy: ")
    page.select_option("#model", label=page.locator("#model option").nth(1).text_content())
    expect(page.locator("#why-hint")).to_contain_text("Not available for cnn")
    expect(page.locator("#overlay")).to_be_disabled()


def test_a_model_is_chosen_for_the_photo_that_is_shown(visit, photo: Path):
    """The card's probabilities become those of `cnn`, as the library has them."""
    page = visit()
    page.get_by_role("tab", name="Photo").click()
    page.check("#whole")
    sites.photograph(page, photo)
    with page.expect_event("console", predicate=lambda message: message.text == "predicted again"):
        page.evaluate("document.addEventListener('prediction', () => console.log('predicted again'), {once: true})")
        page.select_option("#model", "cnn")
    (face,) = Predictor("cnn", load_detector("haar"))(photo, whole=True).faces
    expect(page.locator(".face h2 span")).to_have_text(face.emotion.capitalize())
    expect(page.locator(".face .share").nth(3)).to_have_text(f"{face.probabilities['happy']:.0%}")


def test_photos_come_by_drop_and_paste_and_what_is_none_is_refused(visit):
    """A picture each way; a text file gets one sentence, a picture of 10 pixels another."""
    page = visit()
    page.get_by_role("tab", name="Photo").click()
    make = """async ([kind, side]) => {
      const canvas = new OffscreenCanvas(side, side);
      canvas.getContext('2d').fillRect(0, 0, side, side);
      const data = new DataTransfer();
      data.items.add(new File([await canvas.convertToBlob()], 'x.png', {type: 'image/png'}));
      const event = kind === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
        : new ClipboardEvent('paste', {clipboardData: data, bubbles: true});
      document.querySelector('main').dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(make, [kind, 200])
        sites.wait_until(page, "predicted")
        page.get_by_role("tab", name="Photo").click()
    page.evaluate(make, ["drop", 10])
    expect(page.locator("#say")).to_contain_text("10 × 10 pixels; each side needs at least 24")
    page.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.locator("#say")).to_contain_text("could not be opened as a picture")


def test_the_examples_are_read_with_one_click(visit):
    """Seven averaged faces; the happy one is happy."""
    page = visit()
    page.get_by_role("tab", name="Photo").click()
    assert page.locator("#examples button").count() == 7
    page.locator("#examples button", has_text="happy").click()
    expect(page.locator(".face h2 span")).to_have_text("Happy")


def test_predictions_are_saved_as_csv(visit, tmp_path: Path):
    """A line for every prediction: seconds, face, label, confidence, box, and probabilities that sum to 1."""
    page = visit()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator(".face h2 span").first).to_have_text("Happy")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert rows and list(rows[0])[:4] == ["seconds", "face", "expression", "low_confidence"]
    assert sum(float(value) for value in list(rows[-1].values())[8:]) == pytest.approx(1, abs=1e-3)
    assert float(rows[0]["seconds"]) == 0 and {row["face"] for row in rows} == {"1"}


def test_blurred_faces_are_hidden_everywhere(visit):
    """The camera's picture is not shown, the face has six blocks across, and the card's input is plain grey."""
    page = visit()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator(".face h2 span").first).to_have_text("Happy")
    page.check("#blur")
    expect(page.locator("video")).to_be_hidden()
    page.evaluate(NEXT_PREDICTION)
    steps = page.evaluate(
        NEXT_PREDICTION.replace(
            "done()",
            """{
              const {x, y, width} = faces[0].square, pen = document.querySelector('#picture').getContext('2d');
              const row = pen.getImageData(Math.ceil(x), Math.round(y + width / 2), Math.floor(width) - 1, 1).data;
              done(row.filter((value, at) => at % 4 === 0 && at > 3 && value !== row[at - 4]).length);
            }""",
        )
    )
    assert 1 <= steps <= 7  # between six blocks, and at their outer edges
    pen = page.locator(".face canvas").first.evaluate_handle("canvas => canvas.getContext('2d')")
    assert set(pen.evaluate("pen => Array.from(pen.getImageData(0, 0, 48, 48).data)")) == {128, 255}


def test_it_works_without_a_network_once_it_was_loaded(visit, folder: Path):
    """The server is gone, the page is loaded again, and a photograph is read."""
    server = site.server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = visit(address=f"http://127.0.0.1:{server.server_port}/")
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.evaluate("new Promise(done => navigator.serviceWorker.controller ? done() : "
                  "navigator.serviceWorker.addEventListener('controllerchange', () => done()))")  # fmt: skip
    server.shutdown()
    server.server_close()
    page.reload()
    sites.wait_until(page, "idle")
    page.get_by_role("tab", name="Photo").click()
    page.locator("#examples button", has_text="happy").click()
    expect(page.locator(".face h2 span")).to_have_text("Happy")


def test_nothing_is_requested_once_it_was_loaded(visit, photo: Path):
    """Live for two seconds and a photograph: no request at all, and the policy stops one that is tried."""
    page, asked = visit(), []
    visit.expected += ["Content Security Policy"]
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.context.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator(".face").first).to_be_visible()
    page.wait_for_timeout(2000)
    choose_photo(page, photo)
    assert [address for address in asked if not address.startswith(("blob:", "data:"))] == []
    assert page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'stopped')") == "stopped"


def test_a_file_that_was_altered_is_not_run(visit, folder: Path, tmp_path: Path):
    """A model with one other byte: the page says that it could not be loaded."""
    altered = Path(shutil.copytree(folder, tmp_path / "altered"))
    model = altered / check.table(altered)["models"][0]["file"]
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with sites.served(altered) as address:
        page = visit(address=address)
        expect(page.locator("#say")).to_contain_text("is not the file that this page was made for")


def test_the_runtime_of_the_cdn_is_run_once_its_digest_fits(visit, folder: Path, tmp_path: Path):
    """jsDelivr played by the npm package: only its folder of the pinned version is asked, for two files."""
    site.write_site(tmp_path / "site", ["cnn"])
    visit.expected_hosts.add("cdn.jsdelivr.net")
    with sites.served(tmp_path / "site") as address:
        page, asked = visit(address="about:blank", wait=False), []

        def answer(route):
            asked.append(route.request.url)
            name = route.request.url.removeprefix(runtime.CDN)
            route.fulfill(path=sites.runtime() / name, headers={"access-control-allow-origin": "*"})

        page.context.route("https://cdn.jsdelivr.net/**", answer)
        page.goto(address)
        sites.wait_until(page, "idle", "failed")
        expect(page.locator("#facts")).to_contain_text("WebAssembly")
    assert sorted(asked) == sorted(runtime.CDN + name for name in runtime.BUILDS["wasm"])


def test_the_keyboard_reaches_everything(visit):
    """Tab and arrow keys turn to Photo; Enter on an example reads it."""
    page = visit()
    page.get_by_role("tab", name="Camera").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Photo")).to_be_focused()
    page.locator("#examples button").nth(3).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".face h2 span")).to_have_text("Happy")
    assert page.locator("#spoken").text_content().startswith("happy")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_it_fits_the_window_and_axe_finds_nothing_serious(visit, width: int, scheme: str):
    """No sideways scrolling; axe-core's rules on the camera's view, and on a photograph with the overlay."""
    axe = sites.npm("axe-core")
    page = visit(width, scheme, bypass_csp=True)
    serious = []
    for step in (lambda: None, lambda: read_example(page)):
        step()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if axe:
            page.add_script_tag(path=axe / "axe.min.js")
            found = page.evaluate("axe.run().then(({violations}) => violations.map(({id, impact, nodes}) => "
                                  "[impact, id, nodes[0].html.slice(0, 150)]))")  # fmt: skip
            serious += [violation for violation in found if violation[0] in ("serious", "critical")]
    assert serious == []


def read_example(page) -> None:
    page.get_by_role("tab", name="Photo").click()
    page.locator("#examples button", has_text="sad").click()
    sites.wait_until(page, "predicted")
    page.check("#overlay")
    assert crop.SIDE == page.evaluate("document.querySelector('.face canvas').width")
