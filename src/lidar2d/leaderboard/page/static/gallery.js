// Pictures that evaluations have kept, read when they come into sight.

function galleries() {
  const left = page.galleries
    .map((gallery, number) => [gallery, number, gallery.pictures.filter((picture) => !state.condition || picture.condition === state.condition)])
    .filter(([gallery, , pictures]) => pictures.length && gallery.title.toLowerCase().includes(state.method.trim().toLowerCase()));
  if (!left.length) return null;
  return h(
    "section",
    { class: "part gallery", "aria-labelledby": "gallery-title" },
    h("header", {}, h("h2", { id: "gallery-title" }, "Gallery"), h("p", {}, "Some of the frames that were judged, as the evaluations kept them.")),
    left.map(([gallery, number, pictures]) => oneGallery(gallery, `g${number}`, pictures)),
  );
}

function oneGallery(gallery, id, pictures) {
  const colours = gallery.colours.map(([colour, name]) => {
    const swatch = h("i", { "aria-hidden": "true" });
    swatch.style.background = colour;
    return h("li", {}, swatch, name.trim());
  });
  return h(
    "article",
    { class: "card", "aria-labelledby": id },
    h("h3", { id }, gallery.title),
    gallery.about.map((text) => h("p", { class: "about" }, text)),
    colours.length ? h("ul", { class: "colours", "aria-label": "Colours of the classes" }, colours) : null,
    h("div", { class: "pictures" }, pictures.map((picture) => onePicture(gallery, picture))),
  );
}

function onePicture(gallery, { file, caption, size }) {
  const [width, height] = size;
  const image = h("img", { src: file, alt: `${caption}, of ${gallery.title}`, loading: "lazy", decoding: "async", width, height });
  return h("figure", {}, h("a", { href: file }, image), h("figcaption", {}, caption));
}
