// What Python's `fer` does to a picture, in JavaScript: find the faces, frame and crop them, follow them over time.
// Pure functions of pixels and numbers; every constant comes from site.js, which Python writes. Each function says
// which one of the library it answers as; an image is {data: RGBA bytes, width, height}.

import site from './site.js';

const {detector: D, framing: F, crop: C, tracking: T} = site;

const round = value => { // as Python: halves to the even number
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
};
const single = Math.fround;
const radians = degrees => degrees * Math.PI / 180;
const clip = (value, low, high) => Math.min(Math.max(value, low), high);
const sum = values => values.reduce((total, value) => total + value, 0);

// ---------------------------------------------------------------------------------------------- resampling

// The pixels that each of `count` cells covers, and how much of it each of them fills; `edges`: where a cell begins and
// ends. Pixels beyond 0..limit are those of the edge.
function areas(count, limit, edges) {
  return Array.from({length: count}, (_, cell) => {
    const [low, high] = edges(cell), places = [], shares = [];
    for (let pixel = Math.floor(low); pixel < high; pixel++) {
      const share = Math.min(high, pixel + 1) - Math.max(low, pixel);
      places.push(clip(pixel, 0, limit - 1));
      shares.push(single(Math.max(share, 0) / (high - low)));
    }
    return {places, shares};
  });
}

// fer.data.crop._coverage: cells of a crop, which cover one pixel at least.
function cropCells(start, length, limit) {
  const half = Math.max(length / C.side, 1) / 2;
  return areas(C.side, limit, cell => {
    const centre = start + (cell + 0.5) * length / C.side;
    return [centre - half, centre + half];
  });
}

// cv2.INTER_CUBIC, for enlarging.
function cubics(count, limit) {
  const A = -0.75, near = t => ((A + 2) * t - (A + 3)) * t * t + 1, far = t => ((A * t - 5 * A) * t + 8 * A) * t - 4 * A;
  return Array.from({length: count}, (_, cell) => {
    const at = (cell + 0.5) * limit / count - 0.5, first = Math.floor(at), t = at - first;
    const places = [-1, 0, 1, 2].map(offset => clip(first + offset, 0, limit - 1));
    return {places, shares: [far(1 + t), near(t), near(1 - t), far(2 - t)]};
  });
}

function resampled(image, columns, rows, more) {
  const {data, width} = image, wide = columns.length, high = rows.length;
  const used = [...new Set(rows.flatMap(row => row.places))], lines = new Map();
  for (const y of used) {
    const line = new Float32Array(wide * 3);
    columns.forEach(({places, shares}, x) => {
      let r = 0, g = 0, b = 0;
      for (let k = 0; k < places.length; k++) {
        const at = 4 * (y * width + places[k]), share = shares[k];
        r = single(r + single(share * data[at])); // in single precision, as OpenCV, so that ties fall alike
        g = single(g + single(share * data[at + 1]));
        b = single(b + single(share * data[at + 2]));
      }
      line[3 * x] = r;
      line[3 * x + 1] = g;
      line[3 * x + 2] = b;
    });
    lines.set(y, line);
  }
  const out = new Uint8ClampedArray(4 * wide * high).fill(255); // rounds halves to the even number
  rows.forEach(({places, shares}, y) => {
    for (let x = 0; x < wide; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let value = more;
        for (let k = 0; k < places.length; k++) value = single(value + single(shares[k] * lines.get(places[k])[3 * x + channel]));
        out[4 * (y * wide + x) + channel] = value;
      }
    }
  });
  return {data: out, width: wide, height: high};
}

// cv2.resize with INTER_AREA to fewer pixels, with INTER_CUBIC to more.
export function resize(image, width, height) {
  if (width === image.width && height === image.height) return image;
  const along = (from, to) => {
    const step = from / to;
    return width < image.width ? areas(to, from, cell => [cell * step, Math.min((cell + 1) * step, from)]) : cubics(to, from);
  };
  const halved = 2 * width === image.width && 2 * height === image.height; // there, OpenCV rounds halves up
  return resampled(image, along(image.width, width), along(image.height, height), halved ? 0.1 : 0);
}

// cv2.copyMakeBorder with BORDER_REPLICATE; `inside` may also be cut out, by places that lie beyond.
function part(image, left, top, width, height) {
  const out = new Uint8ClampedArray(4 * width * height);
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const to = new Uint32Array(out.buffer);
  for (let y = 0; y < height; y++) {
    const row = clip(top + y, 0, image.height - 1) * image.width;
    for (let x = 0; x < width; x++) to[y * width + x] = from[row + clip(left + x, 0, image.width - 1)];
  }
  return {data: out, width, height};
}

