// Python's regular expressions in JavaScript's dialect, only where both are known to find the same. The reader below takes a
// careful subset: no back references, atomic groups, fuzzy matches, inline flags in the middle; those are the kernel's.

import { Invalid, NeedsKernel, bare, count, escape, literal, set } from "./regex_parts.js";

/**
 * @typedef {{kind: "script", source: string, flags: string}} Script what JavaScript runs
 * @typedef {{kind: "invalid", reason: string, position: number}} Wrong
 * @typedef {{kind: "kernel", reason: string}} Handed
 */

/**
 * @param {string} source of Python's package `regex`
 * @param {boolean} plain whether all names are printable ASCII
 * @returns {Script | Wrong | Handed}
 */
export function translate(source, plain) {
  try {
    return script(source, plain);
  } catch (error) {
    if (error instanceof Invalid) return { kind: "invalid", reason: error.reason, position: error.position };
    if (error instanceof NeedsKernel) return { kind: "kernel", reason: error.message };
    // An old browser without lookbehind, say.
    if (error instanceof SyntaxError) return { kind: "kernel", reason: "this browser's regular expressions" };
    throw error;
  }
}

/** @param {string} source @param {boolean} plain @returns {Script} */
function script(source, plain) {
  const flags = /^\(\?[ims]+\)/.exec(source)?.[0] ?? "";
  const reader = new Reader(source, flags.length);
  const whole = reader.alternatives();
  if (reader.at < source.length) throw new Invalid("unbalanced parenthesis", reader.at);
  const ignoresCase = flags.includes("i");
  if (!plain && (reader.needsPlain || flags)) throw new NeedsKernel("characters outside ASCII among the names");
  if (ignoresCase && /[^\x20-\x7e]/.test(source)) throw new NeedsKernel("letters outside ASCII without regard to case");
  const made = { kind: /** @type {const} */ ("script"), source: whole.text, flags: ignoresCase ? "iu" : "u" };
  new RegExp(made.source, made.flags);
  return made;
}

/**
 * What was read: its text; whether it can match nothing; whether that is then always its last way to match. Where it is not,
 * the two languages leave a repeat of it in different ways.
 *
 * @typedef {{text: string, empty: boolean, emptyLast: boolean, place?: boolean}} Read
 */

class Reader {
  needsPlain = false;

  /** @param {string} source @param {number} at */
  constructor(source, at) {
    this.source = source;
    this.at = at;
  }

  /** @returns {Read} */
  alternatives() {
    const all = [this.sequence()];
    while (this.source[this.at] === "|") {
      this.at += 1;
      all.push(this.sequence());
    }
    const last = all[all.length - 1];
    const before = all.slice(0, -1);
    return {
      text: all.map((one) => one.text).join("|"),
      empty: all.some((one) => one.empty),
      emptyLast: last.emptyLast && !before.some((one) => one.empty),
    };
  }

  /** @returns {Read} */
  sequence() {
    const all = [];
    while (this.at < this.source.length && !"|)".includes(this.source[this.at])) all.push(this.repeated());
    const empty = all.every((one) => one.empty);
    return { text: all.map((one) => one.text).join(""), empty, emptyLast: !empty || all.every((one) => one.emptyLast) };
  }

  /** @returns {Read} */
  repeated() {
    const one = this.single();
    const times = count(this.source, this.at);
    if (!times) return one;
    if (one.place) throw new NeedsKernel("a repeated anchor");
    if (one.empty && (!one.emptyLast || times.lazy || times.least > 1)) throw new NeedsKernel("a repeat of what may be empty");
    this.at = times.end;
    const empty = one.empty || times.least === 0;
    return { text: one.text + times.text, empty, emptyLast: !empty || (!times.lazy && one.emptyLast) };
  }

  /** @returns {Read} */
  single() {
    const char = this.source[this.at];
    if (char === "(") return this.group();
    if (char === "[") return this.set();
    if (char === "\\") return this.escape();
    if (bare(this.source, this.at)) throw new Invalid("nothing to repeat", this.at);
    this.at += 1;
    if (char === "^") return anchor("^");
    // Python's dollar also stands before a newline that ends the name.
    if (char === "$") return anchor("(?=\\n?$)");
    if (char === ".") return taken("[^\\n]");
    const point = String.fromCodePoint(/** @type {number} */ (this.source.codePointAt(this.at - 1)));
    this.at += point.length - 1;
    return taken(literal(point));
  }

  /** @returns {Read} */
  escape() {
    const found = escape(this.source, this.at);
    this.needsPlain ||= found.plain;
    this.at += 2;
    return found.anchor ? anchor(found.text) : taken(found.text);
  }

  /** @returns {Read} */
  set() {
    const found = set(this.source, this.at);
    this.needsPlain ||= found.plain;
    this.at = found.end;
    return taken(found.text);
  }

  /** @returns {Read} */
  group() {
    const rest = this.source.slice(this.at);
    if (rest.startsWith("(*")) throw new NeedsKernel("a verb");
    const open = /^\((?:\?(?:P?<[A-Za-z_][A-Za-z0-9_]{0,30}>|:|<?[=!]))?/.exec(rest)?.[0] ?? "(";
    if (open === "(" && rest[1] === "?") throw new NeedsKernel("this kind of group");
    this.at += open.length;
    const inside = this.alternatives();
    if (this.source[this.at] !== ")") throw new Invalid("missing )", this.source.length);
    this.at += 1;
    // No back references here, so no group need be remembered.
    const looks = /[=!]$/.test(open);
    return looks ? anchor(`${open}${inside.text})`) : { ...inside, text: `(?:${inside.text})` };
  }
}

/** A text that takes at least one character. @param {string} text @returns {Read} */
const taken = (text) => ({ text, empty: false, emptyLast: true });

/** A text that takes none. @param {string} text @returns {Read} */
const anchor = (text) => ({ text, empty: true, emptyLast: true, place: true });
