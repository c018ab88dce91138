"use strict";
// Sorts, filters and folds tables, and zooms in flame graphs. The page is complete without it.
(() => {
  const LEAST_FILTERED = 8;
  const LEAST_SORTED = 3;
  const make = (tag, facts, ...inside) => {
    const made = Object.assign(document.createElement(tag), facts);
    made.append(...inside);
    return made;
  };

  // Rows under 1 %: the row with their sum opens and closes them.
  for (const body of document.querySelectorAll("tbody.folded")) {
    const label = body.previousElementSibling.querySelector(".rest .main");
    const button = make("button", { type: "button", className: "more" }, ...label.childNodes);
    button.setAttribute("aria-controls", body.id);
    const show = open => {
      button.setAttribute("aria-expanded", String(open));
      body.hidden = !open;
    };
    button.addEventListener("click", () => show(body.hidden));
    label.append(button);
    show(false);
  }

  const rowsOf = body => [...body.rows].filter(row => !row.matches(".block, .rest"));

  // Numbers by their value, words by the alphabet; a row without a number stays last.
  const compare = (column, order) => (one, other) => {
    const [left, right] = [one, other].map(row => row.cells[column]);
    const [low, high] = [left, right].map(cell => cell.dataset.value);
    if (low !== undefined && high !== undefined) return order * (low - high);
    if (low !== undefined || high !== undefined) return low === undefined ? 1 : -1;
    return order * left.textContent.localeCompare(right.textContent);
  };

  const sort = (table, column, order, asWritten) => {
    for (const body of table.tBodies) {
      const rows = order ? rowsOf(body).sort(compare(column, order)) : asWritten.get(body);
      const after = body.querySelector(":scope > .rest");
      for (const row of rows) body.insertBefore(row, after);
    }
  };

  const buttons = [];
  for (const table of document.querySelectorAll("table.cells, table.every")) {
    if (table.closest(".sentences")) continue;
    const bodies = [...table.tBodies];
    if (Math.max(...bodies.map(body => rowsOf(body).length)) < LEAST_SORTED) continue;
    const asWritten = new Map(bodies.map(body => [body, rowsOf(body)]));
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const name = [...head.childNodes].filter(node => node.className !== "sub");
      const button = make("button", { type: "button", className: "sort" }, ...name);
      head.prepend(button);
      buttons.push(button);
      const numeric = bodies.some(body => rowsOf(body).some(row => row.cells[column].dataset.value));
      const orders = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
      button.addEventListener("click", () => {
        const next = orders[(orders.indexOf(head.getAttribute("aria-sort")) + 1) % orders.length];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (next) head.setAttribute("aria-sort", next);
        sort(table, column, { ascending: 1, descending: -1 }[next] ?? 0, asWritten);
      });
    });
  }
  // On a narrow screen a row is a card, and the heads are for screen readers only.
  const narrow = matchMedia("(max-width: 760px)");
  const enable = () => buttons.forEach(button => (button.disabled = narrow.matches));
  narrow.addEventListener("change", enable);
  enable();

  for (const table of document.querySelectorAll("table.cells, table.every")) {
    const rows = [...table.tBodies].flatMap(rowsOf);
    if (rows.length < LEAST_FILTERED) continue;
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const count = make("output", {});
    const sums = [...table.querySelectorAll(".rest")];
    const folded = new Map([...table.querySelectorAll(".folded")].map(body => [body, true]));
    let words = "";
    field.addEventListener("input", () => {
      if (!words) for (const body of folded.keys()) folded.set(body, body.hidden);
      words = field.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(words);
      for (const row of sums) row.hidden = words !== "";
      for (const [body, hidden] of folded) body.hidden = words === "" && hidden;
      for (const body of table.tBodies) {
        const head = body.querySelector(".block");
        if (head) head.hidden = rowsOf(body).every(row => row.hidden);
      }
      const found = rows.filter(row => !row.hidden).length;
      count.textContent = words ? `${found} of ${rows.length} rows` : "";
    });
    table.before(make("p", { className: "filter" }, make("label", {}, "Filter rows ", field), count));
  }

  // A link into what is closed opens it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target?.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    target?.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  for (const graph of document.querySelectorAll("svg.flames")) enliven(graph);

  // A click shows a frame as wide as the graph, with what lies above and below it.
  function enliven(graph) {
    const LEAST_NAMED = 30;
    const frames = [...graph.querySelectorAll(".frame")].map(box => ({
      box,
      left: parseFloat(box.getAttribute("x")),
      width: parseFloat(box.getAttribute("width")),
      level: Number(box.dataset.level),
      text: box.querySelector("title").textContent,
    }));
    const said = make("output", { className: "said" });
    const reset = make("button", { type: "button" }, "Show all");
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    graph.before(make("p", { className: "filter" }, make("label", {}, "Find ", field), reset));
    graph.after(said);
    const within = (inner, outer) =>
      inner.left >= outer.left - 1e-4 && inner.left + inner.width <= outer.left + outer.width + 1e-4;
    let shown = frames[0];

    const show = frame => {
      shown = frame;
      reset.hidden = frame === frames[0];
      for (const each of frames) {
        const above = each.level <= frame.level && within(frame, each);
        each.visible = above || (each.level > frame.level && within(each, frame));
        each.box.style.display = each.visible ? "" : "none";
        const width = above ? 100 : (each.width / frame.width) * 100;
        each.box.setAttribute("x", `${above ? 0 : ((each.left - frame.left) / frame.width) * 100}%`);
        each.box.setAttribute("width", `${width}%`);
        const room = (width / 100) * graph.clientWidth >= LEAST_NAMED;
        each.box.querySelector("text").setAttribute("visibility", room ? "visible" : "hidden");
      }
    };
    const find = () => {
      const words = field.value.trim().toLowerCase();
      const found = words ? frames.filter(each => each.text.toLowerCase().includes(words)) : [];
      for (const each of frames) each.box.classList.toggle("dim", words !== "" && !found.includes(each));
      // A frame inside another one that was found is counted with it.
      const outer = found.filter(each => !found.some(other => other.level < each.level && within(each, other)));
      const share = outer.reduce((sum, each) => sum + each.width, 0);
      said.textContent = words ? `${found.length} found, ${share.toFixed(1)} % of all waits` : "";
    };
    const move = (from, key) => {
      const near = {
        ArrowUp: each => each.level === from.level - 1 && within(from, each),
        ArrowDown: each => each.level === from.level + 1 && within(each, from),
        ArrowLeft: each => each.level === from.level && each.left < from.left,
        ArrowRight: each => each.level === from.level && each.left > from.left,
      }[key];
      const found = frames.filter(each => each.visible && near(each));
      return found.sort((one, other) => Math.abs(one.left - from.left) - Math.abs(other.left - from.left))[0];
    };

    graph.setAttribute("role", "group");
    for (const frame of frames) {
      const { box } = frame;
      box.setAttribute("role", "button");
      box.setAttribute("aria-label", frame.text);
      box.setAttribute("tabindex", frame === frames[0] ? "0" : "-1");
      const tell = () => (said.textContent = frame.text);
      box.addEventListener("pointerenter", tell);
      box.addEventListener("focus", tell);
      box.addEventListener("click", () => show(frame));
      box.addEventListener("keydown", event => {
        const to = event.key.startsWith("Arrow") ? move(frame, event.key) : null;
        if (event.key === "Enter" || event.key === " ") show(frame);
        else if (event.key === "Escape") show(frames[0]);
        else if (!event.key.startsWith("Arrow")) return;
        event.preventDefault();
        if (!to) return;
        box.setAttribute("tabindex", "-1");
        to.box.setAttribute("tabindex", "0");
        to.box.focus();
      });
    }
    field.addEventListener("input", find);
    reset.addEventListener("click", () => show(frames[0]));
    addEventListener("resize", () => show(shown));
    show(shown);
  }
})();
