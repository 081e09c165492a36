// The page: camera and photographs in, boxes, cards, saliency maps and a timeline out. worker.js predicts.

import site from './site.js';
import {bounds, predictionSet} from './vision.js';

const MINUTE = 60; // seconds that the timeline shows
const UNDER_WAY = 2; // frames that the worker may hold: one in work, one that waits
const GLIDE = 40; // ms in which a box covers most of the way to its face
const PATIENCE = 400; // ms without a face before it is said
const ROWS = 36_000; // predictions that the CSV holds: 20 minutes of one face at 30 frames a second
const BLOCKS = 6; // across a blurred face
const SMALLEST = 24, MOST_PIXELS = 24_500_000; // of a picture; a larger one is reduced

const $ = selector => document.querySelector(selector);
const screen = $('#screen'), video = $('video'), picture = $('#picture'), marks = $('#marks');
const brush = marks.getContext('2d'), still = picture.getContext('2d');
const moving = !matchMedia('(prefers-reduced-motion: reduce)').matches;

let model; // the chosen entry of site.models
let state = 'loading'; // loading, idle, starting, live, paused, predicting, predicted, failed
let seen = []; // the faces of the newest answer
let size = [4, 3]; // of the picture they are in
let chosen = 1; // the number of the face that the timeline shows

// ---------------------------------------------------------------------------------------------- worker

// A worker of a blob is bound by this page's Content-Security-Policy; one of an address would not be.
const home = new Blob([`import '${new URL('worker.js', import.meta.url)}'`], {type: 'text/javascript'});
const worker = new Worker(URL.createObjectURL(home), {type: 'module'});
const asked = new Map(); // number -> {resolve, reject}
let count = 0;

export function ask(task, request = {}, moved = []) {
  return new Promise((resolve, reject) => {
    asked.set(++count, {resolve, reject});
    worker.postMessage({id: count, task, ...request}, moved);
  });
}

worker.onerror = event => fail(`The models could not be started (${event.message ?? 'no module workers'}).`);
worker.onmessage = ({data: {id, result, error, progress}}) => {
  if (progress !== undefined) return showProgress(progress);
  const {resolve, reject} = asked.get(id);
  asked.delete(id);
  error === undefined ? resolve(result) : reject(new Error(error));
};

// ---------------------------------------------------------------------------------------------- states

const onPhoto = () => $('#tab-photo').ariaSelected === 'true';
const INVITE = {
  camera: 'Look into the camera. Every face in sight gets a prediction.',
  photo: 'Drop a photo here, paste it, or choose one.',
};

function show(next, sentence) {
  state = next;
  document.body.className = next;
  const covered = ['loading', 'idle', 'starting', 'failed'].includes(state), photo = onPhoto();
  $('#cover').hidden = !covered;
  $('.progress').hidden = state !== 'loading';
  $('.ways').hidden = !['idle'].includes(state);
  $('#start').hidden = photo;
  $('#choose').hidden = !photo;
  $('#pause').hidden = !['live', 'paused'].includes(state);
  $('#pause').textContent = state === 'paused' ? 'Resume' : 'Pause';
  $('#another').hidden = !['predicted', 'predicting'].includes(state);
  $('#csv').hidden = !rows || photo;
  $('#examples').hidden = !photo;
  $('#photo-settings').hidden = !photo;
  $('#camera-settings').hidden = photo;
  video.hidden = state !== 'live' || $('#blur').checked;
  picture.hidden = !(['paused', 'predicting', 'predicted'].includes(state) || state === 'live' && $('#blur').checked);
  if (state !== 'live') $('#pace').textContent = '';
  if (covered) $('#say').textContent = sentence ?? INVITE[photo ? 'photo' : 'camera'];
  note(covered ? '' : sentence ?? '');
}

function note(sentence) {
  $('#note').hidden = !sentence;
  write($('#note'), sentence);
}

function fail(sentence) {
  show('failed', sentence);
}

function showProgress(share) {
  $('.progress i').style.setProperty('--share', share.toFixed(3));
  $('.progress').ariaValueNow = Math.round(100 * share);
  if (state === 'loading') write($('#say'), `Loading the model: ${Math.round(100 * share)}%`);
}

function forget() {
  seen = [];
  veils.clear();
  drawCards();
  drawMarks(performance.now());
}

