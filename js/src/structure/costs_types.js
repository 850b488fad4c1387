// What each delta type puts on its hosts: tensors by name, as deltanb/engine/*.py makes them.

import { NeedsKernel, Refused } from "./costs_hosts.js";
import { pairsOf } from "./pairs.js";

/**
 * @typedef {import("./costs_hosts.js").Host} Host
 * @typedef {import("./costs_hosts.js").Hosts} Hosts
 * @typedef {import("./costs_hosts.js").Options} Options
 * @typedef {[string, number]} Part name below the host, elements
 * @typedef {object} Tensors
 * @property {Host | { name: string }} host
 * @property {Part[]} parts those that train
 * @property {Part[]} [kept] saved, but not trained
 * @property {number} [size] bytes an element, 4 unless said
 * @property {number} [repeats] elements among the parts that are another name's already
 */

/** @param {string} child @param {number} from @param {number} small @param {number} to @returns {Part[]} */
const bottleneck = (child, from, small, to) => [
  [`${child}.modulelist.down_proj.weight`, from * small],
  [`${child}.modulelist.down_proj.bias`, small],
  [`${child}.modulelist.up_proj.weight`, small * to],
  [`${child}.modulelist.up_proj.bias`, to],
];

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
function adapter(hosts, options) {
  return hosts.list.map((host) => {
    host.checkContainer();
    if (options.placement === "at_norm" && !host.row.type.toLowerCase().includes("norm")) {
      const what = `${host.name} (${host.row.type}) is no layer norm, and placement=at_norm needs one.`;
      throw new Refused(what, "Layer norms as hosts, or placement=after.", host.name);
    }
    const size = host.outputSize();
    return { host, parts: bottleneck("adapter", size, options.bottleneck_dim, size) };
  });
}

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
function parallelAdapter(hosts, options) {
  const names = hosts.list.map((host) => host.name);
  const patterns = hosts.request.patterns ?? [];
  if (!patterns.length) throw new NeedsKernel("Which modules are pairs is said by the patterns.");
  const pairs = pairsOf(patterns, names, (pattern) => hosts.hit(pattern));
  return [...pairs].map(([first, second]) => {
    const [host, other] = [hosts.at(first), hosts.at(second)];
    host.checkContainer();
    other.checkContainer();
    return { host, parts: bottleneck("parallel_adapter", host.inputSize(), options.bottleneck_dim, other.outputSize()) };
  });
}

/** The bottleneck: the host's output size divided by a factor. @param {Host} host @param {Options} options */
function reduced(host, options) {
  const size = host.outputSize();
  const small = Math.floor(size / options.reduction_factor);
  if (small) return [size, small];
  const what = `reduction_factor=${options.reduction_factor} leaves nothing of ${host.name}, whose output has size ${size}.`;
  throw new Refused(what, `A whole number from 1 to ${size}.`, host.name);
}

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
function lowRankAdapter(hosts, options) {
  const rank = options.low_rank_rank;
  return hosts.list.map((host) => {
    host.checkContainer();
    const [size, small] = reduced(host, options);
    /** @param {string} at @param {number} from @param {number} to @returns {Part[]} */
    const layer = (at, from, to) => [
      [`low_rank_adapter.${at}.W_left`, from * rank],
      [`low_rank_adapter.${at}.W_right`, rank * to],
      [`low_rank_adapter.${at}.b`, to],
    ];
    return { host, parts: [...layer("down_sampler", size, small), ...layer("up_sampler", small, size)] };
  });
}

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
function compacter(hosts, options) {
  const parts = options.hypercomplex_division;
  /** What later layers borrow: "rules", and each way with its sizes. */
  const lent = new Set();
  /** @param {string} what @param {boolean} shared whether it is lent at all */
  const borrowed = (what, shared) => {
    const had = shared && lent.has(what);
    lent.add(what);
    return had;
  };
  return hosts.list.map((host) => {
    host.checkContainer();
    const [size, small] = reduced(host, options);
    if (size % parts || small % parts) {
      const what = `hypercomplex_division=${parts} must divide the size of ${host.name} (${size}) and its bottleneck (${small}).`;
      throw new Refused(what, "Another reduction_factor, or another division.", host.name);
    }
    /** @type {Required<Pick<Tensors, "parts" | "kept">>} */
    const found = { parts: [], kept: [] };
    for (const [at, from, to, bias] of /** @type {[string, number, number, boolean][]} */ ([
      ["down_sampler", size, small, options.use_bias_down_sampler],
      ["up_sampler", small, size, options.use_bias_up_sampler],
    ])) {
      const rules = borrowed("rules", options.shared_phm_rule) ? [] : ruleTensors(options);
      const weights = borrowed(`${at} ${from} ${to}`, options.shared_W_phm) ? [] : weightTensors(from / parts, to / parts, options);
      /** @param {Part[]} some @returns {Part[]} */
      const named = (some) => some.map(([name, count]) => [`compactor.${at}.${name}`, count]);
      (options.learn_phm ? found.parts : found.kept).push(...named(rules));
      found.parts.push(...named(weights), ...named(bias ? [["b", to]] : []));
    }
    return { host, ...found };
  });
}

