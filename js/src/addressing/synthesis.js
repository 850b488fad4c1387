// From modules to patterns: what to write so that exactly these are hit.

import { cover, price } from "./cover.js";
import { asksForRoles, nameHits } from "./pattern.js";
import { Problem } from "./problem.js";
import { Product, full, narrowest, sayable, shortest, stack } from "./product.js";
import { regexNow } from "./regex.js";
import { RoleTable, roleHits } from "./roles.js";
import { NameTable, index } from "./table.js";
import { PREFIX } from "./text.js";

/**
 * @typedef {"suffix" | "segments" | "several" | "role" | "address" | "regex"} Kind `address` spells names out from their start
 * @typedef {{patterns: string[], kind: Kind}} Proposal patterns that together hit exactly some modules
 * @typedef {{pattern: string, extra: number[]}} Wider a shorter pattern, and the positions that it hits besides
 */

// What a kind costs beside its length: whoever wants a regular expression finds it last.
const KINDS = { suffix: 0, segments: 1, several: 1, role: 6, address: 8, regex: 100 };
const LONGEST = 160;
const MOST_IN_REGEX = 4;
const MOST_WIDER = 6;

/**
 * The ways to address exactly the chosen modules, the simplest first. Each was tried against all names.
 *
 * @param {NameTable | readonly string[]} names
 * @param {Iterable<number>} chosen positions
 * @param {import("./roles.js").Roles | RoleTable | null} [roles]
 * @returns {Proposal[]} none where nothing is chosen
 */
export function patternsFor(names, chosen, roles = null) {
  const table = index(names);
  const { marked, positions } = marks(table, chosen);
  if (!positions.length) return [];
  const known = roles && !(roles instanceof RoleTable) ? new RoleTable(table, roles) : roles;
  const wanted = positions.map((at) => table.names[at]);
  const found = [...byName(wanted, { table, chosen: marked }), ...(known ? byRole(positions, marked, known) : [])];
  const exact = found.filter((one) => hitsJust(one, table, positions, known));
  const cost = (/** @type {Proposal} */ one) => price(one.patterns) + KINDS[one.kind];
  exact.sort((one, other) => cost(one) - cost(other));
  return exact.length ? exact : [{ patterns: [literally(wanted)], kind: "regex" }];
}

/**
 * What shorter patterns would hit besides the chosen modules, the shortest first; each longer one hits fewer.
 *
 * @param {NameTable | readonly string[]} names
 * @param {Iterable<number>} chosen positions
 * @returns {Wider[]}
 */
export function widerPatterns(names, chosen) {
  const table = index(names);
  const { marked, positions } = marks(table, chosen);
  if (!positions.length) return [];
  const places = stack(positions.map((at) => table.names[at].split(".")));
  /** @type {Wider[]} */
  const found = [];
  for (const [pattern, extra] of narrowest(places, { table, chosen: marked })) {
    if (!extra.length || found.length === MOST_WIDER) break;
    if (found.length && extra.length >= found[found.length - 1].extra.length) continue;
    found.push({ pattern, extra: extra.toSorted((one, other) => one - other) });
  }
  return found;
}

/** @param {NameTable} table @param {Iterable<number>} chosen */
function marks(table, chosen) {
  const marked = new Uint8Array(table.names.length);
  for (const at of chosen) marked[at] = 1;
  return { marked, positions: [...marked.keys()].filter((at) => marked[at]) };
}

/** @param {string[]} wanted @param {import("./product.js").Others} others @returns {Proposal[]} */
function byName(wanted, others) {
  const rows = wanted.map((name) => name.split("."));
  const places = stack(rows);
  const one = shortest(places, others);
  const address = rows.every((row) => row.length === places.length) ? asAddress(places, one) : [];
  if (one) {
    const plain = one.columns.every((column) => column.values.length === 1);
    return [...address, { patterns: [one.pattern], kind: plain ? "suffix" : "segments" }, ...asRegex([one])];
  }
  const [products, rest] = cover(wanted, others);
  const patterns = products.map((product) => product.pattern);
  if (rest.length) patterns.push(literally(rest));
  /** @type {Proposal[]} */
  const found = products.length ? [...address, { patterns, kind: "several" }] : address;
  return !rest.length && products.length <= MOST_IN_REGEX ? [...found, ...asRegex(products)] : found;
}

