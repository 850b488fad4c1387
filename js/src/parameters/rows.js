// The numbers of a parameter table: rows as Python folded them, and what of them a view can show.

import { joinLabels } from "../structure/structure.js";

/**
 * @typedef {number | number[]} Amount one number for each module of a row, or all of them
 * @typedef {[number, Amount, number, Amount, number]} Numbers total, before, trainable, dead, delta
 * @typedef {{l: string[], t: string, n: Numbers, own?: Numbers, w?: string[], s?: string, d?: string, c?: Raw[]}} Raw
 * @typedef {{k: string, m: number, n: Numbers}} Line
 * @typedef {object} Data as deltanb/widgets/_parameter_rows.py writes it
 * @property {string} type @property {number} modules @property {boolean} before @property {number} beforeTotal @property {boolean} dead
 * @property {[number, number, number, number, number]} totals @property {Raw} module @property {Line[]} types @property {Line[]} deltas
 * @property {string[]} notes
 * @typedef {{total: number, before: number, trainable: number, dead: number, frozen: number, delta: number}} Values
 */

/** Columns of numbers, in order. @type {(keyof Values)[]} */
export const COLUMNS = ["total", "before", "trainable", "dead", "frozen", "delta"];

/** @param {number[]} sums total, before, trainable, dead, delta @returns {Values} */
export const values = ([total, before, trainable, dead, delta]) => ({ total, before, trainable, dead, frozen: total - trainable, delta });

/** One folded row, and where it hangs. */
export class Row {
  /** @type {number} */ count;

  /** @param {Raw} raw @param {Row | null} parent */
  constructor(raw, parent) {
    this.raw = raw;
    this.parent = parent;
    this.labels = raw.l;
    this.label = joinLabels(raw.l);
    /** How many modules it stands for. */
    this.count = (parent ? parent.count : 1) * raw.l.length;
    /** @type {Row[]} */
    this.children = [];
    /** @type {string[] | null} */
    this.known = null;
  }

  /** Names of all its modules, member by member of what is above. @returns {string[]} */
  get names() {
    /** @type {string[]} */
    const above = this.parent ? this.parent.names : [""];
    this.known ??= above.flatMap((name) => this.labels.map((label) => (name ? `${name}.${label}` : label)));
    return this.known;
  }

  /** What stands for the names in a pattern. @returns {string} */
  get address() {
    const above = this.parent?.address;
    return above ? `${above}.${this.label}` : this.label;
  }

  /** Reasons of this row and all below, each once. @returns {string[]} */
  get reasons() {
    return [...new Set([...(this.raw.w ?? []), ...this.children.flatMap((child) => child.reasons)])];
  }
}

/** @param {Raw} raw @returns {Row[]} all rows, parents first */
export function readRows(raw) {
  /** @type {Row[]} */
  const all = [];
  /** @param {Raw} one @param {Row | null} parent */
  const read = (one, parent) => {
    const row = new Row(one, parent);
    all.push(row);
    row.children = (one.c ?? []).map((child) => read(child, row));
    return row;
  };
  read(raw, null);
  return all;
}

/**
 * Positions of a row's modules under chosen members: for each level from the root the position of one member, or -1 for all.
 *
 * @param {Row} row @param {number[]} picks one for each level down to the row's own; what is missing means all
 * @returns {number[]}
 */
export function chosen(row, picks) {
  /** @type {Row[]} */
  const path = [];
  for (let at = /** @type {Row | null} */ (row); at; at = at.parent) path.unshift(at);
  let found = [0];
  path.forEach(({ labels }, level) => {
    const pick = picks[level] ?? -1;
    const members = pick < 0 ? labels.map((_, at) => at) : [pick];
    found = found.flatMap((above) => members.map((member) => above * labels.length + member));
  });
  return found;
}

/** Sums of numbers over modules. @param {Numbers} numbers @param {number[]} positions @returns {Values} */
export function sums(numbers, positions) {
  return values(numbers.map((one) => (Array.isArray(one) ? positions.reduce((sum, at) => sum + one[at], 0) : one * positions.length)));
}
