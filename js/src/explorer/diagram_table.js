// What each delta type does to a host, as a table: where it sits, what it adds, how the two come together. Pure data in, pure
// data out; diagram.js draws it.

/** @import { Row, Structure } from "../structure/structure.js" */

/**
 * @typedef {"narrow" | "wide" | "round" | "box" | "rows"} Shape
 * @typedef {object} Part one thing that the delta adds
 * @property {Shape} shape @property {string} text @property {string} [note]
 * @typedef {object} HostView the module that a delta sits on
 * @property {string} label @property {string} kind its type @property {string} facts kind of sizes, as deltanb/engine/_facts.py
 * @property {number} from size of what it takes, 0 if that is not known @property {number} to size of what it gives
 * @property {boolean} [inward] whether IA3 scales its input @property {string} [second] the second one of a parallel adapter's pair
 * @typedef {object} Spec
 * @property {"after" | "beside" | "before" | "norm" | "own" | "into" | "front"} where
 * @property {Part[]} chain @property {string} join sign where the two come together, "" if they do not
 * @property {boolean} source whether the chain begins by itself, and takes nothing of the text
 * @property {string} says one sentence
 */

/** @param {number} from @param {number | string} to */
const arrow = (from, to) => `${from || "d"}→${to || "d"}`;
/** @param {Record<string, any>} options */
const times = ({ scaled }) => (scaled === 1 || scaled === undefined ? [] : [{ shape: /** @type {Shape} */ ("round"), text: `× ${scaled}` }]);

/** @param {number} from @param {number | string} small @param {number} to @param {Record<string, any>} options @param {[string, string]} [extra] @returns {Part[]} */
function bottleneck(from, small, to, options, extra = ["", ""]) {
  return [
    { shape: "narrow", text: "down", note: `${arrow(from, small)}${extra[0]}` },
    { shape: "round", text: options.non_linearity.replace(/_.*/, "") },
    { shape: "wide", text: "up", note: `${arrow(/** @type {number} */ (small), to)}${extra[1]}` },
    ...times(options),
  ];
}

/** @param {HostView} host @param {Record<string, any>} options */
const divided = ({ to }, { reduction_factor: factor }) => (to ? Math.floor(to / factor) : `d/${factor}`);

const MOST = 2;

/** @type {Record<string, (host: HostView, options: Record<string, any>) => Omit<Spec, "source"> & {source?: boolean}>} */
const TYPES = {
  adapter(host, options) {
    const chain = bottleneck(host.to, options.bottleneck_dim, host.to, options);
    if (options.placement === "at_norm") return { where: "norm", chain, join: "+", says: `What ${host.label} makes of its input goes through the adapter, is added to that input, and only then through ${host.label}.` };
    return { where: "after", chain, join: "+", says: `What ${host.label} gives goes on unchanged, and the adapter's part of it is added.` };
  },
  low_rank_adapter(host, options) {
    const rank = `, rank ${options.low_rank_rank}`;
    const chain = bottleneck(host.to, divided(host, options), host.to, options, [rank, rank]);
    return { where: "after", chain, join: "+", says: `As an adapter after ${host.label}; each of its two matrices is a product of two thin ones.` };
  },
  compacter(host, options) {
    const sum = `, Σ ${options.hypercomplex_division} ⊗`;
    const chain = bottleneck(host.to, divided(host, options), host.to, options, [sum, sum]);
    return { where: "after", chain, join: "+", says: `As an adapter after ${host.label}; its matrices are sums of ${options.hypercomplex_division} Kronecker products (⊗).` };
  },
  parallel_adapter(host, options) {
    const chain = bottleneck(host.from, options.bottleneck_dim, host.to, options);
    const place = host.second ? `the way from ${host.label} to ${host.second}` : host.label;
    return { where: "beside", chain, join: "+", says: `The adapter reads what ${host.label} reads, beside ${place}, and is added to what comes out.` };
  },
  lora(host, options) {
    const scale = options.lora_alpha / (options.use_rslora ? Math.sqrt(options.lora_r) : options.lora_r);
    /** @type {Part[]} */
    const chain = [
      { shape: "narrow", text: "A", note: arrow(host.from, options.lora_r) },
      { shape: "wide", text: "B", note: arrow(options.lora_r, host.to) },
      { shape: "round", text: `× ${Number(scale.toPrecision(3))}` },
      ...(options.use_dora ? [{ shape: /** @type {Shape} */ ("box"), text: "lengths", note: `${host.to || "d"}` }] : []),
    ];
    const looks = host.facts === "e" ? "looks up" : "computes";
    return { where: "beside", chain, join: "+", says: `To what the frozen ${host.label} ${looks}, a low-rank product B·A is added; merged, it costs nothing.` };
  },
  bitfit: (host) => ({
    where: "after",
    source: true,
    chain: [{ shape: "box", text: "bias", note: `${host.to || "d"}` }],
    join: "+",
    says: `Only the bias of ${host.label} trains; where there is none, one that begins at zero is added.`,
  }),
  ia3: (host) => ({
    where: host.inward ? "before" : "after",
    source: true,
    chain: [{ shape: "box", text: "l", note: `${(host.inward ? host.from : host.to) || "d"}` }],
    join: "×",
    says: `What ${host.label} ${host.inward ? "takes" : "gives"} is multiplied by a vector, number by number; it begins at one.`,
  }),
  ln_tuning: (host) => ({ where: "own", chain: [], join: "", says: `Nothing is added: the weights and biases of ${host.label} itself train.` }),
  prefix(host, options) {
    /** @type {Part[]} */
    const rows = [{ shape: "rows", text: `${options.prefix_token_num} keys, values`, note: host.to ? `of ${host.to}` : "" }];
    /** @type {Part[]} */
    const network = options.reparameterize ? [{ shape: "box", text: "network", note: `${options.embed_dim}→${options.mid_dim}` }] : [];
    const made = options.reparameterize ? "made by a small network," : "";
    return { where: "into", source: true, chain: [...network, ...rows], join: "", says: `${options.prefix_token_num} rows${made && `, ${made}`} come before the text's own keys and values in ${host.label}.` };
  },
  soft_prompt: (host, options) => ({
    where: "front",
    source: true,
    chain: [{ shape: "rows", text: `${options.soft_token_num} vectors`, note: host.to ? `of ${host.to}` : "" }],
    join: "⧺",
    says: `${options.soft_token_num} trained vectors come before the text's embeddings; the model stays as it is.`,
  }),
};

