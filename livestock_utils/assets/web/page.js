// The page: what is asked goes to worker.js, what it finds is drawn and counted.
"use strict";

const SAY = {
  en: {
    title: "Livestock in a photo", choose: "Choose a photo", orDrop: "or drop one here",
    camera: "Use the camera", stop: "Stop the camera", test: "Test image", theme: "Dark or light",
    confidence: "Confidence from", empty: "The photo and its boxes appear here.",
    private: "Photos stay in this browser: nothing is sent anywhere.",
    opening: "Opening the model ...", ready: "Ready.", looking: "Looking ...", none: "No animals",
    times: "{whole} ms, of which the network {network} ms",
    same: "Test image: this browser finds the {n} boxes that it should, faint ones included (largest difference {px} px).",
    differs: "Test image: {bad} of {n} boxes, faint ones included, differ from what is expected; run “python run.py selftest” on this machine.",
    fromDisk: "Start “python run.py serve” in the bundle's folder and open the address that it prints: a page opened from disk may not load the model.",
    noWasm: "This browser has no WebAssembly, which the model needs: take a current Chrome, Edge, Firefox or Safari.",
    noRuntime: "The runtime's files are not there: run “python run.py web-runtime” in the bundle's folder once.",
    noModel: "The model is not in reach: is “python run.py serve” still running?",
    noSession: "The model cannot be opened ({why}): unpack the bundle again.",
    noRun: "The network does not take this photo ({why}): unpack the bundle again.",
    shape: "This model takes frames of {width} x {height} px only: take a photo of that shape, or a bundle without a fixed shape.",
    empty_file: "This file is empty.", unreadable: "This file is not an image that the browser can read.",
    heic: "This browser cannot read HEIC photos: save the photo as JPEG and try again.",
    huge: "This photo has {pixels} megapixels, at most 128 are read: make it smaller and try again.",
    noCamera: "There is no camera here.", cameraDenied: "The camera was not allowed: allow it in the browser's settings.",
    cameraBusy: "The camera is in use by another program.",
    cameraInsecure: "Browsers give the camera only to pages from this device (127.0.0.1) or over https.",
    cameraGone: "The camera is gone: plug it in and start it again.",
    other: "It did not work ({why}).", species: {},
  },
  ko: {
    title: "사진 속 가축 찾기", choose: "사진 고르기", orDrop: "또는 여기에 끌어다 놓기",
    camera: "카메라 쓰기", stop: "카메라 끄기", test: "시험 사진", theme: "어둡게 / 밝게",
    confidence: "신뢰도 하한", empty: "사진과 찾은 상자가 여기에 나타납니다.",
    private: "사진은 이 브라우저 안에만 있으며 어디로도 보내지 않습니다.",
    opening: "모델을 여는 중 ...", ready: "준비되었습니다.", looking: "찾는 중 ...", none: "찾은 가축 없음",
    times: "{whole} ms (신경망 {network} ms)",
    same: "시험 사진: 이 브라우저가 신뢰도가 낮은 것까지 상자 {n}개를 모두 기대한 대로 찾습니다 (최대 차이 {px} px).",
    differs: "시험 사진: 상자 {n}개 가운데 {bad}개가 기대와 다릅니다. 이 기기에서 “python run.py selftest”를 실행하세요.",
    fromDisk: "디스크에서 연 페이지는 모델을 읽을 수 없으니, 번들 폴더에서 “python run.py serve”를 실행하고 표시되는 주소를 여세요.",
    noWasm: "이 브라우저에는 모델에 필요한 WebAssembly가 없습니다. 최신 Chrome, Edge, Firefox, Safari를 쓰세요.",
    noRuntime: "실행 파일이 없습니다. 번들 폴더에서 “python run.py web-runtime”을 한 번 실행하세요.",
    noModel: "모델에 닿지 않습니다. “python run.py serve”가 실행 중인지 확인하세요.",
    noSession: "모델을 열 수 없습니다 ({why}). 번들을 다시 푸세요.",
    noRun: "신경망이 이 사진을 받지 못합니다 ({why}). 번들을 다시 푸세요.",
    shape: "이 모델은 {width} x {height} px 화면만 받습니다. 그 비율의 사진이나 크기가 고정되지 않은 번들을 쓰세요.",
    empty_file: "빈 파일입니다.", unreadable: "브라우저가 읽을 수 있는 사진이 아닙니다.",
    heic: "이 브라우저는 HEIC 사진을 읽지 못합니다. JPEG로 저장한 뒤 다시 시도하세요.",
    huge: "사진이 {pixels}메가픽셀입니다. 128메가픽셀까지 읽으니 줄여서 다시 시도하세요.",
    noCamera: "카메라가 없습니다.", cameraDenied: "카메라가 허용되지 않았습니다. 브라우저 설정에서 허용하세요.",
    cameraBusy: "다른 프로그램이 카메라를 쓰고 있습니다.",
    cameraInsecure: "카메라는 이 기기의 주소(127.0.0.1)나 https로 연 페이지에서만 쓸 수 있습니다.",
    cameraGone: "카메라가 끊겼습니다. 다시 연결하고 켜세요.",
    other: "처리하지 못했습니다 ({why}).", species: { pig: "돼지", cow: "소" },
  },
};
const TONES = ["#d55e00", "#0072b2", "#009e73", "#cc79a7"]; // told apart by the colour-blind; as run.py draws
const of = (id) => document.getElementById(id);
const state = { id: 0, language: "en", ready: false, names: [], found: null, frame: null, wanted: null, stream: null, says: ["opening", {}, false] };
let worker = null;

