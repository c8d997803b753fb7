"use strict";
(() => {
  const root = document.documentElement;
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private windows may refuse */ } };
  const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };

  const code = document.getElementById("code-switch");
  const blocks = document.querySelectorAll("details.code");
  const showCode = (open) => {
    blocks.forEach((block) => { block.open = open; });
    root.dataset.code = open ? "shown" : "folded";
    code.setAttribute("aria-pressed", String(open));
    code.textContent = open ? "Hide code" : "Show code";
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
  const label = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
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
  document.querySelectorAll(".contents details").forEach((list) => { if (narrow.matches) list.open = false; });

  const zoom = document.getElementById("zoom");
  document.querySelectorAll("button.zoom").forEach((button) => button.addEventListener("click", () => {
    const from = button.querySelector("img");
    const to = zoom.querySelector("img");
    to.src = from.src;
    to.alt = from.alt;
    zoom.querySelector("p").textContent = from.alt;
    zoom.showModal();
  }));
  zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });

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
      else rows.forEach((row) => row.cells[column]?.classList.toggle("long", row.cells[column].textContent.length > 40));
      cell.scope = "col";
      if (rows.length < 2 || !cell.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
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
})();
