// The controls at the top, and what they can be set to.

function distinct(values) {
  return [...new Set(values)].filter((value) => value !== "").sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
}

function options(select, all, values, name = (value) => value) {
  select.replaceChildren(h("option", { value: "" }, all), ...values.map((value) => h("option", { value }, name(value))));
}

function offerFilters() {
  const sections = page.sections;
  const sources = Object.keys(SOURCES).filter((source) => sections.some((section) => section.source === source));
  options(byId("f-source"), "all", sources, (source) => SOURCES[source][0]);
  for (const name of ["suite", "task", "data"]) options(byId(`f-${name}`), "all", distinct(sections.map((section) => section[name])));
  options(byId("f-condition"), "all", distinct(sections.flatMap((section) => conditionsOf(section))), conditionName);
  options(byId("f-teacher"), "all", distinct(sections.flatMap((section) => section.rows.map((row) => row.teacher))));
  options(byId("f-against"), "no other", [...new Set(sections.flatMap((section) => section.references))]);
}

function conditionsOf(section) {
  return section.columns.filter((column) => column.kind === "number" && column.fixed === null).map((column) => column.condition);
}

function showFilters() {
  for (const name of FILTERS) {
    const control = byId(`f-${name}`);
    if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === state[name])) state[name] = "";
    control.value = state[name];
    control.closest(".field").classList.toggle("set", state[name] !== "");
  }
  byId("f-each").checked = state.each;
  const set = FILTERS.filter((name) => state[name] !== "").length;
  byId("filter-summary").textContent = set ? `Filters, ${set} set` : "Filters";
}

function listenToFilters(changed) {
  for (const name of FILTERS) {
    byId(`f-${name}`).addEventListener("input", (event) => {
      state[name] = event.target.value;
      changed();
    });
  }
  byId("f-each").addEventListener("input", (event) => {
    state.each = event.target.checked;
    changed();
  });
  byId("reset").addEventListener("click", () => {
    state = { ...blank(), record: state.record };
    changed();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
}
