// What a line of the tree says about the pattern and about training, as text; no elements here.

import { number } from "../ui/dom.js";
import { between, span } from "./items.js";

/** @import { Item } from "./items.js" */
/** @import { Store } from "./store.js" */
/** @import { Row } from "../structure/structure.js" */

export const STATES = { T: "trains", F: "frozen", P: "some of it trains", D: "delta", "": "no parameters" };

/** @param {Row} row @returns {keyof typeof STATES} */
export function stateOf(row) {
  const [total, trainable] = row.counts;
  if (row.delta) return "D";
  const own = row.parameters.filter((one) => one[3] === null || total === 0);
  if (!total) return own.length ? (own.every((one) => one[2]) ? "T" : "F") : "";
  return trainable === total ? "T" : trainable ? "P" : "F";
}

/** How a store's match looks on each row, worked out once for each match. */
export class Tally {
  /** @type {Map<number, number>} */ #inside = new Map();

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.match = store.match;
    for (const [id, count] of this.match.rows) {
      for (let row = store.structure.rows[id].parent; row; row = row.parent) this.#inside.set(row.id, (this.#inside.get(row.id) ?? 0) + count);
    }
  }

  /** How many of a line's own modules are hit. @param {Item} item */
  own(item) {
    if (!item.instances) return this.match.rows.get(item.row.id) ?? 0;
    return this.match.rows.has(item.row.id) ? item.members.filter((at) => this.match.names.has(at)).length : 0;
  }

  /** How many are hit among the modules below a line. @param {Item} item */
  inside(item) {
    const all = this.#inside.get(item.row.id) ?? 0;
    if (!item.instances || !all) return all;
    const length = span(item.row);
    return item.members.reduce((sum, at) => sum + between(this.match.hits, at + 1, at + length), 0);
  }

  /** What the panel's delta would add to the line's hit modules; null while that is not known. @param {Item} item @param {number} own */
  cost(item, own) {
    const each = this.store.plan?.each.get(item.row.id);
    return each === undefined || !own ? null : each * own;
  }
}

/**
 * The line in words, for a screen reader.
 *
 * @param {Item} item
 * @param {{own: number, inside: number, cost: number | null, also: number, excluded: number}} marks
 */
export function described(item, { own, inside, cost, also, excluded }) {
  const { row } = item;
  const state = stateOf(row);
  const parts = [`${item.before}${item.label}`, row.type];
  if (row.delta) parts.push(`belongs to delta ${row.delta}`);
  if (row.sameAs) parts.push(`the same module as ${row.sameAs}`);
  if (item.count > 1) parts.push(`${number(item.count)} modules${item.split ? ", one by one" : item.canSplit ? " alike" : ""}`);
  if (!row.sameAs) parts.push(`${number(item.sums[0])} parameters`);
  if (state && state !== "D" && !row.sameAs) parts.push(STATES[state]);
  const tied = tiedTo(row);
  if (tied.length) parts.push(`tied to ${tied.join(", ")}`);
  if (own) parts.push(`${number(own)} of ${number(item.count)} matched`);
  if (cost !== null) parts.push(`${number(cost)} parameters more`);
  if (inside) parts.push(`${number(inside)} matched inside`);
  if (also) parts.push(`${number(also)} would be hit, too`);
  if (excluded) parts.push(`${number(excluded)} excluded`);
  return parts.join(", ");
}

/** The parameters that a row's are tied to. @param {Row} row */
export const tiedTo = (row) => [...new Set(row.parameters.flatMap((one) => (one[3] ? [one[3]] : [])))];