// fer.data.crop.crop_square: the mean luma of the area under each of 48x48 cells, as grey bytes.
function cropRectangle(image, x, y, width, height) {
  const {side, luma: [red, green, blue], bits} = C, {data} = image, half = 1 << (bits - 1);
  const columns = cropCells(x, width, image.width), rows = cropCells(y, height, image.height);
  const out = new Uint8ClampedArray(side * side), lines = new Map(); // source row -> its 48 sums
  const lineOf = row => {
    if (lines.has(row)) return lines.get(row);
    const line = new Float32Array(side), from = row * image.width;
    for (let column = 0; column < side; column++) {
      const {places, shares} = columns[column];
      let value = 0;
      for (let k = 0; k < places.length; k++) {
        const at = 4 * (from + places[k]);
        value += shares[k] * ((red * data[at] + green * data[at + 1] + blue * data[at + 2] + half) >> bits);
      }
      line[column] = value;
    }
    lines.set(row, line);
    return line;
  };
  rows.forEach(({places, shares}, row) => {
    const sums = new Float64Array(side);
    for (let k = 0; k < places.length; k++) {
      const line = lineOf(places[k]), share = shares[k];
      for (let column = 0; column < side; column++) sums[column] += share * line[column];
    }
    out.set(sums, row * side);
  });
  return out;
}

// ---------------------------------------------------------------------------------------------- framing

const centre = box => [box.x + box.width / 2, box.y + box.height / 2];

// fer.faces.framing.frame: the square that FER-2013 would have cut around a face that YuNet found.
export function frame(box) {
  let [x, y] = centre(box);
  if (box.landmarks.length) {
    const around = [0, 1, 3, 4].map(place => box.landmarks[place]); // eyes and mouth corners
    [x, y] = [0, 1].map(axis => sum(around.map(point => point[axis])) / 4);
  }
  const side = F.side * box.width, cos = Math.cos(radians(box.angle)), sin = Math.sin(radians(box.angle));
  x += side * (cos * F.right - sin * F.down);
  y += side * (sin * F.right + cos * F.down);
  return {...box, x: x - side / 2, y: y - side / 2, width: side, height: side, landmarks: []};
}

// fer.faces.framing.whole: the centred square of the picture.
export function centredSquare({width, height}) {
  const side = Math.min(width, height);
  return {x: (width - side) / 2, y: (height - side) / 2, width: side, height: side, score: 1, landmarks: [], angle: 0};
}

// fer.faces.framing.crop: the square as 48x48 grey bytes, upright.
export function crop(image, square) {
  if (square.angle) [image, square] = levelledPart(image, square);
  return cropRectangle(image, square.x, square.y, square.width, square.height);
}

function levelledPart(image, square) {
  const [x, y] = centre(square), reach = Math.hypot(square.width, square.height) / 2 + 2;
  const left = Math.floor(x - reach), top = Math.floor(y - reach);
  const around = part(image, left, top, Math.ceil(x + reach) - left, Math.ceil(y + reach) - top);
  const turn = turnAround(around, square.angle, 1), [across, down] = toView(turn, x - left, y - top);
  return [turned(around, turn), {...square, x: across - square.width / 2, y: down - square.height / 2, angle: 0}];
}

// fer.faces.framing.Box.to_list: the upright rectangle around a face, in whole pixels.
export function bounds(box) {
  const cos = Math.cos(radians(box.angle)), sin = Math.sin(radians(box.angle)), [x, y] = centre(box);
  const width = Math.hypot(box.width * cos, box.height * sin), height = Math.hypot(box.width * sin, box.height * cos);
  return [x - width / 2, y - height / 2, width, height].map(round);
}

export function scaled(box, scale) {
  const landmarks = box.landmarks.map(point => point.map(value => value * scale));
  const [x, y, width, height] = [box.x, box.y, box.width, box.height].map(value => value * scale);
  return {...box, x, y, width, height, landmarks};
}

// fer.faces.framing._Turn: a picture resized by `scale` and turned so that a face at `angle` degrees stands upright.
function turnAround({width, height}, angle, scale) {
  const cos = Math.cos(radians(angle)), sin = Math.sin(radians(angle));
  const across = scale * (width * Math.abs(cos) + height * Math.abs(sin));
  const down = scale * (width * Math.abs(sin) + height * Math.abs(cos));
  const size = [Math.max(round(across), 1), Math.max(round(down), 1)];
  return {angle, scale, cos, sin, centre: [width / 2, height / 2], size};
}

