// Which sections, rows and columns the filters leave, and in which order rows stand.

function rowsLeft(section) {
  const wanted = state.method.trim().toLowerCase();
  return section.rows
    .map((row, place) => place)
    .filter((place) => !state.teacher || section.rows[place].teacher === state.teacher)
    .filter((place) => !wanted || section.rows[place].method.toLowerCase().includes(wanted));
}

/** A severity stands for itself where each is asked for, or its corruption alone; else the mean stands for all of them. */
function columnsLeft(section) {
  return section.columns.filter((column) => {
    if (column.kind === "estimate") return !state.condition;
    const clear = column.condition === "clear" && section.severities.length > 0;
    const asked = !state.condition || column.condition === state.condition;
    if (column.severity > 0) return asked && (state.each || Boolean(state.condition));
    if (column.severity === null) return asked && (!state.each || Boolean(state.condition));
    return asked || clear;
  });
}

function sectionsLeft() {
  return page.sections.filter((section) => {
    const fits = ["source", "suite", "task", "data"].every((name) => !state[name] || section[name] === state[name]);
    const judged = !state.condition || conditionsOf(section).includes(state.condition);
    return fits && judged && rowsLeft(section).length > 0;
  });
}

function metricShown(section) {
  const place = section.metrics.findIndex((metric) => metric.name === state.metric.get(section.key));
  return Math.max(place, 0);
}

function betterOf(section, column, chosen) {
  return column.kind === "estimate" ? column.better : metricOf(section, column, chosen).better;
}

function digitsOf(section, column, chosen) {
  return column.kind === "estimate" ? 1 : metricOf(section, column, chosen).digits;
}

/** Rows as the section's sort has them; what has no number stands last either way. */
function ordered(section, rows) {
  const sort = state.sort.get(section.key);
  if (!sort) return rows;
  const up = sort.way === "up" ? 1 : -1;
  if (sort.column === "method") {
    return [...rows].sort((one, other) => up * section.rows[one].method.localeCompare(section.rows[other].method, "en", { numeric: true }));
  }
  const column = section.columns.find((each) => each.key === sort.column);
  if (!column) return rows;
  const chosen = metricShown(section);
  const value = new Map(rows.map((row) => [row, numberIn(column, row, chosen)?.value]));
  return [...rows].sort((one, other) => {
    const [a, b] = [value.get(one), value.get(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || one - other;
    return up * (a - b) || one - other;
  });
}

const NEVER_BEST = /[~:](gap|mrr)$/; // of columns: who knows nothing loses nothing

/** The number of a column that is as good as any of the rows', as it is printed; null where none is better. */
function bestOf(section, column, rows, chosen) {
  if (NEVER_BEST.test(column.key)) return null;
  const better = betterOf(section, column, chosen);
  const values = rows.map((row) => numberIn(column, row, chosen)?.value).filter((value) => value !== undefined);
  if (better === 0 || values.length < 2) return null;
  return fixed(better > 0 ? Math.max(...values) : Math.min(...values), digitsOf(section, column, chosen));
}
