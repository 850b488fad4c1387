// Typed patterns to matches in the store: plain patterns at once, regular expressions from a worker, the rest from the kernel.

import { LiveMatcher } from "../addressing/live.js";
import { regexRunner } from "../addressing/regex_runner.js";
import { splitPatterns } from "../addressing/split.js";
import { ask } from "../ui/ask.js";
import { parameterNames, secondNames, stored } from "./stored.js";

/** @import { Store } from "./store.js" */
/** @import { Model } from "../ui/model.js" */

/** What is typed in the two boxes, matched against the store's structure. */
export class Matching {
  /** @type {LiveMatcher} */ #matcher;
  #frame = 0;
  #asked = { pattern: "", exclude: "" };

  /**
   * @param {Store} store
   * @param {Model} model
   * @param {AbortSignal} signal
   */
  constructor(store, model, signal) {
    this.store = store;
    this.model = model;
    this.signal = signal;
    this.#matcher = this.#made();
    store.on("structure", () => this.#renew(), signal);
    signal.addEventListener("abort", () => (this.#matcher.stop(), cancelAnimationFrame(this.#frame)));
  }

  /**
   * Match, and tell who listens; regular expressions are told once more when their answer has come.
   *
   * @param {string} pattern what the box holds: several patterns are separated by blanks
   * @param {string} exclude
   */
  update(pattern, exclude) {
    this.#asked = { pattern, exclude };
    const wanted = splitPatterns(pattern).patterns;
    const unwanted = splitPatterns(exclude).patterns;
    if (wanted.length) this.#put(this.#matcher.match(wanted, unwanted.length ? unwanted : null));
    else this.#put(null);
  }

  #made() {
    const { structure } = this.store;
    return new LiveMatcher({
      names: structure.names,
      roles: structure.knowsRoles ? structure.roles : null,
      families: this.model.get("families") ?? [],
      parameters: () => parameterNames(structure),
      elsewhere: () => secondNames(structure),
      runner: regexRunner,
      changed: (match) => this.#put(match),
      kernel: this.model.kernel === false ? undefined : (pattern) => this.#askKernel(pattern),
    });
  }

  /** @param {string} pattern @returns {Promise<string[]>} */
  async #askKernel(pattern) {
    const found = await ask(this.model, "match", { patterns: [pattern] }, { signal: this.signal });
    return found.names;
  }

  #renew() {
    this.#matcher.stop();
    this.#matcher = this.#made();
    this.update(this.#asked.pattern, this.#asked.exclude);
  }

  /** @param {import("../addressing/match.js").Match | null} found */
  #put(found) {
    this.store.match = stored(found, this.store.structure);
    // A key stroke only matches; what follows from it is drawn once a frame.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.store.tell("match");
    });
  }
}
