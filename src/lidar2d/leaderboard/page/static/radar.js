// A radar: an axis for each corruption, the best number outside.

const RADAR = { width: 360, height: 238, radius: 94 };

function radar(section, axes, rows, drawn, chosen) {
  const { width, height, radius } = RADAR;
  const { title, unit, digits, better } = section.metrics[chosen];
  const lines = rows
    .map((row) => [section.rows[row].method, axes.map((column) => numberIn(column, row, chosen)?.value)])
    .filter(([method, values]) => drawn.includes(method) && !values.includes(undefined));
  const looks = looksOf(section);
  const all = lines.flatMap(([, values]) => values);
  if (!all.length) return null;
  const marks = ticks(Math.min(0, ...all), Math.max(...all), 3);
  const [worst, best] = better < 0 ? [marks.at(-1), marks[0]] : [marks[0], marks.at(-1)];
  const out = (value) => (radius * (value - worst)) / (best - worst);
  const place = (axis, distance) => {
    const angle = (2 * Math.PI * axis) / axes.length;
    return [distance * Math.sin(angle), -distance * Math.cos(angle)];
  };
  const ring = (values) => `M${values.map((value, axis) => place(axis, out(value)).map((each) => each.toFixed(1)).join(" ")).join("L")}Z`;
  const told = lines.map(([method, values]) => `${method}: ${values.map((value, axis) => `${axes[axis].label} ${fixed(value, digits)}`).join(", ")}`);
  const picture = svg("svg", { viewBox: `${-width / 2} ${-height / 2} ${width} ${height}`, role: "img", "aria-label": `${title} by condition. ${told.join("; ")}` });
  for (const value of marks) picture.append(svg("path", { d: ring(axes.map(() => value)), class: "grid" }));
  axes.forEach((column, axis) => {
    const [x, y] = place(axis, radius);
    picture.append(svg("line", { x1: 0, y1: 0, x2: x, y2: y, class: "grid" }));
    const [labelX, labelY] = place(axis, radius + 14);
    const side = Math.abs(labelX) < 8 ? "middle" : labelX > 0 ? "start" : "end";
    picture.append(svg("text", { x: labelX, y: labelY + 4 + (side === "middle" ? Math.sign(labelY) * 4 : 0), class: `label ${side}` }, column.label));
  });
  for (const [method, values] of lines) {
    picture.append(line(ring(values), looks.get(method)));
    values.forEach((value, axis) => picture.append(mark(...place(axis, out(value)), looks.get(method), `${method}, ${axes[axis].label}: ${fixed(value, digits)}`)));
  }
  for (const value of marks) picture.append(svg("text", { x: -4, y: -out(value) + 4, class: "axis ring end" }, plain(value)));
  const said = `${title}${unit ? `, ${unit}` : ""}; ${better < 0 ? "less is better, and lies outside" : "more lies outside"}`;
  return h("figure", { class: "panel radar" }, h("figcaption", {}, h("b", {}, section.weather ? "All corruptions" : "All conditions"), h("small", {}, said)), picture);
}
