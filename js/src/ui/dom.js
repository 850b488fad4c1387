// Elements from data. Text always becomes a text node, so a module called <script> is shown and never run.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {string | number | Node | null | undefined | false} Child
 * @typedef {Record<string, any>} Attributes
 */

/**
 * @param {Element} element
 * @param {Attributes} attributes `on…` listens, `class` may be a list, false and null are left out, true gives an empty value
 */
function dress(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", [value].flat().filter(Boolean).join(" "));
    else if (name === "style") for (const [key, part] of Object.entries(value)) /** @type {any} */ (element).style.setProperty(key, String(part));
    else if (name === "value" && "value" in element) /** @type {any} */ (element).value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  dress(element, attributes);
  add(element, children);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  dress(element, attributes);
  add(element, children);
  return /** @type {any} */ (element);
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
function add(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Replace what an element holds.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

let ids = 0;
/** An id that no other element of the page has. @param {string} stem */
export const newId = (stem) => `dnb-${stem}-${++ids}-${Math.random().toString(36).slice(2, 7)}`;

/** 230544 as 230,544. @param {number} value */
export const number = (value) => value.toLocaleString("en-US");

/** Bytes as kB, MB or GB, powers of 1000. @param {number} bytes */
export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(bytes >= 1e10 ? 0 : 1)} GB`;
  if (bytes >= 1e5) return `${(bytes / 1e6).toFixed(bytes >= 1e7 ? 0 : 1)} MB`;
  return `${(bytes / 1e3).toFixed(bytes >= 1e4 ? 0 : 1)} kB`;
}

/** A share as a percentage with enough digits to be no zero. @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const value = (100 * part) / whole;
  return value < 0.01 ? "< 0.01 %" : `${value.toFixed(value < 10 ? 2 : 1)} %`;
}

/**
 * A labelled input.
 *
 * @param {string} label its accessible name, and what stands above it
 * @param {HTMLElement} input
 * @param {string} [hint] said after the name, in smaller letters
 */
export function field(label, input, hint = "") {
  input.id ||= newId("field");
  const words = h("label", { class: "dnb-label", for: input.id }, label);
  const small = hint ? h("span", { class: "dnb-hint", id: newId("hint") }, hint) : null;
  if (small) input.setAttribute("aria-describedby", small.id);
  return h("div", { class: "dnb-field" }, h("div", { class: "dnb-field-head" }, words, small), input);
}