function toView({cos, sin, scale, centre: middle, size}, x, y) {
  const across = (x - middle[0]) * scale, down = (y - middle[1]) * scale;
  return [size[0] / 2 + cos * across + sin * down, size[1] / 2 - sin * across + cos * down];
}

function turned(image, {cos, sin, scale, size: [width, height]}) {
  if (scale < 1) {
    image = resize(image, ...[image.width, image.height].map(length => Math.max(round(length * scale), 1)));
  }
  const rest = Math.max(scale, 1), middle = [image.width / 2 - 0.5, image.height / 2 - 0.5];
  const out = new Uint8ClampedArray(4 * width * height).fill(255), {data} = image;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const across = (x - (width - 1) / 2) / rest, down = (y - (height - 1) / 2) / rest;
      const u = clip(middle[0] + cos * across - sin * down, 0, image.width - 1);
      const v = clip(middle[1] + sin * across + cos * down, 0, image.height - 1);
      const left = Math.floor(u), top = Math.floor(v), a = u - left, b = v - top;
      const right = Math.min(left + 1, image.width - 1), low = Math.min(top + 1, image.height - 1);
      for (let channel = 0; channel < 3; channel++) {
        const at = (row, column) => data[4 * (row * image.width + column) + channel];
        const upper = at(top, left) * (1 - a) + at(top, right) * a, lower = at(low, left) * (1 - a) + at(low, right) * a;
        out[4 * (y * width + x) + channel] = upper * (1 - b) + lower * b;
      }
    }
  }
  return {data: out, width, height};
}

function fromView(turn, box) {
  const back = (x, y) => {
    const across = (x - turn.size[0] / 2) / turn.scale, down = (y - turn.size[1] / 2) / turn.scale;
    return [turn.centre[0] + turn.cos * across - turn.sin * down, turn.centre[1] + turn.sin * across + turn.cos * down];
  };
  const [x, y] = back(...centre(box)), width = box.width / turn.scale, height = box.height / turn.scale;
  const landmarks = box.landmarks.map(point => back(...point));
  return {...box, x: x - width / 2, y: y - height / 2, width, height, landmarks, angle: turn.angle};
}

// ---------------------------------------------------------------------------------------------- YuNet

let planes = new Float32Array(); // of the newest input: a new one thirty times a second would be much to collect

// cv2.FaceDetectorYN's input: blue, green, red planes 0..255, padded by zeros to multiples of 32.
export function yunetInput({data, width, height}) {
  const [wide, high] = [width, height].map(length => 32 * Math.ceil(length / 32));
  if (planes.length !== 3 * wide * high) planes = new Float32Array(3 * wide * high);
  planes.fill(0);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 4 * (y * width + x), to = y * wide + x;
      planes[to] = data[from + 2];
      planes[to + wide * high] = data[from + 1];
      planes[to + 2 * wide * high] = data[from];
    }
  }
  return {planes, dims: [1, 3, high, wide]};
}

// cv2.FaceDetectorYN's boxes: what `outputs` (arrays by name) say at each place of its three grids.
export function yunetBoxes(outputs, [, , high, wide]) {
  const found = [];
  for (const stride of [8, 16, 32]) {
    const [cls, obj, bbox, kps] = ['cls', 'obj', 'bbox', 'kps'].map(name => outputs[`${name}_${stride}`]);
    const columns = wide / stride, places = columns * high / stride;
    for (let place = 0; place < places; place++) {
      const score = Math.sqrt(clip(cls[place], 0, 1) * clip(obj[place], 0, 1));
      if (score < D.score) continue;
      const column = place % columns, row = Math.floor(place / columns);
      const [right, down, wider, higher] = bbox.subarray(4 * place, 4 * place + 4);
      const width = Math.exp(wider) * stride, height = Math.exp(higher) * stride;
      const landmarks = [0, 1, 2, 3, 4].map(point =>
        [(kps[10 * place + 2 * point] + column) * stride, (kps[10 * place + 2 * point + 1] + row) * stride]);
      const x = (column + right) * stride - width / 2, y = (row + down) * stride - height / 2;
      found.push({x, y, width, height, score, landmarks, angle: 0});
    }
  }
  return suppressed(found).filter(box => box.width >= D.smallest);
}

function suppressed(boxes) {
  const kept = [];
  for (const box of [...boxes].sort((a, b) => b.score - a.score).slice(0, D.most)) {
    if (kept.every(other => overlap(box, other) <= D.overlap)) kept.push(box);
  }
  return kept;
}

