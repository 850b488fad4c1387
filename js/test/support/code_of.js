// The code that the Explorer shows for what is typed, for tests in Python: states as JSON come in, the three texts go out.

import { readFileSync } from "node:fs";
import { matchNames } from "../../src/addressing/match.js";
import { regexNow } from "../../src/addressing/regex.js";
import { splitPatterns } from "../../src/addressing/split.js";
import { pending } from "../../src/explorer/code.js";
import { Store } from "../../src/explorer/store.js";
import { stored } from "../../src/explorer/stored.js";
import { Structure } from "../../src/structure/structure.js";
import { plainModel } from "../../src/ui/plain_model.js";

/** @param {any} state */
function codeOf(state) {
  const structure = new Structure(state.structure);
  const store = new Store(structure);
  const wanted = splitPatterns(state.pattern).patterns;
  const exclude = splitPatterns(state.exclude ?? "").patterns;
  /** @param {string} pattern @param {import("../../src/addressing/table.js").NameTable} table */
  const regex = (pattern, table) => {
    const hits = regexNow(pattern, table);
    return hits ? { hits } : /** @type {const} */ ("kernel");
  };
  const options = { exclude: exclude.length ? exclude : null, roles: structure.roleMap(), regex };
  if (wanted.length) store.match = stored(matchNames(structure.names, wanted, options), structure);
  return [0, 1, 2].map((tab) => pending(tab, store, plainModel(state)).join("\n"));
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(codeOf)));
