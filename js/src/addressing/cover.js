// Several patterns for some names, where one cannot say it.

import { Product, full, sayable, shortest, stack } from "./product.js";

/** @typedef {readonly string[]} Row a name as segments */
/** @typedef {{choices: string[][], members: Row[]}} Group for each place the segments that may stand there, and the names that these make */

// With more groups than this nobody reads the patterns: they are made right, and not short.
const MOST_GROUPS = 64;
const EACH = 3;

/** How long some patterns are to read. @param {readonly string[]} patterns */
export const price = (patterns) => patterns.reduce((sum, pattern) => sum + pattern.length, 0) + EACH * (patterns.length - 1);

/**
 * Patterns that together hit the wanted names and none of the others; and the names that no pattern can say.
 *
 * @param {readonly string[]} wanted
 * @param {import("./product.js").Others} others
 * @returns {[Product[], string[]]}
 */
export function cover(wanted, others) {
  const hidden = hiddenIn(wanted, others);
  const rows = wanted.filter((name) => !hidden.has(name)).map((name) => name.split(".")).filter((row) => row.every(sayable));
  const groups = merged(rows);
  if (groups.length > MOST_GROUPS) return [groups.map((group) => full(stack(group))), unsaid(wanted, rows, new Set())];
  const ways = [byEnd(rows), groups].map((some) => covered(some, rows, others));
  const [one, other] = ways.map(([products, rest]) => [rest.size, price(products.map((product) => product.pattern))]);
  const [products, rest] = other[0] < one[0] || (other[0] === one[0] && other[1] < one[1]) ? ways[1] : ways[0];
  return [products, unsaid(wanted, rows, rest)];
}

/** @param {readonly string[]} wanted @param {Row[]} rows @param {Set<Row>} rest */
function unsaid(wanted, rows, rest) {
  const said = new Set(rows.filter((row) => !rest.has(row)).map((row) => row.join(".")));
  return wanted.filter((name) => !said.has(name));
}

/** The wanted names that are the end of another name: no suffix says one without the other. @param {readonly string[]} wanted @param {import("./product.js").Others} others */
function hiddenIn(wanted, { table, chosen }) {
  const known = new Set(wanted);
  /** @type {Set<string>} */
  const found = new Set();
  table.names.forEach((name, at) => {
    if (chosen[at]) return;
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const end = name.slice(dot + 1);
      if (known.has(end)) found.add(end);
    }
  });
  return found;
}

/** @param {Row[]} rows */
function byEnd(rows) {
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  for (const row of rows) {
    const end = row[row.length - 1];
    groups.set(end, [...(groups.get(end) ?? []), row]);
  }
  return [...groups.values()];
}

/**
 * A pattern for what the patterns before it leave of each group, and the names that stay over.
 *
 * @param {Row[][]} groups
 * @param {Row[]} rows
 * @param {import("./product.js").Others} others
 * @returns {[Product[], Set<Row>]}
 */
function covered(groups, rows, others) {
  /** @type {Product[]} */
  const products = [];
  let left = new Set(rows);
  for (const group of groups) {
    const mine = group.filter((row) => left.has(row));
    if (!mine.length) continue;
    const one = shortest(stack(mine), others);
    const made = one ? [one] : merged(mine).flatMap((piece) => shortest(stack(piece), others) ?? []);
    products.push(...made);
    left = new Set([...left].filter((row) => !made.some((product) => product.hits(row))));
  }
  return [products, left];
}

/** Groups of names that are all the choices of a segment for each place: joined place by place while that helps. @param {Row[]} rows */
function merged(rows) {
  /** @type {Group[]} */
  let groups = rows.map((row) => ({ choices: row.map((part) => [part]), members: [row] }));
  const places = rows.reduce((most, row) => Math.max(most, row.length), 0);
  for (let before = groups.length + 1; groups.length < before; ) {
    before = groups.length;
    for (let place = 0; place < places; place++) groups = mergedAt(groups, place);
  }
  return groups.map((group) => group.members);
}

/** Groups that differ in one place only, counted from the end, are one. @param {Group[]} groups @param {number} place */
function mergedAt(groups, place) {
  /** @type {Map<string, Group>} */
  const found = new Map();
  for (const group of groups) {
    const at = group.choices.length - 1 - place;
    const key = group.choices.map((values, here) => (here === at ? "" : values.join(","))).join(".");
    const known = at >= 0 ? found.get(key) : undefined;
    if (known) {
      known.choices = known.choices.with(at, [...known.choices[at], ...group.choices[at]].sort());
      known.members = [...known.members, ...group.members];
    } else found.set(key, { ...group });
  }
  return [...found.values()];
}
