// Makes elements: text is always text, never markup.
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child != null));
  return element;
}
const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const disclosure = (summary, ...children) => make("details", {}, make("summary", {}, summary), children);
// Something wide, which the keyboard scrolls too.
const scrolled = (label, ...children) => make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": label }, children);

function tableOf(table, head, rows, caption) {
  table.replaceChildren(
    ...(caption ? [make("caption", {}, caption)] : []),
    make("thead", {}, make("tr", {}, head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, rows.map(([first, ...cells]) =>
      make("tr", {}, make("th", { scope: "row" }, first), cells.map((cell) => make("td", {}, cell))))),
  );
  return table;
}