function fill(key, values = {}) {
  return SAY[state.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** One sentence below the controls. */
function say(key, values = {}, wrong = false) {
  state.says = [key, values, wrong];
  of("say").textContent = key ? fill(key, values) : "";
  of("say").classList.toggle("wrong", wrong);
}

function translate() {
  document.documentElement.lang = state.language;
  document.title = fill("title");
  document.querySelectorAll("[data-say]").forEach((element) => { element.textContent = fill(element.dataset.say); });
  of("language").textContent = state.language === "en" ? "한국어" : "English";
  of("language").lang = state.language === "en" ? "ko" : "en";
  of("camera").textContent = fill(state.stream ? "stop" : "camera");
  say(...state.says);
  show();
}

const named = (label) => SAY[state.language].species[state.names[label]] || state.names[label];
const level = () => Number(of("confidence").value);

/** Boxes over the photo, counts by species and the time. */
function show() {
  of("level").textContent = level().toFixed(2);
  const canvas = of("over");
  canvas.hidden = !state.found;
  of("counts").textContent = of("times").textContent = "";
  if (!state.found) return;
  const counts = state.names.map((_, label) => state.found.filter((box) => box.label === label).length);
  const told = counts.map((n, label) => [n, label]).filter(([n]) => n).map(([n, label]) => `${named(label)} ${n}`);
  of("counts").textContent = told.join(", ") || fill("none");
  of("times").textContent = fill("times", { whole: state.whole.toFixed(0), network: state.network.toFixed(0) });
  of("frame").style.width = `min(100%, calc(85vh * ${state.frame[0] / state.frame[1]}))`; // never taller than the window
  const wide = canvas.clientWidth, high = canvas.clientHeight, dense = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = wide * dense;
  canvas.height = high * dense;
  const pen = canvas.getContext("2d"), across = wide / state.frame[0], down = high / state.frame[1];
  pen.scale(dense, dense);
  pen.lineWidth = 2;
  pen.font = `600 ${wide < 600 ? 10 : 13}px system-ui, sans-serif`;
  for (const { xyxy: [xMin, yMin, xMax, yMax], confidence, label } of state.found) {
    const tone = TONES[label % TONES.length], text = `${named(label)} ${confidence.toFixed(2)}`;
    pen.strokeStyle = pen.fillStyle = tone;
    pen.strokeRect(xMin * across, yMin * down, (xMax - xMin) * across, (yMax - yMin) * down);
    const left = xMin * across - 1, top = Math.max(yMin * down - 17, 0);
    pen.fillRect(left, top, pen.measureText(text).width + 8, 17);
    pen.fillStyle = "#ffffff";
    pen.fillText(text, left + 4, top + 13);
  }
}

function clear() {
  state.found = state.expected = null;
  for (const id of ["photo", "video", "over"]) of(id).hidden = true;
  of("empty").hidden = false;
  show();
}

function ask(what, transfer = []) {
  worker.postMessage({ kind: "photo", id: ++state.id, confidence: level(), ...what }, transfer);
}

/** A photo from a file: shown, and looked at as soon as the model is open; `expected` as selftest.json has it. */
function take(blob, expected = null) {
  stop();
  clear();
  if (!worker) return say(...state.says);
  URL.revokeObjectURL(of("photo").src);
  of("photo").src = URL.createObjectURL(blob);
  if (!state.ready) {
    state.wanted = [blob, expected];
    return;
  }
  state.expected = expected;
  say("looking");
  ask({ blob, scored: expected !== null });
}

// ---- the camera

const TROUBLE = {
  NotFoundError: "noCamera", OverconstrainedError: "noCamera", NotAllowedError: "cameraDenied", NotReadableError: "cameraBusy",
};

async function camera() {
  if (state.stream) return stop();
  if (!navigator.mediaDevices) return say("cameraInsecure", {}, true);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    return say(TROUBLE[error.name] || "other", { why: error.message }, true);
  }
  clear();
  state.stream = stream;
  stream.getVideoTracks()[0].onended = () => { stop(); say("cameraGone", {}, true); };
  of("camera").textContent = fill("stop");
  of("camera").setAttribute("aria-pressed", "true");
  of("video").srcObject = stream;
  await of("video").play();
  of("video").hidden = false;
  of("empty").hidden = true;
  say("");
  next();
}

/** The next frame, once the one before is done: an old device sees fewer, none pile up. */
async function next() {
  if (!state.stream || !state.ready) return;
  try {
    const bitmap = await createImageBitmap(of("video"));
    if (state.stream) ask({ bitmap }, [bitmap]);
  } catch {
    setTimeout(next, 200); // no picture yet
  }
}

function stop() {
  if (!state.stream) return;
  state.stream.getTracks().forEach((track) => track.stop());
  state.stream = of("video").srcObject = null;
  of("camera").textContent = fill("camera");
  of("camera").setAttribute("aria-pressed", "false");
}

// ---- the test image: are the boxes those that run.py finds?

async function test() {
  try {
    const told = await (await fetch("../selftest.json")).json();
    take(await (await fetch(`../${told.image}`)).blob(), told);
  } catch {
    say("noModel", {}, true);
  }
}

/** How many of the expected boxes are not found, and the largest difference of those that are. */
function compare(expected, found) {
  let bad = 0, largest = 0;
  for (const box of expected.boxes) {
    const sides = [box.x_min, box.y_min, box.x_max, box.y_max];
    const near = found.filter((other) => state.names[other.label] === box.species
      && Math.abs(other.confidence - box.confidence) <= expected.same_confidence)
      .map((other) => Math.max(...sides.map((side, at) => Math.abs(side - other.xyxy[at]))));
    const least = Math.min(Infinity, ...near);
    if (least <= expected.same_px) largest = Math.max(largest, least);
    else bad += 1;
  }
  return { bad, n: expected.boxes.length, px: largest.toFixed(2) };
}

// ---- answers of the worker

function answer({ data }) {
  if (data.kind === "ready") {
    Object.assign(state, { ready: true, names: data.names });
    of("confidence").min = Math.max(data.inside, 0.05);
    of("confidence").value = data.usual;
    show();
    say("ready");
    if (state.wanted) take(...state.wanted);
    if (state.stream) next();
    return;
  }
  if (data.id !== undefined && data.id !== state.id) return; // of a photo before this one
  if (data.kind === "error") {
    if (data.id !== undefined) clear();
    return say(data.code === "empty" ? "empty_file" : data.code, data.values, true);
  }
  Object.assign(state, data);
  if (state.expected) {
    const same = compare(state.expected, data.found);
    say(same.bad ? "differs" : "same", same, same.bad > 0);
    state.expected = null;
    worker.postMessage({ kind: "confidence", confidence: level() });
    return;
  }
  if (state.says[0] === "looking") say("");
  of("photo").hidden = Boolean(state.stream);
  of("empty").hidden = true;
  show();
  if (state.stream) next();
}

function begin() {
  state.language = localStorage.getItem("language") || (navigator.language.startsWith("ko") ? "ko" : "en");
  of("language").onclick = () => {
    state.language = state.language === "en" ? "ko" : "en";
    localStorage.setItem("language", state.language);
    translate();
  };
  of("theme").onclick = () => {
    const now = document.documentElement.dataset.theme
      || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  };
  translate();
  if (location.protocol === "file:") return say("fromDisk", {}, true);
  worker = new Worker("worker.js");
  worker.onmessage = answer;
  worker.onerror = (event) => { event.preventDefault(); say("other", { why: event.message || "worker.js" }, true); };
  worker.postMessage({ kind: "open" });
  of("file").onchange = ({ target }) => { if (target.files[0]) take(target.files[0]); target.value = ""; };
  of("confidence").oninput = () => { show(); worker.postMessage({ kind: "confidence", confidence: level() }); };
  of("camera").onclick = camera;
  of("test").onclick = test;
  addEventListener("resize", show);
  of("photo").onload = show;
  addEventListener("dragover", (event) => { event.preventDefault(); of("drop").classList.add("over"); });
  addEventListener("dragleave", () => of("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    of("drop").classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

begin();