function take(answer) {
  const places = new Map(seen.map(face => [face.number, face.shown]));
  size = answer.size;
  seen = answer.faces.map(face => {
    const shares = bounds(face.box).map((value, index) => value / size[index % 2]);
    return {...face, shares, shown: moving && places.get(face.number) || shares.slice()};
  });
  if (!seen.some(face => face.number === chosen) && seen.length) chosen = seen[0].number;
  drawCards();
  speak();
}

// ---------------------------------------------------------------------------------------------- camera

const ALLOW = ' Allow it in the address bar and start again.';
const REFUSALS = {
  NotAllowedError: 'The browser did not give the camera to this page.' + ALLOW,
  SecurityError: 'The browser did not give the camera to this page.' + ALLOW,
  NotFoundError: 'There is no camera here. Plug one in and start again, or use a photo.',
  OverconstrainedError: 'That camera is gone. Choose another one and start again.',
  NotReadableError: 'The camera is in use by another program. Close that one and start again.',
  AbortError: 'The camera did not start. Try once more.',
};

let stream = null, epoch = 0; // the camera's; whatever was begun in an earlier epoch is void
let underWay = 0, lastSight = 0, stamps = [], delay = 0;

async function start() {
  release();
  const mine = epoch, device = $('#device').value;
  if (!navigator.mediaDevices) return show('idle', 'Browsers give cameras only to pages at https:// or on this computer.');
  show('starting', 'Waiting for the camera. The browser may ask you for it.');
  const wanted = device ? {deviceId: {exact: device}} : {facingMode: 'user'};
  let found;
  try {
    const video = {width: {ideal: 640}, height: {ideal: 480}, frameRate: {ideal: 30}, ...wanted};
    found = await navigator.mediaDevices.getUserMedia({audio: false, video});
  } catch (error) {
    if (mine === epoch) show('idle', REFUSALS[error.name] ?? 'The camera could not be started.');
    return;
  }
  if (mine !== epoch) return found.getTracks().forEach(track => track.stop()); // the visitor left meanwhile
  stream = found;
  const [track] = stream.getVideoTracks();
  track.onended = () => stop('The camera was unplugged, or taken by another program.');
  $('#mirror').checked = track.getSettings().facingMode !== 'environment';
  video.srcObject = stream;
  await video.play().catch(() => {});
  if (mine !== epoch) return;
  fillDevices(track.getSettings().deviceId);
  run(mine);
}

function release() {
  epoch += 1;
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
  stream = video.srcObject = null;
}

function stop(sentence) {
  release();
  if (!onPhoto()) {
    forget();
    show('idle', sentence);
  }
}

const AWAY = 'Camera stopped: you left this tab.';
const cameraOn = () => ['starting', 'live'].includes(state);
document.addEventListener('visibilitychange', () => { if (document.hidden && cameraOn()) stop(AWAY); });
window.addEventListener('pagehide', () => { if (cameraOn()) stop(AWAY); });

async function fillDevices(current) {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(device => device.kind === 'videoinput');
  const entries = cameras.map((camera, index) => new Option(camera.label || `Camera ${index + 1}`, camera.deviceId));
  $('#device').replaceChildren(...entries);
  $('#device').value = current;
  $('#device-row').hidden = cameras.length < 2;
}

function run(mine) {
  [underWay, stamps, delay, lastSight] = [0, [], 0, performance.now()];
  ask('forget');
  fit(video.videoWidth, video.videoHeight);
  show('live');
  const soon = callback => video.requestVideoFrameCallback?.(callback) ?? requestAnimationFrame(callback);
  soon(function next() {
    if (mine !== epoch) return;
    soon(next);
    if (underWay < UNDER_WAY && video.videoWidth) predictFrame(mine);
  });
  requestAnimationFrame(function tick(now) {
    if (mine !== epoch) return;
    drawMarks(now);
    drawPace(now);
    drawTimeline(now);
    requestAnimationFrame(tick);
  });
}

