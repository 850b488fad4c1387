// What the table shows, line by line: folded rows, members of folds, what a module owns beside its children, or flat lines.

import { linesWith, words, find } from "./filter.js";
import { chosen, readRows, sums, values } from "./rows.js";

/** @import { Data, Row, Values } from "./rows.js" */

/**
 * @typedef {object} Node one line
 * @property {string} key its address; unique @property {string} label @property {string} type @property {Values} values
 * @property {number} level from 1 @property {number} of siblings @property {number} at from 1 @property {Node | null} parent
 * @property {boolean} opens @property {boolean} open
 * @property {number} members how many a fold has that could stand one by one; 0 else @property {boolean} each whether they do
 * @property {number} count of modules @property {string} hit such as "4 of 6", "" without a filter
 * @property {string[]} reasons @property {string} tied @property {string} delta
 * @property {Row | null} row @property {number[]} picks
 * @typedef {{by: string, sort: string, filter: string, expanded: string[], members: string[], shut: Set<string>}} Choice
 */

export const ROOT = "(the model itself)";
const OWN = "(its own)";

/** The table of one state of a model. */
export class Table {
  /** @param {Data} data */
  constructor(data) {
    this.data = data;
    this.rows = readRows(data.module);
    this.totals = values(data.totals);
    this.filtered = { text: "", found: /** @type {ReturnType<typeof find> | null} */ (null) };
  }

  /** Where the filter's words are; null without one. @param {string} text */
  found(text) {
    if (this.filtered.text !== text) this.filtered = { text, found: words(text).length ? find(words(text), this.rows) : null };
    return this.filtered.found;
  }

  /** All lines to show, in order. @param {Choice} choice @returns {Node[]} */
  nodes(choice) {
    if (choice.by !== "module") return this.#flat(choice);
    const walk = new Walk(choice, this.found(choice.filter));
    return walk.below(null, this.rows[0], [0]);
  }

  /** @param {Choice} choice */
  #flat({ by, sort, filter }) {
    const lines = linesWith(words(filter), by === "type" ? this.data.types : this.data.deltas);
    const made = lines.map((line) => ({ ...PLAIN, key: line.k, label: line.k, count: line.m, values: sums(line.n, [0]) }));
    return placed(sorted(made, sort), null);
  }

  /** Whether any row can be opened. */
  get deep() {
    return this.rows.some((row) => row.parent && row.children.length);
  }

  /** Addresses of all rows that can be opened. */
  get openable() {
    return this.rows.filter((row) => row.parent && row.children.length).map((row) => row.address);
  }
}

/** @type {Node} */
const PLAIN = {
  key: "", label: "", type: "", values: values([0, 0, 0, 0, 0]), level: 1, of: 1, at: 1, parent: null, opens: false, open: false,
  members: 0, each: false, count: 1, hit: "", reasons: [], tied: "", delta: "", row: null, picks: [],
};

class Walk {
  /** @param {Choice} choice @param {ReturnType<typeof find> | null} found */
  constructor(choice, found) {
    this.choice = choice;
    this.found = found;
    this.open = new Set(choice.expanded);
    this.each = new Set(choice.members);
  }

