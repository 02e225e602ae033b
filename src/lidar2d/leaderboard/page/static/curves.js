// Severity curves: the score over severity, 0 in clear air, a panel for each corruption, all on one scale.

const PANEL = { width: 320, height: 210, left: 38, right: 96, top: 12, bottom: 30 };

function curves(section, rows, drawn, chosen) {
  const numbers = section.columns.filter((column) => column.kind === "number" && column.fixed === null);
  const clear = numbers.find((column) => column.condition === "clear" && column.severity === 0);
  const corruptions = [...new Set(numbers.filter((column) => column.severity > 0).map((column) => column.condition))];
  const lines = (corruption, row) =>
    [clear, ...numbers.filter((column) => column.condition === corruption && column.severity > 0)]
      .map((column) => [column?.severity, column && numberIn(column, row, chosen)?.value])
      .filter(([, value]) => value !== undefined);
  const shown = rows.slice(0, CONTEXT);
  const scaled = shown.filter((row) => !drawn.length || drawn.includes(section.rows[row].method));
  const values = corruptions.flatMap((corruption) => scaled.flatMap((row) => lines(corruption, row).map(([, value]) => value)));
  if (!values.length) return [];
  const marks = ticks(Math.min(...values), Math.max(...values));
  return corruptions
    .filter((corruption) => !state.condition || corruption === state.condition)
    .map((corruption) => panel(section, corruption, shown.map((row) => [section.rows[row].method, lines(corruption, row)]), drawn, marks, chosen));
}

function panel(section, corruption, lines, drawn, marks, chosen) {
  const { width, height, left, right, top, bottom } = PANEL;
  const { title, unit, digits, better } = section.metrics[chosen];
  const x = (severity) => left + (severity / 5) * (width - left - right);
  const y = (value) => top + ((marks.at(-1) - value) / (marks.at(-1) - marks[0])) * (height - top - bottom);
  const path = (points) => points.map(([severity, value], place) => `${place ? "L" : "M"}${x(severity).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const looks = looksOf(section);
  const name = conditionName(corruption);
  const chosenLines = lines.filter(([method, points]) => drawn.includes(method) && points.length);
  const told = chosenLines.map(([method, points]) => `${method} ${points.map(([severity, value]) => `${fixed(value, digits)} at ${severity}`).join(", ")}`);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title} over severity in ${name}: ${told.join("; ") || "no method chosen"}` });
  for (const value of marks) {
    picture.append(svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }));
    picture.append(svg("text", { x: left - 6, y: y(value) + 3.5, class: "axis end" }, plain(value)));
  }
  for (let severity = 0; severity <= 5; severity += 1) {
    picture.append(svg("text", { x: x(severity), y: height - bottom + 16, class: "axis middle" }, severity ? String(severity) : "clear"));
  }
  // the scale is that of the chosen ones: others are cut off where they leave it
  const field = { x: left, y: top, width: width - left - right, height: height - top - bottom };
  const others = svg("svg", { ...field, viewBox: `${left} ${top} ${field.width} ${field.height}`, class: "cut" });
  for (const [method, points] of lines) {
    if (!drawn.includes(method)) others.append(svg("path", { d: path(points), class: "context" }));
  }
  picture.append(others);
  for (const [method, points] of chosenLines) {
    picture.append(line(path(points), looks.get(method)));
    picture.append(...points.map(([severity, value]) => mark(x(severity), y(value), looks.get(method), `${method}, ${severity ? `${name} ${severity}` : "clear"}: ${fixed(value, digits)}`)));
  }
  for (const [method, at, end] of apart(chosenLines.map(([method, points]) => [method, y(points.at(-1)[1]), x(points.at(-1)[0])]), top, height - bottom)) {
    picture.append(svg("path", { d: `M${end + 5} ${at.own.toFixed(1)}L${width - right + 8} ${at.label.toFixed(1)}`, class: "leader" }));
    picture.append(svg("text", { x: width - right + 11, y: at.label + 3.5, class: "label" }, short(method)));
  }
  const said = `${title}${unit ? `, ${unit}` : ""}${better > 0 ? ", higher is better" : better < 0 ? ", lower is better" : ""}`;
  return h("figure", { class: "panel" }, h("figcaption", {}, h("b", {}, name), h("small", {}, said)), picture);
}

/** Push labels apart that would lie on each other. */
function apart(labels, top, bottom) {
  const gap = 12;
  const found = labels.map(([method, own, end]) => [method, { own, label: own }, end]).sort((one, other) => one[1].own - other[1].own);
  found.forEach(([, at], place) => { if (place) at.label = Math.max(at.label, found[place - 1][1].label + gap); });
  const over = found.length ? found.at(-1)[1].label - bottom : 0;
  if (over > 0) {
    found.at(-1)[1].label -= over;
    for (let place = found.length - 2; place >= 0; place -= 1) {
      found[place][1].label = Math.min(found[place][1].label, found[place + 1][1].label - gap);
    }
  }
  return found.map(([method, at, end]) => [method, { own: at.own, label: Math.max(at.label, top) }, end]);
}

function short(method) {
  return method.length > 13 ? `${method.slice(0, 12)}…` : method;
}
