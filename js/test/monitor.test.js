import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { dash, groups, line, range, scale, spread, steps, ticks } from "../src/ui/chart_scale.js";
import { duration, figures, megabytes, milestone, rate, summary } from "../src/monitor/words.js";

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });

test("a range holds the values, and spans something even where they are equal", () => {
  assert.deepEqual(range([]), [0, 1]);
  const [low, high] = range([0.5, 0.5]);
  assert.ok(low < 0.5 && high > 0.5);
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1, maxLength: 19 }), (values) => {
      const [from, to] = range(values);
      assert.ok(values.every((value) => value >= from && value <= to) && to > from);
    }),
  );
});

test("a spike of a long run does not flatten the rest, and bounds are kept", () => {
  assert.ok(range([...Array(500).fill(1), 1000, 0.5])[1] < 2);
  assert.deepEqual(range([0.1, 0.95], { within: [0, 1] }).map((value) => Math.max(0, Math.min(1, value))), range([0.1, 0.95], { within: [0, 1] }));
  assert.ok(range([NaN, Infinity, 2])[1] < 3);
});

test("ticks are round, inside, in order and few", () => {
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.42, 0.71), [0.5, 0.6, 0.7]);
  fc.assert(
    fc.property(finite, fc.double({ min: 1e-4, max: 1e5, noNaN: true }), (low, span) => {
      const found = ticks(low, low + span);
      assert.ok(found.length >= 1 && found.length <= 7, String(found));
      assert.ok(found.every((tick, at) => tick >= low - span * 1e-6 && tick <= low + span * (1 + 1e-6) && (at === 0 || tick > found[at - 1])));
    }),
  );
});

test("the axis of steps has both ends, whole numbers, and room between them", () => {
  assert.deepEqual(steps(1), [1]);
  assert.deepEqual(steps(2), [1, 2]);
  assert.deepEqual(steps(94), [1, 25, 50, 75, 94]);
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 100_000 }), fc.integer({ min: 2, max: 6 }), (end, count) => {
      const found = steps(end, count);
      assert.equal(found[0], 1);
      assert.equal(found.at(-1), end);
      assert.ok(found.every((step, at) => Number.isInteger(step) && (at === 0 || step > found[at - 1])));
      assert.ok(found.length <= count + 3);
    }),
  );
});

test("a scale is linear, turns axes round and holds what lies outside at the edge", () => {
  const y = scale([0, 1], [200, 0]);
  assert.deepEqual([y(0), y(0.25), y(1), y(7), y(-7)], [200, 150, 0, 0, 200]);
  assert.equal(scale([3, 3], [0, 10])(3), 0);
  assert.equal(line([[0, 0], [1, 1]], scale([0, 1], [0, 10]), y), "0.0,200.0 10.0,0.0");
});

test("labels keep their order and their distance, and stay inside", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { maxLength: 8 }), (wanted) => {
      const placed = spread(wanted, 16, [0, 300]);
      const sorted = placed.toSorted((a, b) => a - b);
      assert.ok(sorted.every((value, at) => at === 0 || value - sorted[at - 1] >= 16 - 1e-9));
      assert.ok(placed.every((value) => value >= -1e-9 && value <= 300 + 1e-9));
      wanted.forEach((one, a) => wanted.forEach((other, b) => assert.ok(one >= other || placed[a] <= placed[b])));
    }),
  );
});

test("labels far apart do not push each other", () => assert.deepEqual(groups([90, 10, 95, 12], 10), [[1, 3], [0, 2]]));

test("four earlier runs have four dashes", () => assert.equal(new Set([0, 1, 2, 3].map(dash)).size, 4));

const start = {
  status: "running", phase: "", steps: 0, end: 8, share: 0, losses: [], rates: [], accuracies: [], throughput: 0, memory: {}, left: -1, seconds: 0,
  verdict: "", problem: {},
};
/** @param {number} steps @param {object} [more] @returns {any} */
const at = (steps, more = {}) => ({
  ...start, steps, losses: Array.from({ length: steps }, (_, step) => [step + 1, 1 / (step + 1), 1 / (step + 1)]), rates: [[steps, 3e-3]], ...more,
});

test("figures say what is known, and nothing else", () => {
  const unknown = Object.fromEntries(figures(/** @type {any} */ ({ ...start, end: 0 })));
  assert.ok(Object.values(unknown).every((value) => value === "–"));
  const known = Object.fromEntries(figures(at(4, { left: 75, throughput: 1234.4, memory: { now: 812.2, peak: 1412 }, accuracies: [[4, 0.75]] })));
  assert.deepEqual(known, {
    Step: "4 of 8", Loss: "0.250", Accuracy: "0.750", "Learning rate": "0.003", Throughput: "1,234 texts/s", Memory: "812 MB, peak 1.4 GB", "Time left": "1 min 15 s",
  });
  assert.equal(Object.fromEntries(figures(at(8, { status: "finished", left: 0, seconds: 3.2 }))).Time, "3 s");
});

test("numbers are said as a person says them", () => {
  assert.deepEqual([0.4, 31.2, 90, 60, 5400].map(duration), ["under 1 s", "31 s", "1 min 30 s", "1 min", "1 h 30 min"]);
  assert.deepEqual([0, 3e-3, 1e-4, 2.345e-5].map(rate), ["0", "0.003", "1e-4", "2.3e-5"]);
  assert.deepEqual([999, 1000].map(megabytes), ["999 MB", "1.0 GB"]);
});

test("milestones are few: the start, quarters, measurings, the end", () => {
  const states = [at(0, { status: "waiting" }), ...[0, 1, 2, 3, 4, 5, 6, 7].map((step) => at(step))];
  states.push(at(7, { phase: "measuring on the held-out rows" }), at(8, { status: "finished", verdict: "Accuracy 0.8." }), at(8, { status: "finished", verdict: "Accuracy 0.8." }));
  const said = states.map((state, index) => milestone(index ? states[index - 1] : null, state)).filter(Boolean);
  assert.deepEqual(said.map((words) => words.split(".")[0]), [
    "Training 8 steps", "Step 2 of 8", "Step 4 of 8", "Step 6 of 8", "Measuring on the held-out rows", "Accuracy 0",
  ]);
});

test("an end is said once, a failure with its reason, a stop at once", () => {
  assert.equal(milestone(at(3), at(3, { status: "stopping" })), "Stopping after this step.");
  assert.equal(milestone(at(3, { status: "stopping" }), at(3, { status: "stopping" })), "");
  assert.equal(milestone(at(3), at(3, { status: "failed", problem: { what: "The loss is not a number." } })), "Training failed. The loss is not a number.");
  assert.equal(milestone(at(2), at(3, { accuracies: [[3, 0.5]] })), "Step 3: accuracy 0.500.");
  assert.equal(milestone(null, at(8, { status: "finished", verdict: "Done." })), "Done.");
});

test("the summary of a curve names its ends", () => {
  assert.equal(summary(at(0)), "No step is done yet.");
  assert.equal(summary(at(4)), "Loss 1.000 at step 1, 0.250 at step 4; accuracy not measured yet.");
});
