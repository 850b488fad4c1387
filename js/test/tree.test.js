import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { between, firstOpen, span, visibleItems } from "../src/explorer/items.js";
import { Tally, described, stateOf } from "../src/explorer/marks.js";
import { parameterNames, secondNames, stored } from "../src/explorer/stored.js";
import { exchanged, sentence } from "../src/explorer/pattern_row.js";
import { Store, noMatch } from "../src/explorer/store.js";
import { matchNames } from "../src/addressing/match.js";
import { Structure } from "../src/structure/structure.js";
import { actOf, rangeOf, searched, windowOf } from "../src/ui/tree_keys.js";

/** @import { Item, Shown } from "../src/explorer/items.js" */
/** @import { RawRow } from "../src/structure/structure.js" */

/** @param {...string} labels @returns {RawRow} */
const leaf = (...labels) => ({ l: labels, t: "Linear", n: [12, 12, 0, 0], p: [["weight", [3, 4], 1, null, null, "float32"]] });
const model = () =>
  new Structure({
    type: "Model",
    family: null,
    totals: [84, 84, 0, 0],
    modules: 16,
    root: {
      l: [""], t: "Model", n: [84, 84, 0, 0],
      c: [
        { l: ["layers"], t: "ModuleList", n: [72, 72, 0, 0], c: [{ l: ["0", "1", "2"], t: "Layer", n: [24, 24, 0, 0], c: [{ l: ["attn"], t: "Attention", n: [12, 12, 0, 0], c: [leaf("q")] }, leaf("fc")] }] },
        leaf("head"),
        { l: ["again"], t: "Linear", n: [0, 0, 0, 0], s: "head" },
      ],
    },
  });
/** @param {Structure} structure @param {Partial<Shown>} [more] @returns {Shown} */
const all = (structure, more = {}) => ({ open: new Set(structure.rows.map((row) => row.id)), parts: new Set(), split: new Set(), ...more });
/** @param {Item[]} items */
const shown = (items) => items.map((item) => `${" ".repeat(item.level - 1)}${item.before}${item.label}`);

test("a list of layers shares the line of its layers", () => {
  const structure = model();
  assert.deepEqual(shown(visibleItems(structure, all(structure))), ["layers.0-2", " attn", "  q", " fc", "head", "again"]);
  const kept = all(structure, { kept: (row) => row.label === "layers" });
  assert.deepEqual(shown(visibleItems(structure, kept)).slice(0, 3), ["layers", " 0-2", "  attn"]);
});

test("a fold is shown one by one, and each of its modules opens alone", () => {
  const structure = model();
  const fold = visibleItems(structure, all(structure))[0];
  const split = all(structure, { split: new Set([fold.key]) });
  const singles = visibleItems(structure, split);
  assert.deepEqual(shown(singles), ["layers.0-2", " 0", " 1", " 2", "head", "again"]);
  assert.deepEqual(singles.slice(1, 4).map((item) => item.members.map((at) => structure.names[at])), [["layers.0"], ["layers.1"], ["layers.2"]]);
  split.parts.add(singles[2].key);
  const opened = visibleItems(structure, split);
  assert.deepEqual(shown(opened).slice(2, 5), [" 1", "  attn", "  fc"]);
  assert.deepEqual(opened[3].members.map((at) => structure.names[at]), ["layers.1.attn"]);
  assert.deepEqual([opened[2].position, opened[2].siblings, opened[2].sums[0]], [2, 3, 24]);
});

test("keys of lines are unique, however much is open", () => {
  const structure = model();
  const split = all(structure);
  for (let round = 0; round < 4; round++) {
    for (const item of visibleItems(structure, split)) {
      if (item.canSplit) split.split.add(item.key);
      split.parts.add(item.key);
    }
  }
  const keys = visibleItems(structure, split).map((item) => item.key);
  assert.equal(new Set(keys).size, keys.length);
});

test("only matches: rows with hits and what they are in", () => {
  const structure = model();
  const only = new Set(["", "layers", "layers.0-2", "layers.0-2.fc"].map((address) => rowAt(structure, address).id));
  assert.deepEqual(shown(visibleItems(structure, all(structure, { only }))), ["layers.0-2", " fc"]);
});

test("what is open at first fits", () => {
  const structure = model();
  for (const most of [0, 4, 5, 99]) {
    const open = firstOpen(structure, most);
    assert.ok(visibleItems(structure, { open, parts: new Set(), split: new Set() }).length <= Math.max(most, 3));
  }
});

/** @param {Store} store @param {string[]} patterns */
function match(store, patterns) {
  store.match = stored(matchNames(store.structure.names, patterns), store.structure);
  return new Tally(store);
}

test("hits are counted on a line and inside it, folded, split or single", () => {
  const structure = model();
  const store = new Store(structure);
  const tally = match(store, ["fc", "layers.1.attn.q"]);
  const [fold, attn, q, fc] = visibleItems(structure, all(structure));
  assert.deepEqual([fold, attn, q, fc].map((item) => [tally.own(item), tally.inside(item)]), [[0, 4], [0, 1], [1, 0], [3, 0]]);
  const singles = visibleItems(structure, all(structure, { split: new Set([fold.key]) })).slice(1, 4);
  assert.deepEqual(singles.map((item) => tally.inside(item)), [1, 2, 1]);
  assert.equal(span(rowAt(structure, "layers.0-2")), 4);
  store.plan = { added: 30, share: 0.1, bytes: 120, each: new Map([[fc.row.id, 10]]) };
  assert.equal(tally.cost(fc, 3), 30);
  assert.equal(tally.cost(q, 1), null);
  assert.match(described(fc, { own: 3, inside: 0, cost: 30, also: 0, excluded: 0 }), /^fc, Linear, 3 modules, 36 parameters, trains, 3 of 3 matched, 30 parameters more$/);
  assert.equal(stateOf(rowAt(structure, "head")), "T");
});