  /**
   * The lines below a row, those below them among them.
   *
   * @param {Node | null} parent @param {Row} row @param {number[]} picks of the row
   * @returns {Node[]}
   */
  below(parent, row, picks) {
    const own = row.raw.own && !this.found ? [this.#own(row, picks)] : [];
    const nodes = [...own, ...row.children.map((child) => this.#node(child, [...picks, -1], parent?.key ?? ""))];
    return this.#all(nodes, parent);
  }

  /** @param {Node} node a fold whose members stand one by one @returns {Node[]} */
  #one(node) {
    const row = /** @type {Row} */ (node.row);
    const above = node.key.slice(0, node.key.length - row.label.length);
    return this.#all(row.labels.map((label, at) => this.#node(row, node.picks.with(-1, at), above, label)), node);
  }

  /** @param {(Node | null)[]} nodes siblings @param {Node | null} parent @returns {Node[]} */
  #all(nodes, parent) {
    const shown = placed(sorted(nodes.filter((node) => node !== null), this.choice.sort), parent);
    return shown.flatMap((node) => {
      if (!node.open || !node.row) return [node];
      return [node, ...(node.each ? this.#one(node) : this.below(node, node.row, node.picks))];
    });
  }

  /**
   * @param {Row} row @param {number[]} picks @param {string} above key of the parent @param {string} [label] of one member
   * @returns {Node | null} null where the filter leaves nothing of it
   */
  #node(row, picks, above, label) {
    const positions = chosen(row, picks);
    const hit = this.#hit(row, positions);
    if (hit === null) return null;
    const key = label === undefined ? (above ? `${above}.${row.label}` : row.label) : above + label;
    const members = label === undefined && row.labels.length > 1 ? row.labels.length : 0;
    const opens = row.children.length > 0 || members > 0;
    return {
      ...PLAIN, key, label: label ?? row.label, type: row.raw.t, values: sums(row.raw.n, positions), opens, members,
      open: opens && this.#isOpen(row, key, positions), each: members > 0 && (this.each.has(key) || !row.children.length),
      count: positions.length, hit, tied: row.raw.s ?? "", delta: row.raw.d ?? "", row, picks,
      reasons: sums(row.raw.n, positions).dead ? row.reasons : [],
    };
  }

  /** @param {Row} row @param {number[]} picks @returns {Node} */
  #own(row, picks) {
    const positions = chosen(row, picks);
    const own = sums(/** @type {any} */ (row.raw.own), positions);
    const key = row.parent ? `${row.address}.${picks.join(",")}.${OWN}` : ROOT;
    return { ...PLAIN, key, label: row.parent ? OWN : ROOT, type: row.raw.t, values: own, count: positions.length, reasons: own.dead ? (row.raw.w ?? []) : [] };
  }

  /** @param {Row} row @param {string} key @param {number[]} positions */
  #isOpen(row, key, positions) {
    if (!this.found) return this.open.has(key);
    if (this.choice.shut.has(key)) return false;
    const [hits, held] = [this.found.hits.get(row), this.found.held.get(row)];
    return this.open.has(key) ? true : positions.some((at) => held?.[at] && !hits?.[at]);
  }

  /** How many of the modules are meant: "" for all or without a filter, null where none is, inside one or around one. @param {Row} row @param {number[]} positions */
  #hit(row, positions) {
    if (!this.found) return "";
    const [hits, held] = [this.found.hits.get(row), this.found.held.get(row)];
    const count = positions.filter((at) => hits?.[at]).length;
    if (count) return count < positions.length ? `${count} of ${positions.length}` : "";
    return positions.some((at) => held?.[at]) || this.#inside(row, positions) ? "" : null;
  }

  /** Whether any of the modules lies in one that is meant. @param {Row} row @param {number[]} positions */
  #inside(row, positions) {
    let at = /** @type {Row | null} */ (row);
    let places = positions;
    while (at?.parent) {
      const length = at.labels.length;
      places = [...new Set(places.map((place) => Math.floor(place / length)))];
      at = at.parent;
      const hits = this.found?.hits.get(at);
      if (hits && places.some((place) => hits[place])) return true;
    }
    return false;
  }
}

/**
 * @template {Node} T
 * @param {T[]} nodes siblings @param {string} sort a column, "-" before it for the largest first
 */
export function sorted(nodes, sort) {
  const column = /** @type {keyof Values | "name" | ""} */ (sort.replace("-", ""));
  if (!column) return nodes;
  const sign = sort.startsWith("-") ? -1 : 1;
  const order = new Intl.Collator("en", { numeric: true });
  return nodes.toSorted((a, b) => sign * (column === "name" ? order.compare(a.label, b.label) : a.values[column] - b.values[column]));
}

/** @param {Node[]} nodes siblings @param {Node | null} parent */
const placed = (nodes, parent) => nodes.map((node, at) => ({ ...node, parent, level: (parent?.level ?? 0) + 1, of: nodes.length, at: at + 1 }));
