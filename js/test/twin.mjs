// What the grammar in the browser says to the cases on standard input, one JSON a line, for a comparison with Python's.

import { createInterface } from "node:readline";
import { matchNames } from "../src/addressing/match.js";
import { regexNow } from "../src/addressing/regex.js";
import { splitPatterns } from "../src/addressing/split.js";
import { patternsFor, widerPatterns } from "../src/addressing/synthesis.js";

const ANSWERS = {
  match({ names, patterns, exclude, parameters, families }) {
    const regex = (pattern, table) => {
      const hits = regexNow(pattern, table);
      return hits ? { hits } : "kernel";
    };
    const found = matchNames(names, patterns, { exclude, parameters, families, regex });
    if (found.kernel) return "kernel";
    if (found.problem) {
      const { what, expected, nearest, try_ } = found.problem;
      return { what, expected, nearest, try_ };
    }
    const counts = Object.fromEntries(found.patterns.map((one) => [one.pattern, one.count]));
    const named = (positions) => positions.map((at) => names[at]);
    return { names: named(found.hits), excluded: named(found.excluded), counts, hints: found.hints };
  },
  synthesis({ names, chosen, roles }) {
    const positions = chosen.map((name) => names.indexOf(name));
    return {
      proposals: patternsFor(names, positions, roles).map(({ kind, patterns }) => [kind, ...patterns]),
      wider: widerPatterns(names, positions).map(({ pattern, extra }) => [pattern, extra.map((at) => names[at])]),
    };
  },
  words: ({ line }) => splitPatterns(line),
};

for await (const line of createInterface({ input: process.stdin })) {
  const one = JSON.parse(line);
  console.log(JSON.stringify(ANSWERS[one.ask](one)));
}
