// Pairs of modules for a parallel adapter: which second module belongs to which first one.

import { Refused } from "./costs_hosts.js";

const EXPECTED = "A first and a second module in each block.";

/**
 * First modules to second ones, in model order.
 *
 * @param {string[]} patterns taken two by two; one alone, or one given twice, pairs each module with itself
 * @param {string[]} names of all that they hit, in model order
 * @param {(pattern: string) => string[]} hit those of the names that one pattern hits
 * @returns {Map<string, string>}
 */
export function pairsOf(patterns, names, hit) {
  const words = patterns.length === 1 ? [patterns[0], patterns[0]] : patterns;
  const odd = `A parallel adapter needs patterns two by two, and ${words.at(-1)} stays without a partner.`;
  if (words.length % 2) throw new Refused(odd, EXPECTED, "");
  /** @type {Map<string, string>} */
  const pairs = new Map();
  for (let at = 0; at < words.length; at += 2) {
    const [first, second] = [words[at].trim(), words[at + 1].trim()];
    for (const [one, other] of paired(first, second, hit(first), hit(second))) {
      const twice = (pairs.get(one) ?? other) !== other;
      if (twice) throw new Refused(`${one} is the first of two pairs.`, "Each module in one pair of a delta.", one);
      pairs.set(one, other);
    }
  }
  return new Map(names.flatMap((name) => (pairs.has(name) ? [[name, /** @type {string} */ (pairs.get(name))]] : [])));
}

/** @param {string} first @param {string} second @param {string[]} firsts @param {string[]} seconds @returns {[string, string][]} */
function paired(first, second, firsts, seconds) {
  if (first === second) return firsts.map((name) => [name, name]);
  if (firsts.length === 1 && seconds.length === 1 && firsts[0] === first && seconds[0] === second) return [[first, second]];
  const [firstBlocks, secondBlocks] = [byBlock(firsts), byBlock(seconds)];
  const forth = new Map(firsts.map((name) => [name, nearest(name, secondBlocks)]));
  const back = new Map(seconds.map((name) => [name, nearest(name, firstBlocks)]));
  for (const [there, here] of [
    [forth, back],
    [back, forth],
  ]) {
    for (const [name, near] of there) {
      const way = near.length === 1 ? here.get(near[0]) : undefined;
      if (way?.length === 1 && way[0] === name) continue;
      const what = near.length > 1 || way?.includes(name) ? "could be paired with several" : "stays without a partner";
      throw new Refused(`${name} ${what}: the patterns ${first} and ${second} leave it open.`, EXPECTED, name);
    }
  }
  return firsts.map((name) => [name, /** @type {string[]} */ (forth.get(name))[0]]);
}

/** @param {string[]} names */
function byBlock(names) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const name of names) {
    const key = block(name);
    const members = found.get(key);
    if (members) members.push(name);
    else found.set(key, [name]);
  }
  return found;
}

/** Those in the same block that share most segments with a name. @param {string} name @param {Map<string, string[]>} others */
function nearest(name, others) {
  const near = (others.get(block(name)) ?? []).filter((other) => other !== name);
  const counts = near.map((other) => shared(name, other));
  const most = Math.max(...counts);
  return near.filter((_, at) => counts[at] === most);
}

/** The segments of a name up to the number of its block; a number at the end counts its module, not a block. @param {string} name */
function block(name) {
  const parts = name.split(".");
  const last = parts.slice(0, -1).findLastIndex((part) => /^\d+$/.test(part));
  return parts.slice(0, last + 1).join(".");
}

/** How many leading segments two names share. @param {string} name @param {string} other */
function shared(name, other) {
  const [one, two] = [name.split("."), other.split(".")];
  const end = one.findIndex((part, at) => part !== two[at]);
  return end < 0 ? one.length : end;
}
