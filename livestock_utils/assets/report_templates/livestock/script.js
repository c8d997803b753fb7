"use strict";
(() => {
  const root = document.documentElement;
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private windows may refuse */ } };
  const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };

  const words = {/* words */};
  let korean = recall("language") === "ko";
  const put = (button, text) => { button.dataset.en = text; button.textContent = (korean && words[text]) || text; };
  const language = document.getElementById("language-switch");
  const speak = () => {
    document.querySelectorAll("[data-ko]").forEach((element) => {
      element.dataset.en ??= element.textContent;
      element.textContent = korean ? element.dataset.ko : element.dataset.en;
      if (korean) element.lang = "ko"; else element.removeAttribute("lang");
    });
    document.querySelectorAll(".tools button[data-en]").forEach((button) => put(button, button.dataset.en));
    document.querySelectorAll("tbody [data-label]").forEach((cell) => {  // a phone shows the head beside each cell
      cell.dataset.label = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim();
    });
    language.textContent = korean ? "English" : "한국어";
    language.lang = korean ? "en" : "ko";
  };
  language.hidden = false;
  language.addEventListener("click", () => { korean = !korean; remember("language", korean ? "ko" : "en"); speak(); });

  const code = document.getElementById("code-switch");
  const blocks = document.querySelectorAll("details.code");
  const showCode = (open) => {
    blocks.forEach((block) => { block.open = open; });
    root.dataset.code = open ? "shown" : "folded";
    code.setAttribute("aria-pressed", String(open));
    put(code, open ? "Hide code" : "Show code");
  };
  if (blocks.length) {
    code.hidden = false;
    showCode(recall("code") === "open");
    code.addEventListener("click", () => {
      const open = code.getAttribute("aria-pressed") !== "true";
      showCode(open);
      remember("code", open ? "open" : "folded");
    });
  }

  const theme = document.getElementById("theme-switch");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => put(theme, isDark() ? "Light" : "Dark");
  if (["dark", "light"].includes(recall("theme"))) root.dataset.theme = recall("theme");
  theme.hidden = false;
  label();
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember("theme", root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);

  const narrow = matchMedia("(max-width: 60rem)");
  document.querySelectorAll(".contents details").forEach((list) => {
    if (narrow.matches) list.open = false;
    const here = list.querySelector("[aria-current]");
    const box = list.closest(".contents");
    if (here) box.scrollTop = here.offsetTop - box.offsetTop - box.clientHeight / 3;
  });

  const zoom = document.getElementById("zoom");
  const view = zoom.querySelector(".view");
  document.querySelectorAll("button.zoom").forEach((button) => button.addEventListener("click", () => {
    const from = button.querySelector("img");
    const to = zoom.querySelector("img");
    to.src = from.src;
    to.alt = from.alt;
    zoom.querySelector(".said").textContent = from.alt;
    zoom.classList.remove("large");
    zoom.showModal();
  }));
  zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
  let drag = null;  // a mouse pans by dragging, fingers by scrolling
  view.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, left: view.scrollLeft, top: view.scrollTop, moved: false };
  });
  view.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerType !== "mouse" || !event.buttons) return;
    drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 5;
    view.scrollTo(drag.left + drag.x - event.clientX, drag.top + drag.y - event.clientY);
  });
  zoom.querySelector(".fit").addEventListener("click", (event) => {
    if (drag?.moved) return;
    const { left, top, width, height } = zoom.querySelector("img").getBoundingClientRect();
    const at = event.detail ? [(event.clientX - left) / width, (event.clientY - top) / height] : [0.5, 0.5];
    zoom.classList.toggle("large");
    view.scrollTo(at[0] * view.scrollWidth - view.clientWidth / 2, at[1] * view.scrollHeight - view.clientHeight / 2);
  });
  zoom.querySelector("img").draggable = false;

  document.querySelectorAll(".wide, main figure:not(.hero)").forEach((inner) => {  // a shadow where more lies to the right
    const edge = document.createElement("div");
    edge.className = "edge";
    inner.before(edge);
    edge.append(inner);
    const look = () => edge.classList.toggle("more", inner.scrollLeft + inner.clientWidth < inner.scrollWidth - 2);
    inner.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(inner);
  });

  const csv = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const text = cell.textContent.trim();
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")).join("\n") + "\n";
  document.querySelectorAll(".wide").forEach((inner, place) => {
    const table = inner.querySelector("table");
    if (!table || table.rows.length < 2) return;
    const link = document.createElement("a");
    link.className = "csv";
    link.textContent = "CSV";
    link.href = "#";
    link.setAttribute("aria-label", `CSV: ${inner.getAttribute("aria-label") || "table"}`);
    link.download = `${document.title.slice(0, 2).trim() || "table"}_${place + 1}.csv`;
    link.addEventListener("click", () => {
      link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
    });
    const fold = inner.querySelector("details");  // a folded table's link is folded with it
    if (fold) fold.append(link); else inner.closest(".edge").after(link);
    const head = table.tHead && table.tHead.rows.length === 1 && table.tHead.rows[0];
    const best = head ? [...head.cells].findIndex((cell) => /^m?AP75$/.test(cell.textContent.trim())) : -1;
    if (narrow.matches && best > 1 && !table.querySelector("[rowspan], [colspan]")) {
      [...table.rows].forEach((row) => row.cells[1].before(row.cells[best]));  // what counts comes first on a phone
    }
  });

  const number = (text) => (/^[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?\s*(%|px|ms|s|MB)?$/i.test(text.trim())
    ? parseFloat(text.replace(/,/g, "").replace("−", "-")) : NaN);
  document.querySelectorAll("table").forEach((table) => {
    const body = table.tBodies[0];
    const head = table.tHead && table.tHead.rows[table.tHead.rows.length - 1];
    if (!body || !head || table.tHead.rows.length !== 1 || table.querySelector("[rowspan], [colspan]")) return;
    const rows = [...body.rows];
    [...head.cells].forEach((cell, column) => {
      const texts = rows.map((row) => row.cells[column] ? row.cells[column].textContent.trim() : "");
      const filled = texts.filter((text) => text && text !== "–");
      const numeric = filled.length > 0 && filled.every((text) => !Number.isNaN(number(text)));
      if (numeric) [cell, ...rows.map((row) => row.cells[column])].forEach((c) => c && c.classList.add("num"));
      else rows.forEach((row) => row.cells[column]?.classList.toggle("long", row.cells[column].textContent.length > 28));
      rows.forEach((row, place) => {
        if (!row.cells[column]) return;
        row.cells[column].dataset.label = cell.textContent.trim();
        row.cells[column].classList.toggle("absent", ["", "–"].includes(texts[place]));
      });
      if (!numeric && texts.some((text) => text.length > 40)) table.classList.add("stack");  // sentences: a phone shows cell below cell
      cell.scope = "col";
      if (rows.length < 2 || !cell.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      if (cell.dataset.ko) button.dataset.ko = cell.dataset.ko;
      delete cell.dataset.ko;
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        [...head.cells].forEach((other) => other.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = rows.map((row, index) => ({ row, text: texts[index], value: number(texts[index]) }));
        order.sort((a, b) => {
          const emptyA = !a.text || a.text === "–";
          const emptyB = !b.text || b.text === "–";
          if (emptyA || emptyB) return emptyA - emptyB;
          const by = numeric ? a.value - b.value : a.text.localeCompare(b.text);
          return down ? -by : by;
        });
        order.forEach(({ row }) => body.append(row));
      });
    });
  });
  speak();
})();
