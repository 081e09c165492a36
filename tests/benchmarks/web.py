"""The static site of `python -m fer web`: does it answer as the library, how fast, in how many bytes?

    python -m tests.benchmarks.web --photo PHOTO                   # all parts, some five minutes
    python -m tests.benchmarks.web --photo PHOTO --quick           # a tenth of the faces and seconds: does it run?
    python -m tests.benchmarks.web --photo PHOTO --parts live load --seconds 300
    python -m tests.benchmarks.web --photo PHOTO --photos FOLDER --parts photos

Needs Chromium and, below $FER_NPM or in node_modules, npm's `onnxruntime-web`; `faces` needs FER-2013, `photos` and a
fair `live` YuNet ($FER_YUNET); `others` npm's `@vladmandic/face-api` and `@tensorflow/tfjs-backend-wasm` too. Browser
and, for the Gradio page, server share the machine. Aims: probabilities within 1e-3 of Predictor's over 500 faces, boxes
within 2 pixels, maps within 1e-3 of Captum's, 30 readings a second (20 required), 8 MB beside the runtime's, no request
after loading, memory flat within 20 MB.
"""

import argparse
import gzip
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import torch

from fer.data import dataset, fer2013
from fer.faces.detector import load_detector
from fer.inference.predictor import Predictor, calibrated_probabilities
from fer.models import checkpoint
from fer.release.web import site
from tests import sites
from tests.benchmarks import live

LISTEN = """window.readings = []; document.addEventListener('prediction',
  ({detail}) => readings.push([performance.now() / 1000, detail.delay, detail.faces.length]))"""


# ------------------------------------------------------------------------------------------------ agreement


def faces(browser, url: str, arguments: argparse.Namespace) -> None:
    """Probabilities of PublicTest faces beside Predictor's, and maps beside Captum's."""
    from captum import attr

    (validation,) = fer2013.get_splits(fer2013.load_fer2013(None), "PublicTest")
    pixels = dataset.random_subset(validation, 50 if arguments.quick else 500).pixels
    network, page = checkpoint.load_model("compact"), ready(browser, url)
    found, maps = sites.predictions(page, pixels.numpy())
    expected = calibrated_probabilities(network, dataset.to_unit(pixels)).numpy()
    print(f"faces   {len(pixels)} of PublicTest: probabilities differ by {np.abs(found - expected).max():.1e} at most")
    (*_, layer) = [layer for layer in network if isinstance(layer, torch.nn.ReLU)]
    first, worst = dataset.to_unit(pixels[:50]), {"Grad-CAM": 0.0, "HiResCAM": 0.0}
    for label in range(len(network.labels)):
        cam = attr.LayerGradCam(network, layer).attribute(first, label)[:, 0]
        hires = attr.LayerGradientXActivation(network, layer).attribute(first, label).sum(1)
        for name, values in (("Grad-CAM", cam), ("HiResCAM", hires)):
            worst[name] = max(worst[name], np.abs(values.detach().numpy() - maps[: len(first), label]).max())
    told = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    page.context.close()
    print(f"        maps of {len(first)} faces and every label differ from Captum's by: {told}")


def photos(browser, url: str, arguments: argparse.Namespace) -> None:
    """Boxes, labels and probabilities of photographs beside Predictor's."""
    predictor, page = Predictor("compact", load_detector("yunet")), ready(browser, url)
    found = [file for file in Path(arguments.photos or ".").rglob("*") if file.suffix in (".jpg", ".png")]
    missed = same = total = 0
    box = chance = 0.0
    for file in sorted(found):
        expected, answers = predictor(file).faces, sites.photograph(page, file)
        if len(expected) != len(answers):
            missed += 1
            continue
        for face, answer in zip(expected, answers, strict=True):
            where = [face.box.x, face.box.y, face.box.width, face.box.height]
            box = max(box, np.abs(np.subtract(where, answer["box"])).max())
            chance = max(chance, np.abs(np.subtract(list(face.probabilities.values()), answer["probabilities"])).max())
            same += list(face.probabilities)[answer["label"]] == face.emotion
            total += 1
    print(f"photos  {len(found)}, of which {missed} with another number of faces; {same} of {total} labels the same;")
    page.context.close()
    print(f"        boxes within {box:.3f} pixels, probabilities within {chance:.4f}")


