// The plots of a section: which methods are drawn, in which colours, and when.

const COLOURS = 8; // as many as people tell apart; then lines are dashed
const FIRST = 4; // methods that are drawn before somebody chooses
const CONTEXT = 30; // more grey lines than that are a wall

const waiting = new Map(); // what is drawn when it comes into sight
const watcher = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawNow(entry.target)),
  { rootMargin: "400px" },
);

function drawNow(element) {
  watcher.unobserve(element);
  waiting.get(element)?.();
  waiting.delete(element);
}

/** Stop waiting for plots that are taken away. */
function forget(body) {
  for (const stage of body.querySelectorAll(".stage")) {
    watcher.unobserve(stage);
    waiting.delete(stage);
  }
}

const looks = new Map(); // of a section's key

/** Colour and dash of a section's methods: the same in every section, unless another of the section has it already. */
function looksOf(section) {
  if (!looks.has(section.key)) {
    const taken = [];
    looks.set(section.key, new Map(section.rows.map(({ method }, place) => {
      const dashed = Math.floor(place / COLOURS) % 3;
      if (place % COLOURS === 0) taken.length = 0;
      let colour = methods.get(method) % COLOURS;
      while (taken.includes(colour)) colour = (colour + 1) % COLOURS;
      taken.push(colour);
      return [method, { colour, dashed }];
    })));
  }
  return looks.get(section.key);
}

/** The methods of a section that are drawn: those that were chosen, or those that stand first and those they are compared with. */
function drawnMethods(section, rows) {
  const names = rows.map((row) => section.rows[row].method);
  const first = new Set([...names.slice(0, FIRST), ...section.references.slice(0, 1)]);
  return names.filter((name) => (state.plot === null ? first : state.plot).has(name));
}

/** The columns that a radar has as its axes: corruptions, or conditions. */
function axesOf(section) {
  const numbers = section.columns.filter((column) => column.kind === "number" && column.fixed === null);
  const means = numbers.filter((column) => column.severity === null);
  const plain = numbers.filter((column) => column.severity === 0 && !["all", "clear"].includes(column.condition));
  const axes = means.length ? means : plain;
  return new Set(axes.map((column) => column.condition)).size === axes.length && axes.length > 2 ? axes : [];
}

function plots(section, rows, chosen) {
  const axes = axesOf(section);
  const curved = section.severities.length > 0;
  if (!axes.length && !curved) return null;
  const stage = h("div", { class: "stage" });
  const draw = () => {
    const drawn = drawnMethods(section, rows);
    const figures = [
      axes.length ? radar(section, axes, rows, drawn, chosen) : null,
      ...(curved ? curves(section, rows, drawn, chosen) : []),
    ];
    stage.replaceChildren(...figures.filter(Boolean));
  };
  const choice = chooser(section, rows);
  const element = h("div", { class: "plots" }, h("h4", {}, curved ? "Over severity, and by corruption" : "By condition"), choice, stage, inNumbers(section, rows, chosen));
  element.redraw = () => {
    showChoice(section, rows, choice);
    if (!waiting.has(stage)) draw();
  };
  waiting.set(stage, draw);
  watcher.observe(stage);
  return element;
}

function chooser(section, rows) {
  const box = h("fieldset", { class: "chooser" }, h("legend", {}, "Drawn"));
  for (const method of rows.slice(0, CONTEXT).map((row) => section.rows[row].method)) {
    const tick = h("input", { type: "checkbox", value: method });
    tick.addEventListener("input", () => {
      state.plot = new Set(state.plot ?? drawnMethods(section, rows));
      if (tick.checked) state.plot.add(method);
      else state.plot.delete(method);
      keep();
      document.querySelectorAll(".plots").forEach((each) => each.redraw());
    });
    const own = looksOf(section).get(method);
    const key = svg("svg", { viewBox: "-14 -7 28 14", class: "key", "aria-hidden": "true" }, line("M-13 0H13", own), mark(0, 0, own));
    box.append(h("label", { class: "tick" }, tick, key, h("span", {}, method)));
  }
  showChoice(section, rows, box);
  return box;
}

function showChoice(section, rows, box) {
  const drawn = new Set(drawnMethods(section, rows));
  box.querySelectorAll("input").forEach((tick) => { tick.checked = drawn.has(tick.value); });
}

function line(path, { colour, dashed }) {
  return svg("path", { d: path, class: `line c${colour} dash${dashed}` });
}

const SHAPES = [
  "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0Z",
  "M-3.2-3.2H3.2V3.2H-3.2Z",
  "M0-4.4L4.2 3.2H-4.2Z",
  "M0-4.8L4.2 0L0 4.8L-4.2 0Z",
  "M0 4.4L4.2-3.2H-4.2Z",
  "M-1.3-4.2H1.3V-1.3H4.2V1.3H1.3V4.2H-1.3V1.3H-4.2V-1.3H-1.3Z",
  "M-4-2.2L-2.2-4L0-1.8L2.2-4L4-2.2L1.8 0L4 2.2L2.2 4L0 1.8L-2.2 4L-4 2.2L-1.8 0Z",
  "M-4.4 0L-1.4-1.4L0-4.4L1.4-1.4L4.4 0L1.4 1.4L0 4.4L-1.4 1.4Z",
];

/** A mark has the shape and the colour of its method, so that neither is needed alone. */
function mark(x, y, { colour }, words) {
  return svg("path", { d: SHAPES[colour], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: `mark c${colour}` }, words ? svg("title", {}, words) : null);
}

/** Round steps from below the lowest to above the highest number. */
function ticks(low, high, count = 4) {
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const raw = (high - low) / count;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * size).find((each) => each >= raw * 0.999);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const found = [];
  for (let place = first; place <= last; place += 1) found.push(Number((place * step).toPrecision(10)));
  return found;
}

function plain(value) {
  return fixed(value, Math.abs(value) < 10 && value % 1 !== 0 ? (value * 10) % 1 === 0 ? 1 : 2 : value % 1 === 0 ? 0 : 1);
}

/** The numbers of all plots, for those who would rather read them. */
function inNumbers(section, rows, chosen) {
  const columns = section.columns.filter((column) => column.kind === "number" && column.fixed === null && column.severity !== null);
  const box = h("details", { class: "numbers" }, h("summary", {}, "The same in numbers"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.children.length > 1) return;
    const { title, digits } = section.metrics[chosen];
    const head = h("tr", {}, h("th", { scope: "col" }, "Method"), columns.map((column) => h("th", { scope: "col" }, column.label)));
    const lines = rows.map((row) =>
      h("tr", {}, h("th", { scope: "row" }, section.rows[row].method), columns.map((column) => {
        const found = numberIn(column, row, chosen);
        return h("td", {}, found === null ? "–" : fixed(found.value, digits));
      })),
    );
    const table = h("table", { class: "plain" }, h("caption", {}, `${title}, mean over seeds`), h("thead", {}, head), h("tbody", {}, lines));
    box.append(h("div", { class: "box", role: "region", tabindex: "0", "aria-label": `Numbers of the plots: ${inWords(section)}` }, table));
  });
  return box;
}
