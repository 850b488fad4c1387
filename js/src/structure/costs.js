// What a delta would cost, counted without the kernel: exactly what deltanb.plan(...) says, or that only the kernel can say it.

import { Hosts, NeedsKernel, Refused } from "./costs_hosts.js";
import { bitfit, lnTuning, prefix } from "./costs_own.js";
import { adapter, compacter, ia3, lora, lowRankAdapter, parallelAdapter, softPrompt } from "./costs_types.js";

/**
 * @typedef {import("./costs_hosts.js").Request} Request
 * @typedef {import("./costs_hosts.js").Options} Options
 * @typedef {import("./costs_types.js").Tensors} Tensors
 * @typedef {object} Cost
 * @property {number} hosts how many modules it would sit on
 * @property {number} parameters how many it would train; a tied tensor once
 * @property {number} share of the backbone's parameters
 * @property {number} bytes of the saved file, about
 * @property {number} tensors how many would be saved
 * @typedef {{ ok: true, cost: Cost } | { ok: false, needs: "kernel", why: string } |
 *   { ok: false, refused: { what: string, expected: string, host: string } }} Answer
 */

/** @type {Record<string, (hosts: Hosts, options: Options) => Tensors[]>} */
const TYPES = {
  adapter,
  lora,
  bitfit,
  prefix,
  soft_prompt: softPrompt,
  low_rank_adapter: lowRankAdapter,
  parallel_adapter: parallelAdapter,
  compacter,
  ia3,
  ln_tuning: lnTuning,
};

// As in deltanb/engine/_plan.py: what a file holds beside the values.
const FILE_BYTES = 1000;
const HOST_BYTES = 6;
const TENSOR_BYTES = 66;

/**
 * All options of a type: those given, by their full or short names, and the defaults of the rest.
 *
 * @param {{ options: { name: string, short: string, default: any }[] }} description of `deltanb.engine.describe_types()`
 * @param {Options} given
 * @returns {Options}
 */
export function withDefaults(description, given) {
  return Object.fromEntries(description.options.map(({ name, short, default: usual }) => [name, given[name] ?? given[short] ?? usual]));
}

/**
 * @param {import("./structure.js").Structure} structure
 * @param {Request} request
 * @returns {Answer}
 */
export function costOf(structure, request) {
  try {
    if (!(request.type in TYPES)) throw new NeedsKernel(`${request.type} is no type that is known here.`);
    const hosts = new Hosts(structure, request);
    if (!hosts.list.length && request.type !== "soft_prompt") throw new Refused("No module is matched.", "A pattern that hits one.", "");
    const found = TYPES[request.type](hosts, request.options);
    return { ok: true, cost: summed(structure, hosts, found) };
  } catch (error) {
    if (error instanceof NeedsKernel) return { ok: false, needs: "kernel", why: error.message };
    if (error instanceof Refused) return { ok: false, refused: { what: error.message, expected: error.expected, host: error.host } };
    throw error;
  }
}

/** @param {import("./structure.js").Structure} structure @param {Hosts} hosts @param {Tensors[]} found @returns {Cost} */
function summed(structure, hosts, found) {
  let [parameters, tensors, bytes] = [0, 0, FILE_BYTES];
  for (const { host, parts, kept = [], size = 4, repeats = 0 } of found) {
    const prefix = host.name ? host.name.length + 1 : 0;
    parameters -= repeats;
    for (const [name, count] of parts) {
      parameters += count;
      bytes += count * size + prefix + name.length + TENSOR_BYTES;
    }
    for (const [name, count] of kept) bytes += count * size + prefix + name.length + TENSOR_BYTES;
    tensors += parts.length + kept.length;
  }
  const places = placesOf(hosts, found);
  for (const name of places) bytes += name.length + HOST_BYTES;
  const [total, , ofDeltas] = structure.totals;
  return { hosts: places.length, parameters, share: parameters / Math.max(1, total - ofDeltas), bytes, tensors };
}

/** The names that a saved delta gives as its hosts. @param {Hosts} hosts @param {Tensors[]} found */
function placesOf(hosts, found) {
  const matched = hosts.request.type === "bitfit" || hosts.request.type === "ln_tuning";
  return (matched ? hosts.list : found.map(({ host }) => host)).map(({ name }) => name);
}
