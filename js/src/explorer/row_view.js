// One line of the Explorer's tree: name, type, shape, what the pattern hits, state, count, bar.

import { h, number } from "../ui/dom.js";
import { described, STATES, stateOf, tiedTo } from "./marks.js";

/** @import { Item } from "./items.js" */
/** @import { Tally } from "./marks.js" */
/** @import { Store } from "./store.js" */

/** @typedef {{store: Store, tally: () => Tally}} Context */

export class RowView {
  /** @type {Item | null} */ #item = null;
  #said = "";

  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** What a screen reader reads in place of the rest. */
    this.words = h("span", { class: "dnb-hidden" });
    this.twisty = h("span", { class: "dnb-twisty", "data-twisty": true });
    this.name = h("span", { class: "dnb-row-name" });
    this.match = h("span", { class: "dnb-row-match" });
    this.state = h("span", { class: "dnb-row-state", "aria-hidden": "true" });
    this.count = h("span", { class: "dnb-row-count dnb-number", "aria-hidden": "true" });
    this.bar = h("span", { class: "dnb-bar", "aria-hidden": "true" });
    const main = h("span", { class: "dnb-row-main", "aria-hidden": "true" }, this.twisty, this.name, this.match);
    this.element = h("div", { class: "dnb-row" }, this.words, main, this.state, this.count, this.bar);
  }

  /** @param {Item} item */
  show(item) {
    if (item !== this.#item) this.#draw(item);
    this.#item = item;
    this.#mark(item);
  }

  /** @param {Item} item */
  #draw(item) {
    const { row } = item;
    this.element.style.setProperty("--dnb-level", String(item.level - 1));
    this.twisty.textContent = item.expandable ? (item.open ? "▾" : "▸") : "";
    this.name.replaceChildren(...nameParts(item));
    const state = stateOf(row);
    this.state.textContent = state;
    this.state.className = `dnb-row-state dnb-state-${state || "none"}`;
    this.state.title = STATES[state];
    this.count.textContent = row.sameAs ? "" : number(item.sums[0]);
    this.element.classList.toggle("dnb-row-empty", !item.sums[0] && !row.parameters.length);
    this.element.classList.toggle("dnb-row-delta", row.delta !== "");
    drawBar(this.bar, item, this.context.store.structure.totals[0]);
  }

  /** @param {Item} item */
  #mark(item) {
    const { store, tally } = this.context;
    const own = tally().own(item);
    const inside = item.open && !item.split ? 0 : tally().inside(item);
    const cost = tally().cost(item, own);
    const also = store.also.size ? item.members.filter((at) => store.also.has(at)).length : 0;
    const excluded = store.match.excluded.size ? item.members.filter((at) => store.match.excluded.has(at)).length : 0;
    const said = described(item, { own, inside, cost, also, excluded });
    if (said === this.#said) return;
    this.#said = said;
    this.words.textContent = said;
    this.element.classList.toggle("dnb-row-hit", own > 0);
    this.element.classList.toggle("dnb-row-also", also > 0);
    this.match.replaceChildren(...matchParts(item, { own, inside, cost, also, excluded }));
  }
}

/** @param {Item} item */
function nameParts(item) {
  const { row } = item;
  const parts = [item.before ? h("span", { class: "dnb-row-before" }, item.before) : null];
  parts.push(h("b", { class: row.folded || /^\d/.test(item.label) ? "dnb-folded" : row.delta ? "dnb-delta" : "" }, item.label));
  parts.push(h("span", { class: "dnb-type", title: row.type }, row.type));
  const [first] = row.parameters;
  if (first && !row.children.length) parts.push(h("span", { class: "dnb-shape" }, `[${first[1].join(", ")}]`));
  if (item.canSplit) parts.push(splitButton(item));
  else if (item.count > 1 && !item.instances) parts.push(h("span", { class: "dnb-muted" }, `×${number(item.count)}`));
  const tied = tiedTo(row);
  if (tied.length) parts.push(h("span", { class: "dnb-tag", title: `tied to ${tied.join(", ")}: counted there` }, `⇄ ${tied.map((one) => one.split(".").slice(-2)[0]).join(", ")}`));
  if (row.sameAs) parts.push(h("span", { class: "dnb-tag", title: "the same module, counted there" }, `⇄ is ${row.sameAs}`));
  if (row.delta && row.parent?.delta !== row.delta) parts.push(h("span", { class: "dnb-tag dnb-delta" }, `Δ ${row.delta}${row.deltaKind && row.deltaKind !== row.delta ? ` (${row.deltaKind})` : ""}`));
  const owned = [...new Set(row.parameters.flatMap((one) => (one[4] && one[4] !== row.delta ? [one[4]] : [])))];
  if (owned.length) parts.push(h("span", { class: "dnb-tag dnb-delta" }, `Δ ${owned.join(", ")}`));
  return parts.filter((part) => part !== null);
}

/** For the mouse; the keys are plus and minus. @param {Item} item */
function splitButton(item) {
  const title = item.split ? "Show together (−)" : "Show one by one (+)";
  return h("span", { class: ["dnb-split", item.split && "dnb-split-on"], "data-split": item.split ? "on" : "off", title }, `×${number(item.count)}`);
}

/** @param {Item} item @param {{own: number, inside: number, cost: number | null, also: number, excluded: number}} marks */
function matchParts(item, { own, inside, cost, also, excluded }) {
  const first = own ? `● ${item.count > 1 ? `${number(own)} of ${number(item.count)}` : "matched"}` : "";
  const added = cost === null ? null : h("span", { class: "dnb-row-cost" }, `${first && " · "}+${number(cost)}`);
  const below = inside ? `${first || added ? " · " : ""}${number(inside)} inside` : "";
  const found = first || added || below ? [h("span", { class: "dnb-matched" }, first, added, below)] : [];
  if (also) found.push(h("span", { class: "dnb-also" }, `+${number(also)} too`));
  if (excluded) found.push(h("span", { class: "dnb-excluded" }, `${number(excluded)} excluded`));
  return found;
}

/** @param {HTMLElement} bar @param {Item} item @param {number} whole */
function drawBar(bar, item, whole) {
  const [total, trainable, delta] = item.sums;
  const share = (/** @type {number} */ part) => `${whole ? Math.min(100, (100 * part) / whole) : 0}%`;
  const least = total ? "2px" : "0";
  bar.replaceChildren(
    h("span", { class: "dnb-bar-part dnb-bar-trainable", style: { width: share(trainable - Math.min(delta, trainable)), "min-width": trainable > delta ? least : "0" } }),
    h("span", { class: "dnb-bar-part dnb-bar-delta", style: { width: share(delta), "min-width": delta ? "2px" : "0" } }),
    h("span", { class: "dnb-bar-part dnb-bar-frozen", style: { width: share(total - Math.max(trainable, delta)), "min-width": trainable || delta ? "0" : least } }),
  );
}
