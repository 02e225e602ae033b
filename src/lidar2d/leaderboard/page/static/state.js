// What is shown, kept in the address, so that a view can be shared: #task=Depth&sort=KEY|fog|down&record=ID

const FILTERS = ["source", "suite", "task", "data", "condition", "teacher", "method", "against"];

function blank() {
  return {
    ...Object.fromEntries(FILTERS.map((name) => [name, ""])),
    each: false,
    metric: new Map(), // of a section's key
    sort: new Map(), // of a section's key: { column, way }
    plot: null, // methods that are drawn; null: those that stand first
    record: [],
    table: "",
  };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody's own percent sign
  }
}

function encoded(text) {
  return encodeURIComponent(text).replace(/%(2F|40|3A|2C|7C|7E)/g, decodeURIComponent);
}

function parsed(hash) {
  const found = blank();
  for (const part of hash.replace(/^#/, "").split("&")) {
    const [name, ...rest] = part.split("=");
    const value = decoded(rest.join("="));
    const pieces = value.split("|");
    if (FILTERS.includes(name)) found[name] = value;
    else if (name === "each") found.each = value === "1";
    else if (name === "table") found.table = value;
    else if (name === "record" && value) found.record = value.split(",");
    else if (name === "plot") found.plot = new Set(value.split(",").filter(Boolean).map(decoded));
    else if (name === "metric" && pieces.length > 1) found.metric.set(pieces.slice(0, -1).join("|"), pieces.at(-1));
    else if (name === "sort" && pieces.length > 2) {
      found.sort.set(pieces.slice(0, -2).join("|"), { column: pieces.at(-2), way: pieces.at(-1) === "up" ? "up" : "down" });
    }
  }
  return found;
}

function address(state) {
  const parts = FILTERS.filter((name) => state[name]).map((name) => [name, state[name]]);
  if (state.each) parts.push(["each", "1"]);
  for (const [key, name] of state.metric) parts.push(["metric", `${key}|${name}`]);
  for (const [key, { column, way }] of state.sort) parts.push(["sort", `${key}|${column}|${way}`]);
  if (state.plot !== null) parts.push(["plot", [...state.plot].map(encodeURIComponent).join(",")]);
  if (state.table) parts.push(["table", state.table]);
  if (state.record.length) parts.push(["record", state.record.join(",")]);
  return `#${parts.map(([name, value]) => `${name}=${encoded(value)}`).join("&")}`;
}

let state = parsed(location.hash);

/** Put the state into the address; a new step back where it opens something. */
function keep(step = false) {
  if (address(state) === (location.hash || "#")) return;
  history[step ? "pushState" : "replaceState"](null, "", address(state));
}