test("the verdict in one sentence", () => {
  const store = new Store(model());
  const said = (/** @type {string} */ typed) => sentence(store, typed).map(([text]) => text).join("");
  assert.equal(said(""), "14 modules. Type a pattern, or click modules to get one.");
  match(store, ["fc"]);
  assert.equal(said("fc"), "3 of 14 modules");
  store.plan = { added: 230544, share: 0.00165, bytes: 920000, each: new Map() };
  assert.equal(said("fc"), "3 of 14 modules, +230,544 parameters (0.17 %), 0.9 MB");
  store.match = { ...noMatch(), patterns: [{ pattern: "[r](?a)x", count: 0, problem: "", nearest: [], kernel: true }] };
  assert.match(said("[r](?a)x"), /kernel/);
});

test("a near name takes the place of the pattern that hit nothing", () => {
  assert.equal(exchanged("fc9 'q_proj, v_proj'", "fc9", "fc2"), "fc2 'q_proj, v_proj'");
});

test("further names and parameters explain a mistake", () => {
  const structure = model();
  assert.deepEqual([...secondNames(structure)], [["again", "head"]]);
  assert.deepEqual(parameterNames(structure).filter((name) => name.startsWith("layers.1")), ["layers.1.attn.q.weight", "layers.1.fc.weight"]);
});

/** @param {Structure} structure @param {string} address */
const rowAt = (structure, address) => /** @type {import("../src/structure/structure.js").Row} */ (structure.byAddress.get(address));

const lines = [
  { key: "a", level: 1, expandable: true, open: true },
  { key: "b", level: 2, expandable: true, open: false },
  { key: "c", level: 2, expandable: false, open: false },
  { key: "d", level: 1, expandable: false, open: false },
];
/** @param {string} key @param {number} at @param {object} [more] */
const act = (key, at, more = {}) => actOf({ key, ...more }, lines, at, 2);

test("arrows move, open and close as the W3C describes it", () => {
  assert.deepEqual(act("ArrowDown", 0), { to: 1 });
  assert.deepEqual(act("ArrowUp", 0), { to: 0 });
  assert.deepEqual(act("ArrowRight", 0), { to: 1 });
  assert.deepEqual(act("ArrowRight", 1), { open: true });
  assert.deepEqual(act("ArrowRight", 2), {});
  assert.deepEqual(act("ArrowLeft", 0), { open: false });
  assert.deepEqual(act("ArrowLeft", 2), { to: 0 });
  assert.deepEqual(act("Home", 3), { to: 0 });
  assert.deepEqual(act("End", 0), { to: 3 });
  assert.deepEqual(act("PageDown", 0), { to: 2 });
  assert.deepEqual(act("ArrowDown", 1, { shiftKey: true }), { to: 2, choose: "range" });
  assert.deepEqual(act(" ", 1), { choose: "toggle" });
  assert.deepEqual(act("Enter", 1), { choose: "one" });
  assert.deepEqual(act("*", 1), { openAll: true });
  assert.deepEqual(act("+", 1), { split: true });
  assert.deepEqual(act("f", 1), { search: "f" });
  for (const key of ["Tab", "Escape", "F5"]) assert.equal(act(key, 1), null);
  for (const more of [{ altKey: true }, { ctrlKey: true }, { metaKey: true }]) assert.equal(act("f", 1, more), null);
});

test("typing finds the next line that begins so", () => {
  const texts = ["encoder", "fc1", "fc2", "decoder"];
  assert.equal(searched(texts, 0, "f"), 1);
  assert.equal(searched(texts, 1, "f"), 2);
  assert.equal(searched(texts, 1, "ff"), 2);
  assert.equal(searched(texts, 2, "fc2"), 2);
  assert.equal(searched(texts, 3, "E"), 0);
  assert.equal(searched(texts, 3, "zz"), 3);
});

test("a range between lines of one level leaves out what is inside them", () => {
  assert.deepEqual(rangeOf(lines, 0, 3), [0, 3]);
  assert.deepEqual(rangeOf(lines, 2, 0), [0, 1, 2]);
});

test("what is drawn covers what is in view, and little more", () => {
  fc.assert(
    fc.property(fc.nat(300_000), fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 10, max: 60 }), fc.nat(10_000), (top, height, row, count) => {
      const { from, to } = windowOf({ top, height, row, count });
      assert.ok(from >= 0 && to <= count && to - from <= height / row + 18);
      for (let at = 0; at < count; at++) if ((at + 1) * row > top && at * row < top + height) assert.ok(at >= from && at < to);
    }),
    { numRuns: 40 },
  );
});

test("counting between bounds is counting", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(50)), fc.nat(55), fc.nat(55), (values, one, other) => {
      const sorted = values.toSorted((a, b) => a - b);
      const [from, to] = [Math.min(one, other), Math.max(one, other)];
      assert.equal(between(sorted, from, to), sorted.filter((value) => value >= from && value < to).length);
    }),
  );
});
