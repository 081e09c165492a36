// The models, apart from the page so that it never waits: fetches and checks them, and answers the page's requests.
// A request is {id, task, ...}, its answer {id, result} or {id, error}; {progress} comes in between, in 0..1.

import site from './site.js';
import {Detector, Tracker, centredSquare, crop, frame, indexOfLargest, scaled, softmax, yunetBoxes, yunetInput}
  from './vision.js';

const sheet = new OffscreenCanvas(1, 1), pen = sheet.getContext('2d', {willReadFrequently: true});
const tracker = new Tracker();

let runtime, provider; // ONNX Runtime Web; 'webgpu' or 'wasm'
let detector = null; // null where YuNet cannot be had
let model = null; // the chosen one: its entry of site.models, with `session`

// ---------------------------------------------------------------------------------------------- files

let wanted = 0, arrived = 0; // bytes

// The bytes of {file, bytes, sha384}: kept ones where the browser has them, else fetched; never any others.
async function load(entry) {
  const address = new URL(entry.file, import.meta.url).href, cache = await globalThis.caches?.open(site.filesCache);
  const kept = await cache?.match(address).then(response => response?.arrayBuffer());
  if (kept && await isIntact(kept, entry)) return new Uint8Array(kept);
  const bytes = await download(address, entry);
  if (!await isIntact(bytes, entry)) throw new Error(`${entry.file} is not the file that this page was made for`);
  // A full disk is no reason to stop: the files are then fetched again next time.
  await cache?.put(address, new Response(bytes)).catch(() => {});
  return bytes;
}

async function isIntact(bytes, {sha384}) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-384', bytes));
  return btoa(String.fromCharCode(...digest)) === sha384;
}

async function download(address, {bytes: size}) {
  const response = await fetch(address, {credentials: 'omit', referrerPolicy: 'no-referrer'});
  if (!response.ok) throw new Error(`${address} answers ${response.status}`);
  const bytes = new Uint8Array(size), reader = response.body.getReader();
  let at = 0;
  wanted += size;
  for (let {done, value} = await reader.read(); !done; {done, value} = await reader.read()) {
    if (at + value.length > size) throw new Error(`${address} is longer than ${size} bytes`);
    bytes.set(value, at);
    at += value.length;
    arrived += value.length;
    postMessage({progress: arrived / wanted});
  }
  return bytes;
}

// What an earlier version of this page left in the browser.
async function discardOldFiles() {
  const entries = [...site.models, site.yunet, ...Object.values(site.runtime).flatMap(({script, wasm}) => [script, wasm])];
  const known = new Set(entries.map(({file}) => new URL(file, import.meta.url).href));
  const cache = await globalThis.caches?.open(site.filesCache);
  for (const request of await cache?.keys() ?? []) if (!known.has(request.url)) await cache.delete(request);
}

// ---------------------------------------------------------------------------------------------- models

async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.isFallbackAdapter ?? adapter.info?.isFallbackAdapter);
}

async function open(request) {
  if (await hasGpu()) {
    const build = 'Suspending' in WebAssembly ? 'jspi' : 'asyncify';
    try {
      return await openBy('webgpu', build, request);
    } catch (error) {
      console.warn(`WebGPU does not work here, so WebAssembly is used: ${error.message}`);
      [detector, model] = [null, null];
      opened.clear();
    }
  }
  return openBy('wasm', 'wasm', request);
}

async function openBy(kind, build, {model: name}) {
  const faceModel = load(site.yunet).catch(() => null), first = load(site.models.find(entry => entry.name === name));
  const [script, wasm] = await Promise.all([load(site.runtime[build].script), load(site.runtime[build].wasm), first]);
  runtime = await import(URL.createObjectURL(new Blob([script], {type: 'text/javascript'})));
  provider = kind;
  runtime.env.wasm.wasmBinary = wasm.buffer;
  const spare = Math.min(4, Math.max(1, navigator.hardwareConcurrency - 1)); // one core is for page and camera
  runtime.env.wasm.numThreads = globalThis.crossOriginIsolated ? spare : 1;
  const yunet = await faceModel;
  if (yunet) detector = new Detector(await yunetSearch(yunet));
  await choose({model: name});
  discardOldFiles();
  return {provider, threads: runtime.env.wasm.numThreads, yunet: Boolean(detector)};
}

