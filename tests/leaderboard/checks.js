// What a page is checked for in the browser, as audits of accessibility do.
// An expression: an object of functions, each of which returns a list of faults.
({
  /** Text whose colour is too near to what lies behind it, WCAG 2.2, 1.4.3, at the ratio of small text. */
  contrast() {
    const parsed = (text) => {
      const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
      return [r, g, b, a];
    };
    const over = (top, under) => top.slice(0, 3).map((part, place) => part * top[3] + under[place] * (1 - top[3]));
    const light = (colour) => {
      const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      const layers = [];
      for (let each = element; each; each = each.parentElement) {
        const colour = parsed(getComputedStyle(each).backgroundColor);
        if (colour[3] > 0) layers.push(colour);
        if (colour[3] === 1) break;
      }
      return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
    };
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const style = getComputedStyle(element);
      const text = walker.currentNode.textContent.trim();
      if (!text || element.closest("script, style, noscript, .unseen, .skip, title, option") || style.visibility === "hidden" || !element.getClientRects().length) continue;
      const back = behind(element);
      const front = over(parsed(element instanceof SVGElement ? style.fill : style.color), back);
      const [high, low] = [light(front), light(back)].sort((one, other) => other - one);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < 4.5) found.set(`${element.tagName}.${element.getAttribute("class") ?? ""} ${ratio.toFixed(2)}`, text.slice(0, 40));
    }
    return [...found].map(([where, text]) => `${where}: ${text}`);
  },

  /** How many texts contrast() has looked at: a check that looks at nothing finds nothing. */
  texts() {
    return document.body.innerText.split("\n").filter((text) => text.trim()).length;
  },

  /** Headings that skip a level, and more or less than one of the first. */
  headings() {
    const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((each) => !each.closest("dialog")).map((each) => [Number(each.tagName[1]), each.textContent]);
    const skipped = levels.filter(([level], place) => level > (place ? levels[place - 1][0] : 0) + 1).map(([level, text]) => `h${level} ${text}`);
    const first = levels.filter(([level]) => level === 1).length;
    return first === 1 ? skipped : [...skipped, `${first} headings of level 1`];
  },

  /** Images and drawings without words in their place. */
  pictures() {
    const unnamed = [...document.querySelectorAll("img")].filter((each) => !each.alt.trim());
    const drawings = [...document.querySelectorAll("svg:not(svg svg)")].filter((each) => each.getAttribute("aria-hidden") !== "true" && !(each.getAttribute("role") === "img" && each.getAttribute("aria-label")));
    return [...unnamed, ...drawings].map((each) => each.outerHTML.slice(0, 80));
  },

  /** Names that two elements have. */
  ids() {
    const all = [...document.querySelectorAll("[id]")].map((each) => each.id);
    return all.filter((id, place) => all.indexOf(id) !== place);
  },

  /** Landmarks that cannot be told apart by their names. */
  landmarks() {
    const names = [...document.querySelectorAll("[role=region], section[aria-labelledby], nav, form")].map(
      (each) => each.getAttribute("aria-label") ?? document.getElementById(each.getAttribute("aria-labelledby"))?.textContent ?? "",
    );
    return names.filter((name, place) => !name || names.indexOf(name) !== place);
  },

  /** References to elements that are not there. */
  references() {
    return [...document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")].flatMap((each) =>
      ["aria-labelledby", "aria-describedby", "for"].filter((name) => each.hasAttribute(name) && !document.getElementById(each.getAttribute(name))).map((name) => `${name}=${each.getAttribute(name)}`),
    ).filter((reference) => reference !== "aria-labelledby=record-title");
  },

  /** Controls that a thumb misses: below 24 pixels on either side, WCAG 2.2, 2.5.8. */
  targets() {
    return [...document.querySelectorAll("button, select, input:not([type=checkbox]), label.tick, summary")].filter((each) => {
      const { width, height } = each.getBoundingClientRect();
      return width && (width < 24 || height < 22);
    }).map((each) => each.outerHTML.slice(0, 80));
  },
})
