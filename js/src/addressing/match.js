// Several patterns against many names: OR, exclude, counts, problems. Nothing is thrown here, for a half typed pattern is no
// mistake: each pattern says what it hit or what is wrong with it.

import { explain } from "./explain.js";
import { coverageHints } from "./hints.js";
import { asksForRoles, nameHits } from "./pattern.js";
import { Problem } from "./problem.js";
import { RoleTable, roleHits } from "./roles.js";
import { NameTable, index } from "./table.js";
import { PREFIX, quoted, strip } from "./text.js";

/**
 * @typedef {{hits: readonly number[]} | {problem: Problem} | "pending" | "kernel"} Verdict what is known of a regular expression
 * @typedef {object} Outcome one pattern
 * @property {string} pattern
 * @property {readonly number[]} hits positions of the modules, before exclude
 * @property {number} count
 * @property {Problem | null} problem
 * @property {boolean} pending a regular expression still at work
 * @property {boolean} kernel only the kernel can run it
 * @typedef {object} Match
 * @property {number[]} hits positions of the modules that are left, in model order
 * @property {number[]} excluded positions that a pattern hit and exclude took out
 * @property {Outcome[]} patterns @property {Outcome[]} exclude
 * @property {string[]} hints
 * @property {Problem | null} problem what the kernel would raise
 * @property {boolean} pending @property {boolean} kernel whether any pattern is
 * @property {number} total how many modules there are
 * @typedef {object} Options
 * @property {string | readonly string[] | null} [exclude]
 * @property {import("./roles.js").Roles | RoleTable | null} [roles] null or absent: the family is unknown
 * @property {readonly string[]} [families] the known ones, for a message
 * @property {readonly string[] | (() => NameTable)} [parameters]
 * @property {() => ReadonlyMap<string, string>} [elsewhere]
 * @property {(pattern: string, table: NameTable) => Verdict} [regex] by default the kernel's
 */

/**
 * Match patterns against module names.
 *
 * @param {NameTable | readonly string[]} names a table where the same names are matched again
 * @param {string | readonly string[]} patterns
 * @param {Options} [options]
 * @returns {Match}
 */
export function matchNames(names, patterns, options = {}) {
  const { exclude = null, roles = null, parameters = [], elsewhere = () => new Map() } = options;
  const table = index(names);
  const model = {
    table,
    roles: roles && !(roles instanceof RoleTable) ? new RoleTable(table, roles) : roles,
    parameters: typeof parameters === "function" ? parameters : () => new NameTable(parameters),
    elsewhere,
  };
  const wanted = asPatterns(patterns).map((pattern) => outcome(pattern, model, options));
  const unwanted = (exclude === null ? [] : asPatterns(exclude)).map((pattern) => outcome(pattern, model, options));
  explainAll(wanted, model, false);
  explainAll(unwanted, model, true);
  const [hits, excluded] = without(union(wanted, table), unwanted, table);
  const all = [...wanted, ...unwanted];
  const settled = !all.some((one) => one.pending || one.kernel);
  const problem = firstProblem(wanted, unwanted) ?? (settled ? allExcluded(hits, excluded, wanted, unwanted) : null);
  return {
    hits,
    excluded,
    patterns: wanted,
    exclude: unwanted,
    hints: [...wanted.flatMap((one) => coverageHints(one.pattern, one.hits, table)), ...idle(unwanted, excluded, problem, settled)],
    problem,
    pending: all.some((one) => one.pending),
    kernel: all.some((one) => one.kernel),
    total: table.names.length,
  };
}

/** White space around a pattern is dropped, duplicates too. @param {string | readonly string[]} patterns */
export const asPatterns = (patterns) => [...new Set((typeof patterns === "string" ? [patterns] : patterns).map(strip))];

/** @param {string} pattern @param {import("./explain.js").Surroundings} model @param {Options} options @returns {Outcome} */
function outcome(pattern, model, options) {
  const made = { pattern, hits: /** @type {readonly number[]} */ ([]), count: 0, problem: null, pending: false, kernel: false };
  if (!pattern) return made;
  try {
    const verdict = pattern.startsWith(PREFIX)
      ? (options.regex?.(pattern, model.table) ?? "kernel")
      : { hits: asksForRoles(pattern) ? roleHits(pattern, model.roles, options.families ?? []) : nameHits(pattern, model.table) };
    if (verdict === "pending" || verdict === "kernel") return { ...made, [verdict]: true };
    if ("problem" in verdict) return { ...made, problem: verdict.problem };
    return { ...made, hits: verdict.hits, count: verdict.hits.length };
  } catch (error) {
    if (error instanceof Problem) return { ...made, problem: error };
    throw error;
  }
}

