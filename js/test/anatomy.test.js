import assert from "node:assert/strict";
import { test } from "node:test";
import { figure, linesOf, measuresOf, ranked, verdict } from "../src/anatomy/lines.js";

/** @param {string} name @param {number | null} relative @param {number | null} [moved] */
const row = (name, relative, moved = null) => ({ name, change: relative, relative, moved, values: [], rank: null, first: null });
const groups = [
  { pattern: "layer.$.q", type: "Linear", core: true, labels: ["0", "1", "2"], rows: [row("layer.0.q", 0.1), row("layer.1.q", 0.4), row("layer.2.q", 0.2)] },
  { pattern: "head", type: "Linear", core: false, labels: ["head"], rows: [row("head", 40)] },
];
/** @type {any} */
const view = { measure: "relative", order: "model", here: {}, closed: new Set() };

test("a line for each pattern, and one for each layer below it", () => {
  const lines = linesOf(groups, view);
  assert.deepEqual(lines.map(({ level, label }) => [level, label]), [[1, "layer.$.q"], [2, "0"], [2, "1"], [2, "2"], [1, "head"], [2, "head"]]);
  assert.deepEqual(lines.map(({ position, siblings }) => [position, siblings]), [[1, 2], [1, 3], [2, 3], [3, 3], [2, 2], [1, 1]]);
  assert.equal(new Set(lines.map(({ key }) => key)).size, lines.length);
});

test("the longest bar is one of the delta's own, and a trained head's is no longer", () => {
  const shares = linesOf(groups, view).filter(({ row: one }) => one).map(({ share }) => share);
  assert.deepEqual(shares.map((share) => share.toFixed(2)), ["0.25", "1.00", "0.50", "1.00"]);
});

test("by size the largest comes first, in each group", () => {
  const labels = linesOf(groups, { ...view, order: "size" }).filter(({ row: one }) => one).map(({ label }) => label);
  assert.deepEqual(labels, ["1", "2", "0", "head"]);
});

test("a closed group keeps its line, with the mean of what it hides", () => {
  const lines = linesOf(groups, { ...view, closed: new Set(["layer.$.q"]) });
  assert.deepEqual(lines.map(({ label }) => label), ["layer.$.q", "head", "head"]);
  assert.equal(lines[0].value?.toFixed(4), "0.2333");
  assert.equal(lines[0].open, false);
});

test("only measures that there are numbers for are offered", () => {
  assert.deepEqual(measuresOf(groups, {}), ["relative", "change"]);
  assert.deepEqual(measuresOf([{ ...groups[1], core: true, rows: [row("a", null, 0.1)] }, groups[1]], {}), ["moved"]);
  assert.deepEqual(measuresOf([{ ...groups[0], rows: [row("a", null, 0.2)] }], { a: 0.1 }), ["moved", "here"]);
});

test("what is unknown is no zero, and what is zero is no rounding", () => {
  assert.deepEqual([figure(null), figure(undefined), figure(0), figure(0.1234, true), figure(0.00001, true)], ["–", "–", "0", "12.3 %", "1.0e-3 %"]);
  assert.deepEqual([figure(14.87, true), figure(0.0234), figure(3.14159)], ["1,487 %", "0.0234", "3.14"]);
});

test("a comparison is said in a sentence", () => {
  const answer = { labels: ["bad", "good"], with: [0.1, 0.9], without: [0.6, 0.4] };
  assert.equal(verdict(answer), "With the delta: good 0.900. Without it: bad 0.600.");
  assert.equal(verdict({ ...answer, without: [0.4, 0.6] }), "With the delta: good 0.900. Without it the same answer, 0.600.");
  assert.deepEqual(ranked(answer, 1), [{ label: "good", after: 0.9, before: 0.4 }]);
});
