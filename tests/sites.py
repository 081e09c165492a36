"""What the tests and the benchmark of the static site share: where its runtime is, a server, a page that is ready."""

import base64
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fer.release.web import site

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-quic --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
).split()


def npm(package: str) -> Path | None:
    """The folder of an npm package: below $FER_NPM, a node_modules, or the checkout's own; None where it is not."""
    folders = (Path(os.environ["FER_NPM"]) if os.environ.get("FER_NPM") else None, ROOT / "node_modules")
    return next((folder / package for folder in folders if folder and (folder / package).is_dir()), None)


def runtime() -> Path | None:
    """`dist/` of onnxruntime-web."""
    folder = npm("onnxruntime-web")
    return folder and folder / "dist"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the site in a folder, on this computer."""
    server = site.server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def wait_until(page, *states: str) -> None:
    """Waits for the page to be in one of its states: idle, live, paused, predicted, failed."""
    page.locator(", ".join(f"body.{state}" for state in states)).wait_for(state="attached")


def predictions(page, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The page's probabilities (N, K) and maps (N, K, H, W) of uint8 faces (N, 48, 48), each as a picture of its own.

    For a model without maps these are empty.
    """
    found = page.evaluate(
        """async rows => {
          const {ask} = await import(new URL('page.js', location));
          const answers = [];
          for (const row of rows) {
            const grey = Uint8ClampedArray.from(atob(row), byte => byte.charCodeAt(0));
            const picture = new ImageData(48, 48);
            grey.forEach((value, at) => picture.data.set([value, value, value, 255], 4 * at));
            const {faces: [face]} = await ask('photo', {bitmap: await createImageBitmap(picture), whole: true});
            answers.push([face.probabilities, Array.from(face.maps ?? [])]);
          }
          return answers;
        }""",
        [encoded(face) for face in faces],
    )
    probabilities, maps = (np.array([answer[place] for answer in found]) for place in (0, 1))
    side = round((maps.shape[1] / probabilities.shape[1]) ** 0.5)
    return probabilities, maps.reshape(len(faces), -1, side, side) if side else maps


def encoded(face: np.ndarray) -> str:
    return base64.b64encode(face.tobytes()).decode()


def photograph(page, file: Path) -> list[dict]:
    """Opens a photograph and gives the faces found: label, box [x, y, width, height], angle, probabilities."""
    page.evaluate(
        "() => { window.answer = new Promise(done => document.addEventListener('prediction', "
        "event => done(event.detail.faces), {once: true})); }"
    )
    page.set_input_files("#file", file)
    return page.evaluate(
        "async () => (await window.answer).map(({label, box, probabilities, lowConfidence}) => ({label, probabilities, "
        "lowConfidence, angle: box.angle, box: [box.x, box.y, box.width, box.height]}))"
    )
