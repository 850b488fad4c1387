// Delta types that work on tensors which the backbone has, and on its attention.

import { Host, NeedsKernel, Refused } from "./costs_hosts.js";

/**
 * @typedef {import("./costs_hosts.js").Hosts} Hosts
 * @typedef {import("./costs_hosts.js").Options} Options
 * @typedef {import("./costs_types.js").Tensors} Tensors
 * @typedef {import("./structure.js").Parameter} Parameter
 */

const BYTES = /** @type {Record<string, number>} */ ({
  ...{ complex128: 16, complex64: 8, float64: 8, float32: 4, bfloat16: 2, float16: 2 },
  ...{ int64: 8, int32: 4, int16: 2 },
});

/** @param {number[]} shape */
export const elements = (shape) => shape.reduce((product, size) => product * size, 1);

/** @param {string} dtype */
export const bytesOf = (dtype) => BYTES[dtype] ?? 1;

/** @param {Hosts} hosts @returns {Tensors[]} */
export function bitfit(hosts) {
  /** Full names of biases, with their elements. @type {Map<string, Tensors>} */
  const found = new Map();
  const tied = new Set();
  const excluded = (hosts.request.excluded ?? []).map((name) => `${name}.`);
  for (const host of hosts.list) {
    let any = false;
    for (const { name, row } of host.below()) {
      if (excluded.some((start) => `${name}.`.startsWith(start))) continue;
      const bias = row.parameters.find(([key]) => key === "bias");
      if (bias) found.set(`${name}.bias`, found.get(`${name}.bias`) ?? taken(name, bias, row.count, tied));
      else if (row.facts[0] === "l") create(new Host(name, row, hosts), found);
      else continue;
      any = true;
    }
    if (any) continue;
    if (host.row.children.some((child) => !child.delta)) {
      const what = `${host.name} (${host.row.type}) holds no bias and no Linear that could get one.`;
      throw new Refused(what, "A module with a bias, a Linear, or a layer norm.", host.name);
    }
    found.set(`${host.name}.bitfit.bias`, { host, parts: [["bitfit.bias", host.outputSize()]] });
  }
  return [...found.values()];
}

/** @param {string} name @param {Parameter} parameter @param {number} count @param {Set<string>} tied @returns {Tensors} */
function taken(name, [key, shape, , tiedTo, , dtype], count, tied) {
  if (tiedTo !== null && count > 1) throw new NeedsKernel(`${name}.${key} is one of several tied tensors.`);
  const tensor = tiedTo ?? `${name}.${key}`;
  const repeats = tied.has(tensor) ? elements(shape) : 0;
  tied.add(tensor);
  return { host: { name }, parts: [[key, elements(shape)]], size: bytesOf(dtype), repeats };
}

/**
 * A new bias for a bias-free Linear: its own, or after it where it is of half precision or quantised.
 *
 * @param {Host} host @param {Map<string, Tensors>} found
 */
function create(host, found) {
  const dtype = host.row.parameters.find(([key]) => key === "weight")?.[5] ?? "";
  const own = dtype === "float32" || dtype === "float64";
  const name = own ? `${host.name}.bias` : `${host.name}.bitfit.bias`;
  if (!found.has(name)) found.set(name, { host, parts: [[own ? "bias" : "bitfit.bias", host.sizes[1]]], size: own ? bytesOf(dtype) : 4 });
}

/** @param {Hosts} hosts @returns {Tensors[]} */
export function lnTuning(hosts) {
  const tied = new Set();
  return hosts.list.flatMap((host) => {
    const { type, children, parameters, count } = host.row;
    if (!type.toLowerCase().includes("norm") || children.some((child) => !child.delta) || !parameters.length) {
      throw new Refused(`${host.name} (${type}) is no norm with weights.`, "A LayerNorm, an RMSNorm.", host.name);
    }
    return parameters.map((parameter) => taken(host.name, parameter, count, tied));
  });
}

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
export function prefix(hosts, options) {
  if (options.shift_positions) throw new NeedsKernel("Whether positions can move is for the kernel to say.");
  /** @type {Map<string, { host: Host, name: string, sizes: number[] }>} */
  const attentions = new Map();
  for (const host of hosts.list) {
    const { name, row } = attentionAt(host);
    if (!row.facts[1]) throw new NeedsKernel(`Whether a prefix can reach ${row.type} is for the kernel to say.`);
    if (!attentions.has(name)) attentions.set(name, { host, name, sizes: /** @type {number[]} */ (row.facts.slice(1)) });
  }
  for (const { host } of attentions.values()) host.checkContainer();
  const list = [...attentions.values()];
  const rows = options.prefix_token_num;
  if (!options.reparameterize) {
    return list.map(({ host, name, sizes }) => ({
      host: { name: host.row.type.includes("Layer") ? name : host.name },
      parts: [
        ["prefix.past_key", rows * sizes[0]],
        ["prefix.past_value", rows * sizes[1]],
      ],
    }));
  }
  const width = list.reduce((sum, { sizes }) => sum + sizes[0] + sizes[1], 0);
  const [embed, middle] = [options.embed_dim, options.mid_dim];
  return list.map(({ host }, at) => ({
    host,
    parts: at
      ? []
      : [
          ["reparams.wte.weight", rows * embed],
          ["reparams.control_trans.0.weight", embed * middle],
          ["reparams.control_trans.0.bias", middle],
          ["reparams.control_trans.2.weight", middle * width],
          ["reparams.control_trans.2.bias", width],
        ],
  }));
}

/** The attention that a host is, or the only one inside it where it is a shell around one. @param {Host} host */
function attentionAt(host) {
  const inside = host.below().filter(({ row }) => row.facts[0] === "a");
  if (inside.length && (inside[0].row === host.row || (inside.length === 1 && host.row.type.includes("Attention")))) return inside[0];
  const holds = inside.length ? `, it holds ${inside.length}` : "";
  const what = `A prefix cannot sit on ${host.name} (${host.row.type}): it is no attention module${holds}.`;
  throw new Refused(what, "An attention module.", host.name);
}
