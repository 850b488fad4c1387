// Pieces of a Python regular expression: escapes, sets and counts, each read to its JavaScript form or refused.

/** The expression is wrong in Python too. */
export class Invalid extends Error {
  /** @param {string} reason in the words of Python's package `regex` @param {number} position */
  constructor(reason, position) {
    super(reason);
    this.reason = reason;
    this.position = position;
  }
}

/** JavaScript might read it differently: the kernel must. */
export class NeedsKernel extends Error {}

/** @param {string} char one character that stands for itself */
export const literal = (char) => (/[\\^$.|?*+()[\]{}/]/.test(char) ? `\\${char}` : char);

/** @param {string} char */
const inSet = (char) => (/[\\\]^[\-|{}()/]/.test(char) ? `\\${char}` : char);

const CLASSES = "dDwWsS";

/**
 * The escape at `at`, where a backslash stands.
 *
 * @param {string} source @param {number} at
 * @returns {{text: string, plain: boolean, anchor: boolean}} `plain`: only the same for names in ASCII; `anchor`: matches a place
 */
export function escape(source, at) {
  const char = source[at + 1];
  if (char === undefined) throw new Invalid("bad escape (end of pattern)", at + 1);
  if (CLASSES.includes(char)) return { text: `\\${char}`, plain: true, anchor: false };
  if (char === "b" || char === "B") return { text: `\\${char}`, plain: true, anchor: true };
  if (char === "A") return { text: "^", plain: false, anchor: true };
  if (char === "Z") return { text: "$", plain: false, anchor: true };
  if (/[\x20-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]/.test(char)) return { text: literal(char), plain: false, anchor: false };
  throw new NeedsKernel(`the escape \\${char}`);
}

/**
 * The set that begins at `at`, where `[` stands.
 *
 * @param {string} source @param {number} at
 * @returns {{text: string, plain: boolean, end: number}} `end`: what follows the set
 */
export function set(source, at) {
  let [text, plain, here] = ["[", false, at + 1];
  if (source[here] === "^") [text, here] = ["[^", here + 1];
  const first = here;
  for (let item = member(source, here, here === first); item; item = member(source, here, here === first)) {
    here = item.end;
    if (source[here] === "-" && source[here + 1] !== "]" && source[here + 1] !== undefined) {
      const last = member(source, here + 1, false);
      if (item.code === null || !last || last.code === null) throw new NeedsKernel("this range in a set");
      if (last.code < item.code) throw new Invalid("bad character range", last.end);
      text += `${item.text}-${last.text}`;
      here = last.end;
    } else {
      text += item.text;
      plain ||= item.code === null;
    }
  }
  return { text: `${text}]`, plain, end: here + 1 };
}

/**
 * One member of a set, null at its end.
 *
 * @param {string} source @param {number} at @param {boolean} first a bracket here is a character
 * @returns {{text: string, code: number | null, end: number} | null}
 */
function member(source, at, first) {
  const char = source[at];
  if (char === undefined) throw new Invalid("unterminated character set", source.length);
  if (char === "]" && !first) return null;
  if (char === "[" || (source[at + 1] === char && "-&~|".includes(char))) throw new NeedsKernel("a set within a set");
  if (char !== "\\") return { text: inSet(char), code: char.charCodeAt(0), end: at + 1 };
  const next = source[at + 1];
  if (next === undefined) throw new Invalid("bad escape (end of pattern)", source.length);
  if (CLASSES.includes(next)) return { text: `\\${next}`, code: null, end: at + 2 };
  if (/[a-z0-9]/i.test(next) || next > "\x7e") throw new NeedsKernel(`the escape \\${next} in a set`);
  return { text: inSet(next), code: next.charCodeAt(0), end: at + 2 };
}

/**
 * The count that begins at `at`: `*`, `+`, `?` or braces; null if none does.
 *
 * @param {string} source @param {number} at
 * @returns {{text: string, least: number, most: number, lazy: boolean, end: number} | null}
 */
export function count(source, at) {
  const found = bare(source, at);
  if (!found) return null;
  if (source[found.end] === "+") throw new NeedsKernel("a possessive repeat");
  const lazy = source[found.end] === "?";
  const end = found.end + Number(lazy);
  if (bare(source, end)) throw new Invalid("multiple repeat", end);
  return { ...found, text: lazy ? `${found.text}?` : found.text, lazy, end };
}

/** @type {Record<string, [number, number]>} */
const SIGNS = { "*": [0, Infinity], "+": [1, Infinity], "?": [0, 1] };

/** A count without what may follow it. @param {string} source @param {number} at */
export function bare(source, at) {
  const sign = SIGNS[source[at]];
  if (sign) return { text: source[at], least: sign[0], most: sign[1], end: at + 1 };
  if (source[at] !== "{") return null;
  const braces = /^\{([0-9]{0,4})(,?)([0-9]{0,4})\}/.exec(source.slice(at));
  if (!braces || (!braces[1] && !braces[3])) throw new NeedsKernel("this brace");
  const least = Number(braces[1] || 0);
  const most = braces[3] ? Number(braces[3]) : braces[2] ? Infinity : least;
  if (least > most) throw new Invalid("min repeat greater than max repeat", at + 1);
  return { text: `{${least},${most === Infinity ? "" : most}}`, least, most, end: at + braces[0].length };
}