/** @param {Outcome[]} outcomes @param {import("./explain.js").Surroundings} model @param {boolean} exclude */
function explainAll(outcomes, model, exclude) {
  const others = exclude ? [] : outcomes.filter((one) => one.count).map((one) => one.pattern);
  for (const one of outcomes) {
    if (!one.pattern) {
      one.problem = new Problem("empty", `An empty ${exclude ? "exclude pattern" : "pattern"} matches nothing.`, NAME);
    } else if (!one.count && !one.problem && !one.pending && !one.kernel) {
      one.problem = explain(one.pattern, model, others, exclude);
    }
  }
}

const NAME = { expected: "A module name, or the end of one.", try_: "%delta match fc2" };

/** In the order in which the kernel would find them. @param {Outcome[]} wanted @param {Outcome[]} unwanted */
function firstProblem(wanted, unwanted) {
  if (!wanted.length) return new Problem("empty", "No pattern was given.", NAME);
  const found = [
    ...wanted.filter((one) => one.problem?.kind === "empty"),
    ...wanted.filter((one) => one.problem && !one.problem.hitsNothing),
    ...wanted,
    ...unwanted.filter((one) => one.problem?.kind === "empty"),
    ...unwanted,
  ];
  return found.find((one) => one.problem)?.problem ?? null;
}

/** @param {Outcome[]} outcomes @param {NameTable} table */
function union(outcomes, table) {
  const lists = outcomes.map((one) => one.hits).filter((hits) => hits.length);
  if (lists.length < 2) return lists[0] ?? [];
  return positions(marks(lists, table));
}

/** @param {readonly (readonly number[])[]} lists @param {NameTable} table */
function marks(lists, table) {
  const marked = new Uint8Array(table.names.length);
  for (const list of lists) for (const at of list) marked[at] = 1;
  return marked;
}

/** @param {Uint8Array} marked */
function positions(marked) {
  const found = [];
  for (let at = 0; at < marked.length; at++) if (marked[at]) found.push(at);
  return found;
}

/** What is left, and what exclude took out: what it hits and everything below. @param {readonly number[]} hits @param {Outcome[]} unwanted @param {NameTable} table */
function without(hits, unwanted, table) {
  const roots = unwanted.flatMap((one) => (one.count ? [one.hits] : []));
  if (!roots.length) return [[...hits], []];
  const gone = marks(roots, table);
  const { above } = table;
  const isGone = (/** @type {number} */ at) => {
    while (at >= 0 && !gone[at]) at = above[at];
    return at >= 0;
  };
  /** @type {[number[], number[]]} */
  const split = [[], []];
  for (const at of hits) split[isGone(at) ? 1 : 0].push(at);
  return split;
}

/** @param {number[]} hits @param {number[]} excluded @param {Outcome[]} wanted @param {Outcome[]} unwanted */
function allExcluded(hits, excluded, wanted, unwanted) {
  if (hits.length || !excluded.length) return null;
  const [own, other] = [wanted, unwanted].map((all) => all.map((one) => one.pattern));
  return new Problem("all_excluded", `Everything that ${quoted(own)} hits (${excluded.length} modules) is excluded by ${quoted(other)}.`, {
    expected: "At least one module must be left.",
    try_: `%delta match ${own.join(" ")}`,
  });
}

/** @param {Outcome[]} unwanted @param {number[]} excluded @param {Problem | null} problem @param {boolean} settled */
function idle(unwanted, excluded, problem, settled) {
  if (!unwanted.length || excluded.length || problem || !settled) return [];
  return [`exclude ${quoted(unwanted.map((one) => one.pattern))} takes nothing out`];
}

/**
 * As `matchNames`, and as strict as the kernel: what is wrong is thrown.
 *
 * @param {NameTable | readonly string[]} names
 * @param {string | readonly string[]} patterns
 * @param {Options} [options]
 */
export function matchStrictly(names, patterns, options) {
  const found = matchNames(names, patterns, options);
  if (found.problem) throw found.problem;
  return found;
}
