// Regular expressions one after another in a worker, each with a limit on its time; only what is still wanted is run.

import { SEPARATOR } from "./regex_hits.js";

/**
 * @typedef {import("./regex_translate.js").Script} Script
 * @typedef {{pattern: string, script: Script}} Job
 * @typedef {{hits: number[]} | "slow" | "unavailable"} Answer
 * @typedef {Pick<Worker, "postMessage" | "terminate"> & {onmessage: Function | null, onerror: Function | null}} WorkerLike
 */

// An expression that nobody wants any more may go on this long before its thread is stopped.
const GRACE = 50;
// How long a thread may take to start.
const START = 10_000;

export class RegexRunner {
  /** @type {string | undefined} */ #joined;
  /** @type {WorkerLike | null} */ #worker = null;
  /** @type {Job[]} */ #queue = [];
  /** @type {Job | null} */ #running = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #id = 0;
  #begun = false;
  #wanted = true;
  #broken = false;

  /**
   * @param {object} options
   * @param {() => WorkerLike} options.start makes a worker that runs worker.js
   * @param {readonly string[]} options.names
   * @param {(pattern: string, answer: Answer) => void} options.answered
   * @param {number} [options.limit] milliseconds for one expression over all names
   */
  constructor({ start, names, answered, limit = 1000 }) {
    this.start = start;
    this.names = names;
    this.answered = answered;
    this.limit = limit;
  }

  /** Run these and no others: what was wanted before and is not named here is dropped. @param {Job[]} jobs */
  want(jobs) {
    const running = this.#running;
    const wanted = !running || jobs.some((job) => job.pattern === running.pattern);
    if (wanted !== this.#wanted) {
      this.#wanted = wanted;
      if (this.#begun) this.#endsIn(wanted ? this.limit : GRACE);
    }
    this.#queue = jobs.filter((job) => job.pattern !== running?.pattern);
    this.#next();
  }

  /** End the thread; a later `want` starts a new one. */
  stop() {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = this.#running = null;
    this.#queue = [];
  }

  #next() {
    if (this.#running) return;
    const job = this.#queue.shift();
    if (!job) return;
    const worker = this.#ready();
    // Not before `want` has returned: who asks first shows that it waits.
    if (!worker) return queueMicrotask(() => this.#answer(job, "unavailable"));
    this.#running = job;
    this.#begun = false;
    this.#wanted = true;
    this.#endsIn(START, "unavailable");
    worker.postMessage({ id: ++this.#id, source: job.script.source, flags: job.script.flags });
  }

  /** @returns {WorkerLike | null} */
  #ready() {
    if (this.#worker || this.#broken) return this.#worker;
    try {
      this.#joined ??= joined(this.names);
      const worker = (this.#worker = this.start());
      worker.onmessage = (/** @type {MessageEvent} */ { data }) => this.#heard(data);
      worker.onerror = () => this.#fail();
      worker.postMessage({ names: this.#joined });
      return worker;
    } catch {
      this.#broken = true;
      return null;
    }
  }

  /** @param {{id: number, begun?: boolean, hits?: Uint32Array}} data without hits: the expression was too much for the engine */
  #heard({ id, begun, hits }) {
    const job = this.#running;
    if (id !== this.#id || !job) return;
    if (begun) {
      this.#begun = true;
      return this.#endsIn(this.#wanted ? this.limit : GRACE);
    }
    clearTimeout(this.#timer);
    this.#running = null;
    this.#answer(job, hits ? { hits: Array.from(hits) } : "unavailable");
  }

  /** A page's rules may forbid workers: say so for each pattern, and start no other. */
  #fail() {
    this.#broken = !this.#begun;
    this.#drop("unavailable");
  }

  /** @param {number} after @param {Answer} answer */
  #endsIn(after, answer = "slow") {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#drop(answer), after);
  }

  /** Stop the thread and what runs in it. @param {Answer} answer */
  #drop(answer) {
    clearTimeout(this.#timer);
    const job = this.#running;
    this.#worker?.terminate();
    this.#worker = this.#running = null;
    if (job && this.#wanted) this.#answer(job, answer);
    else this.#next();
  }

  /** @param {Job} job @param {Answer} answer */
  #answer(job, answer) {
    this.answered(job.pattern, answer);
    this.#next();
  }
}

/** One long text goes to a thread many times faster than ten thousand short ones. @param {readonly string[]} names */
function joined(names) {
  if (names.some((name) => name.includes(SEPARATOR))) throw new Error("a name with the character that joins names");
  return names.join(SEPARATOR);
}
