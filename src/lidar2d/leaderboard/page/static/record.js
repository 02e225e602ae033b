// The record behind a number, or the list of those that it is a mean of.

function openRecords() {
  const dialog = byId("record");
  const rows = state.record.map((id) => rowOfId.get(id)).filter((row) => row !== undefined);
  if (!state.record.length) {
    if (dialog.open) dialog.close();
    return;
  }
  const content = rows.length === 0 ? missing() : rows.length === 1 ? oneRecord(recordAt(rows[0])) : severalRecords(rows.map(recordAt));
  const close = h("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close");
  dialog.classList.toggle("list", Boolean(content.list));
  dialog.replaceChildren(h("header", {}, h("h2", { id: "record-title", tabindex: "-1" }, content.title), close), ...content.parts);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  byId("record-title").focus();
}

function missing() {
  return { title: "No such record", parts: [h("p", {}, "The page was made anew since this link was, and the record is gone.")] };
}

function severalRecords(records) {
  const same = (name) => records.every((record) => record[name] === records[0][name]);
  const [first] = records;
  const title = [same("method") ? first.method : "", same("condition") ? conditionName(first.condition) : ""].filter(Boolean).join(", ");
  const section = sectionOf(first);
  const shown = section?.metrics.length ? [section.metrics[metricShown(section)]] : [];
  const head = ["Condition", "Seed", ...shown.map((metric) => metric.title), "Recipe", "Commit", "Cost", "Record"];
  const lines = [...records].sort((one, other) => one.condition.localeCompare(other.condition) || one.severity - other.severity || one.seed - other.seed).map((record) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, judgedIn(record)),
      h("td", {}, record.source === "paper" ? "–" : String(record.seed)),
      shown.map(({ name, digits }) => h("td", {}, numberOf(record, name, digits))),
      h("td", {}, h("code", {}, record.recipe || "–")),
      h("td", {}, h("code", {}, record.commit || "–")),
      h("td", {}, record.seconds ? duration(record.seconds) : "–"),
      h("td", {}, recordLink([rowOfId.get(record.id)], record.id)),
    ),
  );
  const table = h("table", { class: "plain" }, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, lines));
  return {
    title: title || "Records",
    list: true,
    parts: [
      h("p", {}, `The number is made of ${many(records.length, "record")}.`),
      h("div", { class: "box", role: "region", tabindex: "0", "aria-label": "Records" }, table),
    ],
  };
}

function sectionOf(record) {
  const row = rowOfId.get(record.id);
  return page.sections.find((each) => each.rows.some((own) => own.records.includes(row) || own.failed.includes(row)));
}

/** What a citation names that has an address is a link. */
function cited(text) {
  return text.split(/(arXiv:\d{4}\.\d{4,5}|github\.com\/[\w.-]+\/[\w.-]+@[0-9a-f]{7,40})/).map((part, place) => {
    if (place % 2 === 0) return part;
    const href = part.startsWith("arXiv:") ? part.replace("arXiv:", "https://arxiv.org/abs/") : `https://${part.replace("@", "/tree/")}`;
    return h("a", { href, rel: "noreferrer" }, part);
  });
}

function numberOf(record, name, digits) {
  const found = record.metrics.find(([own]) => own === name);
  return found ? fixed(found[1], digits) : "–";
}

function oneRecord(record) {
  const known = new Map(sectionOf(record).metrics.map((metric) => [metric.name, metric]));
  const paper = record.source === "paper"; // it tells no seed
  const numbers = record.metrics.map(([name, value]) => {
    const { title, unit, digits, better } = known.get(name);
    return [[...direction(better), better ? " " : "", title], [fixed(value, digits), unit ? ` ${unit}` : ""]];
  });
  const groups = [
    ["Failed", [["error", record.error]]],
    ["Published", [["citation", record.citation ? cited(record.citation) : null]]],
    ["Run", [["recipe", code(record.recipe)], ["commit", code(record.commit)], ["seed", paper ? null : String(record.seed)], ["weights", code(record.weights)], ["version", record.version]]],
    ["Cost", [["seconds", record.seconds ? `${fixed(record.seconds, 1)} s (${duration(record.seconds)})` : ""], ["peak memory", record.peak_gib ? `${fixed(record.peak_gib, 2)} GiB` : ""], ["devices", record.devices]]],
    [
      "Networks",
      [
        ["method", record.method],
        ["teacher", record.teacher],
        ["backbone", record.backbone],
        ["sparse convolution", record.backend],
        ["text supervision", record.uses_text_supervision ? "yes" : "no"],
        ["frames of pretraining", record.pretrain_frames ? record.pretrain_frames.toLocaleString("en") : ""],
        ["selection", record.selection_rule],
      ],
    ],
    [
      "Judged on",
      [
        ["suite", paper ? record.suite : `${record.suite}, version ${record.suite_version}`],
        ["protocol", [code(record.protocol), record.asked ? [" of text ", code(record.asked)] : []]],
        ["labels", `${record.labels} %`],
        ["data", record.data],
        ["condition", judgedIn(record)],
        ["weather", record.weather],
        ["fingerprint", code(record.fingerprint)],
        ["frames", record.frames ? record.frames.toLocaleString("en") : ""],
        ["list of frames", code(record.data_list)],
        ["frames were read", record.shown],
      ],
    ],
    ["Numbers", numbers],
  ];
  const parts = groups
    .map(([name, said]) => [name, said.filter(([, value]) => value !== "" && value !== null)])
    .filter(([, said]) => said.length)
    .map(([name, said]) => h("section", {}, h("h3", {}, name), h("dl", {}, said.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))))));
  return { title: [record.method, judgedIn(record), ...(paper ? [] : [`seed ${record.seed}`])].join(", "), parts: [h("div", { class: "groups" }, parts)] };
}

function code(text) {
  return text ? h("code", {}, text) : null;
}

/** Links to records and tables open here and keep what is shown; with a key held down they are plain links. */
function listenToLinks(opened) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-record], a[data-table]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (link.dataset.record !== undefined) state.record = link.dataset.record.split(",");
    else state.table = link.dataset.table;
    keep(true);
    opened(link.dataset.table);
  });
  const dialog = byId("record");
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    state.record = [];
    keep();
  });
}
