// The Pattern box's text: to patterns and back. That it reads like a `%delta match` line is tested against Python.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { joinPatterns, splitPatterns } from "../src/addressing/split.js";

/** @type {[string, string[]][]} */
const CASES = [
  ["fc1 fc2", ["fc1", "fc2"]],
  ["  fc1\t'q_proj, v_proj' ", ["fc1", "q_proj, v_proj"]],
  ["q_proj,v_proj", ["q_proj,v_proj"]],
  ['[r](\\d)+\\.fc2 "it\'s"', ["[r](\\d)+\\.fc2", "it's"]],
  ["fc1 # a note", ["fc1"]],
  ["fc#1;", ["fc#1"]],
  ["", []],
  ["''", [""]],
];
for (const [text, patterns] of CASES) {
  test(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(splitPatterns(text), { patterns, open: false }));
}

test("a quote that is not closed yet holds what stands in it", () => {
  assert.deepEqual(splitPatterns("fc1 'q_proj, v"), { patterns: ["fc1", "q_proj, v"], open: true });
});

test("what is joined is read again", () => {
  const pattern = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => !(text.includes("'") && text.includes('"') && /[\s#;]/.test(text)));
  const fitting = fc.array(fc.oneof(pattern, fc.constantFrom("fc1", "q_proj, v_proj", "it's", "a;", "#b", "[r](\\d)+$", "a'b\"c")), { maxLength: 5 });
  fc.assert(fc.property(fitting, (patterns) => assert.deepEqual(splitPatterns(joinPatterns(patterns)).patterns, patterns)), { numRuns: 500 });
});
