// The shortest single pattern for some names: last segments, column by column, as narrow as needed and no narrower.

import { joinLabels } from "../structure/structure.js";
import { segmentTest } from "./pattern.js";
import { NameTable } from "./table.js";
import { bounds, isInteger } from "./text.js";

// Where a segment could be read as something else than itself. White space as JavaScript and Python each see it.
const MISREAD = /[,\s\x1c-\x1f\x85\ufeff]|@$|^\[r\]|^[$*]$/;
const FEWEST_FOR_STAR = 3;

/** @typedef {readonly (readonly string[])[]} Stack for each place, counted from the end of the names, what stands there */

/** One place. */
export class Column {
  /** @param {readonly string[]} values what stands there in the names that were chosen */
  constructor(values) {
    this.values = values;
    /** All of that as a segment of a pattern. */
    this.text = spelled(values);
    this.hits = segmentTest(this.text, this.text);
    /** A segment that stands for more, or nothing. */
    this.wide = "";
    if (values.length > 1 && values.every(isInteger)) this.wide = "$";
    else if (values.length >= FEWEST_FOR_STAR) this.wide = "*";
  }

  /** Whether `wide` hits a segment. @param {string} part */
  hitsWidely(part) {
    return this.wide === "*" || (this.wide === "$" && isInteger(part));
  }
}

/** A pattern column by column, from the end. */
export class Product {
  /** @param {Column[]} columns @param {string[]} segments the pattern's segment for each */
  constructor(columns, segments) {
    this.columns = columns;
    this.segments = segments;
    this.pattern = segments.toReversed().join(".");
  }

  /** Whether it hits a name, given as segments. @param {readonly string[]} row */
  hits(row) {
    if (row.length < this.columns.length) return false;
    return this.columns.every((column, at) => {
      const part = row[row.length - 1 - at];
      return column.hits(part) || (this.segments[at] !== column.text && column.hitsWidely(part));
    });
  }
}

/** Whether a pattern can name a segment literally. @param {string} segment */
export const sayable = (segment) => !MISREAD.test(segment) && bounds(segment) === null;

/** Several segments as one: words in their order, then numbers as ranges. @param {readonly string[]} values */
export function spelled(values) {
  const isNumber = (/** @type {string} */ value) => isInteger(value) && String(Number(value)) === value;
  const numbers = values.filter(isNumber).sort((one, other) => Number(one) - Number(other));
  const words = values.filter((value) => !isNumber(value));
  return [...words, ...(numbers.length ? [joinLabels(numbers)] : [])].join(",");
}

/**
 * What names have in each place, from the end, as far as all of them reach.
 *
 * @param {readonly (readonly string[])[]} rows
 * @returns {Stack}
 */
export function stack(rows) {
  const depth = rows.reduce((least, row) => Math.min(least, row.length), Infinity);
  return Array.from({ length: depth }, (_, at) => [...new Set(rows.map((row) => row[row.length - 1 - at]))]);
}

/**
 * The shortest pattern that hits all of some names and none of the others.
 *
 * @param {Stack} places what the names have in each place
 * @param {Others} others
 * @param {(segment: string) => boolean} [usable] whether a pattern may contain a segment
 * @param {(pattern: string) => boolean} [valid] whether a pattern will do at all
 * @returns {Product | null}
 */
export function shortest(places, others, usable = sayable, valid = () => true) {
  /** @type {Product | null} */
  let best = null;
  /** @type {Column[]} */
  const columns = [];
  const left = new Left(others);
  for (const values of places) {
    if (!values.every(usable)) break;
    const column = new Column(values);
    columns.push(column);
    left.narrow(column);
    if (left.masks.has(0)) continue;
    const made = new Product([...columns], widened(columns, left.masks));
    if (valid(made.pattern) && (!best || made.pattern.length < best.pattern.length)) best = made;
    if (best && !left.masks.size) break;
  }
  return best;
}

/** All that the names have in all places, with nothing left out. @param {Stack} places */
export function full(places) {
  const columns = places.map((values) => new Column(values));
  return new Product(columns, columns.map((column) => column.text));
}

/**
 * For one segment, two, …: the pattern that says just what stands there, and which other names it hits too.
 *
 * @param {Stack} places
 * @param {Others} others
 * @returns {Generator<[string, readonly number[]]>}
 */
export function* narrowest(places, others) {
  const left = new Left(others);
  let text = "";
  for (const values of places) {
    if (!values.every(sayable)) return;
    const column = new Column(values);
    column.wide = "";
    left.narrow(column);
    text = text ? `${column.text}.${text}` : column.text;
    yield [text, left.at];
  }
}

/** @typedef {{table: NameTable, chosen: Uint8Array}} Others all names of the table that are not marked as chosen */

/** The names that all columns so far hit, some of them only if taken widely: a bit for each column where it must be so. */
class Left {
  /** @type {number[]} */ at = [];
  /** @type {number[]} */ mask = [];
  masks = new Set([0]);
  #depth = 0;

  /** @param {Others} others */
  constructor(others) {
    this.others = others;
  }

  /** Look at one more column. @param {Column} column */
  narrow(column) {
    const verdict = (/** @type {string} */ part) => (column.hits(part) ? 0 : column.hitsWidely(part) ? bit : -1);
    const bit = 1 << this.#depth;
    if (this.#depth === 0) this.#start(verdict);
    else this.#go(verdict);
    this.#depth += 1;
    this.masks = new Set(this.mask);
  }

  /** @param {(part: string) => number} verdict */
  #start(verdict) {
    const { table, chosen } = this.others;
    for (const [end, bucket] of table.ends) {
      const mask = verdict(end);
      if (mask < 0) continue;
      for (const at of bucket) {
        if (chosen[at]) continue;
        this.at.push(at);
        this.mask.push(mask);
      }
    }
  }

  /** @param {(part: string) => number} verdict */
  #go(verdict) {
    const { parts, words } = this.others.table.split;
    /** @type {Map<number, number>} */
    const verdicts = new Map();
    let kept = 0;
    for (let i = 0; i < this.at.length; i++) {
      const id = parts[this.at[i]][this.#depth];
      if (id === undefined) continue;
      let more = verdicts.get(id);
      if (more === undefined) verdicts.set(id, (more = verdict(words[id])));
      if (more < 0) continue;
      this.at[kept] = this.at[i];
      this.mask[kept++] = this.mask[i] | more;
    }
    this.at.length = this.mask.length = kept;
  }
}

/** Each segment wide where no other name comes in by it, the one that saves most first. @param {readonly Column[]} columns @param {ReadonlySet<number>} masks */
function widened(columns, masks) {
  let chosen = 0;
  const order = columns.map((_, at) => at).sort((one, other) => columns[other].text.length - columns[one].text.length || one - other);
  for (const at of order) {
    const { wide, text } = columns[at];
    const wider = chosen | (1 << at);
    if (wide && wide.length < text.length && [...masks].every((mask) => mask & ~wider)) chosen = wider;
  }
  return columns.map(({ wide, text }, at) => ((chosen >> at) & 1 ? wide : text));
}