async function predictFrame(mine) {
  underWay += 1;
  const taken = performance.now(), smoothing = Number($('#smoothing').value);
  let answer;
  try {
    const frame = await createImageBitmap(video);
    answer = await ask('frame', {bitmap: frame, at: taken / 1000, smoothing}, [frame]);
  } catch (error) {
    if (mine === epoch) stop(`A frame could not be processed (${error.message}).`);
    return;
  }
  if (mine === epoch && answer.model === model.name) {
    underWay -= 1;
    take(answer);
    remember(taken / 1000);
    if ($('#blur').checked) drawBlurred(answer.bitmap);
    const now = performance.now();
    if (seen.length) lastSight = now;
    note(now - lastSight > PATIENCE ? 'No face in sight.' : centreNote());
    stamps = [...stamps.filter(stamp => now - stamp < 2000), now];
    delay += (delay ? 0.1 : 1) * (now - taken - delay);
    document.dispatchEvent(new CustomEvent('prediction', {detail: {delay: now - taken, faces: seen}}));
  } else if (mine === epoch) {
    underWay -= 1;
  }
  answer.bitmap.close();
}

let withDetector = true;
const centreNote = () => withDetector ? '' : 'No face detector here: the centre of the picture is used.';

function pause() {
  if (!$('#blur').checked) freeze();
  release();
  show('paused', 'Paused: the camera is off.');
  drawMarks(performance.now());
}

function freeze() {
  Object.assign(picture, {width: video.videoWidth, height: video.videoHeight});
  still.drawImage(video, 0, 0);
}

// ---------------------------------------------------------------------------------------------- photographs

let photo = null; // the newest file

async function openPhoto(file) { // or the image of an example
  if (state === 'loading' || state === 'failed') return;
  if (!onPhoto()) turnTo('photo');
  photo = file;
  const mine = ++epoch;
  let bitmap;
  try {
    bitmap = await reduced(await createImageBitmap(file, {colorSpaceConversion: 'none'}));
  } catch {
    return show('idle', 'This file could not be opened as a picture. A JPEG, PNG or WebP would be right.');
  }
  if (mine !== epoch) return;
  if (Math.min(bitmap.width, bitmap.height) < SMALLEST) {
    return show('idle', `The picture is ${bitmap.width} × ${bitmap.height} pixels; each side needs at least ${SMALLEST}.`);
  }
  fit(bitmap.width, bitmap.height);
  Object.assign(picture, {width: bitmap.width, height: bitmap.height});
  still.fillStyle = '#fff';
  still.fillRect(0, 0, bitmap.width, bitmap.height);
  still.drawImage(bitmap, 0, 0);
  seen = [];
  drawMarks(0);
  show('predicting', 'Predicting …');
  const answer = await ask('photo', {bitmap, whole: $('#whole').checked}).catch(error => ({faces: [], size, error}));
  bitmap.close();
  if (mine !== epoch) return;
  chosen = 1;
  take(answer);
  seen.forEach(face => { face.shown = face.shares; });
  drawMarks(0);
  const none = 'No face was found. Try a clearer picture, or skip face detection.';
  const sentence = answer.error ? `The picture could not be processed (${answer.error.message}).` : seen.length ? centreNote() : none;
  show('predicted', sentence);
  document.dispatchEvent(new CustomEvent('prediction', {detail: {faces: seen}}));
}

async function reduced(bitmap) {
  const pixels = bitmap.width * bitmap.height;
  if (pixels <= MOST_PIXELS) return bitmap;
  const factor = Math.ceil(Math.sqrt(pixels / MOST_PIXELS)), options = {resizeQuality: 'high'};
  options.resizeWidth = Math.floor(bitmap.width / factor);
  return createImageBitmap(bitmap, options);
}

function fillExamples() {
  $('#examples div').replaceChildren(...site.examples.map(({name, file}) => {
    const button = document.createElement('button'), image = new Image();
    button.type = 'button';
    Object.assign(image, {src: file, alt: '', width: 72, height: 72});
    button.append(image, name);
    button.onclick = () => openPhoto(image);
    return button;
  }));
}

// ---------------------------------------------------------------------------------------------- marks on the picture

function fit(width, height) {
  screen.style.aspectRatio = `${width} / ${height}`;
  screen.style.maxWidth = `calc(${matchMedia('(max-width: 800px)').matches ? 52 : 72}vh * ${width / height})`;
}

const percent = share => `${Math.round(100 * share)}%`;
const capital = text => text[0].toUpperCase() + text.slice(1);
const hue = name => site.hues[name] ?? '#9aa5b4';
const mirrored = () => !onPhoto() && $('#mirror').checked;
const nameOf = face => model.labels[face.label];

let lastDrawn = 0;

