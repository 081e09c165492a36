"""The Activations tab's face, and the webcam that it can follow.

The browser sends a small frame, and the next one once the answer is there; its `frame` event has the frame's `number`
and `image`. The server reads it in memory and forgets it. The camera is released when the visitor stops, turns to
another tab or hides the page.
"""

import base64
import binascii

import gradio as gr
import numpy as np

from fer.app.errors import image_errors_as_messages, user_error
from fer.app.events import event_value
from fer.app.uploads import small_jpeg
from fer.plotting import encode

PREFIX = "data:image/jpeg;base64,"
LONGEST = 200_000  # characters of a frame: 320x240 has about 16,000
SIDE = 640  # pixels of a frame's longer side, at most

# Nothing of the template changes, so that what the script puts into it stays.
TEMPLATE = """<img alt="The face that is looked at" hidden><p></p>
<button type="button" class="start">Use webcam</button>
<button type="button" class="stop" hidden>Stop the webcam</button>"""

CSS = """
img { display: block; width: 100%; aspect-ratio: 1; margin: 0; image-rendering: pixelated;
  border-radius: var(--radius-md); }
img[hidden], button[hidden] { display: none; }
p { margin: 6px 0; font-size: var(--text-sm); line-height: 1.35; color: var(--body-text-color-subdued); }
button { width: 100%; padding: 6px 4px; border: 1px solid var(--border-color-primary); cursor: pointer;
  border-radius: var(--radius-md); background: var(--button-secondary-background-fill);
  color: var(--button-secondary-text-color); font: 600 13px/1.25 var(--font); }
button:hover { border-color: var(--primary-400); }
button:focus-visible { outline: 2px solid var(--primary-500); outline-offset: 2px; }
.stop { color: #fff; background: #b91c1c; border-color: transparent; }
"""

JS = """const $ = name => element.querySelector(name);
const REFUSALS = {
  NotAllowedError: 'The browser did not give the camera to this page. Allow it in the address bar and start again.',
  NotFoundError: 'There is no camera here.',
  NotReadableError: 'Another program has the camera. Close it and start again.',
};
const video = Object.assign(document.createElement('video'), {muted: true, playsInline: true});
const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
let stream = null, asking = 0, number = 0, sent = 0, waiting = false;

const say = words => { $('p').textContent = words; };
const buttons = () => { $('.start').hidden = stream; $('.stop').hidden = !stream; };
function show() {
  $('img').hidden = !props.picture;
  if (props.picture) $('img').src = props.picture;
  say(props.said);
}
async function start() {
  if (!navigator.mediaDevices) return say('Browsers give cameras only to pages at https:// or on this computer.');
  const mine = ++asking;
  say('Waiting for the camera.');
  try {
    const size = {width: {ideal: 640}, height: {ideal: 480}, facingMode: 'user'};
    const found = await navigator.mediaDevices.getUserMedia({audio: false, video: size});
    if (mine !== asking || !inSight()) return found.getTracks().forEach(track => track.stop());
    stream = found;
  } catch (error) {
    return say(REFUSALS[error.name] ?? 'The camera could not be started.');
  }
  video.srcObject = stream;
  stream.getVideoTracks()[0].onended = () => stop('The camera was unplugged.');
  await video.play().catch(() => {});
  waiting = false;
  buttons();
  requestAnimationFrame(tick);
}
function stop(words = 'Your webcam, paused') {
  asking += 1;
  if (!stream) return;
  stream.getTracks().forEach(track => { track.onended = null; track.stop(); });
  stream = video.srcObject = null;
  buttons();
  say(words);
}
const inSight = () => !document.hidden && element.checkVisibility();
const stopIfAway = () => { if (stream && !inSight()) stop('The camera was released while you were away.'); };
function tick(now) {
  stopIfAway();
  if (!stream) return;
  if (video.videoWidth && (!waiting || now - sent > 5000) && now - sent > 50) send(now);
  requestAnimationFrame(tick);
}
function send(now) {
  const scale = 320 / Math.max(video.videoWidth, video.videoHeight);
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  pen.drawImage(video, 0, 0, canvas.width, canvas.height);
  sent = now;
  waiting = true;
  trigger('frame', {number: ++number, image: canvas.toDataURL('image/jpeg', 0.8)});
}
$('.start').onclick = start;
$('.stop').onclick = () => stop();
new IntersectionObserver(stopIfAway).observe(element);
document.addEventListener('visibilitychange', stopIfAway);
window.addEventListener('pagehide', stopIfAway);
watch(['picture', 'said'], () => { if (stream || !props.answered) show(); });
watch('answered', () => { waiting = false; });
show();"""


def box() -> gr.HTML:
    """The face with its caption and the button; its properties are those that `shown` and `answered` set."""
    return gr.HTML(
        "", html_template=TEMPLATE, css_template=CSS, js_on_load=JS, apply_default_css=False, elem_id="follow",
        picture="", said="", answered=0, min_width=112,
    )  # fmt: skip


def shown(face: np.ndarray, said: str) -> gr.HTML:
    """A face, uint8 (48, 48), that is no webcam's."""
    return gr.HTML(picture=encode.data_url(face), said=said, answered=0)


def answered(number: int, said: str, face: np.ndarray | None = None) -> gr.HTML:
    """The answer to a frame: its face, if there is one; the browser sends the next."""
    picture = {} if face is None else {"picture": encode.data_url(face)}
    return gr.HTML(said=said, answered=number, **picture)


def frame(event: gr.EventData) -> tuple[int, np.ndarray]:
    """A frame's number and its picture, RGB uint8 (H, W, 3). Anybody can send anything here, so all is checked.

    Raises gr.Error for what is no small JPEG.
    """
    number, address = event_value(event, "number"), event_value(event, "image")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**31:
        raise user_error("The webcam's frames are not counted. Please load the page again.")
    if not isinstance(address, str) or not address.startswith(PREFIX) or len(address) > LONGEST:
        raise user_error("The webcam's picture did not arrive as a small JPEG. Please load the page again.")
    try:
        with image_errors_as_messages():
            picture = small_jpeg(base64.b64decode(address[len(PREFIX) :], validate=True), SIDE)
    except binascii.Error:
        raise user_error("The webcam's picture arrived damaged.") from None
    return number, picture
