// Words and numbers of the grammar, read as Python reads them.

export const PREFIX = "[r]";

const EDGE = "[\\s\\x1c-\\x1f\\x85]";
const EDGES = new RegExp(`^${EDGE}+|${EDGE}+$`, "g");

/** Without white space at both ends. @param {string} text */
export const strip = (text) => text.replace(EDGES, "");

/** Whether a segment is a plain index, such as `11`. A longer number is no index. @param {string} text */
export const isInteger = (text) => /^[0-9]{1,9}$/.test(text);

/**
 * Both ends of a range such as `0-5`, both inclusive; null for anything else.
 *
 * @param {string} item
 * @returns {[number, number] | null}
 */
export function bounds(item) {
  const ends = /^([0-9]{1,9})-([0-9]{1,9})$/.exec(item);
  return ends && [Number(ends[1]), Number(ends[2])];
}

/** @type {Record<string, string>} */
const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text in quotes, as Python shows it. @param {string} text */
export function repr(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\\x00-\x1f\x7f]/g, (char) => ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote;
}

/** @param {Iterable<string>} patterns */
export const quoted = (patterns) => Array.from(patterns, repr).join(", ");