function drawMarks(now) {
  const ratio = devicePixelRatio || 1, wide = screen.clientWidth, high = screen.clientHeight;
  const [width, height] = [wide, high].map(length => Math.round(length * ratio));
  if (marks.width !== width || marks.height !== height) Object.assign(marks, {width, height});
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, wide, high);
  const step = moving && now ? 1 - Math.exp(-(now - lastDrawn) / GLIDE) : 1;
  lastDrawn = now;
  for (const face of seen) {
    face.shown.forEach((value, index) => { face.shown[index] = value + step * (face.shares[index] - value); });
    if ($('#overlay').checked) drawMapOver(face, wide, high);
  }
  for (const face of [...seen].reverse()) drawBox(face, wide, high); // the largest on top
}

function drawBox(face, wide, high) {
  const [left, top, width, height] = face.shown.map((value, index) => value * (index % 2 ? high : wide));
  const x = mirrored() ? wide - left - width : left, colour = face.lowConfidence ? '#e2e8f0' : hue(nameOf(face));
  const line = seen.length > 12 ? 2 : 3;
  for (const [style, thick] of [['#0008', line + 2], [colour, line]]) {
    brush.strokeStyle = style;
    brush.lineWidth = thick;
    brush.beginPath();
    brush.roundRect(x, top, width, height, Math.min(8, width / 6));
    brush.stroke();
  }
  const crowded = width < 90 && seen.length > 4;
  const text = crowded ? `${face.number}` : `${face.number}  ${verdict(face)}`;
  brush.font = `600 ${crowded ? 12 : 15}px system-ui, sans-serif`;
  const room = brush.measureText(text).width + (crowded ? 8 : 18), tall = crowded ? 17 : 25;
  const y = top > tall + 7 ? top - tall - 5 : top + 6, at = Math.min(Math.max(x, 4), wide - room - 4);
  brush.fillStyle = colour;
  brush.beginPath();
  brush.roundRect(at, y, room, tall, 6);
  brush.fill();
  brush.fillStyle = '#111827';
  brush.fillText(text, at + (crowded ? 4 : 9), y + tall - (crowded ? 4.5 : 7.5));
}

const verdict = face => face.lowConfidence ? `${nameOf(face)}?` : `${nameOf(face)}  ${percent(face.probabilities[face.label])}`;

// Each face under blocks; all of the picture where no face is found, since one may have been missed.
function drawBlurred(frame) {
  const {width, height} = frame, small = new OffscreenCanvas(BLOCKS, BLOCKS), pen = small.getContext('2d');
  Object.assign(picture, {width, height});
  still.drawImage(frame, 0, 0);
  still.imageSmoothingEnabled = false;
  const whole = {x: 0, y: 0, width, height};
  for (const {x, y, width: wide, height: high} of seen.length ? seen.map(face => face.square) : [whole]) {
    pen.drawImage(frame, x, y, wide, high, 0, 0, BLOCKS, BLOCKS);
    still.drawImage(small, x, y, wide, high);
  }
}

// ---------------------------------------------------------------------------------------------- saliency

// The class activation map of the target minus that of the contrast class, (side x side): an exact sum of the score.
export function mapOf(face) {
  if (!face.maps) return null;
  const places = face.mapSide ** 2, target = targetOf(face), contrast = contrastOf();
  return Float32Array.from({length: places}, (_, place) =>
    face.maps[target * places + place] - (contrast === null ? 0 : face.maps[contrast * places + place]));
}

const targetOf = face => $('#target').value === '' ? face.label : Number($('#target').value);
const contrastOf = () => $('#contrast').value === '' ? null : Number($('#contrast').value);

const veils = new Map(); // a face's number -> its newest veil: a canvas, and what is drawn on it
const COLOURS = [[43, 111, 219], [214, 41, 75]]; // lowers, raises; as style.css

// The map enlarged to 48x48, transparent where it is near 0.
function veilOf(face) {
  const kept = veils.get(face.number) ?? {canvas: new OffscreenCanvas(48, 48)};
  const target = targetOf(face), contrast = contrastOf();
  if (kept.maps !== face.maps || kept.target !== target || kept.contrast !== contrast) {
    Object.assign(kept, {maps: face.maps, target, contrast});
    drawVeil(kept.canvas.getContext('2d'), mapOf(face), face.mapSide);
    veils.set(face.number, kept);
  }
  return kept.canvas;
}

