// Questions to the kernel. An answer may take long (a cell is running), so it is waited for without a limit, and the
// view can say after a moment that it waits.

/** @import { Model } from "./model.js" */

/** A user's mistake, or a limit, in the four parts of a message from Python. */
export class Refused extends Error {
  /** @param {{what: string, expected?: string, nearest?: string[], try_?: string}} parts */
  constructor(parts) {
    super(parts.what);
    this.expected = parts.expected ?? "";
    this.nearest = parts.nearest ?? [];
    this.tryThis = parts.try_ ?? "";
  }

  /** The whole in one line. */
  get sentence() {
    const nearest = this.nearest.length ? `Nearest: ${this.nearest.join(", ")}.` : "";
    return [this.message, this.expected, nearest, this.tryThis && `Try: ${this.tryThis}`].filter(Boolean).join(" ");
  }
}

/** Nobody can answer: the page stands alone, or its kernel is gone. */
export class NoKernel extends Error {
  constructor() {
    super("There is no kernel behind this page.");
  }
}

let last = 0;
const mine = Math.random().toString(36).slice(2);

/**
 * Ask the kernel.
 *
 * @param {Model} model
 * @param {string} verb `on_<verb>` of the widget in Python answers
 * @param {Record<string, any>} [args]
 * @param {{slow?: () => void, after?: number, signal?: AbortSignal}} [options] `slow` is called when no answer came within `after` ms
 * @returns {Promise<any>} the value; rejects with Refused or NoKernel
 */
export function ask(model, verb, args = {}, { slow, after = 700, signal } = {}) {
  if (model.kernel === false) return Promise.reject(new NoKernel());
  const id = `${mine}-${++last}`;
  return new Promise((resolve, reject) => {
    const waiting = slow && setTimeout(slow, after);
    const done = () => {
      if (waiting) clearTimeout(waiting);
      model.off("msg:custom", heard);
    };
    /** @param {any} content */
    const heard = (content) => {
      if (content?.id !== id) return;
      done();
      if (content.ok) resolve(content.value);
      else reject(new Refused(content.error));
    };
    signal?.addEventListener("abort", () => (done(), reject(signal.reason)));
    model.on("msg:custom", heard);
    try {
      model.send({ id, verb, args });
    } catch {
      done();
      reject(new NoKernel());
    }
  });
}
