// What a careful colleague would point out about a pattern's hits.

import { NameTable } from "./table.js";
import { PREFIX, bounds, isInteger, repr } from "./text.js";

const SHOWN = 6;

/**
 * One line for each stack of numbered siblings that a pattern hits only in part. Who spells out numbers means what they say.
 *
 * @param {string} pattern
 * @param {readonly number[]} found
 * @param {NameTable} table
 */
export function coverageHints(pattern, found, table) {
  if (spellsNumbers(pattern)) return [];
  const { stacks, of, number, every } = table.outer;
  /** @type {Map<number, Set<number>>} */
  const hit = new Map();
  for (const at of found) {
    if (of[at] < 0) continue;
    const known = hit.get(of[at]);
    if (known) known.add(number[at]);
    else hit.set(of[at], new Set([number[at]]));
  }
  const hints = [];
  for (const [stack, numbers] of hit) {
    const all = every[stack];
    if (numbers.size === all.size) continue;
    const missing = [...all].filter((one) => !numbers.has(one)).sort((one, other) => one - other);
    const shown = missing.slice(0, SHOWN).join(", ") + (missing.length > SHOWN ? ", …" : "");
    hints.push(`${repr(pattern)} hits ${numbers.size} of the ${all.size} numbered modules under ${stacks[stack]} (not ${shown})`);
  }
  return hints;
}

/** @param {string} pattern */
function spellsNumbers(pattern) {
  if (pattern.startsWith(PREFIX)) return /[\p{Nd}\xb2\xb3\xb9\u2070-\u2089]/u.test(pattern);
  return pattern.split(/[.,]/).some((item) => bounds(item) || isInteger(item));
}
