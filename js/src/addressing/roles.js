// Patterns that ask for roles: the suffix rule over the role paths of a family.

import { segmentHits, segmentsOf } from "./pattern.js";
import { Problem } from "./problem.js";
import { NameTable } from "./table.js";
import { repr } from "./text.js";

/** @typedef {readonly (string | null | undefined)[] | ReadonlyMap<string, string> | Readonly<Record<string, string>>} Roles */

/** The role of each module, and each role once. */
export class RoleTable {
  /** @param {NameTable} table @param {Roles} roles for each name its role, by position or by name */
  constructor(table, roles) {
    /** @type {Map<string, number[]>} */
    this.members = new Map();
    this.roleOf = table.names.map((name, at) => roleAt(roles, name, at));
    this.roleOf.forEach((path, at) => {
      if (!path) return;
      const known = this.members.get(path);
      if (known) known.push(at);
      else this.members.set(path, [at]);
    });
    this.paths = [...this.members.keys()];
    this.pathTable = new NameTable(this.paths);
    /** Each path under all the names that hit it, and for each of those which path it is. */
    this.owners = this.paths.flatMap((path, at) => eachRole(path).map(() => at));
    this.table = new NameTable(this.paths.flatMap(eachRole));
  }
}

/** @param {Roles} roles @param {string} name @param {number} at */
function roleAt(roles, name, at) {
  if (roles instanceof Map) return roles.get(name) || null;
  if (Array.isArray(roles)) return roles[at] || null;
  return Object.hasOwn(roles, name) ? /** @type {Record<string, string>} */ (roles)[name] : null;
}

/**
 * @param {string} pattern
 * @param {RoleTable | null} roles null where the family is unknown
 * @param {readonly string[]} families the known ones, for the message
 * @returns {number[]}
 */
export function roleHits(pattern, roles, families) {
  const segments = segmentsOf(pattern);
  if (!roles) {
    throw new Problem("unknown_family", `${repr(pattern)} asks for roles, and the roles of this model's family are not known.`, {
      expected: families.length ? `A family of: ${families.join(", ")}.` : "A model of a known family.",
      try_: "%delta graph, and a pattern from its names",
    });
  }
  const paths = new Set(segmentHits(pattern, segments.map(spread), roles.table).map((at) => roles.owners[at]));
  return [...paths].flatMap((path) => roles.members.get(roles.paths[path]) ?? []).sort((one, other) => one - other);
}

/** `q,v@` means `q@,v@`. @param {string} segment */
function spread(segment) {
  if (!segment.endsWith("@")) return segment;
  return segment.split(",").map((item) => (item.endsWith("@") ? item : `${item}@`)).join(",");
}

/** A module that holds several things at once (`q,k,v@`) has the role of each, and all of them together. @param {string} path */
function eachRole(path) {
  const dot = path.lastIndexOf(".") + 1;
  const last = path.slice(dot);
  return last.includes(",") ? [path, ...spread(last).split(",").map((item) => path.slice(0, dot) + item)] : [path];
}
