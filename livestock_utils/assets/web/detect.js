// Letterbox, thresholds, suppression and voting as run.py has them: same numbers in the same order.
// float32 where numpy has float32 (Math.fround), so that a box on the edge of a threshold falls on
// the same side. No page and no network in here: worker.js calls it, tests call it too.
"use strict";

const GREY = 114;
const VOTE_SHARE = 0.1; // candidates below this share of a box's confidence do not move its edges
const CAP = 3000; // candidates of one image that reach suppression, the most confident first
const f32 = Math.fround;

/** The nearest whole number, halves to the even one, as Python rounds. */
function rint(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

/** The letterbox of a frame: its size, resized size, padded size and left top corner, each [x, y] in px. */
function fit(width, height, imageSize, stride, shape = []) {
  const ratio = imageSize / Math.max(width, height);
  const resized = [width, height].map((side) => Math.max(rint(side * ratio), 1));
  const padded = resized.map((side) => side + ((((imageSize - side) % stride) + stride) % stride));
  const corner = [0, 1].map((axis) => rint((padded[axis] - resized[axis]) / 2 - 0.1));
  let canvas = padded;
  if (shape.length) {
    canvas = [shape[2], shape[1]];
    if (padded[0] > canvas[0] || padded[1] > canvas[1]) return null; // a bundle of another shape
  }
  return { frame: [width, height], resized, padded, corner, canvas };
}

/** For each of `wanted` pixels: its two neighbours among `side`, and their weights in 2048ths, as OpenCV has them. */
function taps(side, wanted) {
  const near = new Int32Array(wanted), far = new Int32Array(wanted);
  const nearWeight = new Int32Array(wanted), farWeight = new Int32Array(wanted);
  for (let i = 0; i < wanted; i++) {
    const at = f32((i + 0.5) * (side / wanted) - 0.5);
    const first = Math.min(Math.max(Math.floor(at), 0), side - 1);
    const share = at < 0 || first === side - 1 ? 0 : f32(at - first);
    near[i] = first;
    far[i] = Math.min(first + 1, side - 1);
    nearWeight[i] = rint(f32(f32(1 - share) * 2048));
    farWeight[i] = rint(f32(share * 2048));
  }
  return { near, far, nearWeight, farWeight };
}

/**
 * The network's input (3, h, w), float32 RGB in [0, 1]. `rows(y)` gives row y of the frame as RGBA
 * bytes; only the rows that are needed are asked for, from top to bottom.
 */
function prepare(rows, place) {
  const [width, height] = place.frame, [wide, high] = place.resized, [across, down] = place.canvas;
  const [left, top] = place.corner, plane = across * down;
  const input = new Float32Array(3 * plane).fill(f32(GREY / 255));
  const shares = Float32Array.from({ length: 256 }, (_, level) => level / 255);
  const write = (line, colour, x, level) => {
    input[colour * plane + (top + line) * across + left + x] = shares[level];
  };
  const factor = Math.floor(width / wide);
  if (factor % 2 && width === factor * wide && height === factor * high) {
    const middle = Math.floor(factor / 2); // 1920 px to 640: every third pixel, nothing between
    for (let line = 0; line < high; line++) {
      const row = rows(line * factor + middle);
      for (let x = 0; x < wide; x++) {
        for (let colour = 0; colour < 3; colour++) {
          write(line, colour, x, row[4 * (x * factor + middle) + colour]);
        }
      }
    }
    return input;
  }
  const horizontal = taps(width, wide), vertical = taps(height, high), kept = new Map();
  const resized = (y) => {
    if (!kept.has(y)) {
      const row = rows(y), line = new Int32Array(3 * wide);
      for (let x = 0; x < wide; x++) {
        const near = 4 * horizontal.near[x], far = 4 * horizontal.far[x];
        for (let colour = 0; colour < 3; colour++) {
          line[3 * x + colour] =
            (row[near + colour] * horizontal.nearWeight[x] + row[far + colour] * horizontal.farWeight[x]) >> 4;
        }
      }
      for (const other of kept.keys()) if (other < y - 1) kept.delete(other);
      kept.set(y, line);
    }
    return kept.get(y);
  };
  for (let line = 0; line < high; line++) {
    const above = resized(vertical.near[line]), below = resized(vertical.far[line]);
    const first = vertical.nearWeight[line], second = vertical.farWeight[line];
    for (let x = 0; x < wide; x++) {
      for (let colour = 0; colour < 3; colour++) {
        const at = 3 * x + colour;
        write(line, colour, x, (((above[at] * first) >> 16) + ((below[at] * second) >> 16) + 2) >> 2);
      }
    }
  }
  return input;
}

/** One number for each class: the value itself, or the class's of an object. */
function numbers(value, names) {
  return names.map((name) => (typeof value === "object" && value !== null ? value[name] : value));
}

/**
 * The network's raw output -> boxes [{xyxy, confidence, label}] in px of the frame, the most
 * confident first. `about` is model.json; `confidence` (one number or class -> number) stands in
 * for its threshold.
 */
function boxes(raw, place, about, confidence = about.settings.confidence_threshold) {
  const settings = about.settings, names = about.names, inside = Boolean(about.nms);
  const voting = settings.voting_iou === undefined ? null : settings.voting_iou;
  const floors = numbers(confidence, names).map(f32), most = settings.max_detections;
  const rescorer = settings.rescorer || null, looksAround = voting !== null || rescorer !== null;
  const all = candidates(raw, place, names.length, inside, settings, Math.min(...floors), looksAround);
  let sure = all.filter((box) => box.confidence >= floors[box.label]).map((box) => ({ ...box }));
  if (!inside) sure = suppressed(sure, floors, numbers(settings.iou_threshold, names), settings);
  sure = sure.sort((one, other) => other.confidence - one.confidence).slice(0, most);
  const alike = names.map((_, label) => byLeft(all.filter((other) => looksAround && other.label === label)));
  if (voting !== null) {
    const byIou = settings.voting_weight !== "confidence";
    sure = sure.map((box) => ({ ...box, xyxy: voted(box, alike[box.label], voting, byIou) }));
  }
  const [width, height] = place.frame;
  for (const box of sure) {
    box.xyxy = box.xyxy.map((value, side) => Math.min(Math.max(value, 0), side % 2 ? height : width));
  }
  if (rescorer !== null) {
    const mine = names.map((_, label) => sure.filter((other) => other.label === label));
    const anew = sure.map((box) => {
      const values = features(box, mine[box.label], alike[box.label], place.frame);
      const sum = values.reduce((total, value, at) => total + value * rescorer.weights[at], 0);
      return f32(1 / (1 + Math.exp(-(sum + rescorer.bias[names[box.label]]))));
    });
    sure.forEach((box, at) => { box.confidence = anew[at]; });
  }
  return sure.sort((one, other) => other.confidence - one.confidence);
}

function candidates(raw, place, classes, inside, settings, lowest, votes) {
  const found = [], columns = inside ? 7 : 5 + classes;
  const floor = votes && !inside ? f32(lowest * f32(VOTE_SHARE)) : lowest;
  const many = settings.multi_label;
  for (let at = 0; at + columns <= raw.length; at += columns) {
    if (inside) {
      found.push({ score: raw[at + 5], label: raw[at + 6], at: at + 1, best: true });
      continue;
    }
    const there = raw[at + 4];
    if (!(there >= floor)) continue;
    let best = 0;
    for (let label = 1; label < classes; label++) {
      if (f32(raw[at + 5 + label] * there) > f32(raw[at + 5 + best] * there)) best = label;
    }
    for (let label = 0; label < classes; label++) {
      const score = f32(raw[at + 5 + label] * there);
      if (score >= floor) found.push({ score, label, at, best: many || label === best });
    }
  }
  found.sort((one, other) => other.score - one.score);
  const [across, down] = [0, 1].map((axis) => place.frame[axis] / place.resized[axis]);
  const [left, top] = place.corner;
  return found.slice(0, CAP).filter((each) => each.best).map(({ score, label, at }) => {
    const x = raw[at], y = raw[at + 1], halfX = f32(raw[at + 2] / 2), halfY = f32(raw[at + 3] / 2);
    const xyxy = [
      f32((f32(x - halfX) - left) * across), f32((f32(y - halfY) - top) * down),
      f32((f32(x + halfX) - left) * across), f32((f32(y + halfY) - top) * down),
    ];
    return { xyxy, confidence: score, label };
  });
}

function suppressed(sure, floors, limits, settings) {
  const grouped = new Map(), most = settings.max_detections, agnostic = settings.class_agnostic;
  sure.forEach((box, index) => {
    const group = agnostic ? 0 : box.label;
    if (!grouped.has(group)) grouped.set(group, []);
    grouped.get(group).push(index);
  });
  const kept = [];
  for (const [group, rows] of grouped) {
    const mine = rows.map((index) => sure[index]);
    if (settings.method === "diou_nms") {
      for (const place of diouNms(mine, limits[group])) kept.push(rows[place]);
      continue;
    }
    if (settings.method === "nms") {
      for (const place of nms(mine, limits[group], most)) kept.push(rows[place]);
      continue;
    }
    const mixed = agnostic && Math.min(...floors) < Math.max(...floors); // a pick may fall below its own floor
    const lowest = agnostic ? Math.min(...floors) : floors[group];
    const scores = softNms(mine, limits[group], settings.sigma, settings.method, lowest, mixed ? mine.length : most);
    mine.forEach((box, place) => {
      box.confidence = scores[place];
      if (scores[place] > 0 && scores[place] >= floors[box.label]) kept.push(rows[place]);
    });
  }
  kept.sort((one, other) => one - other);
  return (settings.method === "nms" ? kept.slice(0, most) : kept).map((index) => sure[index]);
}

/** Indices of the boxes that no better one overlaps by more than `limit`. */
function nms(mine, limit, most) {
  const areas = mine.map(({ xyxy: [xMin, yMin, xMax, yMax] }) => f32(f32(xMax - xMin) * f32(yMax - yMin)));
  const kept = [];
  for (let row = 0; row < mine.length && kept.length < most; row++) {
    const a = mine[row].xyxy;
    const free = kept.every((other) => {
      const b = mine[other].xyxy;
      const width = Math.max(f32(Math.min(a[2], b[2]) - Math.max(a[0], b[0])), 0);
      const height = Math.max(f32(Math.min(a[3], b[3]) - Math.max(a[1], b[1])), 0);
      const shared = f32(width * height);
      return !(f32(shared / f32(f32(areas[row] + areas[other]) - shared)) > limit);
    });
    if (free) kept.push(row);
  }
  return kept;
}

/** As `nms`, by IoU less the squared distance of the centres over that of the corners around both. */
function diouNms(mine, limit) {
  const kept = [];
  mine.forEach(({ xyxy: a }, row) => {
    const free = kept.every((other) => {
      const b = mine[other].xyxy;
      const across = Math.max(a[2], b[2]) - Math.min(a[0], b[0]), down = Math.max(a[3], b[3]) - Math.min(a[1], b[1]);
      const x = (a[0] + a[2] - b[0] - b[2]) / 2, y = (a[1] + a[3] - b[1] - b[3]) / 2;
      const diagonal = across * across + down * down;
      return overlap(a, b) - (diagonal > 0 ? (x * x + y * y) / diagonal : 0) <= limit;
    });
    if (free) kept.push(row);
  });
  return kept;
}

/** What a re-scorer reads of a box, in the order of run.py's FEATURES. */
function features(box, mine, voters, [width, height]) {
  const a = box.xyxy, sides = [Math.max(a[2] - a[0], 1), Math.max(a[3] - a[1], 1)];
  let count = 0, total = 1e-9, shared = 0;
  const spread = [0, 0, 0, 0];
  for (const [{ xyxy: b, confidence }, iou] of near(a, voters, 0.6)) {
    if (!(confidence >= f32(f32(VOTE_SHARE) * box.confidence))) continue;
    count += 1;
    total += confidence;
    shared += confidence * iou;
    spread.forEach((_, side) => { spread[side] += confidence * ((b[side] - a[side]) / sides[side % 2]) ** 2; });
  }
  const edges = spread.map((sum) => Math.sqrt(sum / total));
  const surer = mine.filter((other) => other.confidence > box.confidence);
  const sure = Math.min(Math.max(box.confidence, 1e-4), 1 - 1e-4);
  const isCut = a[0] / width < 0.005 || a[1] / height < 0.005 || a[2] / width > 0.995 || a[3] / height > 0.995;
  return [
    Math.log(sure / (1 - sure)), Math.log1p(count), Math.log(total), shared / total,
    Math.log(Math.max(...edges) + 0.01), Math.log(edges.reduce((sum, one) => sum + one, 0) / 4 + 0.01),
    Math.log((sides[0] * sides[1]) / (width * height) + 1e-9), Math.log(sides[0] / sides[1]), isCut ? 1 : 0,
    surer.reduce((most, other) => Math.max(most, overlap(a, other.xyxy)), 0), Math.log1p(surer.length),
  ];
}

/** IoU of two boxes. */
function overlap(a, b) {
  const area = (side) => Math.max(side[2] - side[0], 0) * Math.max(side[3] - side[1], 0);
  const width = Math.max(Math.min(a[2], b[2]) - Math.max(a[0], b[0]), 0);
  const height = Math.max(Math.min(a[3], b[3]) - Math.max(a[1], b[1]), 0);
  const union = area(a) + area(b) - width * height;
  return union > 0 ? (width * height) / union : 0;
}

/** Boxes sorted by their left side, as `near` takes them. */
function byLeft(all) {
  return all.sort((one, other) => one.xyxy[0] - other.xyxy[0]);
}

/** [box, IoU] of those that overlap box `a` by at least `least`: they begin within what that leaves of its width. */
function near(a, sorted, least) {
  const reach = [0, 1].map((axis) => Math.max(a[axis + 2] - a[axis], 1) * (1.001 - least)), found = [];
  const low = [0, 1].map((axis) => a[axis] - reach[axis] / Math.max(least, 1e-9));
  const high = [0, 1].map((axis) => (least > 0 ? a[axis] + reach[axis] : Infinity));
  let start = 0, end = sorted.length;
  while (start < end) {
    const middle = (start + end) >> 1;
    if (sorted[middle].xyxy[0] < low[0]) start = middle + 1;
    else end = middle;
  }
  for (let at = start; at < sorted.length && sorted[at].xyxy[0] <= high[0]; at++) {
    const b = sorted[at].xyxy;
    if (b[1] < low[1] || b[1] > high[1]) continue;
    const iou = overlap(a, b);
    if (iou >= least) found.push([sorted[at], iou]);
  }
  return found;
}

/** Confidences after linear or gaussian soft-NMS; those that end below `lowest` are 0. */
function softNms(mine, limit, sigma, method, lowest, most) {
  const scores = Float64Array.from(mine, (box) => box.confidence), result = mine.map(() => 0);
  const linear = method === "soft_nms_linear", least = linear ? Math.max(limit, 1e-9) : 1;
  const order = byLeft(mine.map(({ xyxy }, row) => ({ xyxy, row }))), place = [];
  order.forEach(({ row }, at) => { place[row] = at; });
  const widest = mine.reduce((most, { xyxy }) => Math.max(most, xyxy[2] - xyxy[0]), 0);
  const area = ([xMin, yMin, xMax, yMax]) => (xMax - xMin) * (yMax - yMin);
  for (let turn = 0; turn < Math.min(most, mine.length); turn++) {
    let best = 0;
    for (let row = 1; row < scores.length; row++) if (scores[row] > scores[best]) best = row;
    if (scores[best] < lowest || scores[best] <= 0) break;
    result[best] = f32(scores[best]);
    scores[best] = -1;
    const a = mine[best].xyxy, size = area(a), reach = Math.max(a[2] - a[0], 1) * (1.001 - least);
    const low = a[0] - (linear ? reach / least : widest), high = linear ? a[0] + reach : a[2];
    const lower = ({ xyxy: b, row }) => {
      if (!(b[0] < a[2] && b[2] > a[0] && b[1] < a[3] && b[3] > a[1])) return;
      const shared = (Math.min(b[2], a[2]) - Math.max(b[0], a[0])) * (Math.min(b[3], a[3]) - Math.max(b[1], a[1]));
      const iou = shared / Math.max(size + area(b) - shared, 2.2250738585072014e-308);
      if (!linear) scores[row] *= Math.exp(-(iou * iou) / sigma);
      else if (iou > limit) scores[row] *= 1 - iou;
    };
    for (let at = place[best]; at >= 0 && order[at].xyxy[0] >= low; at--) lower(order[at]);
    for (let at = place[best] + 1; at < order.length && order[at].xyxy[0] <= high; at++) lower(order[at]);
  }
  return result;
}

/** A box's sides as the mean of the candidates that overlap it by at least `limit`, by confidence (x IoU). */
function voted(box, voters, limit, byIou) {
  const a = box.xyxy, sums = [0, 0, 0, 0];
  let total = 0;
  for (const [{ xyxy: b, confidence }, iou] of near(a, voters, limit)) {
    if (!(confidence >= f32(f32(VOTE_SHARE) * box.confidence))) continue;
    const weight = byIou ? iou * confidence : confidence;
    total += weight;
    b.forEach((value, side) => { sums[side] += weight * value; });
  }
  return total > 0 ? sums.map((sum) => f32(sum / total)) : a;
}

/** [width, height] px that a JPEG's or PNG's first bytes promise; null for other formats. */
function promisedSize(bytes) {
  const number = (at, length) => bytes.slice(at, at + length).reduce((sum, byte) => sum * 256 + byte, 0);
  if (bytes[0] === 0x89 && bytes[1] === 0x50 && bytes.length > 24) return [number(16, 4), number(20, 4)];
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const mark = bytes[at + 1];
    if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark)) return [number(at + 7, 2), number(at + 5, 2)];
    at += mark === 0xff ? 1 : 2 + number(at + 2, 2);
  }
  return null;
}

/** True for the first bytes of an HEIC or AVIF photo, as iPhones write them. */
function isHeic(bytes) {
  const text = String.fromCharCode(...bytes.slice(4, 12));
  return /^ftyp(hei[cxms]|hev[cx]|mif1|msf1)$/.test(text);
}

if (typeof module !== "undefined") module.exports = { boxes, fit, isHeic, prepare, promisedSize };