# ------------------------------------------------------------------------------------------------ live


def ready(browser, url: str, **context):
    page = browser.new_context(permissions=["camera"], **context).new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    sites.wait_until(page, "idle", "failed")
    return page


def told(readings: list) -> str:
    """Readings a second, their median milliseconds and the spread, over [second, milliseconds, faces] each."""
    delays = sorted(delay for _, delay, _ in readings)
    rate = (len(readings) - 1) / (readings[-1][0] - readings[0][0])
    seen = statistics.mean(count > 0 for *_, count in readings)
    p95 = delays[int(0.95 * len(delays))]
    return f"{rate:5.1f} a second, median {statistics.median(delays):.0f} ms, p95 {p95:.0f} ms, a face in {seen:.0%}"


def megabytes(browser) -> float:
    """Private memory of the browser's renderers (Linux)."""
    session = browser.new_browser_cdp_session()
    total = 0
    for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
        status = Path(f"/proc/{process['id']}/status")
        if process["type"] == "renderer" and status.is_file():
            lines = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("RssAnon")]
            total += int(lines[0].split()[1]) / 1024
    session.detach()
    return total


def live_view(browser, url: str, arguments: argparse.Namespace) -> None:
    """Readings a second and milliseconds from frame to box; requests and memory meanwhile."""
    for overlay in (False, True):
        page, asked = ready(browser, url), []
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        page.context.on("request", lambda request, asked=asked: asked.append(request.url))
        page.evaluate(LISTEN)
        page.set_checked("#overlay", overlay)
        page.get_by_role("button", name="Start the camera").click()
        page.locator(".face").first.wait_for()
        time.sleep(min(10, arguments.seconds / 3))
        page.evaluate("readings.length = 0")
        memory = [megabytes(browser)]
        for _ in range(5):
            time.sleep(arguments.seconds / 5)
            memory.append(megabytes(browser))
        print(f"live    {'with saliency overlay' if overlay else page.locator('#facts').text_content()}")
        outside = [address for address in asked if not address.startswith(("blob:", "data:"))]
        print(f"        {told(page.evaluate('readings'))}; {len(outside)} requests; ", end="")
        print(f"memory in {arguments.seconds:.0f} s: {', '.join(f'{value:.0f}' for value in memory)} MB", flush=True)
        page.context.close()


# ------------------------------------------------------------------------------------------------ loading


class Counting(site._Handler):
    """Sends compressed what a CDN would, at so many bytes a second, and keeps account."""

    sent: dict[str, int] = {}
    rate: float | None = None
    lock = threading.Lock()

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        file = file / "index.html" if file.is_dir() else file
        if not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        if file.suffix in (".wasm", ".mjs", ".js", ".css", ".html"):
            content = gzip.compress(content, 6)
        self.send_response(200)
        self.send_header("content-type", self.guess_type(str(file)))
        self.send_header("content-length", str(len(content)))
        if file.suffix in (".wasm", ".mjs", ".js", ".css", ".html"):
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        self.sent[self.path] = len(content)
        for start in range(0, len(content), 65536):
            with self.lock:  # one line for all of them
                time.sleep(min(65536, len(content) - start) / self.rate if self.rate else 0)
            self.wfile.write(content[start : start + 65536])
        return None


@contextmanager
def counted(folder: Path, rate: float | None) -> Iterator[tuple[str, dict[str, int]]]:
    handler = type("Handler", (Counting,), {"sent": {}, "rate": rate})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", handler.sent
    finally:
        server.shutdown()


