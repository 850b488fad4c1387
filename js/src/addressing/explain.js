// Why a pattern hits nothing, what else is there, what to try.

import { asksForRoles, nameHits } from "./pattern.js";
import { Problem } from "./problem.js";
import { nearestModules } from "./suggest.js";
import { NameTable } from "./table.js";
import { PREFIX, quoted, repr } from "./text.js";

/**
 * @typedef {object} Surroundings what else is known of the model
 * @property {NameTable} table
 * @property {import("./roles.js").RoleTable | null} roles
 * @property {() => NameTable} parameters dotted parameter names, to explain a pattern that names one
 * @property {() => ReadonlyMap<string, string>} elsewhere further names of shared modules, each with the first
 */

/**
 * @param {string} pattern
 * @param {Surroundings} model
 * @param {readonly string[]} others patterns beside it that do hit
 * @param {boolean} exclude
 */
export function explain(pattern, model, others, exclude) {
  return secondName(pattern, model) ?? parameterName(pattern, model, others, exclude) ?? noName(pattern, model, others, exclude);
}

/** @param {string} pattern @param {Surroundings} model */
function secondName(pattern, model) {
  const elsewhere = model.elsewhere();
  if (!elsewhere.size || asksForRoles(pattern) || pattern.startsWith(PREFIX)) return null;
  const further = new NameTable([...elsewhere.keys()]);
  const [at] = nameHits(pattern, further);
  if (at === undefined) return null;
  const first = /** @type {string} */ (elsewhere.get(further.names[at]));
  return new Problem(
    "second_name",
    `${further.names[at]}, which ${repr(pattern)} names, is the same module as ${first}, and a module counts once, under its first name.`,
    { expected: "The first name.", nearest: [first], try_: `%delta match ${first}` },
  );
}

/** @param {string} pattern @param {Surroundings} model @param {readonly string[]} others @param {boolean} exclude */
function parameterName(pattern, model, others, exclude) {
  if (asksForRoles(pattern) || pattern.startsWith(PREFIX)) return null;
  const parameters = model.parameters();
  const [at] = nameHits(pattern, parameters);
  if (at === undefined) return null;
  const name = parameters.names[at];
  const holder = name.slice(0, Math.max(0, name.lastIndexOf("."))) || "the model itself";
  return new Problem("parameter", `The ${word(exclude)} ${repr(pattern)} names a parameter (${name}), not a module.${also(others)}`, {
    expected: `The module that owns it: ${holder}.`,
    try_: `%delta match ${holder}`,
  });
}

/** @param {string} pattern @param {Surroundings} model @param {readonly string[]} others @param {boolean} exclude */
function noName(pattern, { table, roles }, others, exclude) {
  const byRole = asksForRoles(pattern);
  const near = nearestModules(pattern, byRole && roles ? roles.pathTable : table);
  let expected = "A module name or its last segments; part of a segment does not count.";
  if (byRole) expected = "The last segments of a role.";
  else if (pattern.includes(" ") && !pattern.startsWith(PREFIX)) expected = `One pattern each: [${quoted(pattern.split(/\s+/))}].`;
  return new Problem("nothing", `The ${word(exclude)} ${repr(pattern)} matches none of the ${table.names.length} modules.${also(others)}`, {
    expected,
    nearest: near,
    try_: near.length ? `%delta match ${near[0]}` : "%delta graph",
  });
}

/** @param {boolean} exclude */
const word = (exclude) => (exclude ? "exclude pattern" : "pattern");

/** @param {readonly string[]} others */
const also = (others) => (others.length ? ` (${quoted(others)} would match; all of them must.)` : "");