function drawVeil(pen, values, side) {
  const pixels = pen.createImageData(48, 48), {data} = pixels, scale = Math.max(...values.map(Math.abs)) || 1;
  for (let y = 0, at = 0; y < 48; y++) {
    for (let x = 0; x < 48; x++, at += 4) {
      const value = between(values, side, (x + 0.5) * side / 48 - 0.5, (y + 0.5) * side / 48 - 0.5) / scale;
      const colour = COLOURS[Number(value > 0)];
      for (let channel = 0; channel < 3; channel++) data[at + channel] = colour[channel];
      data[at + 3] = 205 * Math.abs(value);
    }
  }
  pen.putImageData(pixels, 0, 0);
}

function between(values, side, x, y) { // bilinear
  const left = clamp(Math.floor(x), side), right = clamp(Math.floor(x) + 1, side), a = x - Math.floor(x);
  const top = clamp(Math.floor(y), side), low = clamp(Math.floor(y) + 1, side), b = y - Math.floor(y);
  const upper = values[top * side + left] * (1 - a) + values[top * side + right] * a;
  const lower = values[low * side + left] * (1 - a) + values[low * side + right] * a;
  return upper * (1 - b) + lower * b;
}

const clamp = (place, side) => Math.min(Math.max(place, 0), side - 1);

function drawMapOver(face, wide, high) {
  if (!face.maps) return;
  const {x, y, width, height, angle} = face.square, [across, down] = [wide / size[0], high / size[1]];
  brush.save();
  if (mirrored()) brush.transform(-1, 0, 0, 1, wide, 0);
  brush.translate((x + width / 2) * across, (y + height / 2) * down);
  brush.rotate(angle * Math.PI / 180);
  brush.drawImage(veilOf(face), -width / 2 * across, -height / 2 * down, width * across, height * down);
  brush.restore();
}

// How the map adds up: score = sum of the map + what the model says of any face (the bias).
function sumOf(face) {
  const total = mapOf(face).reduce((sum, value) => sum + value, 0), target = targetOf(face), contrast = contrastOf();
  const score = face.logits[target] - (contrast === null ? 0 : face.logits[contrast]);
  const words = contrast === null ? model.labels[target] : `${model.labels[target]} − ${model.labels[contrast]}`;
  const [one, two, three] = [score, total, score - total].map(value => value.toFixed(2).replace('-', '−'));
  return `Score of ${words}: ${one} = map ${two} + bias ${three}`;
}

function fillWhy() {
  const options = first => [new Option(first, ''), ...model.labels.map((name, index) => new Option(name, index))];
  $('#target').replaceChildren(...options('predicted class'));
  $('#contrast').replaceChildren(...options('none'));
  for (const control of $('#why').querySelectorAll('input, select')) control.disabled = !model.saliency;
  if (!model.saliency) $('#overlay').checked = false;
  $('#why-hint').textContent = model.saliency
    ? 'Class activation map of the last convolution. It is exact: its parts add up to the score.'
    : `Not available for ${model.name}: it does not end in an average over the face, so the map would not be exact.`;
}

// ---------------------------------------------------------------------------------------------- cards

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function drawCards() {
  const list = $('#faces'), faces = [...seen].sort((a, b) => a.number - b.number);
  list.classList.toggle('several', faces.length > 1);
  const kept = new Set(faces.map(face => String(face.number)));
  for (const card of [...list.children]) if (!kept.has(card.dataset.face) || card.dataset.model !== model?.name) card.remove();
  faces.forEach((face, place) => {
    let card = list.querySelector(`[data-face="${face.number}"]`);
    if (!card) card = newCard(face);
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
    fillCard(card, face);
  });
  if (!faces.length && !list.children.length) list.append(emptyCard());
}

function emptyCard() {
  const card = document.createElement('p');
  card.className = 'empty';
  card.textContent = 'Every face gets a card here: the prediction, its probabilities, and the 48 × 48 pixels that the model sees.';
  return card;
}

