import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { peftHits, peftTargets } from "../src/explorer/peft_targets.js";

const layer = (/** @type {number} */ at) => ["q", "k", "out.dense", "dense"].map((end) => `encoder.layer.${at}.${end}`);
const NAMES = [...Array(12).keys()].flatMap(layer).concat("pooler.dense", "classifier");

test("one suffix says it where it is the same everywhere", () => {
  assert.deepEqual(peftTargets(NAMES.filter((name) => /\.(q|k)$/.test(name)), NAMES), ["q", "k"]);
  assert.deepEqual(peftTargets(NAMES.filter((name) => name.endsWith("out.dense")), NAMES), ["out.dense"]);
});

test("what suffixes cannot say is a regular expression", () => {
  const wanted = NAMES.filter((name) => /layer\.\d\.(q|k)$/.test(name));
  assert.equal(peftTargets(wanted, NAMES), String.raw`encoder\.layer\.(?:0|1|2|3|4|5|6|7|8|9)\.(?:q|k)`);
});

test("exactly the chosen modules are hit", () => {
  const segment = fc.constantFrom("a", "b", "q", "0", "1", "10", "x+y", "layer");
  const name = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("."));
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 30 }), fc.infiniteStream(fc.boolean()), (names, coins) => {
      const wanted = names.filter(() => coins.next().value);
      if (!wanted.length) return;
      const targets = peftTargets(wanted, names);
      assert.deepEqual(names.filter((one) => peftHits(targets, one)), wanted, JSON.stringify(targets));
    }),
    { numRuns: 500 },
  );
});
