// A tree of lines: operated by keyboard as the W3C describes it, and with elements only for the lines in view.

import { h } from "./dom.js";
import { actOf, rangeOf, searched, windowOf } from "./tree_keys.js";

/** @import { Choice, Line } from "./tree_keys.js" */

const SEARCH_ENDS = 600;
const ROW = 30;
const FIRST_HEIGHT = 600;

/**
 * @typedef {Line & {position: number, siblings: number}} TreeLine `position` among `siblings`, from 1
 */
/**
 * @template {TreeLine} T
 * @typedef {object} LineView
 * @property {HTMLElement} element gets its role and its place from the tree
 * @property {(line: T) => void} show write what the line says; called often, so it should change only what has changed
 */
/**
 * @template {TreeLine} T
 * @typedef {object} TreeOptions
 * @property {string} label the tree's accessible name
 * @property {() => LineView<T>} view makes an element for a line; it is used again for other lines
 * @property {(line: T) => string} text what typing a letter looks for
 * @property {(lines: T[], open: boolean) => void} open lines are to be opened or closed
 * @property {(lines: T[], choice: Choice, at: T) => void} [choose] lines are selected
 * @property {(line: T) => boolean | null} [chosen] null for a line that cannot be
 * @property {(line: T, split: boolean) => void} [split]
 * @property {AbortSignal} signal
 */

/** @template {TreeLine} T */
export class Tree {
  /** @type {T[]} */ lines = [];
  /** @type {Map<string, LineView<T>>} */ #views = new Map();
  /** @type {LineView<T>[]} */ #spare = [];
  #active = "";
  #anchor = "";
  #typed = "";
  #typedAt = 0;
  #row = ROW;

