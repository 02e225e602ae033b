// Puts the page together, and again whenever what is shown changes.

function render() {
  showFilters();
  const left = sectionsLeft();
  const parts = Object.keys(SOURCES)
    .map((source) => [source, left.filter((section) => section.source === source)])
    .filter(([, own]) => own.length)
    .map(([source, own]) => part(source, own));
  const pictures = galleries();
  byId("main").replaceChildren(...(parts.length ? parts : [nothing()]), ...(pictures ? [pictures] : []));
  byId("contents").replaceChildren(...contents(left));
  const rows = left.reduce((sum, section) => sum + rowsLeft(section).length, 0);
  byId("count").textContent = page.sections.length ? `${many(left.length, "table")} of ${page.sections.length}, ${many(rows, "row")}` : "";
  openRecords();
}

function part(source, sections) {
  const [title, about] = SOURCES[source];
  const id = `part-${source}`;
  return h(
    "section",
    { class: `part ${source}`, "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), h("p", {}, about)),
    h("div", { class: "cards" }, sections.map(sectionElement)),
  );
}

function contents(left) {
  if (left.length < 3) return [];
  const lists = Object.keys(SOURCES)
    .map((source) => [source, left.filter((section) => section.source === source)])
    .filter(([, own]) => own.length)
    .map(([source, own]) => {
      const links = own.map((section) =>
        h("li", {}, h("a", { href: address({ ...blank(), table: section.key }), "data-table": section.key }, section.title), " ", h("small", {}, `${section.data}, ${section.weather || section.protocol}`)),
      );
      return h("div", {}, h("h2", {}, SOURCES[source][0]), h("ul", {}, links));
    });
  return [h("details", {}, h("summary", {}, `Contents, ${many(left.length, "table")}`), h("div", { class: "lists" }, lists))];
}

function nothing() {
  if (page.sections.length) return h("p", { class: "empty" }, "No table fits all of these filters. “Show all” takes them off.");
  return h("p", { class: "empty" }, "There are no records yet. ", h("code", {}, "lidar2d bench --suite smoke"), " makes the first ones, and ", h("code", {}, "lidar2d table --html DIR"), " this page of them.");
}

/** What is shown, whatever is open in front of it. */
function view() {
  return address({ ...state, record: [], table: "" });
}

function goTo(key) {
  const made = shells.get(key);
  if (!made?.element.isConnected) return;
  const scroll = () => made.element.scrollIntoView({ block: "start" });
  scroll();
  requestAnimationFrame(() => requestAnimationFrame(scroll)); // again, when what lies above has found its height
  const title = made.element.querySelector("h3");
  title.setAttribute("tabindex", "-1");
  title.focus({ preventScroll: true });
}

function tally() {
  const records = page.records.count;
  const failed = page.sections.reduce((sum, section) => sum + section.rows.reduce((own, row) => own + row.failed.length, 0), 0);
  const said = [many(records, "record"), many(methods.size, "method"), many(page.sections.length, "table"), ...(failed ? [`${failed} failed`] : [])];
  byId("tally").textContent = records ? said.join(" · ") : "";
  byId("version").textContent = page.version;
}

function listenToTheme() {
  const select = byId("theme");
  const apply = () => {
    if (select.value) document.documentElement.dataset.theme = select.value;
    else delete document.documentElement.dataset.theme;
  };
  try {
    select.value = localStorage.getItem("lidar2d-theme") ?? "";
  } catch {
    // no storage: the choice lasts as long as the page
  }
  apply();
  select.addEventListener("input", () => {
    apply();
    try {
      localStorage.setItem("lidar2d-theme", select.value);
    } catch {
      // as above
    }
  });
}

listenToTheme();
offerFilters();
listenToFilters(() => {
  keep();
  render();
});
listenToLinks((table) => (table === undefined ? openRecords() : goTo(table)));
addEventListener("popstate", () => {
  const before = view();
  state = parsed(location.hash);
  if (view() === before) openRecords(); // what has the focus stays as it is
  else render();
  if (state.table) goTo(state.table);
});
addEventListener("beforeprint", () => [...waiting.keys()].forEach(drawNow));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
if (matchMedia("(max-width: 45rem)").matches) byId("filter-box").open = false;
tally();
render();
if (state.table) goTo(state.table);
performance.mark("rendered");
