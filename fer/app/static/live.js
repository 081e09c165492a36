// What the Live view draws: boxes over the camera's picture, a card for each face, a timeline. camera.js follows it
// in the same function, of (element, trigger, props, server, upload, watch), and hands it the answers.

const MINUTE = 60; // seconds that the timeline shows
const GLIDE = 40; // ms in which a box covers most of the way to its face
const PATIENCE = 400; // ms without a face before it is said

const $ = selector => element.querySelector(selector);
const view = $('.view'), stage = $('.screen'), faces = $('.faces'), note = $('.note'), mirror = $('.mirror');
const boxes = $('.boxes'), brush = boxes.getContext('2d');
const mapPen = new OffscreenCanvas(48, 48).getContext('2d'), map = new ImageData(48, 48);

let seen = []; // the faces of the newest answer
let chosen = null; // the number of the face that the timeline shows
let lastSight = 0; // when there was a face last

// ---- answers

let undrawn = null; // when the frame was taken whose boxes have not been drawn yet
let stamps = [], delay = 0; // when the last answers came; the mean ms from a frame to its boxes

function take(answer, taken) {
  const now = performance.now();
  const places = new Map(seen.map(face => [face.number, face.shown]));
  seen = answer.faces.map(face => {
    const shares = places => places.map((value, index) => value / answer.size[index % 2]); // of the picture
    const box = shares(face.box), square = face.square && shares(face.square);
    return {...face, box, square, shown: places.get(face.number) ?? box.slice()};
  });
  undrawn = taken;
  stamps = [...stamps.filter(stamp => now - stamp < 2000), now];
  if (seen.length) lastSight = now;
  if (!seen.some(face => face.number === chosen) && seen.length) chosen = seen[0].number;
  $('.freeze').disabled = !seen.length;
  say(now - lastSight > PATIENCE ? 'No face in sight.' : '');
  remember(taken / 1000);
  drawCards();
  speak(now);
}

function forget() {
  seen = [];
  chosen = undrawn = null;
  past.clear();
  note.hidden = $('.timeline').hidden = true;
  drawCards();
}

function say(sentence) {
  note.hidden = !sentence;
  if (note.textContent !== sentence) note.textContent = sentence;
}

let spoken = '', spokenAt = 0;

function speak(now) {
  const words = seen.map(face => (seen.length > 1 ? 'Face ' + face.number + ': ' : '') + word(face)).join('. ');
  if (words === spoken || now - spokenAt < 1000) return;
  [spoken, spokenAt] = [words, now];
  $('.spoken').textContent = words || 'No face in sight.';
}

const word = face => face.emotion + (face.low_confidence ? ', low confidence' : '');
const percent = share => Math.round(100 * share) + '%';
const hue = name => props.hues[name] ?? '#9aa5b4';

// ---- boxes

function size() {
  stage.style.aspectRatio = video.videoWidth + ' / ' + video.videoHeight;
  stage.style.maxWidth = 'calc(70vh * ' + video.videoWidth / video.videoHeight + ')';
}

let lastDrawn = 0;

function draw(now) {
  const ratio = window.devicePixelRatio || 1, wide = stage.clientWidth, high = stage.clientHeight;
  if (boxes.width !== Math.round(wide * ratio) || boxes.height !== Math.round(high * ratio)) {
    Object.assign(boxes, {width: Math.round(wide * ratio), height: Math.round(high * ratio)});
  }
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, wide, high);
  const step = 1 - Math.exp(-(now - lastDrawn) / GLIDE);
  lastDrawn = now;
  for (const face of seen) {
    face.shown.forEach((value, index) => { face.shown[index] = value + step * (face.box[index] - value); });
    if (face.why) drawWhy(face, wide, high);
    drawBox(face, wide, high);
  }
  if (undrawn !== null) {
    delay += (delay ? 0.1 : 1) * (now - undrawn - delay);
    element.dispatchEvent(new CustomEvent('reading', {detail: {delay: now - undrawn, faces: seen}}));
    undrawn = null;
  }
  drawPace(now);
  drawTimeline(now);
}

