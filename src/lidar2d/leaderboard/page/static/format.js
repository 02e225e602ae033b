// Numbers and names as people read them.

const MINUS = "−";

/** What rounds to nothing has no sign; a half is rounded as it reads, as `written` of lidar2d.results.measures does. */
function fixed(value, digits) {
  const text = Number(value.toFixed(9)).toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", MINUS);
}

function signed(value, digits) {
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

function duration(seconds) {
  if (seconds < 120) return `${fixed(seconds, seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function conditionName(name) {
  return { all: "all frames", corrupted: "all corruptions" }[name] ?? name.replaceAll("_", " ");
}

function judgedIn(record) {
  return conditionName(record.condition) + (record.severity ? ` ${record.severity}` : "");
}

function many(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/** Say which way a number is better: an arrow, and words for those who do not see it. */
function direction(better) {
  if (better === 0) return [];
  return [h("span", { class: "way", "aria-hidden": "true" }, better > 0 ? "↑" : "↓"), unseen(better > 0 ? "higher is better: " : "lower is better: ")];
}