const session = bytes => runtime.InferenceSession.create(bytes, {executionProviders: [provider], logSeverityLevel: 3});

// YuNet's file states 640x640; the two bytes after 0x12 make each of both lengths a free dimension of that name.
async function yunetSearch(bytes) {
  site.yunet.fixedLengths.forEach((place, index) => bytes.set([0x12, 1, 'hw'.charCodeAt(index)], place));
  const net = await session(bytes);
  return async view => {
    const {planes, dims} = yunetInput(view);
    const outputs = await net.run({input: new runtime.Tensor('float32', planes, dims)});
    return yunetBoxes(Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data])), dims);
  };
}

const opened = new Map(); // by name

async function choose({model: name}) {
  if (!opened.has(name)) {
    const entry = site.models.find(one => one.name === name);
    opened.set(name, {...entry, session: await session(await load(entry))});
  }
  model = opened.get(name);
  tracker.forget();
}

// fer.inference.predictor.probabilities of crops (48x48 bytes each), with logits and class activation maps beside them.
async function predict(crops) {
  const {side} = site.crop, faces = new Float32Array(crops.length * side * side);
  crops.forEach((pixels, place) => faces.set(Float32Array.from(pixels, value => value / 255), place * side * side));
  const outputs = await model.session.run({faces: new runtime.Tensor('float32', faces, [crops.length, 1, side, side])});
  const row = (tensor, place) => {
    const length = tensor.data.length / crops.length;
    return tensor.data.slice(place * length, (place + 1) * length);
  };
  return crops.map((_, place) => {
    const logits = row(outputs.logits, place);
    const maps = outputs.maps ? row(outputs.maps, place) : null; // (labels, rows, columns)
    return {logits, maps, mapSide: outputs.maps?.dims[3], probabilities: softmax(logits, model.temperature)};
  });
}

// ---------------------------------------------------------------------------------------------- requests

function pixels(bitmap, width = bitmap.width, height = bitmap.height) {
  if (sheet.width !== width || sheet.height !== height) Object.assign(sheet, {width, height});
  pen.fillStyle = '#fff'; // what shows through a transparent picture
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

async function predictBoxes(image, boxes) {
  if (!boxes.length) return [];
  const squares = boxes.map(box => box.landmarks.length ? frame(box) : box), crops = squares.map(box => crop(image, box));
  const answers = await predict(crops);
  return answers.map((answer, place) => ({box: boxes[place], square: squares[place], crop: crops[place], ...answer}));
}

// Predictor's answer to a photograph; `whole` takes its centred square as the one face.
async function photo({bitmap, whole}) {
  const image = pixels(bitmap), boxes = whole || !detector ? [centredSquare(image)] : await detector.find(image);
  const faces = (await predictBoxes(image, boxes)).map((face, place) => {
    const label = indexOfLargest(face.probabilities);
    return {...face, label, lowConfidence: face.probabilities[label] < model.threshold, number: place + 1};
  });
  return {faces, size: [image.width, image.height], model: model.name};
}

// Live's answer to a frame of the camera taken at a time in seconds; the bitmap goes back.
async function liveFrame({bitmap, at, smoothing}) {
  const scale = Math.max(bitmap.width, bitmap.height) / site.live.detectorSide;
  let boxes = [centredSquare(bitmap)];
  if (detector) {
    const found = await detector.upright(pixels(bitmap, Math.round(bitmap.width / scale), Math.round(bitmap.height / scale)));
    boxes = found.slice(0, site.live.faces).map(box => scaled(box, scale));
  }
  const found = boxes.length ? await predictBoxes(pixels(bitmap), boxes) : [];
  return {faces: tracker.follow(found, at, smoothing, model.threshold), size: [bitmap.width, bitmap.height],
    model: model.name, bitmap};
}

const TASKS = {open, choose, photo, frame: liveFrame, forget: () => tracker.forget()};
let turn = Promise.resolve(); // one request after the other

onmessage = ({data: {id, task, ...request}}) => {
  turn = turn.then(async () => {
    try {
      const result = await TASKS[task](request);
      postMessage({id, result}, result?.bitmap ? [result.bitmap] : []);
    } catch (error) {
      postMessage({id, error: error.message ?? String(error)});
    }
  });
};
