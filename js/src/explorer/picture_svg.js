// The picture from the kernel, read as data: shapes and words are copied into new elements, one known attribute at a time,
// so nothing that runs or loads can come along. Colours become classes, which follow the notebook's theme.

import { newId, s } from "../ui/dom.js";

const CARD = "#ffffff";
const SHAPE = ["d", "points", "stroke-dasharray", "stroke-width"];
const WORDS = ["x", "y", "text-anchor", "font-weight", "font-size"];
const LOOKS = ["trainable", "frozen", "partly", "delta", "matched", "empty"];
const STYLES = ["name", "type", "folded", "muted", "trainable", "delta", "matched", "slot", "text"];

/**
 * @typedef {object} Place corner and size, in points
 * @property {number} x @property {number} y @property {number} width @property {number} height
 * @typedef {object} DrawnBox
 * @property {SVGGElement} group @property {SVGTextElement | null} slot where hits are said @property {Place} place
 * @typedef {object} Drawn
 * @property {SVGSVGElement} svg @property {number} width @property {number} height
 * @property {Map<number, DrawnBox>} boxes by their number
 */

/**
 * @param {string} text an SVG document
 * @returns {Drawn} throws where the text is no picture of ours
 */
export function readPicture(text) {
  const source = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = source.documentElement;
  const view = (root.getAttribute("viewBox") ?? "").split(/\s+/).map(Number);
  if (root.localName !== "svg" || view.length !== 4 || !view.every(Number.isFinite)) throw new Error("This is no picture.");
  const [width, height] = view.slice(2);
  const shapes = s("g", { class: "dnb-shapes" });
  const words = s("g", { class: "dnb-words", "aria-hidden": "true" });
  /** @type {Map<number, DrawnBox>} */
  const boxes = new Map();
  /** @type {DrawnBox | null} */
  let last = null;
  for (const group of root.querySelectorAll("g.node")) {
    const made = group.classList.contains("row") || group.classList.contains("sign") ? frame(group) : null;
    if (made) {
      shapes.append(made);
      const number = /^deltanb_box(\d+)$/.exec(group.id);
      last = number && { group: made, slot: null, place: extent(made) };
      if (last && number) boxes.set(Number(number[1]), last);
    }
    for (const found of group.getElementsByTagName("text")) {
      const style = STYLES.find((one) => group.classList.contains(one)) ?? "text";
      const piece = s("text", { class: `dnb-is-${style}`, ...copied(found, WORDS) }, style === "slot" ? "" : found.textContent);
      words.append(piece);
      if (last && style === "slot") last.slot = /** @type {SVGTextElement} */ (piece);
    }
  }
  // Graphviz counts upward from the lower edge.
  const page = s("g", { transform: `translate(0 ${height})` }, shapes, words);
  return { svg: s("svg", { viewBox: `0 0 ${width} ${height}`, role: "none" }, page), width, height, boxes };
}

/** @param {Element} group */
function frame(group) {
  const look = LOOKS.find((one) => group.classList.contains(one)) ?? "empty";
  const parts = [...group.children].filter((part) => part.localName === "path" || part.localName === "polygon");
  const made = s("g", { class: `dnb-frame dnb-look-${look}`, id: newId("box") });
  for (const part of parts) {
    const fill = part.getAttribute("fill");
    const kind = fill === "none" ? "dnb-hollow" : fill === CARD ? "dnb-card" : "dnb-tint";
    made.append(s(part.localName === "path" ? "path" : "polygon", { class: kind, ...copied(part, SHAPE) }));
  }
  return made;
}

/** @param {Element} from @param {string[]} names */
function copied(from, names) {
  return Object.fromEntries(names.map((name) => [name, from.getAttribute(name)]));
}

/** The smallest rectangle around all points. @param {Element} group @returns {Place} */
function extent(group) {
  const numbers = [...group.children]
    .flatMap((part) => (part.getAttribute("d") ?? part.getAttribute("points") ?? "").match(/-?\d+(\.\d+)?/g) ?? [])
    .map(Number);
  const across = numbers.filter((_, at) => at % 2 === 0);
  const down = numbers.filter((_, at) => at % 2 === 1);
  const [x, y] = [Math.min(...across), Math.min(...down)];
  return { x, y, width: Math.max(...across) - x, height: Math.max(...down) - y };
}
