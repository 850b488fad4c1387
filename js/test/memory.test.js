// The estimate of training memory against the engine's: tests/cases/costs.json, as for the costs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fits, trainingMemory } from "../src/structure/memory.js";
import { Structure } from "../src/structure/structure.js";

const CASES = JSON.parse(readFileSync(new URL("../../tests/cases/costs.json", import.meta.url), "utf8"));
const MODELS = Object.keys(CASES).filter((name) => name !== "types");
const SHAPE = { batch: 4, length: 16 };

for (const name of MODELS) {
  const { model, memory } = CASES[name];
  const structure = new Structure(model);
  test(`${name}: memory as it is now`, () => {
    assert.deepEqual(trainingMemory(structure, SHAPE), memory[0]);
  });
  test(`${name}: memory with an adapter that is only planned`, { skip: name === "tuned" || name === "half" }, () => {
    const names = structure.names.filter((_, at) => "lc".includes(structure.rows[structure.rowOf[at]].facts[0] || "-"));
    const parameters = memory[1].gradients / 4;
    assert.deepEqual(trainingMemory(structure, { ...SHAPE, planned: { type: "adapter", names, parameters } }), memory[1]);
  });
}

test("what trains only at the end keeps nothing of what comes before", () => {
  const structure = new Structure(CASES.bert.model);
  const [early, late] = ["bert.encoder.layer.0.output.dense", "bert.encoder.layer.1.output.dense"].map((name) =>
    trainingMemory(structure, { ...SHAPE, planned: { type: "lora", names: [name], parameters: 96 } }),
  );
  assert.ok(late.activations < early.activations);
  const nothing = trainingMemory(structure, { ...SHAPE, planned: { type: "lora", names: [], parameters: 0 } });
  assert.deepEqual([nothing.activations, nothing.gradients], [0, 0]);
});

test("rows before the text go through the model like tokens, and a wider delta leaves more", () => {
  const structure = new Structure(CASES.bert.model);
  /** @param {import("../src/structure/memory.js").Planned} planned */
  const of = (planned, length = 16) => trainingMemory(structure, { batch: 4, length, planned }).activations;
  const prompt = { type: "soft_prompt", names: [""], parameters: 64 };
  assert.equal(of({ ...prompt, rows: 4 }), of(prompt, 20));
  const adapter = { type: "adapter", names: ["bert.encoder.layer.0.output.dense"], parameters: 100 };
  assert.ok(of({ ...adapter, parameters: 1000 }) > of(adapter));
});

test("the process counts when it is said what fits", () => {
  const memory = { weights: 0, gradients: 0, optimizer: 0, activations: 0, passing: 0, total: 1.8e9 };
  assert.equal(fits(memory), false);
  assert.equal(fits({ ...memory, total: 1.5e9 }), true);
});