function drawBox(face, wide, high) {
  const [left, top, width, height] = face.shown.map((value, index) => value * (index % 2 ? high : wide));
  const x = mirror.checked ? wide - left - width : left;
  const colour = face.low_confidence ? '#e2e8f0' : hue(face.emotion);
  brush.lineWidth = 3;
  brush.strokeStyle = '#0008';
  round(x, top, width, height, 8, 'stroke', 5);
  brush.strokeStyle = colour;
  round(x, top, width, height, 8, 'stroke', 3);
  const text = face.number + '  ' + face.emotion + '  ' + percent(face.probabilities[face.emotion]);
  brush.font = '600 15px system-ui, sans-serif';
  const room = brush.measureText(text).width + 18, y = top > 32 ? top - 30 : top + 6;
  const at = Math.min(Math.max(x, 4), wide - room - 4);
  brush.fillStyle = colour;
  round(at, y, room, 25, 7, 'fill');
  brush.fillStyle = '#111827';
  brush.fillText(text, at + 9, y + 17.5);
}

// The map lies as the network saw it; the picture may be mirrored.
function drawWhy(face, wide, high) {
  const [left, top, width, height] = face.square.map((value, index) => value * (index % 2 ? high : wide));
  bytes(face.why).forEach((value, index) => { map.data[index] = value; });
  mapPen.putImageData(map, 0, 0);
  brush.save();
  if (mirror.checked) brush.transform(-1, 0, 0, 1, wide, 0);
  brush.drawImage(mapPen.canvas, left, top, width, height);
  brush.restore();
}

const bytes = text => Uint8Array.from(atob(text), byte => byte.charCodeAt(0));

function round(x, y, width, height, radius, how, line) {
  if (line) brush.lineWidth = line;
  brush.beginPath();
  brush.roundRect(x, y, width, height, radius);
  brush[how]();
}

let paceAt = 0;

function drawPace(now) {
  if (now - paceAt < 500) return;
  paceAt = now;
  const rate = stamps.filter(stamp => now - stamp < 2000).length / 2;
  $('.pace').textContent = Math.round(rate) + ' fps · ' + Math.round(delay) + ' ms';
}

// ---- cards

function drawCards() {
  faces.classList.toggle('several', seen.length > 1);
  const kept = new Set(seen.map(face => 'face-' + face.number));
  for (const card of [...faces.children]) if (!kept.has(card.dataset.face)) card.remove();
  for (const face of [...seen].sort((a, b) => a.number - b.number)) {
    const names = Object.keys(face.probabilities);
    const old = faces.querySelector('[data-face="face-' + face.number + '"]');
    const card = old?.querySelectorAll('.bars i').length === names.length ? old : newCard(face, names);
    if (card !== old) old ? old.replaceWith(card) : faces.append(card);
    fillCard(card, face, names);
  }
}

function newCard(face, names) {
  const card = document.createElement('article');
  card.className = 'face';
  card.dataset.face = 'face-' + face.number;
  card.innerHTML = '<h3><b></b><small></small><small></small></h3>' +
    '<canvas width="48" height="48" role="img" aria-label="Model input: the face as 48 by 48 grey pixels"></canvas>' +
    '<div class="bars">' + '<b></b><i></i><span></span>'.repeat(names.length) + '</div>';
  card.querySelectorAll('.bars b').forEach((label, index) => { label.textContent = names[index]; });
  card.querySelectorAll('.bars i').forEach((bar, index) => bar.style.setProperty('--hue', hue(names[index])));
  card.onclick = () => { chosen = face.number; drawCards(); };
  return card;
}