/** @param {import("./product.js").Stack} places @param {Product | null} known @returns {Proposal[]} */
function asAddress(places, known) {
  if (!places.flat().every(sayable)) return [];
  const address = full(places).pattern;
  return address.length <= LONGEST && address !== known?.pattern ? [{ patterns: [address], kind: "address" }] : [];
}

/** @param {number[]} positions @param {Uint8Array} marked @param {RoleTable} roles @returns {Proposal[]} */
function byRole(positions, marked, roles) {
  const paths = new Set(positions.map((at) => roles.roleOf[at]));
  const whole = (/** @type {string | null} */ path) => path !== null && (roles.members.get(path) ?? []).every((at) => marked[at]);
  if (![...paths].every(whole)) return [];
  const rows = /** @type {string[]} */ ([...paths]).map((path) => path.split("."));
  const others = { table: roles.pathTable, chosen: Uint8Array.from(roles.paths, (path) => Number(paths.has(path))) };
  const one = shortest(stack(rows), others, roleSegment, asksForRoles);
  return one ? [{ patterns: [one.segments.map((segment) => segment.replaceAll("@,", ",")).reverse().join(".")], kind: "role" }] : [];
}

/** @param {string} segment */
const roleSegment = (segment) => segment.replace(/@$/, "").split(",").every(sayable);

/** @param {Proposal} proposal @param {NameTable} table @param {number[]} wanted @param {RoleTable | null} roles */
function hitsJust({ patterns }, table, wanted, roles) {
  const found = new Set(patterns.flatMap((pattern) => hitsOf(pattern, table, roles)));
  return found.size === wanted.length && wanted.every((at) => found.has(at));
}

/** @param {string} pattern @param {NameTable} table @param {RoleTable | null} roles @returns {readonly number[]} */
function hitsOf(pattern, table, roles) {
  try {
    if (pattern.startsWith(PREFIX)) return regexNow(pattern, table) ?? [];
    return asksForRoles(pattern) ? roleHits(pattern, roles, []) : nameHits(pattern, table);
  } catch (error) {
    if (error instanceof Problem) return [];
    throw error;
  }
}

/** @param {Product[]} products @returns {Proposal[]} */
function asRegex(products) {
  const sources = products.map(regexOf);
  // Suffixes of unlike length may begin within a segment; from the start of the name none does.
  const source = sources.length === 1 ? sources[0] : `^(?:.+\\.)?(?:${sources.join("|")})`;
  if (source.length > LONGEST || /[^\x00-\x7f]/.test(source)) return [];
  return [{ patterns: [`${PREFIX}${source}$`], kind: "regex" }];
}

/** @param {Product} product */
function regexOf({ columns, segments }) {
  const parts = columns.map(({ text, values }, at) => (segments[at] === text ? choice(values) : segments[at] === "$" ? "[0-9]+" : "[^.]+"));
  return parts.reverse().join("\\.");
}

/** @param {readonly string[]} values */
function choice(values) {
  if (values.length === 1) return escaped(values[0]);
  if (values.every((value) => /^[0-9]$/.test(value))) return `[${runs(values.toSorted())}]`;
  return `(?:${values.map(escaped).join("|")})`;
}

/** `0`, `1`, `2` as `0-2`; two are no shorter as a range. @param {string[]} digits */
function runs(digits) {
  let [text, start] = ["", 0];
  for (let at = 1; at <= digits.length; at++) {
    if (at < digits.length && Number(digits[at]) === Number(digits[at - 1]) + 1) continue;
    text += at - start > 2 ? `${digits[start]}-${digits[at - 1]}` : digits.slice(start, at).join("");
    start = at;
  }
  return text;
}

/** A regular expression for just these names, which may look like anything. @param {string[]} names */
function literally(names) {
  const end = names.some((name) => name.includes("\n")) ? "\\Z" : "$";
  const all = names.map(escaped).join("|");
  return `${PREFIX}^${names.length === 1 ? all : `(?:${all})`}${end}`;
}

/** @param {string} text */
const escaped = (text) => text.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
