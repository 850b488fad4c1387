import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { asText } from "../src/parameters/copy.js";
import { find, meant, words } from "../src/parameters/filter.js";
import { Table } from "../src/parameters/nodes.js";
import { chosen, COLUMNS, sums } from "../src/parameters/rows.js";

/** @import { Choice } from "../src/parameters/nodes.js" */
/** @import { Raw, Row } from "../src/parameters/rows.js" */

/** @type {Choice} */
const CHOICE = { by: "module", sort: "", filter: "", expanded: [], members: [], shut: new Set() };

/**
 * A tree with numbers that add up: `[labels, children, own total, own before for each module]`, nested.
 *
 * @typedef {[number, Shape[], number, number[]]} Shape
 * @type {fc.Arbitrary<Shape[]>}
 */
const shapes = fc.letrec((tie) => ({
  shape: fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.oneof({ maxDepth: 3 }, fc.constant([]), fc.array(tie("shape"), { maxLength: 3 })),
    fc.integer({ min: 0, max: 9 }),
    fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }),
  ),
})).shape.chain((one) => fc.constant(/** @type {any} */ ([one])));

/** @param {Shape} shape @param {string} stem @param {number} count modules above @returns {{raw: Raw, before: number[]}} */
function grown([members, children, total, befores], stem, count) {
  const all = count * members;
  const own = Array.from({ length: all }, (_, at) => befores[at % befores.length]);
  const below = children.map((child, at) => grown(child, `${stem}${"abc"[at]}`, all));
  const before = own.map((value, at) => value + below.reduce((sum, { before: theirs, raw }) => {
    const width = raw.l.length;
    return sum + theirs.slice(at * width, (at + 1) * width).reduce((left, right) => left + right, 0);
  }, 0));
  const sum = total + below.reduce((left, { raw }) => left + raw.n[0] * raw.l.length, 0);
  const labels = members > 1 ? Array.from({ length: members }, (_, at) => `${stem}${at}`) : [stem];
  /** @type {Raw} */
  const raw = { l: labels, t: children.length ? "Block" : "Linear", n: [sum, before, 0, 0, 0] };
  if (children.length) Object.assign(raw, { own: [total, own, 0, 0, 0], c: below.map((one) => one.raw) });
  return { raw, before };
}

/** @param {Shape[]} children */
function tableOf(children) {
  const { raw, before } = grown([1, children, 0, [0]], "", 1);
  raw.l = [""];
  delete raw.own;
  const total = before[0];
  return new Table({ type: "Model", modules: 9, before: true, beforeTotal: total, dead: false, totals: [raw.n[0], total, 0, 0, 0], module: raw, types: [], deltas: [], notes: [] });
}

test("lines that are not opened add up to the totals, whatever is open, shown one by one, or sorted", () => {
  fc.assert(
    fc.property(shapes, fc.array(fc.nat(), { maxLength: 8 }), fc.constantFrom("", "total", "-before", "name"), (children, picks, sort) => {
      const table = tableOf(children);
      /** @type {Choice} */
      const choice = { ...CHOICE, sort, expanded: [], members: [] };
      for (const pick of picks) {
        const openable = table.nodes(choice).filter((node) => node.opens);
        if (!openable.length) break;
        const node = openable[pick % openable.length];
        choice.expanded = [...choice.expanded, node.key];
        if (pick % 2 && node.members) choice.members = [...choice.members, node.key];
      }
      const leaves = table.nodes(choice).filter((node) => !node.open);
      for (const column of COLUMNS) assert.equal(leaves.reduce((sum, node) => sum + node.values[column], 0), table.totals[column]);
      assert.equal(new Set(table.nodes(choice).map((node) => node.key)).size, table.nodes(choice).length);
    }),
  );
});

/** @type {Raw} */
const LAYERS = {
  l: [""], t: "Model", n: [72, 12, 0, 0, 0],
  c: [{ l: ["0", "1", "2"], t: "Layer", n: [24, [4, 8, 0], 0, 0, 0], c: [
    { l: ["q", "k"], t: "Linear", n: [10, [1, 1, 2, 2, 0, 0], 0, 0, 0] },
    { l: ["norm"], t: "LayerNorm", n: [4, [2, 4, 0], 0, 0, 0] },
  ] }],
};
const layers = () => new Table({ type: "Model", modules: 12, before: true, beforeTotal: 72, dead: false, totals: [72, 12, 0, 0, 0], module: LAYERS, types: [], deltas: [], notes: [] });