function newCard(face) {
  const card = document.createElement('article');
  Object.assign(card.dataset, {face: face.number, model: model.name});
  card.className = 'face';
  card.innerHTML = '<h2><span></span><small></small><button type="button"></button></h2><p class="set"></p>' +
    '<figure><canvas width="48" height="48" role="img" aria-label="The face as 48 by 48 grey pixels"></canvas>' +
    '<figcaption>Model input, 48×48</figcaption></figure>' +
    '<dl class="bars">' + '<div><dt></dt><dd class="bar" aria-hidden="true"></dd><dd class="share"></dd></div>'.repeat(model.labels.length) +
    '</dl><p class="sum"></p>';
  card.querySelectorAll('dt').forEach((label, index) => { label.textContent = model.labels[index]; });
  card.querySelectorAll('.bar').forEach((bar, index) => bar.style.setProperty('--hue', hue(model.labels[index])));
  card.querySelector('button').onclick = () => {
    chosen = face.number;
    drawCards();
  };
  return card;
}

function fillCard(card, face) {
  const [title, share, button] = card.querySelectorAll('h2 > *'), several = seen.length > 1;
  write(title, capital(nameOf(face)));
  write(share, percent(face.probabilities[face.label]) + (face.lowConfidence ? ' · low confidence' : ''));
  share.title = face.lowConfidence ? `Below ${percent(model.threshold)} this model is wrong more often than once in ten` : '';
  write(button, `Face ${face.number}`);
  button.hidden = !several;
  button.ariaPressed = several && face.number === chosen;
  card.classList.toggle('chosen', several && face.number === chosen);
  write(card.querySelector('.set'), setOf(face));
  const bars = card.querySelectorAll('.bar'), shares = card.querySelectorAll('.share');
  card.querySelectorAll('dt').forEach((label, index) => {
    label.classList.toggle('top', index === face.label);
    bars[index].style.setProperty('--share', face.probabilities[index].toFixed(3));
    write(shares[index], percent(face.probabilities[index]));
  });
  drawInput(card.querySelector('canvas').getContext('2d'), face);
  write(card.querySelector('.sum'), $('#overlay').checked && face.maps ? sumOf(face) : '');
}

function setOf(face) {
  const labels = predictionSet(face.probabilities, model.setThreshold).map(index => model.labels[index]);
  return labels.length ? `Nine times in ten the label is ${labels.join(' or ')}` : '';
}

function drawInput(pen, face) {
  const pixels = pen.createImageData(48, 48), hidden = $('#blur').checked && !onPhoto();
  const whole = new Uint32Array(pixels.data.buffer); // alpha, blue, green, red
  face.crop.forEach((value, index) => { whole[index] = 0xff000000 | 0x010101 * (hidden ? 128 : value); });
  pen.putImageData(pixels, 0, 0);
  if ($('#overlay').checked && face.maps) pen.drawImage(veilOf(face), 0, 0);
}

let spoken = '', spokenAt = 0;

function speak() {
  const name = face => (seen.length > 1 ? `Face ${face.number}: ` : '') + nameOf(face) + (face.lowConfidence ? ', low confidence' : '');
  const words = seen.map(name).join('. ') || 'No face in sight.', now = performance.now();
  if (words === spoken || now - spokenAt < 1000) return;
  [spoken, spokenAt] = [words, now];
  $('#spoken').textContent = words;
}

// ---------------------------------------------------------------------------------------------- record

// The predictions of the camera's frames, the newest ROWS of them: [seconds, face, label, low confidence, box, probabilities].
const WIDTH = 8 + Math.max(...site.models.map(entry => entry.labels.length));
let record = null, rows = 0, began = 0, paceAt = 0, timelineAt = 0;
const past = new Map(); // a face's number -> [{at, count, shares}], one mean for every quarter of a second

function remember(at) {
  if (!rows) {
    began = at;
    $('#csv').hidden = false;
  }
  record ??= new Float32Array(ROWS * WIDTH);
  for (const face of seen) {
    record.set([at - began, face.number, face.label, face.lowConfidence, ...bounds(face.box), ...face.probabilities],
      (rows++ % ROWS) * WIDTH);
    const points = past.get(face.number) ?? [], last = points.at(-1), slot = Math.floor(4 * at);
    if (last?.slot === slot) {
      last.count += 1;
      last.shares = last.shares.map((share, index) => share + (face.probabilities[index] - share) / last.count);
    } else {
      points.push({slot, at: slot / 4, count: 1, shares: face.probabilities});
    }
    past.set(face.number, points);
  }
  for (const [number, points] of past) {
    while (points.length && points[0].at < at - MINUTE - 1) points.shift();
    if (!points.length) past.delete(number);
  }
}

