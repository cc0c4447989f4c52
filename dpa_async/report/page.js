"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const D = JSON.parse(byId("data").textContent);
  const N = D.state.length;
  const COLUMNS = 240, HEIGHT = 20, PAGE = 50, MORE = 200;

  // --- words ------------------------------------------------------------------

  const seen = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu,
    (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
  const two = (n) => String(n).padStart(2, "0");
  const seconds = (s) => {
    if (s < 9.995) return Math.max(s, 0).toFixed(2) + " s";
    if (s < 59.95) return s.toFixed(1) + " s";
    s = Math.round(s);
    if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s % 3600 / 60))} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  };
  const clock = (ms) => new Date(D.origin + ms).toISOString().slice(0, 19).replace("T", " ");
  const count = (n) => n.toLocaleString("en-US");
  const took = (i) => D.timed[i] === "1" ? (D.end[i] - D.begin[i]) / 1000 : null;
  const ref = (i) => {
    if (D.run[i] === null) return "";
    try {
      const ids = [D.workflows[D.workflow[i]], D.run[i]].map(encodeURIComponent);
      return `dpa-run:1:${ids.join(":")}@${D.platforms[D.platform[i]]}`;
    } catch { return ""; }  // half a character
  };
  const make = (name, given, ...children) => {
    const node = Object.assign(document.createElement(name), given);
    node.append(...children);
    return node;
  };

  // --- what is chosen ---------------------------------------------------------

  const states = new Set();
  let workflow = null, words = [], hits = [], hay = null;
  const hit = new Uint8Array(N);
  const isFiltered = () => states.size > 0 || workflow !== null || words.length > 0;

  const haystack = () => {
    if (hay === null) {
      hay = Array.from({ length: N }, (_, i) =>
        [D.key[i], D.workflows[D.workflow[i]], D.run[i]].join("\n").toLowerCase());
      for (const card of all(".failure")) hay[card.dataset.i] += "\n" + card.textContent.toLowerCase();
    }
    return hay;
  };
  const choose = () => {
    const texts = words.length > 0 ? haystack() : null;
    hits = [];
    for (let i = 0; i < N; i++) {
      const is = (states.size === 0 || states.has(D.state[i])) &&
        (workflow === null || D.workflow[i] === workflow) &&
        (texts === null || words.every((word) => texts[i].includes(word)));
      hit[i] = is ? 1 : 0;
      if (is) hits.push(i);
    }
  };
  const apply = () => {
    choose();
    limit = PAGE;
    document.body.classList.toggle("filtered", isFiltered());
    byId("found").textContent = isFiltered() ? `${count(hits.length)} of ${count(N)} runs` : `${count(N)} runs`;
    drawLanes();
    const there = new Set(hits.map((i) => D.workflows[D.workflow[i]]));
    for (const node of all("tr[data-workflow]")) node.classList.toggle("missed", !there.has(node.dataset.workflow));
    for (const card of all(".failure")) card.hidden = !hit[card.dataset.i];
    drawTable();
  };

  // --- the timeline -----------------------------------------------------------

  const place = (ms) => {
    let n = D.scale.length - 1;
    while (n > 0 && ms < D.scale[n][0]) n--;
    const [begin, end, left, right] = D.scale[n];
    return left + (right - left) * Math.min(Math.max((ms - begin) / Math.max(end - begin, 1), 0), 1);
  };
  const timeAt = (share) => {
    const one = D.scale.find(([, , , right]) => share <= right) ?? D.scale.at(-1);
    const [begin, end, left, right] = one;
    return begin + (end - begin) * Math.min(Math.max((share - left) / (right - left), 0), 1);
  };
  const column = (share) => Math.min(Math.floor(share * COLUMNS), COLUMNS - 1);
  const laneOf = (i) => D.lanes[D.workflow[i]];
  const lanes = all(".lane").map((node) => ({
    node, bars: [...node.querySelectorAll("rect[data-i]")], path: node.querySelector(".hit"),
    number: node.dataset.lane === "all" ? -1 : Number(node.dataset.lane), most: Number(node.dataset.most),
  }));

  const drawLanes = () => {
    const parts = new Map(lanes.filter((lane) => lane.path).map((lane) => [lane.number, new Float64Array(COLUMNS)]));
    const there = new Set();
    if (isFiltered()) {
      for (const i of hits) {
        there.add(laneOf(i));
        if (D.begin[i] === null) continue;
        const left = place(D.begin[i]), right = place(D.end[i]);
        for (const number of [-1, laneOf(i)]) {
          const into = parts.get(number);
          if (into === undefined) continue;
          for (let n = column(left); n <= column(right); n++) {
            into[n] += Math.min(right * COLUMNS, n + 1) - Math.max(left * COLUMNS, n) + 1e-9;
          }
        }
      }
    }
    for (const lane of lanes) {
      for (const bar of lane.bars) bar.classList.toggle("on", hit[bar.dataset.i] === 1);
      lane.node.classList.toggle("missed", isFiltered() && lane.number >= 0 && !there.has(lane.number));
      if (lane.path) {
        const values = parts.get(lane.number), least = lane.number < 0 ? 1 : 4;
        lane.path.setAttribute("d", [...values].map((value, n) => {
          const tall = value > 0 ? Math.min(Math.max(Math.round(HEIGHT * value / lane.most), least), HEIGHT) : 0;
          return tall ? `M${n} ${HEIGHT}v-${tall}h1v${tall}z` : "";
        }).join(""));
      }
    }
  };

  // --- what is pointed at -----------------------------------------------------

  const tip = make("div", { id: "tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let hushed = [];
  const aboutRun = (i) => {
    const lines = [seen(D.key[i] ?? D.run[i] ?? "no key"), `${seen(D.workflows[D.workflow[i]])} · ${D.names[D.state[i]]}`];
    if (D.begin[i] !== null) lines.push(clock(D.begin[i]) + (took(i) === null ? "" : ` · ${seconds(took(i))}`));
    if (D.looks[i] !== null) lines.push(`looks: ${D.looks[i]}` + (D.lag?.[i] != null ? ` · lag ≤ ${seconds(D.lag[i])}` : ""));
    return lines.join("\n");
  };
  const aboutColumn = (lane, share) => {
    const n = column(share), from = timeAt(n / COLUMNS), to = timeAt((n + 1) / COLUMNS);
    const counts = {};
    let total = 0;
    for (let i = 0; i < N; i++) {
      if (D.begin[i] === null || D.begin[i] > to || D.end[i] < from) continue;
      if (lane.number >= 0 && laneOf(i) !== lane.number) continue;
      if (isFiltered() && !hit[i]) continue;
      counts[D.state[i]] = (counts[D.state[i]] ?? 0) + 1;
      total++;
    }
    const each = Object.keys(D.names).filter((s) => counts[s]).map((s) => `${count(counts[s])} ${D.names[s]}`);
    return [`${clock(from)} – ${clock(to).slice(11)}`, total ? each.join(", ") : "no run"].join("\n");
  };
  const hush = (...nodes) => {  // the browser's own title would show over ours
    for (const node of nodes) {
      const title = node?.querySelector(":scope > title");
      if (title) { title.remove(); hushed.push([node, title]); }
    }
  };
  const unhush = () => { for (const [node, title] of hushed) node.prepend(title); hushed = []; };
  const leave = () => { tip.hidden = true; unhush(); };
  const point = (event) => {
    const svg = event.target.closest(".lane > svg");
    if (!svg) return leave();
    const lane = lanes.find((one) => one.node === svg.parentNode);
    const bar = event.target.closest("rect[data-i]");
    if (!bar && !lane.path) return leave();
    hush(bar, svg);
    const box = svg.getBoundingClientRect();
    tip.textContent = bar ? aboutRun(bar.dataset.i) : aboutColumn(lane, (event.clientX - box.left) / box.width);
    tip.hidden = false;
    const room = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - room.width - 4)) + "px";
    tip.style.top = (event.clientY + room.height + 24 < innerHeight ? event.clientY + 16 : event.clientY - room.height - 10) + "px";
  };
  const plot = document.querySelector(".plot");
  if (plot) {
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerleave", leave);
    addEventListener("scroll", leave, { passive: true });
    plot.addEventListener("click", (event) => {
      const bar = event.target.closest("rect[data-i]"), name = event.target.closest("button[data-workflow]");
      if (bar) show(Number(bar.dataset.i));
      if (name) setWorkflow(D.workflows.indexOf(name.dataset.workflow));
    });
  }
  const show = (i) => {
    const card = byId(`run-${i}`);
    if (card && !card.hidden) {
      card.open = true;
      card.querySelector("summary").focus({ preventScroll: true });
      card.scrollIntoView({ block: "center" });
      return;
    }
    byId("search").value = D.key[i] ?? D.run[i] ?? "";
    readWords();
    byId("runs").scrollIntoView();
  };

  // --- the list ---------------------------------------------------------------

  const HEADS = [
    ["State", (i) => "sfurin".indexOf(D.state[i])], ["Key", (i) => D.key[i] ?? ""],
    ["Workflow", (i) => D.workflow[i]], ["Began (UTC)", (i) => D.begin[i]], ["Took", took],
    ["Looks", (i) => D.looks[i]], ...(D.lag ? [["Lag ≤", (i) => D.lag[i]]] : []), ["Run", (i) => D.run[i] ?? ""],
  ];
  let limit = PAGE, sorted = null, falling = false;
  const order = () => {
    if (sorted === null) return hits;
    const value = HEADS[sorted][1], sign = falling ? -1 : 1;
    const known = hits.map((i) => [value(i), i]);
    known.sort(([a], [b]) => a === b ? 0 : a === null ? 1 : b === null ? -1 : (a < b ? -sign : sign));
    return known.map(([, i]) => i);
  };
  const headCell = ([name], n) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => {
      falling = sorted === n && !falling;
      sorted = n;
      drawTable();
      byId("table").querySelectorAll("th button")[n].focus();
    });
    const cell = make("th", { scope: "col", className: /Took|Looks|Lag/.test(name) ? "n" : "" }, button);
    if (sorted === n) cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
    return cell;
  };
  const details = (i) => {
    const parts = [];
    if (ref(i)) parts.push(make("code", {}, ref(i)));
    if (D.begin[i] !== null) parts.push(` ${clock(D.begin[i])}` + (took(i) === null ? "" : ` to ${clock(D.end[i])}`));
    if (D.looks[i] !== null) parts.push(` · looks: ${count(D.looks[i])}`);
    if (byId(`run-${i}`)) {
      const link = make("button", { type: "button" }, "what it gave");
      link.addEventListener("click", () => show(i));
      parts.push(" ", link);
    }
    return make("tr", { className: "more" }, make("td", { colSpan: HEADS.length }, ...parts));
  };
  const row = (i) => {
    const name = make("button", { type: "button" }, make("bdi", {}, seen(D.key[i] ?? "no key")));
    name.setAttribute("aria-expanded", "false");
    const cell = (words, className = "") => make("td", { className }, make("bdi", {}, words));
    const line = make("tr", {},
      make("td", {}, make("i", { className: `dot ${D.state[i]}` }), make("span", { className: "word" }, D.names[D.state[i]])),
      make("td", { title: seen(D.key[i] ?? "") }, name), cell(seen(D.workflows[D.workflow[i]])),
      cell(D.begin[i] === null ? "" : clock(D.begin[i])), cell(took(i) === null ? "" : seconds(took(i)), "n"),
      cell(D.looks[i] === null ? "" : count(D.looks[i]), "n"),
      ...(D.lag ? [cell(D.lag[i] === null ? "" : seconds(D.lag[i]), "n")] : []), cell(seen(D.run[i] ?? "")));
    name.addEventListener("click", () => {
      const open = name.getAttribute("aria-expanded") === "true";
      name.setAttribute("aria-expanded", String(!open));
      if (open) line.nextSibling.remove(); else line.after(details(i));
    });
    return line;
  };
  const drawTable = () => {
    const shown = order().slice(0, limit);
    byId("table").replaceChildren(make("table", {},
      make("thead", {}, make("tr", {}, ...HEADS.map(headCell))), make("tbody", {}, ...shown.map(row))));
    if (!hits.length) byId("table").append(make("p", { className: "note" }, N ? "No run is like that." : "There are no runs."));
    byId("more").hidden = shown.length === hits.length;
    byId("more").textContent = `Show more (${count(hits.length - shown.length)} are left)`;
  };
  byId("more").addEventListener("click", () => { limit += MORE; drawTable(); });

  // --- the controls -----------------------------------------------------------

  const form = byId("filters"), select = byId("workflow");
  select.append(...D.workflows.map((name, n) => make("option", { value: String(n) }, seen(name).slice(0, 80))));
  const setWorkflow = (n) => {
    workflow = workflow === n || n < 0 ? null : n;
    select.value = workflow === null ? "" : String(workflow);
    apply();
  };
  const readWords = () => {
    words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    apply();
  };
  let typing = 0;
  byId("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(readWords, 80); });
  select.addEventListener("change", () => { workflow = select.value === "" ? null : Number(select.value); apply(); });
  for (const chip of all("#filters [data-state]")) {
    chip.addEventListener("click", () => {
      const state = chip.dataset.state;
      if (!states.delete(state)) states.add(state);
      chip.setAttribute("aria-pressed", String(states.has(state)));
      apply();
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    states.clear();
    workflow = null;
    words = [];
    for (const chip of all("#filters [data-state]")) chip.setAttribute("aria-pressed", "false");
    apply();
  });

  // --- on paper things are open, as long as that makes no book -----------------

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])").slice(0, 60);
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

  form.hidden = false;
  apply();
})();