function fillCard(card, face, names) {
  const [title, share, which] = card.querySelectorAll('h3 > *');
  write(title, face.emotion[0].toUpperCase() + face.emotion.slice(1));
  write(share, percent(face.probabilities[face.emotion]) + (face.low_confidence ? ' · low confidence' : ''));
  write(which, 'face ' + face.number);
  card.classList.toggle('chosen', face.number === chosen);
  const bars = card.querySelectorAll('.bars i'), shares = card.querySelectorAll('.bars span');
  names.forEach((name, index) => {
    bars[index].style.setProperty('--share', face.probabilities[name].toFixed(3));
    write(shares[index], percent(face.probabilities[name]));
  });
  const grey = bytes(face.crop), pixels = new ImageData(48, 48);
  grey.forEach((value, index) => pixels.data.set([value, value, value, 255], 4 * index));
  card.querySelector('canvas').getContext('2d').putImageData(pixels, 0, 0);
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- the session's predictions as CSV, made here: they never leave the browser

const MOST_ROWS = 50000;
let log = []; // {at, face}

function saveCsv() {
  if (!log.length) return say('There are no predictions yet.');
  const names = Object.keys(log[0].face.probabilities);
  const head = ['seconds', 'face', 'label', 'low_confidence', ...names].join(',');
  const rows = log.map(({at, face}) => [(at - log[0].at).toFixed(2), face.number, face.emotion, face.low_confidence,
    ...names.map(name => (face.probabilities[name] ?? 0).toFixed(4))].join(','));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([[head, ...rows].join('\n') + '\n'], {type: 'text/csv'}));
  link.download = 'predictions.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- timeline: one mean of the probabilities for every quarter of a second

const past = new Map(); // a face's number -> [{at, count, shares}]

function remember(at) {
  for (const face of seen) {
    if (log.length < MOST_ROWS) log.push({at, face});
    const shares = Object.values(face.probabilities), points = past.get(face.number) ?? [];
    const last = points.at(-1), slot = Math.floor(at * 4);
    if (last?.slot === slot) {
      last.count += 1;
      last.shares = last.shares.map((share, index) => share + (shares[index] - share) / last.count);
    } else {
      points.push({slot, at: slot / 4, count: 1, shares});
    }
    while (points[0].at < at - MINUTE - 1) points.shift();
    past.set(face.number, points);
  }
}

let timelineAt = 0;

function drawTimeline(now) {
  const points = past.get(chosen);
  if (now - timelineAt < 120 || !points) return;
  timelineAt = now;
  const figure = $('.timeline'), canvas = figure.querySelector('canvas'), ink = canvas.getContext('2d');
  const face = seen.find(one => one.number === chosen);
  if (figure.hidden && face) {
    figure.hidden = false;
    figure.querySelector('.legend').replaceChildren(...Object.keys(face.probabilities).map(legend));
  }
  write(figure.querySelector('b'), 'Face ' + chosen + ', the last minute');
  const names = [...figure.querySelectorAll('.legend span')].map(entry => entry.textContent);
  const wide = canvas.width = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
  const high = canvas.height = Math.round(canvas.clientHeight * (window.devicePixelRatio || 1));
  const x = at => wide * (1 - (now / 1000 - at) / MINUTE);
  for (const part of unbroken(points)) {
    const floor = part.map(() => 0);
    names.forEach((name, index) => {
      ink.beginPath();
      part.forEach((point, at) => ink.lineTo(x(point.at), high * (1 - floor[at])));
      part.forEach((point, at) => { floor[at] += point.shares[index] ?? 0; });
      [...part.keys()].reverse().forEach(at => ink.lineTo(x(part[at].at), high * (1 - floor[at])));
      ink.fillStyle = hue(name);
      ink.fill();
    });
  }
}

function unbroken(points) {
  const parts = [];
  points.forEach((point, index) => {
    if (!index || point.at - points[index - 1].at > 1) parts.push([]);
    parts.at(-1).push(point);
  });
  return parts;
}

function legend(name) {
  const entry = document.createElement('span');
  entry.textContent = name;
  entry.style.setProperty('--hue', hue(name));
  return entry;
}

