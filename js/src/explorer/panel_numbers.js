// The predictions of the panel: what the delta adds, what would train, the file, the memory. The browser counts; the kernel's
// number, where there is one, replaces it.

import { fill, h, number, percent, size } from "../ui/dom.js";

/** @import { Structure } from "../structure/structure.js" */

/**
 * @typedef {object} Numbers
 * @property {number | null} added @property {number} hosts @property {number | null} bytes @property {number | null} trains
 * @property {boolean} takes whether what is added is mostly the backbone's own
 * @property {{bytes: number, fits: boolean, words: string} | null} memory @property {boolean} asked whether the kernel is being asked
 * @property {string} why in words, where nothing can be said
 */

export class NumberList {
  constructor() {
    this.element = h("dl", { class: "dnb-numbers" });
    this.why = h("p", { class: "dnb-hint dnb-why" });
  }

  /** @param {Numbers} numbers @param {Structure} structure @param {{batch: number, length: number}} shape */
  show(numbers, structure, { batch, length }) {
    const total = structure.totals[0] - structure.totals[2];
    const unknown = numbers.asked ? "asking the kernel …" : "–";
    const trains = numbers.trains === null ? unknown : h("span", {}, number(numbers.trains), " ", h("span", { class: "dnb-hint" }, percent(numbers.trains, total + (numbers.takes ? 0 : (numbers.added ?? 0)))));
    fill(
      this.element,
      pair(`${numbers.takes ? "Trained" : "Added"}, on ${number(numbers.hosts)} ${numbers.hosts === 1 ? "module" : "modules"}`, numbers.added === null ? unknown : h("b", {}, `${numbers.takes ? "" : "+"}${number(numbers.added)}`)),
      pair("Would train after freezing", trains),
      pair("Delta file", numbers.bytes === null ? unknown : size(numbers.bytes)),
      numbers.memory ? pair(`Training memory, batch ${batch} × ${length} tokens`, memory(numbers.memory)) : null,
    );
    this.why.textContent = numbers.why;
  }
}

/** @param {string} term @param {import("../ui/dom.js").Child} value */
const pair = (term, value) => h("div", {}, h("dt", {}, term), h("dd", {}, value));

/** @param {{bytes: number, fits: boolean, words: string}} found */
function memory({ bytes, fits, words }) {
  const sign = fits ? "✓" : "✗";
  return h("span", { title: words }, `about ${size(bytes)} `, h("b", { class: fits ? "dnb-good" : "dnb-bad" }, h("span", { "aria-hidden": "true" }, `${sign} `), fits ? "fits 2 GB" : "does not fit 2 GB"));
}
