// A pattern after `[r]` on its way to an engine: what the browser may run, what is wrong, what only the kernel can.

import { Problem } from "./problem.js";
import { regexHits } from "./regex_hits.js";
import { translate } from "./regex_translate.js";
import { NameTable } from "./table.js";
import { PREFIX, repr } from "./text.js";

/** @typedef {import("./regex_translate.js").Script} Script */

/**
 * @param {string} pattern with its `[r]`
 * @param {NameTable} table
 * @returns {Script | "kernel"}
 */
export function prepared(pattern, table) {
  const source = pattern.slice(PREFIX.length);
  const made = translate(source, table.plain);
  if (made.kind !== "invalid") return made.kind === "kernel" ? "kernel" : made;
  throw new Problem("invalid_regex", `The regular expression ${repr(source)} is invalid at position ${made.position}: ${made.reason}.`, {
    expected: "Python's regular expressions, after [r].",
    try_: "%delta match '[r]layers\\.[0-5]\\.fc2'",
  });
}

/**
 * Run at once, in this thread: only for expressions that are known to end, such as those that synthesis makes.
 *
 * @param {string} pattern
 * @param {NameTable} table
 * @returns {number[] | null} null: only the kernel can run it
 */
export function regexNow(pattern, table) {
  const script = prepared(pattern, table);
  return script === "kernel" ? null : regexHits(script.source, script.flags, table.names);
}

/** @param {string} pattern @param {number} limit milliseconds */
export function tooSlow(pattern, limit) {
  return new Problem("slow_regex", `The regular expression ${repr(pattern.slice(PREFIX.length))} did not finish within ${limit / 1000} s.`, {
    expected: "One without nested repeats such as (.*)*.",
    try_: "%delta help match",
  });
}
