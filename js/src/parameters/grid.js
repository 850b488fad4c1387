// The table: sortable heads, rows near the view, totals; by keyboard as the W3C's treegrid.

import { fill, h, number } from "../ui/dom.js";
import { windowed } from "../ui/window.js";
import { line, TITLES } from "./cells.js";
import { Keys } from "./keys.js";

/** @import { Node } from "./nodes.js" */
/** @import { Values } from "./rows.js" */

/**
 * @typedef {object} Acts
 * @property {(node: Node, open?: boolean) => void} turn open or close a row
 * @property {(node: Node) => void} each show a fold's members one by one, or no more
 * @property {(sort: string) => void} sort
 * @typedef {object} Shown
 * @property {Node[]} nodes @property {(keyof Values)[]} columns @property {Values} totals @property {string} sort @property {string} first title
 */

const ROW = 30; // until one is measured

export class Grid {
  /** @param {Acts} acts @param {AbortSignal} signal */
  constructor(acts, signal) {
    this.acts = acts;
    /** @type {Shown | null} */
    this.shown = null;
    this.height = ROW;
    this.head = h("tr", { role: "row", "aria-rowindex": 1 });
    this.above = h("tr", { "aria-hidden": "true", class: "dnb-params-gap" });
    this.below = h("tr", { "aria-hidden": "true", class: "dnb-params-gap" });
    this.body = h("tbody");
    this.foot = h("tr", { role: "row", class: "dnb-params-totals" });
    this.columns = h("colgroup");
    const [thead, tfoot] = [h("thead", {}, this.head), h("tfoot", {}, this.foot)];
    this.table = h("table", { role: "treegrid", "aria-label": "Parameters", class: "dnb-params-table" }, this.columns, thead, this.body, tfoot);
    this.element = h("div", { class: "dnb-params-scroll", tabindex: -1 }, this.table);
    this.window = windowed({
      scroller: this.element,
      count: () => this.shown?.nodes.length ?? 0,
      height: () => this.height,
      draw: (first, last, above, below) => this.#rows(first, last, above, below),
      covered: () => thead.offsetHeight + tfoot.offsetHeight,
      signal,
    });
    this.keys = new Keys(this, signal);
    this.body.addEventListener("click", (event) => this.#clicked(event), { signal });
  }

  get nodes() {
    return this.shown?.nodes ?? [];
  }

  /** @param {Shown} shown */
  show(shown) {
    this.shown = shown;
    this.#heads(shown);
    this.table.setAttribute("aria-rowcount", String(shown.nodes.length + 2));
    fill(this.foot, h("td", { role: "gridcell", class: "dnb-params-name" }, h("b", {}, "Total")), this.#sums(shown));
    this.keys.settle();
    this.window.now();
    const row = /** @type {HTMLElement | null} */ (this.body.querySelector(".dnb-params-row"));
    if (row?.offsetHeight && Math.abs(row.offsetHeight - this.height) > 0.5) {
      this.height = row.offsetHeight;
      this.window.now();
    }
  }

  /** @param {Shown} shown */
  #sums({ columns, totals }) {
    return columns.map((column) => h("td", { role: "gridcell", class: "dnb-number" }, number(totals[column])));
  }

  /** @param {Shown} shown */
  #heads({ columns, sort, first, totals }) {
    const wide = Math.max(number(totals.total).length, 9);
    this.table.style.setProperty("--dnb-amounts", `calc(${columns.length} * (${wide}ch + 20px))`);
    fill(this.columns, h("col", { class: "dnb-params-col-name" }), columns.map(() => h("col", { style: { width: `calc(${wide}ch + 20px)` } })));
    const focused = this.head.contains(document.activeElement) ? /** @type {any} */ (document.activeElement).dataset.column : "";
    const titles = /** @type {[string, string][]} */ ([["name", first], ...columns.map((column) => [column, TITLES[column]])]);
    fill(this.head, titles.map(([column, title]) => this.#title(column, title, sort)));
    if (focused) /** @type {HTMLElement | null} */ (this.head.querySelector(`[data-column="${focused}"]`))?.focus();
  }

  /** @param {string} column @param {string} title @param {string} sort */
  #title(column, title, sort) {
    const way = sort === column ? "ascending" : sort === `-${column}` ? "descending" : "none";
    const turns = column === "name" ? ["", column, `-${column}`] : ["", `-${column}`, column];
    const next = turns[(turns.indexOf(sort) + 1) % turns.length];
    const sign = h("span", { "aria-hidden": "true" }, { ascending: " ▲", descending: " ▼", none: "" }[way]);
    const button = h("button", { type: "button", class: "dnb-params-sort", "data-column": column, onclick: () => this.acts.sort(next) }, title, sign);
    return h("th", { scope: "col", role: "columnheader", "aria-sort": way, class: column === "name" ? "dnb-params-name" : "dnb-number" }, button);
  }

  /** @param {number} first @param {number} last @param {number} above @param {number} below */
  #rows(first, last, above, below) {
    const { shown } = this;
    if (!shown) return;
    const focused = this.body.contains(document.activeElement) || document.activeElement === this.element;
    this.above.style.height = `${above}px`;
    this.below.style.height = `${below}px`;
    const rows = shown.nodes.slice(first, last).map((node, at) => line(node, shown.columns, { whole: shown.totals.total, index: first + at }));
    fill(this.body, above > 0 && this.above, rows, below > 0 && this.below);
    this.keys.drawn(focused);
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const place = /** @type {Element} */ (event.target);
    const node = this.nodes[Number(/** @type {HTMLElement | null} */ (place.closest("tr"))?.dataset.index)];
    if (!node) return;
    this.keys.at(node.key);
    if (place.closest("button")) this.acts.each(node);
    else if (place.closest(".dnb-params-name") && node.opens) this.acts.turn(node);
  }
}