/** @param {Options} options @returns {Part[]} */
function ruleTensors({ hypercomplex_division: parts, factorized_phm_rule: thin }) {
  return thin
    ? [
        ["phm_rule_left", parts * parts],
        ["phm_rule_right", parts * parts],
      ]
    : [["phm_rule", parts ** 3]];
}

/** @param {number} rows @param {number} columns @param {Options} options @returns {Part[]} */
function weightTensors(rows, columns, { hypercomplex_division: parts, phm_rank: rank, factorized_phm: thin }) {
  return thin
    ? [
        ["W_left", parts * rows * rank],
        ["W_right", parts * rank * columns],
      ]
    : [["W", parts * rows * columns]];
}

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
function lora(hosts, options) {
  const ranks = hosts.values(options.rank_pattern ?? {});
  hosts.values(options.alpha_pattern ?? {});
  return hosts.list.map((host) => {
    host.checkContainer();
    if (!host.isLinear && host.kind !== "e") throw noMatrix(host);
    const weight = host.row.parameters.find(([key]) => key === "weight");
    if (options.use_dora && weight && !weight[5].includes("float")) {
      throw new Refused(`DoRA cannot sit on ${host.name}: its weight is quantised.`, "A host in float32, bfloat16 or float16.", host.name);
    }
    const [from, to] = host.sizes;
    const rank = ranks.get(host.name) ?? options.lora_r;
    /** @type {Part[]} */
    const parts = [
      ["lora.lora_A", rank * from],
      ["lora.lora_B", to * rank],
    ];
    if (options.use_dora) parts.push(["lora.lora_magnitude_vector", to]);
    return { host, parts };
  });
}

/** @param {Host} host */
function noMatrix(host) {
  const inside = host.row.children.length ? "" : ": it has no weight matrix";
  const expected = `A Linear, Conv1D or Embedding${inside ? "; here, bitfit trains its bias; an adapter can follow it" : ""}.`;
  return new Refused(`LoRA cannot sit on ${host.name} (${host.row.type})${inside}.`, expected, host.name);
}

/** @param {Hosts} hosts @param {Options} options @returns {Tensors[]} */
function ia3(hosts, options) {
  const before = new Set(inputScaled(hosts, options.feedforward_modules));
  return hosts.list.map((host) => {
    host.checkContainer();
    if (!before.has(host.name)) return { host, parts: [["ia3.ia3_l", host.outputSize()]] };
    if (host.isLinear) return { host, parts: [["ia3.ia3_l", host.sizes[0]]] };
    const what = `${host.name} (${host.row.type}) is to have its input scaled, and is no linear layer.`;
    throw new Refused(what, "A Linear or Conv1D among feedforward_modules.", host.name);
  });
}

/** Names of the hosts whose input is scaled. @param {Hosts} hosts @param {string[] | null} given */
function inputScaled(hosts, given) {
  if (given) return hosts.values(Object.fromEntries(given.map((pattern) => [pattern, true]))).keys();
  return hosts.structure.knowsRoles ? hosts.hit("ff@.w2@") : [];
}

/** @param {Hosts} hosts @returns {Tensors[]} */
function softPrompt(hosts, /** @type {Options} */ options) {
  if ((hosts.request.patterns ?? []).length || hosts.list.length) {
    throw new Refused("A soft prompt stands before the whole text: there is no module to choose.", "No pattern.", "");
  }
  if (options.keep_rows) throw new NeedsKernel("Where it stands then is for the kernel to say.");
  const { prompt, type } = hosts.structure;
  const what = `A soft prompt cannot stand before ${type}: it does not take embeddings of tokens as its input.`;
  if (!prompt) throw new Refused(what, "A model that reads text.", "");
  return [{ host: { name: prompt[0] }, parts: [["soft_prompt_layer.soft_embeds", options.soft_token_num * prompt[1]]] }];
}

export { adapter, compacter, ia3, lora, lowRankAdapter, parallelAdapter, softPrompt };
