"""The Confusion tab's section for a visitor's own labelled faces: a zip, or a folder that the browser makes one of.

The upload is deleted as soon as it is read, and nothing of it is unpacked to disk; the 48x48 faces stay in the
visitor's session.
"""

import weakref
from contextlib import contextmanager
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from torch import Tensor

from fer.app.errors import user_error
from fer.app.model_cache import load_any, load_detector
from fer.app.uploads import picture_file
from fer.data import zip_dataset
from fer.data.crop import whole_picture
from fer.data.image_folder import LabelledFaces
from fer.data.image_io import ImageError
from fer.data.zip_dataset import OwnFacesError
from fer.evaluation import predictions
from fer.faces.framing import crop, frame

WORDS = (
    "Measure the network on faces of your own: a zip, or a folder, with a folder for each emotion, as in "
    f"`happy/1.jpg`, of at most {zip_dataset.MOST_FACES:,} pictures and 16 MB. They are read into memory, never "
    "unpacked, and the upload is deleted at once."
)
_answered: weakref.WeakKeyDictionary[LabelledFaces, dict[tuple[Path, str], Tensor]] = weakref.WeakKeyDictionary()


def answers_on(own: LabelledFaces, weights: Path, name: str) -> Tensor:
    """The logits (N, K) of the network or ensemble `name` on these faces, computed once while they are kept."""
    known = _answered.setdefault(own, {})
    if (weights, name) not in known:
        known[weights, name] = predictions.predict_split(load_any(weights, name), own.pixels)
    return known[weights, name]


def take(payload: dict | None, find: bool) -> tuple[LabelledFaces, str]:
    """The faces of an uploaded zip, and a sentence about them. The upload is deleted, whatever comes of it."""
    with _said(), _fleeting(payload) as file:
        title = str(payload.get("orig_name") or file.name)[-60:]
        own = zip_dataset.read(file, title, found_face if find else whole_picture)
    return own, about(own)


def about(own: LabelledFaces) -> str:
    """What was read, and what was left out and why."""
    counts = ", ".join(f"{own.names.count(name)} {name}" for name in dict.fromkeys(own.names))
    words = f"<p><strong>{len(own.names):,} faces</strong> of {escape(own.title)}: {counts}.</p>"
    return words + f"<p>{escape(own.report.line().capitalize())}.</p>"


def found_face(picture: np.ndarray) -> np.ndarray | None:
    """The largest face of a photograph, framed as FER-2013 frames its faces: uint8 (48, 48); None without one."""
    detector = load_detector()
    boxes = detector(picture)
    return crop(picture, frame(boxes[0], detector.name)) if boxes else None


@contextmanager
def _fleeting(payload: dict | None):
    """The uploaded file, which is gone afterwards, with the folder of its own that Gradio put it into."""
    file = picture_file(payload)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
        if not any(file.parent.iterdir()):
            file.parent.rmdir()


@contextmanager
def _said():
    try:
        yield
    except ImageError:
        raise user_error("This upload is not, or no longer, on the server. Please choose it again.") from None
    except OwnFacesError as error:
        raise user_error(str(error)) from None


# ---- layout

# Browsers send a folder's files without their paths, so the folder becomes a zip here: stored, not compressed.
FOLDER_JS = """
const table = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const checksum = bytes => ~bytes.reduce((sum, byte) => table[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;
const little = (...pairs) => new Uint8Array(pairs.flatMap(([value, size]) =>
  Array.from({length: size}, (_, place) => (value >>> (8 * place)) & 255)));
async function zipped(files) {
  const parts = [], directory = [];
  let offset = 0;
  for (const file of files) {
    const name = new TextEncoder().encode(file.webkitRelativePath || file.name);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const facts = [[20, 2], [2048, 2], [0, 2], [0, 4], [checksum(bytes), 4], [bytes.length, 4], [bytes.length, 4],
      [name.length, 2], [0, 2]];
    parts.push(little([0x04034b50, 4], ...facts), name, bytes);
    directory.push(little([0x02014b50, 4], [20, 2], ...facts, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), name);
    offset += 30 + name.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0), count = directory.length / 2;
  const end = little([0x06054b50, 4], [0, 4], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], {type: 'application/zip'});
}
element.addEventListener('click', event => {
  if (event.target.closest('button')) element.querySelector('input').click();
});
element.addEventListener('change', async event => {
  const files = [...event.target.files].filter(file => !file.name.startsWith('.'));
  if (!files.length) return;
  const status = element.querySelector('[role=status]');
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length > 5000 || size > 16e6) {
    status.textContent = `This folder has ${files.length} files and ${(size / 1e6).toFixed(1)} MB: too many.`;
    return;
  }
  status.textContent = '';
  const name = (files[0].webkitRelativePath || 'folder').split('/')[0] + '.zip';
  const sent = new DataTransfer();
  sent.items.add(new File([await zipped(files)], name, {type: 'application/zip'}));
  const input = document.querySelector('#own-zip').parentElement.querySelector('input[type=file]');
  input.files = sent.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
  event.target.value = '';
});
"""
FOLDER = """<button type="button">A folder</button><p role="status"></p>
<input type="file" webkitdirectory multiple hidden aria-label="A folder of faces">"""
FOLDER_CSS = """
button { width: 100%; padding: 8px 16px; cursor: pointer; font: 500 var(--text-md)/1.5 var(--font);
  color: var(--button-secondary-text-color); background: var(--button-secondary-background-fill);
  border: 1px solid var(--button-secondary-border-color, var(--border-color-primary));
  border-radius: var(--button-large-radius, var(--radius-md)); }
button:hover { background: var(--button-secondary-background-fill-hover); }
button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 1px; }
p { margin: 4px 0 0; font-size: var(--text-sm); color: var(--body-text-color); }
"""
ABOUT_CSS = "p { margin: 0 0 6px; font-size: var(--text-sm); line-height: 1.45; color: var(--body-text-color); }"


def section(weights: Path, network: gr.Dropdown, own: gr.State, split: gr.Radio, name_of_own: str) -> None:
    """Lays the section out; what is uploaded is what the matrix is of from then on."""
    gr.Markdown(WORDS)
    with gr.Row():
        zipped = gr.UploadButton("A zip", file_types=[".zip"], size="md", elem_id="own-zip", min_width=140)
        gr.HTML(
            FOLDER, js_on_load=FOLDER_JS, css_template=FOLDER_CSS, apply_default_css=False, padding=False,
            min_width=140, elem_id="own-folder",
        )  # fmt: skip
        find = gr.Checkbox(label="They are photographs: find the face in each", elem_id="own-find", min_width=240)
    words = gr.HTML("", css_template=ABOUT_CSS, apply_default_css=False, elem_id="own-about")

    def taken(payload: dict | None, find: bool, name: str) -> tuple:
        own, about = take(payload, find)
        answers_on(own, weights, name)  # here, where it is seen that something is going on
        return own, about, name_of_own

    shown = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": words}
    zipped.upload(taken, [zipped, find, network], [own, words, split], preprocess=False, **shown)
