// Regular expressions in a thread: one that never ends is stopped, and the newest wins.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { LiveMatcher } from "../src/addressing/live.js";
import { RegexRunner } from "../src/addressing/runner.js";

const NAMES = Array.from({ length: 200 }, (_, i) => `model.layers.${i}.${"a".repeat(30)}.fc2`);
let source = "";
let started = 0;

before(async () => {
  const entry = fileURLToPath(new URL("../src/addressing/worker.js", import.meta.url));
  source = (await build({ entryPoints: [entry], bundle: true, format: "iife", write: false })).outputFiles[0].text;
});

/** A browser's worker, as far as worker.js needs one, on a thread of Node. */
function start() {
  started += 1;
  const glue = "const { parentPort } = require('node:worker_threads'); globalThis.self = { postMessage: (m) => parentPort.postMessage(m) };";
  const thread = new Worker(`${glue}\n${source}\nparentPort.on('message', (data) => self.onmessage({ data }));`, { eval: true });
  /** @type {import("../src/addressing/runner.js").WorkerLike} */
  const worker = { postMessage: (message) => thread.postMessage(message), terminate: () => void thread.terminate(), onmessage: null, onerror: null };
  thread.on("message", (data) => worker.onmessage?.({ data }));
  thread.on("error", (error) => worker.onerror?.(error));
  return worker;
}

/** @param {Partial<import("../src/addressing/live.js").LiveOptions>} [more] @param {{limit?: number, begin?: () => any}} [how] */
function live(more = {}, { limit = 1000, begin = start } = {}) {
  /** @type {import("../src/addressing/match.js").Match[]} */
  const seen = [];
  /** @type {(() => void)[]} */
  const waiting = [];
  const matcher = new LiveMatcher({
    names: NAMES,
    runner: (names, answered) => new RegexRunner({ start: begin, names, answered, limit }),
    changed: (match) => {
      seen.push(match);
      if (!match.pending) for (const call of waiting.splice(0)) call();
    },
    ...more,
  });
  const settled = () => new Promise((resolve) => waiting.push(() => resolve(seen[seen.length - 1])));
  return { matcher, seen, settled };
}

test("plain patterns are answered at once, an expression when its thread has run", async () => {
  const { matcher, settled } = live();
  const first = matcher.match(["[r]layers\\.[0-3]\\..*fc2", "7.*.fc2"]);
  assert.deepEqual([first.pending, first.hits.length, first.problem], [true, 1, null]);
  const then = await settled();
  assert.deepEqual(then.patterns.map((/** @type {any} */ one) => one.count), [4, 1]);
  assert.equal(matcher.match("[r]layers\\.[0-3]\\..*fc2").pending, false, "what is known is not run again");
  matcher.stop();
});

// Slow in JavaScript's engine and, by the rules of translation, the same in both languages.
const ENDLESS = "[r](.*)*x";

test("an expression that never ends is stopped in time, and the next one runs", async () => {
  const { matcher, settled } = live({}, { limit: 300 });
  const begun = performance.now();
  assert.equal(matcher.match(ENDLESS).pending, true);
  const { problem } = await settled();
  assert.equal(problem.kind, "slow_regex");
  assert.match(problem.what, /did not finish/);
  assert.ok(performance.now() - begun < 3000);
  matcher.match("[r]fc\\d");
  assert.equal((await settled()).hits.length, 200);
  matcher.stop();
});

test("the newest wins: what is no longer wanted is stopped before its time", async () => {
  const { matcher, seen, settled } = live({}, { limit: 60_000 });
  started = 0;
  matcher.match(ENDLESS);
  await new Promise((resolve) => setTimeout(resolve, 150));
  matcher.match("[r]fc2");
  assert.equal((await settled()).hits.length, 200);
  assert.equal(started, 2);
  assert.ok(seen.every((match) => match.patterns[0].pattern === "[r]fc2"), "no answer for what was dropped");
  matcher.stop();
});

test("what JavaScript cannot run goes to the kernel when the typing pauses", async () => {
  /** @type {string[]} */
  const asked = [];
  const kernel = (/** @type {string} */ pattern) => {
    asked.push(pattern);
    return Promise.resolve([NAMES[3], NAMES[1]]);
  };
  const { matcher, settled } = live({ kernel });
  for (const pattern of ["[r](?>l", "[r](?>l)", "[r](?>layers).*"]) matcher.match(pattern);
  assert.deepEqual((await settled()).hits, [1, 3]);
  assert.deepEqual(asked, ["[r](?>layers).*"]);
  matcher.stop();
});

test("a refusal of the kernel is the pattern's problem; without a kernel it says that it needs one", async () => {
  const refused = Object.assign(new Error("no"), { what: "It is invalid.", expected: "Another.", nearest: ["a"], try_: "" });
  const { matcher, settled } = live({ kernel: () => Promise.reject(refused) });
  matcher.match("[r](?>a");
  assert.deepEqual([(await settled()).problem.what, refused.nearest], ["It is invalid.", ["a"]]);
  const alone = live().matcher.match("[r](?>a)");
  assert.deepEqual([alone.kernel, alone.pending, alone.problem], [true, false, null]);
  const gone = live({ kernel: () => Promise.reject(new Error("no kernel")) });
  gone.matcher.match("[r](?>a)");
  assert.equal((await gone.settled()).kernel, true);
});

test("a page that forbids workers says that expressions need the kernel", async () => {
  const thrown = live({}, { begin: () => { throw new Error("forbidden"); } });
  assert.equal(thrown.matcher.match("[r]fc2").pending, true);
  assert.equal((await thrown.settled()).kernel, true);
  const late = live({}, {
    begin: () => {
      const worker = { postMessage: () => {}, terminate: () => {}, onmessage: null, onerror: /** @type {Function | null} */ (null) };
      setTimeout(() => worker.onerror?.(new Error("forbidden")), 5);
      return worker;
    },
  });
  late.matcher.match("[r]fc2");
  assert.equal((await late.settled()).kernel, true);
});