function shared(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(width, 0) * Math.max(height, 0);
}

function overlap(a, b) { // intersection over union, in whole pixels as OpenCV
  const [one, two] = [a, b].map(box => {
    const [x, y, width, height] = [box.x, box.y, box.width, box.height].map(Math.trunc);
    return {x, y, width, height};
  });
  const both = shared(one, two);
  return both / (one.width * one.height + two.width * two.height - both);
}

const covered = (a, b) => shared(a, b) / Math.min(a.width * a.height, b.width * b.height);

// ---------------------------------------------------------------------------------------------- detection

// fer.faces.detector.Detector for YuNet. `search`: a view -> the promise of its boxes.
export class Detector {
  constructor(search) {
    this.search = search;
  }

  // All faces, whichever way they are turned, largest first.
  async find(image) {
    const boxes = await this.upright(image);
    for (let place = 0; place < Math.min(boxes.length, D.mostLevelled); place++) {
      boxes[place] = await this.levelled(image, boxes[place]);
    }
    if (!boxes.some(box => box.score >= D.sure)) {
      const turned = await this.anyTurn(image);
      const better = box => boxes.every(other => covered(box, other) <= 0.5 || box.score >= other.score + D.better);
      boxes.push(...turned.filter(better));
    }
    return largestFirst(merged(boxes));
  }

  // Those that are nearly upright, which is quicker.
  async upright(image) {
    const longest = Math.max(image.width, image.height);
    let boxes = await this.look(image, Math.min(D.coarse, Math.max(longest, Math.min(320, 4 * longest))));
    if (longest > D.fineAbove * D.coarse) boxes = boxes.concat(await this.look(image, Math.min(D.fine, longest)));
    return largestFirst(merged(boxes.length ? boxes : await this.look(image, D.bordered, D.border)));
  }

  async look(image, longest, border = 0) {
    const scale = longest / Math.max(image.width, image.height);
    const [width, height] = [image.width, image.height].map(length => Math.max(round(length * scale), 1));
    let view = resize(image, width, height);
    if (border) view = part(view, -border, -border, width + 2 * border, height + 2 * border);
    const across = image.width / width, down = image.height / height;
    return (await this.search(view)).map(box => ({
      ...box,
      x: (box.x - border) * across,
      y: (box.y - border) * down,
      width: box.width * across,
      height: box.height * down,
      landmarks: box.landmarks.map(([x, y]) => [(x - border) * across, (y - border) * down]),
    }));
  }

  async anyTurn(image) {
    const scale = D.turned / Math.max(image.width, image.height), found = [];
    for (let angle = D.step - 180; angle <= 180; angle += D.step) {
      if (angle) found.push(...await this.searchTurned(image, turnAround(image, angle, scale)));
    }
    return merged(found.filter(box => box.score >= D.sure));
  }

  async searchTurned(image, turn) {
    return (await this.search(turned(image, turn))).map(box => fromView(turn, box));
  }

  // The same face with its angle, where it is turned so far that it has to be levelled.
  async levelled(image, box) {
    if (box.score >= D.uprightScore && Math.abs(tilt(box)) <= D.smallTilt) return box;
    const side = D.levelSide * Math.max(box.width, box.height), [x, y] = centre(box);
    const [left, top] = [x, y].map(value => Math.max(Math.floor(value - side / 2), 0));
    const right = Math.min(Math.ceil(x + side / 2), image.width), bottom = Math.min(Math.ceil(y + side / 2), image.height);
    const around = part(image, left, top, right - left, bottom - top), near = [];
    for (let angle = D.levelStep - 180; angle <= 180; angle += D.levelStep) {
      const found = await this.searchTurned(around, turnAround(around, angle, D.levelPixels / side));
      const reached = found.filter(one => Math.hypot(centre(one)[0] - x + left, centre(one)[1] - y + top) < box.width / 2);
      near.push(reached.reduce((best, one) => !best || one.score > best.score ? one : best, null));
    }
    const score = one => one ? one.score : 0, best = near.map(score).indexOf(Math.max(...near.map(score)));
    if (!near[best] || near[best].score < (near[180 / D.levelStep - 1] ?? box).score + D.levelGain) return box;
    const angle = levelAngle(near, best);
    if (Math.abs(angle) <= D.smallTilt) return box;
    const landmarks = near[best].landmarks.map(([across, down]) => [across + left, down + top]);
    return {...near[best], x: near[best].x + left, y: near[best].y + top, landmarks, angle};
  }
}