/**
 * What is to be drawn.
 *
 * @param {string} type @param {HostView} host @param {Record<string, any>} options all of them
 * @returns {Spec}
 */
export function specOf(type, host, options) {
  const spec = { source: false, ...TYPES[type](host, options) };
  const frozen = spec.where === "own" ? "" : " The host is frozen (dashed); the delta trains (bold).";
  return { ...spec, says: spec.says + frozen };
}

export const DRAWN = Object.keys(TYPES);

/** @param {Structure} structure @param {import("./draft.js").FullDraft} draft @returns {HostView} */
export function hostView(structure, draft) {
  if (draft.type === "soft_prompt") return { label: "embeddings", kind: "", facts: "e", from: 0, to: structure.prompt?.[1] ?? 0 };
  const at = draft.type === "ia3" && !draft.inward.includes(draft.hosts[0]) ? draft.hosts[0] : (draft.inward[0] ?? draft.hosts[0]);
  if (at === undefined) return { label: "host", kind: "", facts: "", from: 0, to: 0 };
  const row = structure.rows[structure.rowOf[at]];
  const [facts, from = 0, to = 0] = row.facts;
  const pair = draft.type === "parallel_adapter" && draft.patterns.length > 1 && draft.patterns[0] !== draft.patterns[1];
  const second = pair ? draft.hosts.map((one) => structure.rows[structure.rowOf[one]]).find((one) => one.label !== row.label) : undefined;
  return {
    label: labelOf(structure, draft.hosts, row),
    kind: row.type,
    facts,
    from: facts === "a" ? 0 : from,
    to: second ? (second.facts[2] ?? 0) : facts === "a" ? from : to,
    inward: draft.inward.includes(at),
    second: second?.label,
  };
}

/** What the hit modules of a row are called, each once. @param {Structure} structure @param {number[]} hosts @param {Row} row */
function labelOf(structure, hosts, row) {
  const own = hosts.filter((at) => structure.rowOf[at] === row.id).map((at) => /** @type {string} */ (structure.names[at].split(".").at(-1)));
  const labels = [...new Set(own)].filter((label) => !/^\d+$/.test(label));
  return labels.length > MOST ? `${labels.slice(0, MOST).join(", ")}, …` : labels.join(", ") || row.type;
}
