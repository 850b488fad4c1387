// Patterns from a choice: the shared cases, and for any names and any choice the best proposal hits exactly that choice.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { nameHits } from "../src/addressing/pattern.js";
import { regexNow } from "../src/addressing/regex.js";
import { patternsFor, widerPatterns } from "../src/addressing/synthesis.js";
import { NameTable } from "../src/addressing/table.js";

const read = (/** @type {string} */ name) => JSON.parse(readFileSync(new URL(`../../tests/cases/${name}.json`, import.meta.url), "utf8"));
const MODELS = read("addressing").models;

for (const one of read("synthesis").cases) {
  test(one.title, () => {
    const names = one.model ? MODELS[one.model] : one.names;
    const chosen = one.chosen.map((/** @type {string} */ name) => names.indexOf(name));
    assert.deepEqual(patternsFor(names, chosen, one.roles ?? null).map(({ kind, patterns }) => [kind, ...patterns]), one.proposals);
    const wider = widerPatterns(names, chosen).map(({ pattern, extra }) => [pattern, extra.map((at) => names[at])]);
    assert.deepEqual(wider, one.wider);
  });
}

/** @param {string} pattern @param {NameTable} table */
const hits = (pattern, table) => (pattern.startsWith("[r]") ? (regexNow(pattern, table) ?? []) : nameHits(pattern, table));

const ODD = ["$", "*", "0-5", "a,b", "q@", "[r]x", " ", "a b", "-", "é", "x\n", "01", "(", "\\d", "^", "'", "12345678901"];
const segment = (/** @type {string[]} */ more) =>
  fc.oneof(fc.constantFrom("a", "b", "c", "fc1", "fc2", ...more), fc.integer({ min: 0, max: 11 }).map(String));
const forest = (/** @type {string[]} */ more) =>
  fc.uniqueArray(fc.array(segment(more), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(".")), { minLength: 1, maxLength: 40 });

for (const [kind, more] of /** @type {const} */ ([["plain", []], ["odd", ODD]])) {
  test(`any choice among ${kind} names has exact patterns`, () => {
    const choice = forest([...more]).chain((names) => fc.tuple(fc.constant(names), fc.subarray([...names.keys()], { minLength: 1 })));
    fc.assert(
      fc.property(choice, ([names, chosen]) => {
        const table = new NameTable(names);
        const found = patternsFor(table, chosen);
        assert.ok(found.length);
        for (const { patterns } of found) {
          const all = new Set(patterns.flatMap((pattern) => hits(pattern, table)));
          assert.deepEqual([...all].sort((one, other) => one - other), chosen);
        }
      }),
      { numRuns: 500 },
    );
  });
}

test("nothing chosen, nothing proposed", () => {
  assert.deepEqual(patternsFor(["a"], []), []);
  assert.deepEqual(widerPatterns(["a"], []), []);
});

test("of more groups than anybody reads, only what no suffix can say is a regular expression", () => {
  const pairs = Array.from({ length: 70 }, (_, i) => [`a${i}.b${i}`, `a${i}.b${(i + 1) % 70}`]);
  const names = [...pairs.flat(), "h", "z.h"];
  const [best] = patternsFor(names, [...pairs.keys()].map((i) => 2 * i).concat(140));
  assert.deepEqual([best.kind, best.patterns], ["several", [...pairs.map((pair) => pair[0]), "[r]^h$"]]);
});
