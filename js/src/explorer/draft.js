// What the panel's inputs and the typed patterns make together: the delta that *Attach* would attach, and what it costs.

import { matchNames } from "../addressing/match.js";
import { splitPatterns } from "../addressing/split.js";
import { costOf } from "../structure/costs.js";
import { PROCESS_BYTES, fits, trainingMemory } from "../structure/memory.js";
import { size } from "../ui/dom.js";
import { complete } from "./options.js";

/** @import { Store } from "./store.js" */
/** @import { Model } from "../ui/model.js" */
/** @import { Structure } from "../structure/structure.js" */
/** @import { DeltaType } from "./options.js" */

// Types whose cost on one module tells nothing: they share, or sit on pairs, or on the whole.
const WHOLE = new Set(["parallel_adapter", "prefix", "soft_prompt"]);
const MOST_ROWS = 200;

/**
 * @typedef {import("./code_text.js").Draft & {
 *   description: DeltaType, hosts: number[], inward: number[], typed: boolean, waiting: string, all: Record<string, any>,
 * }} FullDraft `hosts`: positions; `waiting`: why there is nothing to attach to yet, "" if there is; `all`: all options
 */

/** @param {Store} store @param {Model} model @returns {FullDraft} */
export function draftOf(store, model) {
  const { structure, match } = store;
  const description = model.get("types").find((/** @type {DeltaType} */ one) => one.type === model.get("delta_type")) ?? model.get("types")[0];
  const patterns = match.patterns.map((one) => one.pattern);
  const hosts = patterns.length ? [...match.hits] : hitsOf(structure, usual(structure, description));
  const options = model.get("delta_options") ?? {};
  const all = complete(description, options);
  return {
    type: description.type,
    description,
    name: model.get("delta_name") ?? "",
    patterns,
    exclude: match.exclude.map((one) => one.pattern),
    options,
    all,
    freeze: splitPatterns(model.get("freeze_exclude") ?? "").patterns,
    hosts,
    inward: description.type === "ia3" ? inward(structure, hosts, all.feedforward_modules) : [],
    typed: patterns.length > 0,
    waiting: waiting(store, description, patterns.length > 0, hosts.length),
  };
}

/** @param {Store} store @param {DeltaType} description @param {boolean} typed @param {number} hosts */
function waiting({ match, structure }, description, typed, hosts) {
  if (match.problem) return "The pattern hits nothing yet.";
  if (hosts || match.pending || match.patterns.some((one) => one.kernel) || description.type === "soft_prompt") return "";
  if (typed) return "The pattern hits nothing.";
  return structure.knowsRoles ? `This model has nothing that ${description.type} usually sits on: type a pattern.` : "Type a pattern, or click modules.";
}

/** Where a type sits if nothing is typed: its roles, or what stands in for one that the family lacks. @param {Structure} structure @param {DeltaType} type */
function usual(structure, { roles, stand_ins }) {
  if (!structure.knowsRoles) return [];
  return roles.filter((role) => role.endsWith("@") || role.includes("@.")).flatMap((role) => {
    const found = [role, stand_ins[role]].find((word) => word && hitsOf(structure, [word]).length);
    return found ? [found] : [];
  });
}

/** @param {Structure} structure @param {readonly string[]} patterns */
function hitsOf(structure, patterns) {
  return patterns.length ? matchNames(structure.names, [...new Set(patterns)], { roles: structure.roleMap() }).hits : [];
}

/** The hosts whose input IA3 scales. @param {Structure} structure @param {number[]} hosts @param {string[] | null} given */
function inward(structure, hosts, given) {
  const chosen = new Set(given ? hitsOf(structure, given) : structure.knowsRoles ? hitsOf(structure, ["ff@.w2@"]) : []);
  return hosts.filter((at) => chosen.has(at));
}

/** @param {Store} store @param {FullDraft} draft @param {Record<string, any>} [dims] @returns {import("../structure/costs.js").Answer} */
export function costs({ structure, match }, draft, dims = {}) {
  return costOf(structure, request(structure, match, draft, draft.hosts, dims));
}