const largestFirst = boxes => boxes.sort((a, b) => b.width * b.height - a.width * a.height);
const degrees = angle => 180 - ((180 - angle) % 360 + 360) % 360; // the same angle in (-180, 180]

function tilt({landmarks: [left, right]}) {
  return Math.atan2(right[1] - left[1], right[0] - left[0]) * 180 / Math.PI;
}

function merged(boxes) {
  const kept = [];
  for (const box of [...boxes].sort((a, b) => b.score - a.score)) {
    if (kept.every(other => covered(box, other) <= 0.5)) kept.push(box);
  }
  return kept;
}

// fer.faces.detector._angle: where the eyes are level between turns of 30 degrees.
function levelAngle(turns, best) {
  const angle = turns[best].angle, slope = degrees(tilt(turns[best]) - angle), step = slope > 0 ? 1 : -1;
  const other = turns[(best + step + turns.length) % turns.length];
  const rest = other ? degrees(tilt(other) - other.angle) : 0;
  return degrees(angle + (slope * rest < 0 ? step * D.levelStep * slope / (slope - rest) : slope));
}

// ---------------------------------------------------------------------------------------------- probabilities

export function softmax(values, temperature = 1) {
  const most = Math.max(...values), powers = Array.from(values, value => Math.exp((value - most) / temperature));
  const total = sum(powers);
  return powers.map(power => power / total);
}

export const indexOfLargest = values => values.indexOf(Math.max(...values));

// fer.inference.predictor.prediction_set: the places of the labels that reach the threshold, most probable first.
export function predictionSet(probabilities, threshold) {
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  return threshold ? order.filter((label, rank) => !rank || probabilities[label] >= threshold) : [];
}

// ---------------------------------------------------------------------------------------------- tracking

// fer.inference.tracker: faces keep their numbers, probabilities are smoothed, and a label is shown until the mean and
// the newest frame agree on another one. `threshold`: the probability below which a prediction has low confidence.
export class Tracker {
  tracks = [];

  forget() {
    this.tracks = [];
  }

  follow(faces, at, seconds, threshold) {
    this.tracks = this.tracks.filter(track => at - track.seen <= T.patience);
    const matches = matched(this.tracks, faces);
    return faces.map((face, place) => {
      const values = face.probabilities.map(value => Math.log(Math.max(value, 1e-300)));
      let track = matches.get(place);
      if (track) {
        addTo(track, face.box, values, at, seconds);
      } else {
        track = {number: this.freeNumber(), box: face.box, mean: values, newest: values, seen: at, weight: 1, label: null};
        this.tracks.push(track);
      }
      return {...face, ...shown(track, threshold)};
    });
  }

  freeNumber() {
    const taken = new Set(this.tracks.map(track => track.number));
    let number = 1;
    while (taken.has(number)) number += 1;
    return number;
  }
}

function addTo(track, box, values, at, seconds) {
  const fading = seconds > 0 ? Math.exp(-Math.abs(at - track.seen) / seconds) : 0, newer = at >= track.seen;
  track.weight = newer ? track.weight * fading + 1 : track.weight + fading;
  if (newer) Object.assign(track, {box, newest: values, seen: at});
  const share = (newer ? 1 : fading) / track.weight;
  track.mean = track.mean.map((mean, index) => mean + share * (values[index] - mean));
}

function shown(track, threshold) {
  const probabilities = softmax(track.mean);
  const [newest, mean] = [softmax(track.newest), probabilities].map(values => {
    const best = indexOfLargest(values);
    return values[best] < threshold ? null : best;
  });
  if (newest === mean) track.label = mean;
  const lowConfidence = track.label === null;
  const label = lowConfidence ? indexOfLargest(probabilities) : track.label;
  return {number: track.number, probabilities, label, lowConfidence};
}

function matched(tracks, faces) {
  const pairs = tracks.flatMap((track, index) => faces.map((face, place) => [apart(track.box, face.box), place, index]));
  const found = new Map(), taken = new Set();
  for (const [distance, place, index] of pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2])) {
    if (distance < T.far && !found.has(place) && !taken.has(index)) {
      found.set(place, tracks[index]);
      taken.add(index);
    }
  }
  return found;
}

function apart(a, b) {
  const [x, y] = centre(a), [u, v] = centre(b);
  return 2 * Math.hypot(x - u, y - v) / (a.width + b.width) + Math.abs(Math.log(a.width / b.width));
}
