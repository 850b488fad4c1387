// How much memory a training step takes, estimated without the kernel: the same formula as deltanb/engine/_memory.py explains.

import { bytesOf, elements } from "./costs_own.js";

/**
 * @typedef {import("./structure.js").Structure} Structure
 * @typedef {import("./structure.js").Row} Row
 * @typedef {object} Planned a delta that is not attached yet, with everything else frozen
 * @property {string} type
 * @property {string[]} names its hosts
 * @property {number} parameters how many it would train, see `costOf`
 * @property {number} [rows] rows that it puts before each text: a soft prompt's
 * @property {string[]} [also] names of modules that stay trainable, with all below them
 * @typedef {{ weights: number, gradients: number, optimizer: number, activations: number, passing: number, total: number }} Memory
 */

/** Of a notebook's process with torch and transformers, before any model. */
export const PROCESS_BYTES = 450_000_000;
const FLOAT = 4;
const SPREAD = 1.55;
const SCORES = 3;
/** @type {Record<string, number>} */
const STEPS = { NewGELUActivation: 3, FastGELUActivation: 3, QuickGELUActivation: 1, SiLUActivation: 1, SiLU: 1 };
/** @type {Record<string, number>} */
const TAKES = { adapter: 2, parallel_adapter: 2, low_rank_adapter: 2, compacter: 2, ia3: 1, lora: 2 };
/** @type {Record<string, number>} */
const INNER = { adapter: 5, parallel_adapter: 5, lora: 1 };

/**
 * @param {Structure} structure
 * @param {{ batch: number, length: number, planned?: Planned }} how `planned`: with this delta instead of as it is frozen now
 * @returns {Memory}
 */
export function trainingMemory(structure, { batch, length, planned }) {
  const modules = structure.names.map((name, at) => ({ name, row: structure.rows[structure.rowOf[at]] }));
  modules.unshift({ name: "", row: structure.root });
  const also = (planned?.also ?? []).map((name) => `${name}.`);
  /** @param {string} name */
  const stays = (name) => also.some((start) => `${name}.`.startsWith(start));
  const hosts = new Set(planned?.names ?? []);
  /** @param {{ name: string, row: Row }} module whether its own parameters train, or a delta's on it */
  const trains = ({ name, row }) => (planned ? hosts.has(name) || (stays(name) && row.parameters.length > 0) : trainsNow(row));
  let first = modules.findIndex(trains);
  if (planned?.type === "soft_prompt") first = 0;
  const rows = length + (planned?.rows ?? 0);
  /** @param {{ name: string, row: Row }} module the types of the deltas that sit on it, and how many parameters they brought */
  const hosted = ({ name, row }) => {
    if (!planned) return kindsOn(row);
    return hosts.has(name) ? [/** @type {[string, number]} */ ([planned.type, 0])] : [];
  };
  const [kept, widest] = first < 0 ? [0, 0] : keptFrom(modules, first, SCORES * structure.heads * rows, hosted, planned?.parameters ?? 0);
  const trainable = planned ? planned.parameters + stayers(modules, stays) : structure.totals[1];
  const weights = weightBytes(structure.root) + (planned ? FLOAT * planned.parameters : 0);
  /** @param {Row} row @param {string} name */
  const largestOf = (row, name) =>
    Math.max(0, ...row.parameters.map(([, shape, now]) => ((planned ? stays(name) : now) ? elements(shape) : 0)));
  const largest = modules.reduce((most, { row, name }) => Math.max(most, largestOf(row, name)), 0);
  const tokens = batch * rows;
  return summed(weights, trainable, kept * tokens, Math.max(widest * tokens, largest));
}

/**
 * Whether training fits into so much memory, the process itself included.
 *
 * @param {Memory} memory @param {number} [limit] bytes; default: a free Binder's
 */
export const fits = (memory, limit = 2 * 2 ** 30) => memory.total + PROCESS_BYTES <= limit;

/** @param {Row} row */
const trainsNow = (row) =>
  row.parameters.some(([, , trainable]) => trainable) || row.children.some((child) => child.delta !== "" && child.counts[1] > 0);

/** @param {Row} row @returns {[string, number][]} */
const kindsOn = (row) => row.children.filter((child) => child.delta).map((child) => [child.deltaKind, child.counts[0]]);

