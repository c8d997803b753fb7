// The network, beside the page so that it never freezes. Takes {kind: "open" | "photo" | "confidence"},
// answers {kind: "ready" | "found" | "error"}; errors are a code with values, the page has the sentence.
"use strict";

const BAND = 4e6; // px of a photo that are unpacked at a time: a phone's canvas holds 16 million
const LARGEST = 128e6; // px; as run.py
let session, about, last, newest, level, queue = Promise.resolve();

class Trouble extends Error {
  constructor(code, values = {}) {
    super(code);
    this.values = values;
  }
}

async function open() {
  if (typeof WebAssembly === "undefined") throw new Trouble("noWasm");
  try {
    importScripts("detect.js", "ort/ort.wasm.min.js");
  } catch {
    throw new Trouble("noRuntime");
  }
  const told = await fetch("../model.json");
  if (!told.ok) throw new Trouble("noModel");
  about = await told.json();
  const file = await fetch(`../${about.file}`);
  if (!file.ok) throw new Trouble("noModel");
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 4) : 1;
  ort.env.logLevel = "error";
  try {
    session = await ort.InferenceSession.create(await file.arrayBuffer(), { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Trouble("noSession", { why: String(error.message || error).slice(0, 160) });
  }
  const [name] = session.inputNames;
  if (name !== "images") throw new Trouble("noSession", { why: `input ${name}` });
  const inside = about.nms ? about.nms.confidence_threshold || 0 : 0;
  const floors = numbers((about.looking || about.settings).confidence_threshold, about.names);
  postMessage({ kind: "ready", names: about.names, inside, usual: Math.min(...floors) });
}

/** A photo's bytes -> its pixels, upright. */
async function decoded(blob) {
  const head = new Uint8Array(await blob.slice(0, 1 << 18).arrayBuffer());
  if (!head.length) throw new Trouble("empty");
  const size = promisedSize(head);
  if (size && size[0] * size[1] > LARGEST) throw new Trouble("huge", { pixels: Math.round(size[0] * size[1] / 1e6) });
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Trouble(isHeic(head) ? "heic" : "unreadable");
  }
  if (bitmap.width * bitmap.height > LARGEST) {
    throw new Trouble("huge", { pixels: Math.round(bitmap.width * bitmap.height / 1e6) });
  }
  return bitmap;
}

/** Rows of a bitmap from top to bottom, unpacked a band at a time. */
function rowsOf(bitmap) {
  const high = Math.max(1, Math.min(bitmap.height, Math.floor(BAND / bitmap.width)));
  const canvas = new OffscreenCanvas(bitmap.width, high);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let band, top = -1;
  return (y) => {
    if (top < 0 || y < top || y >= top + high) {
      top = y;
      pen.clearRect(0, 0, bitmap.width, high);
      pen.drawImage(bitmap, 0, -top);
      band = pen.getImageData(0, 0, bitmap.width, high).data;
    }
    return band.subarray(4 * bitmap.width * (y - top), 4 * bitmap.width * (y - top + 1));
  };
}

async function look({ blob, bitmap, id, scored }) {
  const frame = bitmap || await decoded(blob);
  const place = fit(frame.width, frame.height, about.image_size, about.stride, about.shape || []);
  if (!place) throw new Trouble("shape", { width: about.shape[2], height: about.shape[1] });
  const start = performance.now();
  const input = prepare(rowsOf(frame), place);
  frame.close();
  const tensor = new ort.Tensor("float32", input, [1, 3, place.canvas[1], place.canvas[0]]);
  const before = performance.now();
  let output;
  try {
    output = (await session.run({ images: tensor }))[session.outputNames[0]];
  } catch (error) {
    throw new Trouble("noRun", { why: String(error.message || error).slice(0, 160) });
  }
  const network = performance.now() - before, columns = about.nms ? 7 : 5 + about.names.length;
  if (output.dims[output.dims.length - 1] !== columns) throw new Trouble("noRun", { why: `${output.dims} / ${columns}` });
  last = { raw: output.data, place, id, network };
  const found = scored ? boxes(last.raw, place, about) : seen();
  last.whole = performance.now() - start;
  tell(found);
}

/** The boxes to look at: one an animal, from the slider's confidence up. */
function seen() {
  return boxes(last.raw, last.place, { ...about, settings: about.looking || about.settings }, level);
}

function tell(found) {
  const { place, id, network, whole } = last;
  postMessage({ kind: "found", id, found, frame: place.frame, network, whole });
}

async function answer(data) {
  try {
    if (data.kind === "open") await open();
    else if (data.kind === "photo" && data.id === newest) await look(data);
    else if (data.kind === "confidence" && last) tell(seen());
  } catch (error) {
    if (data.kind === "photo") last = undefined;
    postMessage({ kind: "error", id: data.id, code: error instanceof Trouble ? error.message : "other",
      values: error.values || { why: String(error.message || error).slice(0, 160) } });
  }
}

onmessage = ({ data }) => {
  if (data.kind === "photo") newest = data.id; // an older one that still waits is left out
  if (data.confidence !== undefined) level = data.confidence;
  queue = queue.then(() => answer(data));
};
