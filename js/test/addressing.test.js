// The addressing grammar in the browser: the very cases that the grammar in Python passes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { matchNames, matchStrictly } from "../src/addressing/match.js";
import { regexNow } from "../src/addressing/regex.js";

const FILE = JSON.parse(readFileSync(new URL("../../tests/cases/addressing.json", import.meta.url), "utf8"));

/** @param {string} pattern @param {import("../src/addressing/table.js").NameTable} table */
function regex(pattern, table) {
  const hits = regexNow(pattern, table);
  return hits ? { hits } : /** @type {const} */ ("kernel");
}

/** @param {any} one */
const options = (one) => ({ exclude: one.exclude, roles: one.roles ?? null, parameters: one.parameters, regex });

for (const one of FILE.cases) {
  test(one.title, () => {
    const names = one.model ? FILE.models[one.model] : one.names;
    if (one.browser === "kernel") {
      const found = matchNames(names, one.patterns, options(one));
      assert.equal(found.kernel, true);
      assert.equal(found.problem, null);
    } else if (one.error) {
      assert.throws(() => matchStrictly(names, one.patterns, options(one)), { kind: one.error });
    } else {
      const found = matchStrictly(names, one.patterns, options(one));
      assert.deepEqual(found.hits.map((at) => names[at]), one.expect);
      assert.equal(found.pending || found.kernel, false);
    }
  });
}