/** @param {{ name: string, row: Row }[]} modules @param {(name: string) => boolean} stays */
function stayers(modules, stays) {
  let sum = 0;
  for (const { name, row } of modules) {
    if (stays(name)) for (const [, shape, , tied] of row.parameters) sum += tied === null ? elements(shape) : 0;
  }
  return sum;
}

/** Bytes of all parameters, tied ones once. @param {Row} row @returns {number} */
function weightBytes(row) {
  let own = 0;
  for (const [, shape, , tied, , dtype] of row.parameters) own += tied === null ? elements(shape) * bytesOf(dtype) : 0;
  return row.labels.length * row.children.reduce((sum, child) => sum + weightBytes(child), own);
}

/**
 * Numbers a token that are kept from a module on, and those of the widest result.
 *
 * @param {{ name: string, row: Row }[]} modules @param {number} first @param {number} scores
 * @param {(module: { name: string, row: Row }) => [string, number][]} hosted @param {number} brought by what is planned
 * @returns {[number, number]}
 */
function keptFrom(modules, first, scores, hosted, brought) {
  const widths = widestIn(modules);
  /** @type {Map<string, { ends: [number, number][], parameters: number }>} */
  const deltas = new Map();
  let [kept, widest, last] = [0, 0, 0];
  modules.forEach((module, at) => {
    const [kind, ...sizes] = /** @type {[string, ...number[]]} */ (module.row.facts);
    const linear = kind === "l" || kind === "c";
    if (linear) last = sizes[1];
    if (at < first && !(kind === "a" && `${modules[first].name}.`.startsWith(`${module.name}.`))) return;
    kept += kind === "a" ? scores : keeps(module.row.type, kind, sizes, last, widths.get(around(module.name)) ?? last);
    if (linear) widest = Math.max(widest, last);
    const kinds = new Set();
    for (const [type, parameters] of hosted(module)) {
      const entry = deltas.get(type) ?? { ends: [], parameters: brought };
      if (!kinds.has(type)) entry.ends.push(kind && "lcn".includes(kind) ? [sizes[0], sizes[1]] : [last, last]);
      entry.parameters += parameters;
      deltas.set(type, entry);
      kinds.add(type);
    }
  });
  for (const [type, { ends, parameters }] of [...deltas].sort()) kept += taken(type, ends, parameters);
  return [kept, widest];
}

/** @param {string} name */
const around = (name) => name.slice(0, Math.max(0, name.lastIndexOf(".")));

/** The widest that linear layers give, by the module around them. @param {{ name: string, row: Row }[]} modules */
function widestIn(modules) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const { name, row } of modules) {
    const [kind, , out] = /** @type {[string, number, number]} */ (row.facts);
    if (kind === "l" || kind === "c") found.set(around(name), Math.max(found.get(around(name)) ?? 0, out));
  }
  return found;
}

/** @param {string} type @param {string} kind @param {number[]} sizes @param {number} last @param {number} wide */
function keeps(type, kind, sizes, last, wide) {
  if (kind === "l" || kind === "c") return sizes[1] >= sizes[0] ? sizes[1] : 0;
  if (kind === "n") return type.includes("LayerNorm") && !type.startsWith("T5") ? sizes[0] : 2 * sizes[0];
  return wide * (STEPS[type] ?? 0) + (type === "Dropout" ? last / 4 : 0);
}

/**
 * What the deltas of a type leave: of their hosts' results, and of their own narrow ones.
 *
 * @param {string} type @param {[number, number][]} ends what each host takes and gives @param {number} parameters
 */
function taken(type, ends, parameters) {
  const wide = ends.reduce((sum, sizes) => sum + sizes[type === "lora" ? 0 : 1], 0);
  const both = ends.reduce((sum, [from, to]) => sum + from + to, 0);
  return wide * (TAKES[type] ?? 0) + (both ? ((INNER[type] ?? 0) * ends.length * parameters) / both : 0);
}

/** @param {number} weights @param {number} trainable @param {number} kept @param {number} passing @returns {Memory} */
function summed(weights, trainable, kept, passing) {
  const parts = {
    weights,
    gradients: FLOAT * trainable,
    optimizer: 2 * FLOAT * trainable,
    activations: Math.floor(SPREAD * FLOAT * kept),
    passing: 2 * FLOAT * passing,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
