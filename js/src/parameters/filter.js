// Which modules the words of the filter mean, and where they stand in the folded tree.

import { sums } from "./rows.js";

/** @import { Line, Row, Values } from "./rows.js" */

/**
 * @typedef {object} Found
 * @property {Map<Row, Uint8Array>} hits for each row with any: 1 for each module that is meant
 * @property {Map<Row, Uint8Array>} held for each row with any: 1 for each module that is meant or holds one that is
 * @property {number} modules how many are meant
 * @property {Values} values their sums; what lies inside one that is meant counts with it
 */

/** @param {string} text */
export const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

/** Whether each word is in a name or a type. @param {string[]} sought @param {string} name @param {string} type */
export const meant = (sought, name, type) => sought.every((word) => name.toLowerCase().includes(word) || type.toLowerCase().includes(word));

/** @param {string[]} sought @param {Line[]} lines */
export const linesWith = (sought, lines) => lines.filter((line) => meant(sought, line.k, ""));

/**
 * @param {string[]} sought
 * @param {Row[]} rows parents first
 * @returns {Found}
 */
export function find(sought, rows) {
  /** @type {Map<Row, Uint8Array>} */ const hits = new Map();
  /** @type {Map<Row, Uint8Array>} */ const held = new Map();
  /** Modules inside a hit, or hits. @type {Map<Row, Uint8Array>} */ const inside = new Map();
  let modules = 0;
  const total = [0, 0, 0, 0, 0];
  for (const row of rows) {
    if (!row.parent) continue;
    const marks = marksOf(row, sought);
    const above = inside.get(row.parent);
    /** @type {number[]} */ const topmost = [];
    marks.forEach((mark, at) => {
      modules += mark;
      if (mark && !above?.[Math.floor(at / row.labels.length)]) topmost.push(at);
    });
    if (marks.includes(1)) hits.set(row, marks);
    const covered = above ? marks.map((mark, at) => mark | above[Math.floor(at / row.labels.length)]) : marks;
    if (covered.includes(1)) inside.set(row, covered);
    const { total: all, before, trainable, dead, delta } = sums(row.raw.n, topmost);
    [all, before, trainable, dead, delta].forEach((value, at) => (total[at] += value));
    for (const at of topmost) hold(row, at, held);
  }
  const [all, before, trainable, dead, delta] = total;
  return { hits, held, modules, values: { total: all, before, trainable, dead, frozen: all - trainable, delta } };
}

/** @param {Row} row @param {string[]} sought */
function marksOf(row, sought) {
  const type = row.raw.t.toLowerCase();
  const rest = sought.filter((word) => !type.includes(word));
  const marks = new Uint8Array(row.count);
  if (!rest.length) return marks.fill(1);
  row.names.forEach((name, at) => (marks[at] = Number(meant(rest, name, ""))));
  return marks;
}

/** Mark a module, and all that hold it. @param {Row | null} row @param {number} at @param {Map<Row, Uint8Array>} held */
function hold(row, at, held) {
  while (row) {
    const marks = held.get(row) ?? new Uint8Array(row.count);
    if (marks[at]) return;
    marks[at] = 1;
    held.set(row, marks);
    at = Math.floor(at / row.labels.length);
    row = row.parent;
  }
}
