// Where pictures come from: the kernel draws them, one at a time and only the last that is wanted; without one there is
// the picture that the page brought along.

import { NoKernel, Refused, ask } from "../ui/ask.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Structure } from "../structure/structure.js" */
/** @import { RawBox } from "./picture_boxes.js" */

/**
 * @typedef {object} Answer
 * @property {string | null} svg @property {string} reason why there is none @property {RawBox[]} boxes
 * @property {boolean} cut whether the lowest levels were left out
 * @typedef {object} Wish @property {string[]} opened @property {string[]} unfolded @property {number} room
 * @typedef {object} Heard
 * @property {(answer: Answer, wish: Wish) => void} drawn
 * @property {(words: string) => void} trouble
 */

export class Source {
  /** @param {Model} model @param {Heard} heard @param {AbortSignal} signal */
  constructor(model, heard, signal) {
    this.model = model;
    this.heard = heard;
    this.signal = signal;
    this.busy = false;
    /** Whether a kernel has ever been found missing. */
    this.alone = model.kernel === false;
    this.last = "";
    /** @type {{wish: Wish, key: string} | null} */
    this.next = null;
  }

  /** @param {Wish} wish @param {Structure} structure what it is wanted of: another one makes it another wish */
  want(wish, structure) {
    const key = `${serial(structure)} ${JSON.stringify(wish)}`;
    if (key === this.last) return;
    this.last = key;
    this.next = { wish, key };
    if (!this.busy) this.#go();
  }

  async #go() {
    this.busy = true;
    while (this.next && !this.signal.aborted) {
      const { wish, key } = this.next;
      this.next = null;
      try {
        const slow = () => this.heard.trouble("The kernel is busy; the picture follows as soon as it answers.");
        const answer = await ask(this.model, "picture", wish, { slow, signal: this.signal });
        if (key === this.last) this.heard.drawn(answer, wish);
      } catch (error) {
        if (!this.signal.aborted) this.#failed(error, wish);
      }
    }
    this.busy = false;
  }

  /** @param {unknown} error @param {Wish} wish */
  #failed(error, wish) {
    this.last = "";
    if (!(error instanceof NoKernel)) {
      this.heard.trouble(error instanceof Refused ? error.sentence : String(error));
      return;
    }
    this.alone = true;
    const saved = this.model.get("picture");
    if (saved) this.heard.drawn(saved, wish);
    else this.heard.trouble("No picture: it is drawn by the kernel, and none is behind this page. The tree shows the same.");
  }
}

/** @type {WeakMap<Structure, number>} */
const serials = new WeakMap();
let made = 0;
/** @param {Structure} structure */
function serial(structure) {
  if (!serials.has(structure)) serials.set(structure, ++made);
  return serials.get(structure);
}