def load(browser, url: str, arguments: argparse.Namespace) -> None:
    """Bytes and seconds from opening to the first prediction, of an example; files are compressed as by a CDN."""
    for name, rate in (("fast line", None), ("1 MB/s", 1e6)):
        with counted(arguments.site, rate) as (address, sent):
            began = time.perf_counter()
            page = ready(browser, address)
            idle = time.perf_counter() - began
            page.get_by_role("tab", name="Photo").click()
            page.locator("#examples button", has_text="happy").click()
            page.locator(".face").wait_for()
            seconds = time.perf_counter() - began
            page.context.close()
        runtime = sum(size for path, size in sent.items() if path.startswith("/runtime/"))
        rest = sum(sent.values()) - runtime
        print(f"load    {name}: {seconds:.1f} s to the first prediction, ready after {idle:.1f} s; ", end="")
        print(f"{rest / 1e6:.2f} MB and the runtime's {runtime / 1e6:.2f} MB, in {len(sent)} requests", flush=True)


# ------------------------------------------------------------------------------------------------ beside others

FACE_API = """<!doctype html><video autoplay muted playsinline></video><script type="module">
import * as faceapi from './face-api/dist/face-api.esm.js';
faceapi.tf.setWasmPaths('./tfjs-backend-wasm/dist/');
await faceapi.tf.setBackend('wasm');
await faceapi.tf.ready();
await faceapi.nets.tinyFaceDetector.loadFromUri('./face-api/model');
await faceapi.nets.faceExpressionNet.loadFromUri('./face-api/model');
const video = document.querySelector('video');
video.srcObject = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}});
await video.play();
window.readings = [];
const options = new faceapi.TinyFaceDetectorOptions({inputSize: 320});
document.title = faceapi.tf.getBackend();
video.requestVideoFrameCallback(async function next() {
  const taken = performance.now();
  const faces = await faceapi.detectAllFaces(video, options).withFaceExpressions();
  readings.push([performance.now() / 1000, performance.now() - taken, faces.length]);
  video.requestVideoFrameCallback(next);
});
</script>"""


def others(browser, url: str, arguments: argparse.Namespace) -> None:
    """The Gradio page's Live view with one visitor, and npm's face-api, on the same clip."""
    with tempfile.TemporaryDirectory() as folder:
        with live.served(folder) as server:
            (readings,), _ = live.watched([browser], arguments.seconds, server)
        print(
            f"others  Gradio's Live: {told([[at, delay, who != 'nobody'] for at, delay, who in readings])}", flush=True
        )
    face_api, wasm = sites.npm("@vladmandic/face-api"), sites.npm("@tensorflow/tfjs-backend-wasm")
    if not (face_api and wasm):
        return print("        npm's face-api is not at hand")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "face-api").symlink_to(face_api)
        Path(folder, "tfjs-backend-wasm").symlink_to(wasm)
        Path(folder, "index.html").write_text(FACE_API, encoding="utf-8")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(site._Handler, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_context(permissions=["camera"]).new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        time.sleep(10)
        page.evaluate("readings.length = 0")
        time.sleep(arguments.seconds)
        print(f"        face-api ({page.title()}): {told(page.evaluate('readings'))}", flush=True)
        page.context.close()
        server.shutdown()
    return None


# ------------------------------------------------------------------------------------------------ all


PARTS = {"faces": faces, "photos": photos, "live": live_view, "load": load, "others": others}


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", required=True, help="a photograph of one face, for the camera")
    parser.add_argument("--photos", help="a folder of photographs")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=30, help="of each live view")
    parser.add_argument("--threads", type=int, help="of WebAssembly, at most; as many as the page takes unless given")
    parser.add_argument("--quick", action="store_true", help="a tenth of the faces and seconds")
    arguments = parser.parse_args()
    arguments.seconds /= 10 if arguments.quick else 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as manager:
        arguments.site = Path(folder, "site")
        site.write_site(arguments.site, ["compact"], sites.runtime())
        if arguments.threads:
            worker = arguments.site / "worker.js"
            worker.write_text(
                worker.read_text(encoding="utf-8").replace("Math.min(4,", f"Math.min({arguments.threads},"),
                encoding="utf-8",
            )
        camera = live.camera(arguments.photo, Path(folder, "camera.mjpeg"))
        flags = [*sites.FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = manager.chromium.launch(executable_path=sites.CHROMIUM, args=flags)
        with sites.served(arguments.site) as url:
            for part in arguments.parts:
                if part != "photos" or arguments.photos:
                    PARTS[part](browser, url, arguments)
        browser.close()


if __name__ == "__main__":
    main()
