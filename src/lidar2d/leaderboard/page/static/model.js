// What the page was made from: sections, records, galleries. Nothing here changes it.

const page = JSON.parse(byId("data").textContent);
const SOURCES = {
  measured: ["Measured", "Trained and judged by lidar2d; every number leads to the records it was made of."],
  smoke: ["Quick runs", "They prove that every method runs under every protocol, and nothing else."],
  paper: ["From papers", "Numbers as their authors printed them; each record names the table that it stands in."],
};

page.sections.forEach((section, number) => { section.number = number; });

/** Every method once, in the order in which the page names them. */
const methods = new Map();
page.sections.forEach((section) => section.rows.forEach(({ method }) => methods.has(method) || methods.set(method, methods.size)));

const rowOfId = new Map(page.records.ids.map((id, row) => [id, row]));

/** What a column of the records says in a row. */
function told({ of, at }, row) {
  return of[at.length ? at[row] : 0];
}

/** One record with all its fields, and its metrics as [name, value]. */
function recordAt(row) {
  const found = { id: page.records.ids[row] };
  for (const [name, column] of Object.entries(page.records.fields)) found[name] = told(column, row);
  const names = told(page.records.metrics, row);
  found.metrics = names.map((name, place) => [name, page.records.values[row][place]]);
  return found;
}

function field(row, name) {
  return told(page.records.fields[name], row);
}

/** The metric whose numbers a column shows. */
function metricOf(section, column, chosen) {
  return section.metrics[column.fixed === null ? chosen : column.fixed];
}

/** Mean and deviation of a cell, or value and interval; null where there is none. */
function numberIn(column, row, chosen) {
  const cell = column.cells[row];
  if (cell === null) return null;
  if (column.kind === "estimate") return { value: cell.value[0], interval: cell.value.slice(1), less: cell.less, records: null };
  const place = column.fixed === null ? chosen : 0;
  if (cell.mean[place] === null) return null;
  return {
    value: cell.mean[place],
    deviation: cell.deviation[place],
    less: cell.less.map((each) => (each[place] === null ? null : [each[place]])),
    records: cell.records,
  };
}