  /** @param {TreeOptions<T>} options */
  constructor(options) {
    this.options = options;
    this.tree = h("div", {
      class: "dnb-tree",
      role: "tree",
      "aria-label": options.label,
      "aria-multiselectable": options.choose ? "true" : null,
    });
    this.element = h("div", { class: "dnb-tree-scroll" }, this.tree);
    const on = { signal: options.signal };
    this.element.addEventListener("scroll", () => this.paint(), { ...on, passive: true });
    this.tree.addEventListener("keydown", (event) => this.#key(event), on);
    this.tree.addEventListener("click", (event) => this.#click(event), on);
    this.tree.addEventListener("focusin", (event) => this.#focused(event), on);
    const size = new ResizeObserver(() => this.measure());
    size.observe(this.element);
    options.signal.addEventListener("abort", () => size.disconnect());
  }

  /** Show other lines. @param {T[]} lines */
  set(lines) {
    const before = this.#at(this.#active);
    this.lines = lines;
    if (this.#at(this.#active) < 0) this.#active = lines[Math.min(Math.max(before, 0), lines.length - 1)]?.key ?? "";
    this.tree.style.height = `${lines.length * this.#row}px`;
    this.paint();
  }

  /** The height of a line may have changed with the size of the letters. */
  measure() {
    const row = Number.parseFloat(getComputedStyle(this.element).getPropertyValue("--dnb-row")) || ROW;
    this.#row = row;
    this.tree.style.height = `${this.lines.length * row}px`;
    this.paint();
  }

  /** Draw what is in view, anew where it has changed. */
  paint() {
    const view = { top: this.element.scrollTop, height: this.element.clientHeight || FIRST_HEIGHT, row: this.#row, count: this.lines.length };
    const { from, to } = windowOf(view);
    const wanted = new Set(this.lines.slice(from, to).map((line) => line.key));
    // The line that has the keyboard must stay, or the keyboard would be lost.
    const active = this.#at(this.#active);
    if (active >= 0) wanted.add(this.#active);
    for (const [key, one] of this.#views) {
      if (wanted.has(key)) continue;
      this.#views.delete(key);
      this.#spare.push(one);
    }
    for (let at = from; at < to; at++) this.#draw(at);
    if (active >= 0 && (active < from || active >= to)) this.#draw(active);
    for (const one of this.#spare.splice(0)) one.element.remove();
  }

  /** Go to a line, and bring it into view. @param {string} key @param {{focus?: boolean}} [how] */
  go(key, { focus = true } = {}) {
    const at = this.#at(key);
    if (at < 0) return;
    this.#active = key;
    const top = at * this.#row;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.#row > scrollTop + clientHeight) this.element.scrollTop = top + this.#row - clientHeight;
    this.paint();
    if (focus) this.#views.get(key)?.element.focus({ preventScroll: true });
  }

  /** @param {string} key */
  #at(key) {
    return this.lines.findIndex((line) => line.key === key);
  }

  /** @param {number} at */
  #draw(at) {
    const line = this.lines[at];
    let view = this.#views.get(line.key);
    if (!view) {
      view = this.#spare.pop() ?? this.options.view();
      this.#views.set(line.key, view);
    }
    const { element } = view;
    const chosen = this.options.chosen?.(line) ?? null;
    put(element, {
      role: "treeitem",
      "data-key": line.key,
      "aria-level": line.level,
      "aria-posinset": line.position,
      "aria-setsize": line.siblings,
      "aria-expanded": line.expandable ? line.open : null,
      "aria-selected": chosen,
      tabindex: line.key === this.#active ? 0 : -1,
    });
    const top = `${at * this.#row}px`;
    if (element.style.top !== top) element.style.top = top;
    view.show(line);
    if (element.parentNode !== this.tree) this.tree.append(element);
    this.#order(element, at);
  }

  /** A screen reader reads elements in their order, so a new one goes behind the line before it. @param {HTMLElement} element @param {number} at */
  #order(element, at) {
    const before = at > 0 ? this.#views.get(this.lines[at - 1].key)?.element : null;
    if (!before || before.parentNode !== this.tree || before.nextSibling === element || element.contains(document.activeElement)) return;
    before.after(element);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const at = this.#at(this.#active);
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#row) - 1);
    const act = at < 0 ? null : actOf(event, this.lines, at, page);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    const line = this.lines[at];
    if (act.search) return this.#search(act.search, at);
    if (act.open !== undefined) this.options.open([line], act.open);
    if (act.openAll) this.#openBeside(at);
    if (act.split !== undefined) this.options.split?.(line, act.split);
    if (act.choose === "range" && !this.#anchor) this.#anchor = line.key;
    if (act.to !== undefined) this.go(this.lines[act.to].key);
    if (act.choose) this.#choose(act.to ?? at, act.choose);
  }

  /** @param {string} letter @param {number} at */
  #search(letter, at) {
    const now = performance.now();
    this.#typed = now - this.#typedAt < SEARCH_ENDS ? this.#typed + letter : letter;
    this.#typedAt = now;
    const there = searched(this.lines.map(this.options.text), at, this.#typed);
    this.go(this.lines[there].key);
  }

  /** @param {number} at */
  #openBeside(at) {
    const { level } = this.lines[at];
    let [first, last] = [at, at];
    while (first > 0 && this.lines[first - 1].level >= level) first--;
    while (last + 1 < this.lines.length && this.lines[last + 1].level >= level) last++;
    const beside = this.lines.slice(first, last + 1).filter((line) => line.level === level && line.expandable);
    this.options.open(beside, true);
  }

  /** @param {number} at @param {Choice} choice */
  #choose(at, choice) {
    const anchor = this.#at(this.#anchor);
    const lines = choice === "range" && anchor >= 0 ? rangeOf(this.lines, anchor, at).map((one) => this.lines[one]) : [this.lines[at]];
    if (choice !== "range") this.#anchor = this.lines[at].key;
    this.options.choose?.(lines, choice, this.lines[at]);
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    const key = /** @type {HTMLElement | null} */ (target.closest("[data-key]"))?.dataset.key;
    const at = key === undefined ? -1 : this.#at(key);
    if (at < 0) return;
    const line = this.lines[at];
    this.go(line.key);
    const fold = /** @type {HTMLElement | null} */ (target.closest("[data-split]"));
    if (fold) this.options.split?.(line, fold.dataset.split !== "on");
    else if (target.closest("[data-twisty]") && line.expandable) this.options.open([line], !line.open);
    else if (this.options.choose) this.#choose(at, event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one");
    else if (line.expandable) this.options.open([line], !line.open);
  }

  /** @param {FocusEvent} event */
  #focused(event) {
    const key = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-key]"))?.dataset.key;
    if (key === undefined || key === this.#active) return;
    this.#active = key;
    this.paint();
  }
}

/** Write only what has changed. @param {HTMLElement} element @param {Record<string, any>} attributes */
function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) {
      if (element.hasAttribute(name)) element.removeAttribute(name);
    } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}
