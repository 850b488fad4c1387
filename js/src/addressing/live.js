// Matching while somebody types: plain patterns at once, regular expressions as their answers come in.

import { matchNames } from "./match.js";
import { Problem } from "./problem.js";
import { prepared, tooSlow } from "./regex.js";
import { RoleTable } from "./roles.js";
import { NameTable } from "./table.js";

/** @typedef {import("./match.js").Match} Match */
/** @typedef {import("./match.js").Verdict} Verdict */

const LIMIT = 1000;
const KEPT = 200;
// The kernel may be busy: it is asked when the typing pauses, not for each letter.
const PAUSE = 200;

/**
 * @typedef {object} LiveOptions
 * @property {readonly string[]} names
 * @property {(match: Match) => void} changed called when the answer for a regular expression has come
 * @property {(names: readonly string[], answered: (pattern: string, answer: import("./runner.js").Answer) => void) => import("./runner.js").RegexRunner} runner
 * @property {import("./roles.js").Roles | null} [roles]
 * @property {readonly string[]} [families]
 * @property {() => readonly string[]} [parameters]
 * @property {() => ReadonlyMap<string, string>} [elsewhere]
 * @property {(pattern: string) => Promise<readonly string[]>} [kernel] names that a pattern hits, asked for what the browser cannot run;
 *   rejects with the parts of a message, or with something else where there is no kernel
 */

export class LiveMatcher {
  /** What is known of each regular expression. @type {Map<string, Verdict>} */ #known = new Map();
  /** @type {import("./runner.js").Job[]} */ #jobs = [];
  /** @type {{patterns: string | readonly string[], exclude: string | readonly string[] | null}} */ #asked = { patterns: [], exclude: null };
  /** @type {import("./runner.js").RegexRunner | null} */ #runner = null;
  /** @type {NameTable | null} */ #parameters = null;
  /** Patterns that no worker could run. @type {Set<string>} */ #beyond = new Set();
  /** Patterns that the kernel is to be asked for, and is asked for. @type {Set<string>} */ #forKernel = new Set();
  /** @type {Set<string>} */ #asking = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #pause;
  #stopped = false;

  /** @param {LiveOptions} options */
  constructor(options) {
    this.options = options;
    this.table = new NameTable(options.names);
    this.roles = options.roles ? new RoleTable(this.table, options.roles) : null;
    setTimeout(() => this.table.warm());
  }

  /**
   * @param {string | readonly string[]} patterns
   * @param {string | readonly string[] | null} [exclude]
   * @returns {Match} with `pending` where a regular expression is still at work; `changed` gets the next
   */
  match(patterns, exclude = null) {
    this.#asked = { patterns, exclude };
    this.#jobs = [];
    this.#forKernel.clear();
    const found = this.#answer();
    if (this.#jobs.length || this.#runner) this.#run();
    return found;
  }

  /** End the worker; no more answers come. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#pause);
    this.#runner?.stop();
  }

  #answer() {
    const { families, elsewhere } = this.options;
    return matchNames(this.table, this.#asked.patterns, {
      exclude: this.#asked.exclude,
      roles: this.roles,
      families,
      elsewhere,
      parameters: () => (this.#parameters ??= new NameTable(this.options.parameters?.() ?? [])),
      regex: (pattern) => this.#verdict(pattern),
    });
  }

  #run() {
    this.#runner ??= this.options.runner(this.options.names, (pattern, answer) => this.#answered(pattern, answer));
    this.#runner.want(this.#jobs);
  }

  /** @param {string} pattern @returns {Verdict} */
  #verdict(pattern) {
    const known = this.#known.get(pattern);
    if (known) return known;
    if (this.#asking.has(pattern)) return "pending";
    const script = prepared(pattern, this.table);
    if (script === "kernel" || this.#beyond.has(pattern)) return this.#needsKernel(pattern);
    if (!this.#jobs.some((job) => job.pattern === pattern)) this.#jobs.push({ pattern, script });
    return "pending";
  }

  /** @param {string} pattern @returns {Verdict} */
  #needsKernel(pattern) {
    if (!this.options.kernel) return "kernel";
    this.#forKernel.add(pattern);
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#askKernel(), PAUSE);
    return "pending";
  }

  #askKernel() {
    for (const pattern of this.#forKernel) {
      this.#asking.add(pattern);
      this.options.kernel?.(pattern).then(
        (names) => this.#learn(pattern, { hits: names.flatMap((name) => this.table.position.get(name) ?? []).sort((one, other) => one - other) }),
        (error) => this.#learn(pattern, refusal(error) ?? "kernel"),
      );
    }
    this.#forKernel.clear();
  }

  /** @param {string} pattern @param {import("./runner.js").Answer} answer */
  #answered(pattern, answer) {
    if (answer === "unavailable") {
      this.#beyond.add(pattern);
      if (!this.#stopped) this.options.changed(this.#answer());
    } else this.#learn(pattern, answer === "slow" ? { problem: tooSlow(pattern, LIMIT) } : answer);
  }

  /** @param {string} pattern @param {Verdict} verdict */
  #learn(pattern, verdict) {
    this.#asking.delete(pattern);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KEPT) this.#known.delete(oldest);
    this.#known.set(pattern, verdict);
    if (!this.#stopped) this.options.changed(this.#answer());
  }
}

/** @param {any} error @returns {{problem: Problem} | null} */
function refusal(error) {
  const what = error?.what ?? (error?.expected === undefined ? null : error.message);
  if (!what) return null;
  const { expected = "", nearest = [], try_ = error.tryThis ?? "" } = error;
  return { problem: new Problem("kernel", what, { expected, nearest, try_ }) };
}