/** @param {Structure} structure @param {import("./store.js").Match} match @param {FullDraft} draft @param {number[]} hosts @param {Record<string, any>} dims */
function request(structure, match, draft, hosts, dims) {
  const roles = structure.roleMap();
  return {
    type: draft.type,
    options: draft.all,
    names: hosts.map((at) => structure.names[at]),
    patterns: draft.typed ? draft.patterns : draft.description.roles,
    excluded: [...match.excluded].map((at) => structure.names[at]),
    hits: (/** @type {string} */ pattern, /** @type {string[]} */ names) => {
      const all = new Map(structure.names.map((name, at) => [name, at]));
      const found = matchNames(structure.names, [pattern], { roles });
      const hit = new Set(found.hits.map((at) => structure.names[at]));
      return found.kernel ? null : names.filter((name) => all.has(name) && hit.has(name));
    },
    dims,
  };
}

/** For each hit row what ONE of its modules would get. @param {Store} store @param {FullDraft} draft @param {Record<string, any>} [dims] */
export function costOfRows({ structure, match }, draft, dims = {}) {
  /** @type {Map<number, number>} */
  const each = new Map();
  const firsts = new Map(draft.hosts.toReversed().map((at) => [structure.rowOf[at], at]));
  if (WHOLE.has(draft.type) || firsts.size > MOST_ROWS) return each;
  for (const [row, at] of firsts) {
    const found = costOf(structure, request(structure, match, draft, [at], dims));
    if (found.ok) each.set(row, found.cost.parameters);
  }
  return each;
}

/** Parameters of the deltas that would be attached: one of the same name makes way. @param {FullDraft} draft @param {Model} model @param {number} added */
export function brought(draft, model, added) {
  /** @type {{name: string, parameters: number}[]} */
  const attached = model.get("done")?.deltas ?? [];
  return attached.reduce((sum, one) => (one.name === (draft.name || draft.type) ? sum : sum + one.parameters), added);
}

/**
 * What a step of training would take once the delta is attached and the rest is frozen.
 *
 * @param {Structure} structure @param {FullDraft} draft @param {number} added @param {{batch: number, length: number}} shape
 * @returns {import("./panel_numbers.js").Numbers["memory"]}
 */
export function memoryOf(structure, draft, added, shape) {
  const trained = draft.freeze.includes("deltas");
  const also = stay(structure, draft.freeze);
  if (!also) return null;
  const names = trained ? draft.hosts.map((at) => structure.names[at]) : [];
  const rows = draft.type === "soft_prompt" ? (draft.all.soft_token_num ?? 0) : 0;
  const planned = { type: draft.type, names, parameters: trained ? added : 0, rows, also: also.map((at) => structure.names[at]) };
  const found = trainingMemory(structure, { ...shape, planned });
  const parts = [
    `weights ${size(found.weights)}`,
    `gradients ${size(found.gradients)}`,
    `AdamW's states ${size(found.optimizer)}`,
    `activations ${size(found.activations + found.passing)}`,
    `the process itself ${size(PROCESS_BYTES)}`,
  ];
  return { bytes: found.total + PROCESS_BYTES, fits: fits(found), words: parts.join(" + ") };
}

/** Modules that the words beside `deltas` keep trainable; null where only the kernel can tell. @param {Structure} structure @param {string[]} words */
function stay(structure, words) {
  const patterns = words.filter((word) => word !== "deltas");
  if (!patterns.length) return [];
  const found = matchNames(structure.names, patterns, { roles: structure.roleMap() });
  return found.kernel || found.pending || found.problem ? null : found.hits;
}

/**
 * Parameters that would train after `freeze` with these words; null where only the kernel can tell.
 *
 * @param {Structure} structure @param {string[]} words @param {number} brought by all deltas
 */
export function wouldTrain(structure, words, brought) {
  const found = stay(structure, words);
  if (!found) return null;
  let sum = words.includes("deltas") ? brought : 0;
  let inside = "";
  for (const at of found) {
    const name = structure.names[at];
    if (inside && name.startsWith(inside)) continue;
    inside = `${name}.`;
    const [total, , ofDeltas] = structure.rows[structure.rowOf[at]].counts;
    sum += total - ofDeltas;
  }
  return sum;
}
