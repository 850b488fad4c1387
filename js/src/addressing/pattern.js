// One pattern against many names: suffix, segments, roles. Regular expressions have files of their own.

import { Problem } from "./problem.js";
import { NameTable } from "./table.js";
import { PREFIX, bounds, isInteger, repr, strip } from "./text.js";

/** @typedef {import("./roles.js").RoleTable} RoleTable */

/** Whether a pattern is about roles: one of its segments ends in `@`. @param {string} pattern */
export const asksForRoles = (pattern) => !pattern.startsWith(PREFIX) && pattern.split(".").some((segment) => segment.endsWith("@"));

/**
 * Positions of the names that one pattern hits, in order.
 *
 * @param {string} pattern no regular expression, and none that asks for roles
 * @param {NameTable} table
 * @returns {number[]}
 */
export function nameHits(pattern, table) {
  const segments = segmentsOf(pattern);
  return segments.some(isSpecial) ? segmentHits(pattern, segments, table) : suffixHits(pattern, segments, table);
}

/** @param {string} pattern @param {string[]} segments @param {NameTable} table */
function suffixHits(pattern, segments, table) {
  const bucket = table.ends.get(segments[segments.length - 1]) ?? [];
  if (segments.length === 1) return bucket;
  const dotted = `.${pattern}`;
  return bucket.filter((at) => table.names[at].endsWith(dotted) || table.names[at] === pattern);
}

/** @param {string} pattern */
export function segmentsOf(pattern) {
  const segments = pattern.split(".");
  if (segments.every(Boolean)) return segments;
  throw new Problem("empty_segment", `The pattern ${repr(pattern)} has an empty segment: a dot at its start or end, or two in a row.`, {
    expected: "Segments joined by single dots.",
    try_: `%delta match ${segments.filter(Boolean).join(".") || "fc2"}`,
  });
}

/** @param {string} segment */
const isSpecial = (segment) => segment === "$" || segment === "*" || segment.includes(",") || isInteger(segment) || bounds(segment) !== null;

/**
 * @param {string} pattern
 * @param {string[]} segments
 * @param {NameTable} table
 * @returns {number[]}
 */
export function segmentHits(pattern, segments, table) {
  const tests = segments.map((segment) => segmentTest(segment, pattern)).reverse();
  const { parts, words } = table.split;
  /** For each column and word: 0 not asked yet, 1 passes, 2 does not. */
  const seen = tests.map(() => new Uint8Array(words.length));
  const found = [];
  for (let at = 0; at < parts.length; at++) {
    const ids = parts[at];
    if (ids.length < tests.length) continue;
    let column = 0;
    for (; column < tests.length; column++) {
      const id = ids[column];
      const verdict = (seen[column][id] ||= tests[column](words[id]) ? 1 : 2);
      if (verdict === 2) break;
    }
    if (column === tests.length) found.push(at);
  }
  return found;
}

/**
 * A test for one segment of a name. A segment that is literally so named always matches itself.
 *
 * @param {string} segment
 * @param {string} pattern
 * @returns {(part: string) => boolean}
 */
export function segmentTest(segment, pattern) {
  const items = segment.split(",").map(strip);
  if (!items.every(Boolean)) {
    throw new Problem("empty_alternative", `The pattern ${repr(pattern)} has an empty alternative in ${repr(segment)}.`, {
      expected: "Alternatives joined by single commas, such as q_proj,v_proj.",
    });
  }
  const words = new Set([segment, ...items]);
  const ranges = items.map(bounds).filter((ends) => ends !== null);
  for (const [low, high] of ranges) if (low > high) throw backwards(low, high, pattern);
  if (items.includes("*")) return () => true;
  const integer = items.includes("$");
  if (!integer && !ranges.length) return (part) => words.has(part);
  return (part) => {
    if (words.has(part)) return true;
    if (!isInteger(part)) return false;
    const number = Number(part);
    return integer || ranges.some(([low, high]) => low <= number && number <= high);
  };
}

/** @param {number} low @param {number} high @param {string} pattern */
function backwards(low, high, pattern) {
  return new Problem("backwards_range", `The range ${low}-${high} in ${repr(pattern)} runs backwards.`, {
    expected: "The smaller number first.",
    try_: `%delta match ${pattern.replaceAll(`${low}-${high}`, `${high}-${low}`)}`,
  });
}