export function csv() {
  const head = ['seconds', 'face', 'expression', 'low_confidence', 'x', 'y', 'width', 'height', ...model.labels];
  const lines = [head.join(',')];
  for (let row = Math.max(rows - ROWS, 0); row < rows; row++) {
    const [at, face, label, low, ...rest] = record.subarray((row % ROWS) * WIDTH, (row % ROWS) * WIDTH + head.length);
    const values = rest.map((value, index) => index < 4 ? value : value.toFixed(4));
    lines.push([at.toFixed(3), face, model.labels[label], Boolean(low), ...values].join(','));
  }
  return lines.join('\n') + '\n';
}

function saveCsv() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv()], {type: 'text/csv'}));
  link.download = 'expressions.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function clearRecord() {
  rows = 0;
  past.clear();
  $('#timeline').hidden = $('#csv').hidden = true;
}

function drawPace(now) {
  if (now - paceAt < 500) return;
  paceAt = now;
  const rate = stamps.filter(stamp => now - stamp < 2000).length / 2;
  $('#pace').textContent = `${Math.round(rate)} fps · ${Math.round(delay)} ms`;
}

function drawTimeline(now) {
  const points = past.get(chosen), figure = $('#timeline');
  if (now - timelineAt < 120 || !points) return;
  timelineAt = now;
  figure.hidden = false;
  write(figure.querySelector('b'), `Face ${chosen}, last minute`);
  const canvas = figure.querySelector('canvas'), ink = canvas.getContext('2d'), ratio = devicePixelRatio || 1;
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight].map(length => Math.round(length * ratio));
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, {width: wide, height: high});
  ink.clearRect(0, 0, wide, high);
  const x = at => wide * (1 - (now / 1000 - at) / MINUTE);
  for (const stretch of unbroken(points)) {
    const floor = stretch.map(() => 0);
    model.labels.forEach((name, index) => {
      ink.beginPath();
      stretch.forEach((point, at) => ink.lineTo(x(point.at), high * (1 - floor[at])));
      stretch.forEach((point, at) => { floor[at] += point.shares[index] ?? 0; });
      [...stretch.keys()].reverse().forEach(at => ink.lineTo(x(stretch[at].at), high * (1 - floor[at])));
      ink.fillStyle = hue(name);
      ink.fill();
    });
    nameBands(ink, stretch, x, high, ratio);
  }
}

// The label with most of the chart, written where it keeps it for four seconds or more: colours alone do not tell.
function nameBands(ink, stretch, x, high, ratio) {
  ink.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  ink.fillStyle = '#111827';
  let from = 0;
  stretch.forEach((point, at) => {
    const best = shares => shares.indexOf(Math.max(...shares)), label = best(stretch[from].shares);
    const ends = at === stretch.length - 1 || best(stretch[at + 1].shares) !== label;
    if (!ends) return;
    const room = ink.measureText(model.labels[label]).width + 8 * ratio, left = Math.max(x(stretch[from].at), 0);
    if (point.at - stretch[from].at >= 4 && x(point.at) - left > room) {
      const below = point.shares.slice(0, label).reduce((sum, value) => sum + value, 0) + point.shares[label] / 2;
      ink.fillText(model.labels[label], x(point.at) - room, high * (1 - below) + 4 * ratio);
    }
    from = at + 1;
  });
}

function unbroken(points) {
  const parts = [];
  points.forEach((point, index) => {
    if (!index || point.at - points[index - 1].at > 1) parts.push([]);
    parts.at(-1).push(point);
  });
  return parts;
}

function fillLegend() {
  $('.legend').replaceChildren(...model.labels.map(name => {
    const entry = document.createElement('span');
    entry.textContent = name;
    entry.style.setProperty('--hue', hue(name));
    return entry;
  }));
}

// ---------------------------------------------------------------------------------------------- controls

function turnTo(name) {
  for (const tab of document.querySelectorAll('[role=tab]')) {
    const selected = tab.id === `tab-${name}`;
    tab.ariaSelected = String(selected);
    tab.tabIndex = selected ? 0 : -1;
  }
  $('#stage').setAttribute('aria-labelledby', `tab-${name}`);
  release();
  clearRecord();
  forget();
  reflect();
  if (state !== 'loading' && state !== 'failed') show('idle');
}

function reflect() {
  screen.classList.toggle('mirrored', mirrored());
  write($('.range output'), Number($('#smoothing').value) ? `${Number($('#smoothing').value).toFixed(1)} s` : 'off');
}

