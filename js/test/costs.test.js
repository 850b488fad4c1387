// The formulas against what the engine says: tests/cases/costs.json, which tests/test_costs.py keeps up to date.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { costOf, withDefaults } from "../src/structure/costs.js";
import { Structure } from "../src/structure/structure.js";

const CASES = JSON.parse(readFileSync(new URL("../../tests/cases/costs.json", import.meta.url), "utf8"));
const MODELS = Object.keys(CASES).filter((name) => name !== "types");
const STRUCTURES = new Map(MODELS.map((name) => [name, new Structure(CASES[name].model)]));
const TYPES = new Map(CASES.types.map((/** @type {any} */ type) => [type.type, type]));
const EVERY = MODELS.flatMap((model) => CASES[model].cases.map((/** @type {any} */ entry) => ({ model, ...entry })));

/** @param {any} entry @param {boolean} [dims] */
function request(entry, dims = true) {
  const structure = /** @type {Structure} */ (STRUCTURES.get(entry.model));
  /** @param {number[]} places */
  const named = (places) => places.map((at) => structure.names[at]);
  const hits = /** @type {Record<string, number[]>} */ (entry.hits);
  return {
    type: entry.type,
    options: withDefaults(TYPES.get(entry.type), entry.options),
    names: named(entry.names),
    patterns: entry.patterns,
    excluded: named(entry.excluded ?? []),
    /** @param {string} pattern @param {string[]} names */
    hits: (pattern, names) => (hits[pattern] ? named(hits[pattern]).filter((name) => names.includes(name)) : null),
    dims: dims ? CASES[entry.model].model.dims : undefined,
  };
}

/** @param {any} entry */
const words = (entry) => `${entry.model} ${entry.type} ${entry.patterns.join(" ")} ${JSON.stringify(entry.options)}`;

for (const type of TYPES.keys()) {
  test(`${type} costs what the engine says`, () => {
    let counted = 0;
    for (const entry of EVERY.filter((/** @type {any} */ one) => one.type === type)) {
      const answer = costOf(/** @type {Structure} */ (STRUCTURES.get(entry.model)), request(entry));
      if (answer.ok) assert.deepEqual(answer.cost, entry.cost ?? { error: entry.error }, words(entry));
      else assert.ok(entry.error || "needs" in answer, `${words(entry)}: ${JSON.stringify(answer)}`);
      counted += Number(answer.ok);
    }
    assert.ok(counted >= 7, `${type} was counted ${counted} times`);
  });
}

test("only what a pass through the model tells, or may refuse, is left to the kernel", () => {
  const asked = new Set();
  for (const entry of EVERY) {
    const answer = costOf(/** @type {Structure} */ (STRUCTURES.get(entry.model)), request(entry));
    if (!answer.ok && "needs" in answer && !entry.error) asked.add(`${entry.type} ${JSON.stringify(entry.options)}: ${answer.why}`);
  }
  assert.deepEqual([...asked].filter((why) => !/shift_positions|keep_rows/.test(why)), []);
});

test("without the sizes of blocks the kernel is asked, and nothing is guessed", () => {
  const adapters = EVERY.filter((/** @type {any} */ one) => one.model === "bert" && one.type === "adapter");
  const blocks = adapters.filter((/** @type {any} */ one) => one.patterns[0] === "attention");
  assert.ok(blocks.length);
  for (const entry of blocks) {
    const answer = costOf(/** @type {Structure} */ (STRUCTURES.get(entry.model)), request(entry, false));
    assert.equal("needs" in answer && answer.needs, "kernel");
  }
});

test("a refusal says who can carry the type", () => {
  const entry = EVERY.find((/** @type {any} */ one) => one.model === "bert" && one.type === "lora" && one.patterns[0] === "LayerNorm");
  const answer = costOf(/** @type {Structure} */ (STRUCTURES.get("bert")), request(entry));
  assert.ok(!answer.ok && "refused" in answer);
  assert.match(answer.refused.what, /^LoRA cannot sit on .*LayerNorm.*no weight matrix/);
  assert.match(answer.refused.expected, /Linear, Conv1D or Embedding/);
});

test("a thousand hosts are counted faster than a key is pressed", () => {
  const layers = 500;
  /** @param {string} name @param {number} size */
  const linear = (name, size) => {
    const weight = ["weight", [64, 64], 1, null, null, "float32"];
    return { l: [name], t: "Linear", n: [size, size, 0, 0], p: [weight], h: ["l", 64, 64] };
  };
  const numbers = [...Array(layers).keys()].map(String);
  const layer = { l: numbers, t: "Layer", n: [8192, 8192, 0, 0], c: [linear("fc1", 4096), linear("fc2", 4096)] };
  const root = { l: [""], t: "Model", n: [0, 0, 0, 0], c: [layer] };
  const structure = new Structure(/** @type {any} */ ({ type: "Model", family: null, totals: [1, 1, 0, 0], modules: 3 * layers, root }));
  const names = structure.names.filter((name) => name.includes("fc"));
  for (const [type, options] of [["lora", {}], ["parallel_adapter", {}], ["bitfit", {}], ["compacter", { shared_W_phm: true }]]) {
    const start = performance.now();
    const hits = (/** @type {string} */ pattern, /** @type {string[]} */ all) => all.filter((name) => name.endsWith(pattern));
    const all = withDefaults(/** @type {any} */ (TYPES.get(/** @type {string} */ (type))), /** @type {any} */ (options));
    const answer = costOf(structure, { type: /** @type {string} */ (type), options: all, names, patterns: ["fc1", "fc2"], hits });
    assert.ok(answer.ok, JSON.stringify(answer));
    assert.ok(performance.now() - start < 100, `${type} took ${performance.now() - start} ms`);
  }
});
