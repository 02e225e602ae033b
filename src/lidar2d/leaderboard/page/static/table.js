// One section: its heading, its table, its notes and what failed.

const MOST = 100; // rows that are laid out before somebody asks for more
const MORE = 1000; // rows that are laid out at a press
const shells = new Map(); // of a section's key
const unfolded = new Map(); // rows that were asked for, of a section's key

/** Return a section's element, made once and filled anew. */
function sectionElement(section) {
  if (!shells.has(section.key)) shells.set(section.key, shell(section));
  const made = shells.get(section.key);
  fillSection(section, made);
  return made.element;
}

function shell(section) {
  const title = `s${section.number}`;
  const body = h("div");
  const metric = section.metrics.length > 1 ? metricControl(section) : null;
  const element = h(
    "article",
    { class: `card ${section.source}${section.columns.length > 4 ? " wide" : ""}`, "aria-labelledby": title },
    h("header", { class: "head" }, h("div", {}, h("h3", { id: title }, section.title), facts(section)), metric),
    body,
  );
  return { element, body, metric };
}

/** A name that no other section has. */
function inWords({ title, data, suite, protocol, weather }) {
  return `${title} on ${data}, ${[suite, protocol, weather].filter(Boolean).join(", ")}`;
}

function facts(section) {
  const said = [
    ["data", section.data],
    ["protocol", section.protocol],
    ["suite", section.source === "paper" ? section.suite : `${section.suite}, version ${section.version}`],
    ["weather", section.weather],
    ["seeds", section.seeds ? String(section.seeds) : ""],
  ].filter(([, value]) => value);
  const link = { href: address({ ...blank(), table: section.key }), "data-table": section.key, "aria-label": `link to this table: ${inWords(section)}` };
  return h(
    "p",
    { class: "facts" },
    said.map(([name, value]) => h("span", {}, `${name} `, h("b", {}, value))),
    h("span", {}, h("a", link, "link to this table")),
  );
}

function metricControl(section) {
  const id = `m${section.number}`;
  const select = h("select", { id }, section.metrics.map((metric) => h("option", { value: metric.name }, metric.title)));
  select.addEventListener("input", () => {
    if (select.value === section.metrics[0].name) state.metric.delete(section.key);
    else state.metric.set(section.key, select.value);
    keep();
    fillSection(section, shells.get(section.key));
  });
  return h("div", { class: "field" }, h("label", { for: id }, "Metric"), select);
}

function fillSection(section, { body, metric }) {
  const chosen = metricShown(section);
  if (metric) metric.querySelector("select").value = section.metrics[chosen].name;
  const rows = rowsLeft(section);
  const columns = columnsLeft(section);
  const parts = [section.metrics.length ? tableBox(section, rows, columns, chosen) : h("p", { class: "empty" }, "No evaluation succeeded.")];
  const drawn = section.metrics.length ? plots(section, rows, chosen) : null;
  forget(body);
  body.replaceChildren(...parts, notes(section), ...[failures(section, rows), drawn].filter(Boolean));
}

function tableBox(section, rows, columns, chosen) {
  const body = h("tbody");
  const best = columns.map((column) => bestOf(section, column, rows, chosen));
  const against = section.references.indexOf(state.against);
  const lay = () => {
    const found = ordered(section, rows);
    const shown = found.slice(0, unfolded.get(section.key) ?? MOST);
    body.replaceChildren(...shown.map((row) => tableRow(section, row, columns, chosen, best, against)));
  };
  const table = h("table", {}, h("caption", { class: "unseen" }, inWords(section)), tableHead(section, columns, chosen, lay), body);
  lay();
  const style = `--name: ${nameWidth(section)}rem`;
  const box = h("div", { class: "box", role: "region", tabindex: "0", style, "aria-label": `Table: ${inWords(section)}` }, table);
  return rows.length <= MOST ? box : h("div", {}, box, moreRows(section, rows.length, lay, box));
}

/** A button for the rows that are not laid out yet, until all are. */
function moreRows(section, count, lay, box) {
  const button = h("button", { type: "button", class: "all" });
  const label = () => {
    const left = count - (unfolded.get(section.key) ?? MOST);
    button.textContent = left <= MORE ? `Show all ${many(count, "row")}` : `Show ${MORE.toLocaleString("en")} more of ${many(count, "row")}`;
    button.hidden = left <= 0;
  };
  button.addEventListener("click", () => {
    unfolded.set(section.key, (unfolded.get(section.key) ?? MOST) + MORE);
    lay();
    label();
    if (button.hidden) box.focus();
  });
  label();
  return button;
}

/** What columns that stand side by side have in common. */
function groupOf(section, column, chosen) {
  if (column.kind === "estimate") return { name: "Robustness, 0 to 100", better: 0 };
  if (column.fixed !== null) return { name: conditionName(column.condition), better: 0 };
  const metric = metricOf(section, column, chosen);
  return { name: metric.unit ? `${metric.title}, ${metric.unit}` : metric.title, better: metric.better };
}

