// How long matching and synthesis take, without a page: medians and 95th percentiles in milliseconds, as JSON.
//
// `node bench/matching.mjs [rounds]`

import { matchNames } from "../src/addressing/match.js";
import { regexNow } from "../src/addressing/regex.js";
import { patternsFor, widerPatterns } from "../src/addressing/synthesis.js";
import { NameTable } from "../src/addressing/table.js";

const ROUNDS = Number(process.argv[2] ?? 60);
const PARTS = ["self_attn", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp", "mlp.up_proj"];
PARTS.push("mlp.gate_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm");

/** @param {number} count */
function namesOf(count) {
  const names = ["model", "model.embed_tokens", "model.layers"];
  for (let layer = 0; names.length < count - 1; layer++) {
    names.push(`model.layers.${layer}`, ...PARTS.map((part) => `model.layers.${layer}.${part}`));
  }
  return [...names.slice(0, count - 1), "lm_head"];
}

const regex = (pattern, table) => {
  const hits = regexNow(pattern, table);
  return hits ? { hits } : "kernel";
};

/** @param {() => unknown} work */
function timed(work) {
  for (let i = 0; i < 10; i++) work();
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  }).sort((one, other) => one - other);
  const at = (share) => Number(times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(3));
  return { median: at(0.5), p95: at(0.95) };
}

const results = {};
for (const count of [1_000, 10_000]) {
  const names = namesOf(count);
  const table = new NameTable(names);
  const match = (patterns, exclude) => () => matchNames(table, patterns, { exclude, regex });
  const where = (test) => names.flatMap((name, at) => (test(name) ? [at] : []));
  const choices = {
    one: where((name) => name === "model.layers.40.self_attn.q_proj"),
    everywhere: where((name) => name.endsWith(".q_proj")),
    half: where((name) => /\.(q|v)_proj$/.test(name) && Number(name.split(".")[2]) < 40),
    stack: where((name) => name.includes(".self_attn.")),
    scattered: where((name) => /\.(3|17|31)\.mlp\.up_proj$|\.(5|29)\.self_attn\.q_proj$|lm_head/.test(name)),
  };
  const cases = {
    index: () => new NameTable(names).warm(),
    suffix: match("q_proj"),
    "suffix, all modules of the layers": match(["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]),
    segments: match("layers.0-40.self_attn.q_proj,v_proj"),
    "segments, everything": match(["*", "model.layers.$.*.*"], ["layers.3", "lm_head"]),
    nothing: match("q_porj"),
    regex: match("[r]layers\\.[0-9]+\\.self_attn\\.(q|v)_proj"),
    "regex from any place": match("[r].*_proj"),
  };
  for (const [name, chosen] of Object.entries(choices)) cases[`synthesis, ${name}`] = () => patternsFor(table, chosen);
  cases["wider, half"] = () => widerPatterns(table, choices.half);
  results[count] = Object.fromEntries(Object.entries(cases).map(([name, work]) => [name, timed(work)]));
}
console.log(JSON.stringify({ unit: "ms", rounds: ROUNDS, results }, null, 1));
