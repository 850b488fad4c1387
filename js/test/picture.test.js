// Which modules each box of the picture stands for, and where the arrow keys go.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Boxes, hitWords, neighbour, range } from "../src/explorer/picture_boxes.js";
import { Structure } from "../src/structure/structure.js";

/** @param {string[]} labels @param {any} [more] @returns {any} */
const row = (labels, more = {}) => ({ l: labels, t: "M", n: [1, 1, 0, 0], ...more });

const structure = new Structure({
  type: "M",
  family: null,
  totals: [1, 1, 0, 0],
  modules: 13,
  root: row([""], { c: [row(["embed"]), row(["layers"], { c: [row(["0", "1", "2"], { c: [row(["fc1"]), row(["act"]), row(["fc2"])] })] })] }),
});
const at = (/** @type {string} */ name) => structure.names.indexOf(name);
const LAYERS = "layers.0-2";

/** @param {any[]} raw @param {string[]} names */
function words(raw, names) {
  const boxes = new Boxes(raw, structure);
  const { tallies, elsewhere } = boxes.count(names.map(at));
  return [...boxes.all.map((box, index) => hitWords(box, tallies[index])), elsewhere];
}

const CLOSED = [{ address: "embed", row: "embed" }, { address: LAYERS, row: LAYERS, around: ["layers"], hidden: 3 }];
const OPEN = [{ address: LAYERS, row: LAYERS, around: ["layers"] }, { address: `${LAYERS}.fc1`, row: `${LAYERS}.fc1` }];

test("a box tells its own hits, else those of a list around it, else those inside", () => {
  assert.deepEqual(words(CLOSED, ["embed"]), ["● 1 of 1", "", 0]);
  assert.deepEqual(words(CLOSED, ["layers.0", "layers.2", "layers.1.fc1"]), ["", "● 2 of 3", 0]);
  assert.deepEqual(words(CLOSED, ["layers"]), ["", "● layers", 0]);
  assert.deepEqual(words(CLOSED, ["layers.0.fc1", "layers.1.act"]), ["", "● 2 inside", 0]);
});

test("a module without a box is counted in the box around it, or nowhere", () => {
  assert.deepEqual(words(OPEN, ["layers.0.act", "layers.1.fc2"]), ["● 2 inside", "", 0]);
  assert.deepEqual(words(OPEN, ["embed", "layers.0.fc1"]), ["", "● 1 of 3", 1]);
});

test("a fold that is opened to its members has a box for each", () => {
  const raw = ["0", "1", "2"].map((label) => ({ address: `layers.${label}`, row: LAYERS, names: [`layers.${label}`], hidden: 3 }));
  assert.deepEqual(words(raw, ["layers.1", "layers.2.fc1"]), ["", "● 1 of 1", "● 1 inside", 0]);
  const { all } = new Boxes(raw, structure);
  assert.deepEqual(all.map((box) => [box.fold, box.foldable]), [[LAYERS, false], [LAYERS, false], [LAYERS, false]]);
  assert.deepEqual(new Boxes(OPEN, structure).all.map((box) => [box.fold, box.foldable]), [["", true], ["", false]]);
});

test("every module is counted once, whatever is drawn", () => {
  const choices = [CLOSED, OPEN, [], [CLOSED[0]], [...OPEN, CLOSED[0]]];
  fc.assert(
    fc.property(fc.constantFrom(...choices), fc.uniqueArray(fc.nat(structure.names.length - 1)), (raw, names) => {
      const { tallies, elsewhere } = new Boxes(raw, structure).count(names);
      assert.equal(tallies.reduce((sum, { own, around, inside }) => sum + own + around + inside, elsewhere), names.length);
    }),
  );
});

test("a range keeps to one level where both its ends are there", () => {
  const raw = [...CLOSED, { address: "layers.0-2.fc1", row: `${LAYERS}.fc1` }, { address: "layers.0-2.fc2", row: `${LAYERS}.fc2` }];
  const boxes = new Boxes(raw, structure).all;
  assert.deepEqual(range(boxes, 3, 2).map((box) => box.address), ["layers.0-2.fc1", "layers.0-2.fc2"]);
  assert.equal(range(boxes, 0, 3).length, 4);
});

test("arrow keys go to the nearest box that way, and stay where there is none", () => {
  const places = [
    { x: 0, y: 0, width: 200, height: 100 },
    { x: 10, y: 20, width: 80, height: 20 },
    { x: 10, y: 45, width: 80, height: 20 },
    { x: 110, y: 20, width: 80, height: 20 },
  ];
  const go = (/** @type {number} */ from, /** @type {any} */ way) => neighbour(places, from, way);
  assert.deepEqual([go(0, "down"), go(1, "down"), go(1, "right"), go(3, "left"), go(2, "up"), go(1, "up")], [1, 2, 3, 1, 1, 0]);
  assert.deepEqual([go(2, "down"), go(3, "right"), go(-1, "down"), neighbour([], -1, "up")], [2, 3, 0, -1]);
});