function tableHead(section, columns, chosen, lay) {
  const groups = [];
  for (const column of columns) {
    const group = groupOf(section, column, chosen);
    if (groups.at(-1)?.name === group.name) groups.at(-1).count += 1;
    else groups.push({ ...group, count: 1 });
  }
  const heads = [];
  const head = (key, better, attributes, ...label) => {
    const cell = h("th", { scope: "col", "data-column": key, ...attributes });
    cell.append(h("button", { type: "button", onclick: () => resort(section, key, better, heads, lay) }, ...label));
    heads.push(cell);
    return cell;
  };
  const first = head("method", -1, { class: "name", rowspan: "2" }, "Method");
  const second = columns.map((column, place) => {
    const estimate = column.kind === "estimate";
    const starts = place > 0 && groupOf(section, column, chosen).name !== groupOf(section, columns[place - 1], chosen).name;
    const words = estimate || column.fixed !== null ? direction(betterOf(section, column, chosen)) : [];
    return head(column.key, betterOf(section, column, chosen), { title: column.about, class: starts ? "starts" : null }, ...words, " ", column.label);
  });
  markSort(section, heads);
  const over = groups.map((group, place) =>
    h("th", { scope: "colgroup", colspan: group.count, class: place ? "starts" : null }, h("span", {}, direction(group.better), " ", group.name)),
  );
  return h("thead", {}, h("tr", { class: "groups" }, first, over), h("tr", {}, second));
}

/** The first press puts the best on top, the second the worst, the third gives the page's own order back. */
function resort(section, key, better, heads, lay) {
  const first = better > 0 || (better === 0 && key !== "method") ? "down" : "up";
  const now = state.sort.get(section.key);
  if (now?.column !== key) state.sort.set(section.key, { column: key, way: first });
  else if (now.way === first) state.sort.set(section.key, { column: key, way: first === "up" ? "down" : "up" });
  else state.sort.delete(section.key);
  keep();
  markSort(section, heads);
  lay();
}

function markSort(section, heads) {
  const sort = state.sort.get(section.key);
  for (const head of heads) {
    if (sort?.column === head.dataset.column) head.setAttribute("aria-sort", sort.way === "up" ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}

function tableRow(section, place, columns, chosen, best, against) {
  const row = section.rows[place];
  const reference = against >= 0 && section.references[against] === row.method;
  const cells = columns.map((column, number) => tableCell(section, column, place, chosen, best[number], reference ? -1 : against));
  const line = h("tr", { class: reference ? "reference" : null }, methodCell(section, row, reference));
  if (row.seeds === 0) line.append(h("td", { colspan: columns.length, class: "failed" }, failureLink(row.failed, "failed: see below")));
  else line.append(...cells);
  return line;
}

/** What stands below the name of a method. */
function smallPrint(section, row) {
  const networks = [row.teacher, row.backbone].filter((name, place, all) => name && all.indexOf(name) === place).join(" → ");
  const seeds = section.source === "paper" || section.seeds ? "" : many(row.seeds, "seed");
  return [networks, row.text ? "uses text" : "", seeds].filter(Boolean).join(" · ");
}

/** How wide the column of methods is, in rem: as its names ask for, the small print in two lines. */
function nameWidth(section) {
  const letters = section.rows.map((row) => Math.max(row.method.length, smallPrint(section, row).length / 2));
  return Math.min(Math.max(Math.round(Math.max(...letters) * 0.6 + 2), 8), 18);
}

function methodCell(section, row, reference) {
  const small = smallPrint(section, row);
  return h(
    "th",
    { scope: "row", class: "name" },
    h("span", { class: "method" }, row.method),
    reference ? h("span", { class: "chip" }, "compared with") : null,
    row.failed.length && row.seeds ? h("span", { class: "chip bad" }, failureLink(row.failed, `${row.failed.length} failed`)) : null,
    small ? h("small", {}, small) : null,
  );
}

function failureLink(rows, words) {
  return recordLink(rows, words);
}

function tableCell(section, column, place, chosen, best, against) {
  const found = numberIn(column, place, chosen);
  if (found === null) return h("td", { class: "none" }, h("span", { "aria-hidden": "true" }, "–"), unseen("no number"));
  const digits = digitsOf(section, column, chosen);
  const text = fixed(found.value, digits);
  const first = text === best;
  const cell = h("td", { class: first ? "best" : null }, recordLink(found.records ?? section.rows[place].records, text), first ? unseen(" best") : null);
  if (found.interval?.length) cell.append(h("small", {}, `[${found.interval.map((value) => fixed(value, digits)).join(", ")}]`));
  if (typeof found.deviation === "number") cell.append(h("small", {}, `± ${fixed(found.deviation, digits)}`));
  const less = against >= 0 ? found.less[against] : null;
  if (less) cell.append(difference(less, digits, betterOf(section, column, chosen)));
  return cell;
}

function difference([value, ...interval], digits, better) {
  const gain = Math.sign(Number(value.toFixed(digits))) * better;
  const word = gain > 0 ? "better" : gain < 0 ? "worse" : "";
  const reach = interval.length ? ` [${interval.map((each) => signed(each, digits)).join(", ")}]` : "";
  return h("span", { class: `less ${word}` }, signed(value, digits), word ? unseen(` ${word}`) : null, reach ? h("small", {}, reach) : null);
}

function notes(section) {
  return h("ul", { class: "notes" }, section.notes.map((note) => h("li", {}, note)));
}

function failures(section, rows) {
  const failed = rows.flatMap((row) => section.rows[row].failed);
  if (!failed.length) return null;
  return h(
    "div",
    { class: "failures" },
    h("h4", {}, `Failed: ${many(failed.length, "evaluation")}`),
    h("ul", {}, failed.map((row) => h("li", {}, recordLink([row], `${field(row, "method")}, seed ${field(row, "seed")}`), ": ", h("q", {}, field(row, "error"))))),
  );
}

/** A link to records, which opens them here and keeps what is shown. */
function recordLink(rows, text) {
  const ids = rows.map((row) => page.records.ids[row]).join(",");
  return h("a", { href: `#record=${ids}`, "data-record": ids }, text);
}