function redraw() {
  drawCards();
  drawMarks(0);
}

async function chooseModel(name) {
  const before = state;
  $('#model').disabled = true;
  note('Loading the model …');
  await ask('choose', {model: name}).then(() => setModel(name), error => {
    $('#model').value = model.name;
    note(`The model could not be loaded (${error.message}).`);
  });
  $('#model').disabled = false;
  if (['predicted', 'predicting'].includes(before) && photo) openPhoto(photo);
}

function setModel(name) {
  model = site.models.find(entry => entry.name === name);
  clearRecord();
  forget();
  if (state === 'paused') show('idle');
  fillWhy();
  fillLegend();
  const wrong = model.accuracy && Math.round(100 - 100 * model.accuracy);
  $('#accuracy').textContent = wrong ? `${model.name} is wrong on ${wrong} of 100 test faces.` : '';
}

function connect() {
  const tabs = [...document.querySelectorAll('[role=tab]')];
  tabs.forEach((tab, index) => {
    tab.onclick = () => turnTo(tab.id.slice(4));
    tab.onkeydown = event => {
      if (!['ArrowLeft', 'ArrowRight'].includes(event.key)) return;
      tabs[1 - index].focus();
      tabs[1 - index].click();
    };
  });
  $('#start').onclick = start;
  $('#choose').onclick = $('#another').onclick = () => $('#file').click();
  $('#file').onchange = ({target}) => {
    if (target.files.length) openPhoto(target.files[0]);
    target.value = '';
  };
  $('#pause').onclick = () => state === 'paused' ? start() : pause();
  $('#csv').onclick = saveCsv;
  $('#model').onchange = ({target}) => chooseModel(target.value);
  $('#device').onchange = start;
  $('#smoothing').oninput = reflect;
  $('#blur').onchange = () => {
    still.clearRect(0, 0, picture.width, picture.height); // a frame of earlier, which was not blurred
    if (state === 'live') show('live');
    if (state === 'paused') stop();
  };
  $('#whole').onchange = () => { if (photo) openPhoto(photo); };
  $('#mirror').onchange = () => {
    reflect();
    redraw();
  };
  $('#overlay').onchange = redraw;
  $('#target').onchange = $('#contrast').onchange = () => {
    $('#overlay').checked = true;
    redraw();
  };
  new ResizeObserver(() => { if (state !== 'live') drawMarks(0); }).observe(screen);
  connectFiles();
}

function connectFiles() {
  const image = items => [...items].find(file => file.type.startsWith('image/'));
  document.addEventListener('paste', event => {
    const file = image(event.clipboardData.files);
    if (file) openPhoto(file);
  });
  document.addEventListener('dragover', event => {
    event.preventDefault();
    screen.classList.add('dropping');
  });
  for (const kind of ['dragleave', 'drop']) document.addEventListener(kind, () => screen.classList.remove('dropping'));
  document.addEventListener('drop', event => {
    event.preventDefault();
    const file = image(event.dataTransfer.files) ?? event.dataTransfer.files[0];
    if (file) openPhoto(file);
  });
}

function fillFacts({provider, threads, yunet}) {
  const how = provider === 'webgpu' ? 'on the GPU (WebGPU)' : `in WebAssembly, ${threads} thread${threads > 1 ? 's' : ''}`;
  const faces = yunet ? 'Faces are found by YuNet.' : 'YuNet, which finds the faces, could not be loaded.';
  $('#facts').textContent = `Runs ${how}, by ONNX Runtime Web. ${faces}`;
}

async function open() {
  $('#model').replaceChildren(...site.models.map(entry => new Option(entry.title, entry.name)));
  $('#smoothing').value = site.tracking.smoothing;
  setModel(site.models[0].name);
  connect();
  fillExamples();
  reflect();
  show('loading', 'Loading the model');
  if (!globalThis.isSecureContext) return fail('Browsers let this page run only at https:// or on this computer.');
  try {
    const opened = await ask('open', {model: model.name});
    withDetector = opened.yunet;
    fillFacts(opened);
  } catch (error) {
    return fail(`The models could not be loaded (${error.message}). Load the page again to retry.`);
  }
  $('#model').disabled = false;
  show('idle');
  document.dispatchEvent(new Event('ready'));
  await navigator.serviceWorker?.register('sw.js').catch(() => {}); // without it the page works, but not offline
}

open();
