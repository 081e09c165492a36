// The Live view's browser half: the camera, its small frames on their way to the server and back, the controls.
// drawing.js before it draws the answers; live.py is the server's half. Gradio runs both once, as one function.

const SIDE = 320, QUALITY = 0.8; // of the frames that are sent: pixels of the longer side, JPEG
const FASTEST = 40; // ms between two frames
const MOST = 6; // frames under way, where the server is far
const LOST = 5000; // ms after which a frame is given up

const ASIDE = ' Allow it in the address bar and start again.';
const REFUSALS = {
  NotAllowedError: 'The browser did not give the camera to this page.' + ASIDE,
  SecurityError: 'The browser did not give the camera to this page.' + ASIDE,
  NotFoundError: 'There is no camera here. Plug one in and start again.',
  OverconstrainedError: 'That camera is gone. Choose another one and start again.',
  NotReadableError: 'The camera is in use by another program. Close that one and start again.',
  AbortError: 'The camera did not start. Try once more.',
};
const AWAY = 'Camera stopped: you left this view.';

const video = $('video'), devices = $('.device'), smoothing = $('.smoothing');
const why = $('.why');
const small = document.createElement('canvas'), pen = small.getContext('2d', {willReadFrequently: true});

let stream = null; // the camera's, while it is on
let visitor = ''; // under this name, made up at every start, the server follows the faces
let epoch = 0; // whatever was begun in an earlier one is void
let sent = 0, newest = 0; // numbers of the last frame sent and of the newest one answered

// ---- camera

function show(state, sentence = '') {
  view.dataset.state = state;
  if (sentence) $('.say').textContent = sentence;
}

async function start() {
  halt();
  const mine = epoch;
  if (!navigator.mediaDevices) {
    return refuse('Browsers give cameras only to pages at https:// or on this computer. Open it there.');
  }
  show('starting', 'Waiting for the camera. The browser may ask you for it.');
  const wanted = devices.value ? {deviceId: {exact: devices.value}} : {facingMode: 'user'};
  let found;
  try {
    const size = {width: {ideal: 640}, height: {ideal: 480}};
    found = await navigator.mediaDevices.getUserMedia({audio: false, video: {...size, ...wanted}});
  } catch (error) {
    if (mine === epoch) refuse(REFUSALS[error.name] ?? 'The camera could not be started.');
    return;
  }
  if (mine !== epoch) return release(found); // the visitor left while the browser asked
  stream = found;
  visitor = crypto.randomUUID();
  log = [];
  const [track] = stream.getVideoTracks();
  track.onended = () => refuse('The camera was unplugged, or taken by another program.');
  mirror.checked = track.getSettings().facingMode !== 'environment';
  reflect();
  video.srcObject = stream;
  await video.play().catch(() => {});
  if (mine !== epoch) return;
  fillDevices(track.getSettings().deviceId);
  run();
}

function release(found) {
  found.getTracks().forEach(track => { track.onended = null; track.stop(); });
}

function halt() {
  epoch += 1;
  newest = sent;
  if (stream) {
    release(stream);
    server.leave(visitor);
  }
  stream = video.srcObject = null;
  forget();
}

function stop(sentence = 'The camera is off.') {
  halt();
  show('off', sentence);
}

function refuse(sentence) {
  stop(sentence);
  $('.photograph').hidden = false;
}

async function fillDevices(current) {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(device => device.kind === 'videoinput');
  devices.replaceChildren(...cameras.map((camera, index) => new Option(camera.label || 'Camera ' + (index + 1), camera.deviceId)));
  devices.value = current;
  $('.camera').hidden = cameras.length < 2;
}

const inSight = () => !document.hidden && element.checkVisibility();
const stopIfAway = () => { if (view.dataset.state !== 'off' && !inSight()) stop(AWAY); };

new IntersectionObserver(stopIfAway).observe(element);
document.addEventListener('visibilitychange', stopIfAway);
window.addEventListener('pagehide', () => { if (view.dataset.state !== 'off') stop(AWAY); });

// ---- frames: the newest only, as many under way as the way to the server is long, never one waiting for another

const flying = new Map(); // number -> when it was taken
let lastSent = 0, hold = 0; // when a frame was sent last; until when none is
let ways = [], work = 20; // ms of the last frames outside of the server; a mean of those inside

function run() {
  epoch += 1;
  flying.clear();
  ways = [];
  stamps = [];
  lastSight = performance.now();
  show('live');
  $('.pause').textContent = 'Pause';
  $('.freeze').disabled = !seen.length;
  size();
  const mine = epoch;
  requestAnimationFrame(function tick() {
    if (mine !== epoch) return;
    const now = performance.now();
    if (maySend(now)) send(now);
    draw(now);
    stopIfAway(); // out of the window's sight, a tab's change is no change to the observer
    requestAnimationFrame(tick);
  });
}

function maySend(now) {
  for (const [number, taken] of flying) if (now - taken > LOST) flying.delete(number);
  const way = ways.length ? Math.min(...ways) : 0;
  const most = Math.min(MOST, Math.max(1, Math.ceil(way / Math.max(work, FASTEST))));
  return now >= hold && now - lastSent >= FASTEST - 4 && flying.size < most && video.videoWidth > 0;
}

async function send(taken) {
  const mine = epoch, number = ++sent, scale = SIDE / Math.max(video.videoWidth, video.videoHeight);
  lastSent = taken;
  flying.set(number, taken);
  const wide = Math.round(video.videoWidth * scale), high = Math.round(video.videoHeight * scale);
  if (small.width !== wide || small.height !== high) Object.assign(small, {width: wide, height: high});
  pen.drawImage(video, 0, 0, wide, high);
  const answer = await server.look({
    visitor, network: props.network, at: taken / 1000, smoothing: Number(smoothing.value), why: why.checked,
    frame: small.toDataURL('image/jpeg', QUALITY),
  });
  if (mine !== epoch || !flying.delete(number)) return;
  if (!answer) return wait(1000, 'The server does not answer. Trying again.');
  if (answer.refused) return stop(answer.refused);
  if (answer.busy) return wait(200, 'The server is busy: predictions are delayed.');
  ways = [...ways.slice(-24), performance.now() - taken - answer.milliseconds];
  work += 0.1 * (answer.milliseconds - work);
  if (number > newest) {
    newest = number;
    take(answer, taken);
  }
}

function wait(milliseconds, sentence) {
  hold = performance.now() + milliseconds;
  say(sentence);
}

// ---- controls

function pause(sentence) {
  epoch += 1;
  video.pause();
  show('paused');
  $('.pause').textContent = 'Resume';
  say(sentence);
}

async function goOn() {
  await video.play().catch(() => {});
  if (stream) run();
}

function freeze() {
  const face = seen.find(one => one.number === chosen) ?? seen[0];
  if (!face) return;
  pause('Paused. The other tabs now use this face.');
  $('.freeze').disabled = true;
  trigger('freeze', {crop: face.crop});
}

function reflect() {
  stage.classList.toggle('mirrored', mirror.checked);
}

function smooth() {
  $('output').textContent = Number(smoothing.value) ? Number(smoothing.value).toFixed(1) + ' s' : 'off';
}

$('.start').onclick = start;
$('.stop').onclick = () => stop();
$('.csv').onclick = saveCsv;
$('.pause').onclick = () => view.dataset.state === 'paused' ? goOn() : pause('Paused.');
$('.freeze').onclick = freeze;
$('.photograph').onclick = () => trigger('photograph', {});
mirror.onchange = reflect;
smoothing.oninput = smooth;
devices.onchange = start;
watch('network', () => { past.clear(); }); // props.network goes with every frame
smooth();
