// The page of the review: a photo, its labels, the open case; decisions go to Python as messages.
const SVG = "http://www.w3.org/2000/svg";
const KEYS = {
  a: "accept", Enter: "accept", r: "reject", x: "reject", n: "next", ArrowRight: "next",
  p: "previous", ArrowLeft: "previous",
};
const NAMES = { accept: "Accept (a)", reject: "Reject (r)", previous: "Back (p)", next: "Next (n)" };
const LEAST = 4; // px of the photo

function made(name, attributes, parent) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  parent.append(one);
  return one;
}

function frameOf(box) {
  return { x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] };
}

export function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "livestock-review";
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys stay out of it
  root.style.cssText = "max-width:960px;font-family:sans-serif";
  const say = document.createElement("p");
  const note = document.createElement("p");
  say.setAttribute("aria-live", "polite");
  note.setAttribute("role", "status");
  say.style.cssText = note.style.cssText = "margin:4px 0";
  const svg = document.createElementNS(SVG, "svg");
  svg.style.cssText = "width:100%;max-height:70vh;display:block;touch-action:none";
  const bar = document.createElement("p");
  bar.style.cssText = "margin:4px 0;display:flex;gap:8px;flex-wrap:wrap";
  root.append(say, svg, bar, note);
  el.append(root);
  let state, box, dragged, waits;

  const send = (what) => {
    if (waits || !state.total) return;
    waits = true; // until Python shows the next case
    model.send({ do: what, at: state.at, box: dragged ? box : null });
  };
  for (const [what, text] of Object.entries(NAMES)) {
    const button = document.createElement("button");
    button.textContent = text;
    button.dataset.do = what;
    button.addEventListener("click", () => { send(what); root.focus(); });
    bar.append(button);
  }

  function draw() {
    svg.replaceChildren();
    if (!state.total) return;
    svg.setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
    const unit = state.width / 960;
    made("image", { href: state.photo, width: state.width, height: state.height }, svg);
    const plain = { fill: "none", stroke: state.colour, "stroke-width": 2 * unit };
    for (const label of state.labels) made("rect", { ...frameOf(label), ...plain }, svg);
    if (state.label) {
      made("rect", { ...frameOf(state.label), ...plain, "stroke-width": 5 * unit }, svg);
    }
    if (!box) return;
    const dotted = { fill: "transparent", stroke: "#ffffff", "stroke-width": 3 * unit };
    made("rect", { ...frameOf(box), ...dotted, stroke: "#000000" }, svg);
    const body = made("rect", {
      ...frameOf(box), ...dotted, "stroke-dasharray": `${6 * unit} ${5 * unit}`,
      class: "box", style: "cursor:move",
    }, svg);
    const grips = [[body, [1, 1, 1, 1]]];
    for (const x of [0, 2]) {
      for (const y of [1, 3]) {
        const size = 12 * unit;
        const grip = made("rect", {
          x: box[x] - size / 2, y: box[y] - size / 2, width: size, height: size, fill: "#ffffff",
          stroke: "#000000", class: `grip g${x}${y}`, style: "cursor:crosshair",
        }, svg);
        grips.push([grip, [0, 1, 2, 3].map((side) => Number(side === x || side === y))]);
      }
    }
    for (const [part, moves] of grips) part.addEventListener("pointerdown", (e) => drag(e, moves));
  }

  function drag(event, moves) {
    event.preventDefault();
    root.focus();
    const scale = svg.getScreenCTM().inverse();
    const at = (e) => new DOMPoint(e.clientX, e.clientY).matrixTransform(scale);
    const from = at(event), before = box;
    const move = (e) => {
      const to = at(e), by = [to.x - from.x, to.y - from.y, to.x - from.x, to.y - from.y];
      const next = before.map((value, side) => value + moves[side] * by[side]);
      if (next[2] - next[0] < LEAST || next[3] - next[1] < LEAST) return;
      box = next;
      dragged = true;
      draw();
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  const show = () => {
    state = model.get("state");
    box = state.box;
    dragged = waits = false;
    say.textContent = state.text;
    note.textContent = state.note;
    draw();
  };
  const keys = (event) => {
    const what = KEYS[event.key];
    if (!what || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && event.target.tagName === "BUTTON") return;
    event.preventDefault();
    event.stopPropagation();
    send(what);
  };
  root.addEventListener("keydown", keys);
  model.on("change:state", show);
  show();
  return () => model.off("change:state", show);
}

export default { render };
