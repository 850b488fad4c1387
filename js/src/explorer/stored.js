// What the matcher found, as the Explorer's parts share it; and the further names that it explains a mistake with.

/** @import { Match, PatternState } from "./store.js" */
/** @import { Row, Structure } from "../structure/structure.js" */

/**
 * @param {import("../addressing/match.js").Match | null} found null while nothing is typed
 * @param {Structure} structure
 * @returns {Match}
 */
export function stored(found, structure) {
  const hits = found && !found.exclude.some((one) => one.problem) ? found.hits : [];
  /** @type {Map<number, number>} */
  const rows = new Map();
  for (const at of hits) rows.set(structure.rowOf[at], (rows.get(structure.rowOf[at]) ?? 0) + 1);
  return {
    names: new Set(hits),
    hits,
    rows,
    excluded: new Set(found?.excluded),
    patterns: (found?.patterns ?? []).map(told),
    exclude: (found?.exclude ?? []).map(told),
    hints: found?.hints ?? [],
    problem: found?.problem ? said(found.problem) : "",
    pending: found?.pending ?? false,
  };
}

/** @param {import("../addressing/match.js").Outcome} one @returns {PatternState} */
const told = ({ pattern, count, problem, kernel }) => ({
  pattern,
  count,
  kernel,
  problem: problem ? said(problem) : "",
  nearest: problem?.nearest ?? [],
});

/** @param {import("../addressing/problem.js").Problem} problem */
const said = (problem) => [problem.what, problem.expected].filter(Boolean).join(" ");

/** Dotted names of all parameters, to explain a pattern that names one. @param {Structure} structure */
export function parameterNames(structure) {
  return structure.rows.flatMap((row) =>
    row.parameters.flatMap(([name]) => (row === structure.root ? [name] : row.members.map((at) => `${structure.names[at]}.${name}`))),
  );
}

/** Further names of shared modules, each with the first. @param {Structure} structure */
export function secondNames(structure) {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const row of structure.rows.filter((one) => one.sameAs)) {
    for (const above of fullNames(structure, row.parent)) for (const label of row.labels) found.set(above ? `${above}.${label}` : label, row.sameAs);
  }
  return found;
}

/** @param {Structure} structure @param {Row | null} row @returns {string[]} */
const fullNames = (structure, row) => (row?.members.length ? row.members.map((at) => structure.names[at]) : [""]);