test("members of a fold have their own numbers", () => {
  const table = layers();
  const choice = { ...CHOICE, expanded: ["0-2", "0-2.q,k", "1"], members: ["0-2"] };
  assert.deepEqual(
    table.nodes(choice).map((node) => [node.key, node.level, node.values.total, node.values.before]),
    [["0-2", 1, 72, 12], ["0", 2, 24, 4], ["1", 2, 24, 8], ["1.q,k", 3, 20, 4], ["1.norm", 3, 4, 4], ["2", 2, 24, 0]],
  );
  const folded = table.nodes({ ...CHOICE, expanded: ["0-2", "0-2.q,k"] });
  assert.deepEqual(folded.map((node) => [node.key, node.count, node.values.before]), [["0-2", 3, 12], ["0-2.q,k", 6, 6], ["0-2.q", 3, 3], ["0-2.k", 3, 3], ["0-2.norm", 3, 6]]);
});

test("siblings stay together when they are sorted", () => {
  const nodes = layers().nodes({ ...CHOICE, sort: "before", expanded: ["0-2", "2", "0"], members: ["0-2"] });
  assert.deepEqual(nodes.map((node) => node.key), ["0-2", "2", "2.q,k", "2.norm", "0", "0.q,k", "0.norm", "1"]);
});

test("the filter opens what holds a hit, says how many members it means, and adds up what it finds", () => {
  const table = layers();
  const nodes = table.nodes({ ...CHOICE, filter: "1.K" });
  assert.deepEqual(nodes.map((node) => [node.key, node.hit, node.open]), [["0-2", "", true], ["0-2.q,k", "1 of 6", false]]);
  assert.deepEqual([table.found("1.K")?.modules, table.found("1.K")?.values.total, table.found("1.K")?.values.before], [1, 10, 2]);
  assert.deepEqual(table.nodes({ ...CHOICE, filter: "1.k", shut: new Set(["0-2"]) }).map((node) => node.key), ["0-2"]);
  assert.deepEqual(table.nodes({ ...CHOICE, filter: "nothing" }), []);
});

test("what lies inside a hit is counted once", () => {
  const table = layers();
  const found = find(words("l"), table.rows); // Layer, Linear and LayerNorm alike
  assert.deepEqual([found.modules, found.values.total], [12, 72]);
});

test("the filter is what a plain search through every name gives", () => {
  fc.assert(
    fc.property(shapes, fc.constantFrom("0", "a1.", "a", "ab", "linear a", "block", "2 b"), (children, text) => {
      const table = tableOf(children);
      const rows = table.rows.filter((row) => row.parent);
      const expected = rows.reduce((sum, row) => sum + row.names.filter((name) => meant(words(text), name, row.raw.t)).length, 0);
      assert.equal(find(words(text), table.rows).modules, expected);
      const leaves = new Set(table.nodes({ ...CHOICE, filter: text }).map((node) => node.key));
      assert.equal(leaves.size > 0, expected > 0);
    }),
  );
});

test("positions of chosen members", () => {
  const row = /** @type {Row} */ (layers().rows.find((one) => one.label === "q,k"));
  assert.deepEqual(chosen(row, [0, -1, 1]), [1, 3, 5]);
  assert.deepEqual(chosen(row, [0, 2, -1]), [4, 5]);
  assert.equal(sums(row.raw.n, [1, 3, 5]).before, 3);
});

test("a copied table is text between tabs, and no formula", () => {
  const table = layers();
  const nodes = table.nodes(CHOICE).map((node) => ({ ...node, key: "=SUM(A1)\tx" }));
  assert.equal(asText(nodes, ["total", "frozen"], table.totals, "Module"), "Module\tType\tTotal\tFrozen\n'=SUM(A1) x\tLayer\t72\t72\nTotal\t\t72\t72");
});
