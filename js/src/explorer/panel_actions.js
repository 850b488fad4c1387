// The panel's buttons and what they say: what was done, or a mistake in its four parts.

import { NoKernel, Refused, ask } from "../ui/ask.js";
import { fill, h, newId, number } from "../ui/dom.js";
import { watch } from "../ui/model.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {{title: string, facts?: Record<string, string>, notes?: string[], next?: string}} Outcome
 */

export class Actions {
  /**
   * @param {Store} store
   * @param {Model} model
   * @param {AbortSignal} signal
   * @param {Record<string, () => [string, Record<string, any>]>} verbs for each button the verb to ask for, and with what
   */
  constructor(store, model, signal, verbs) {
    this.store = store;
    this.model = model;
    this.signal = signal;
    this.said = h("div", { class: "dnb-outcome", role: "status" });
    this.reason = h("p", { class: "dnb-hint dnb-reason", id: newId("reason") });
    this.busy = false;
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map(Object.entries(verbs).map(([name, wanted], at) => [name, this.#button(name, wanted, at === 0)]));
    const idle = h("p", { class: "dnb-hint" }, "This page has no kernel behind it: patterns and predictions work, attaching needs the notebook. The code below does the same there.");
    this.lines = this.#done();
    watch(model, "done", () => this.#elsewhere(), signal);
    this.element = h("div", { class: "dnb-actions" }, model.kernel === false ? idle : [h("div", { class: "dnb-buttons" }, [...this.buttons.values()]), this.reason], this.said);
  }

  #done() {
    return /** @type {string[]} */ (this.model.get("done")?.lines ?? []);
  }

  /** Something was done by another button, or in a cell. */
  #elsewhere() {
    const [old, now] = [this.lines, this.#done()];
    this.lines = now;
    if (this.busy || old.join("\n") === now.join("\n")) return;
    const [word, line] = now.length < old.length ? ["Undone", old[now.length]] : ["Done", now[now.length - 1]];
    fill(this.said, h("p", {}, h("b", {}, `${word}: `), h("code", {}, line)));
  }

  /** Forbid a button, in words; "" allows it. @param {string} name @param {string} why */
  block(name, why) {
    const button = this.buttons.get(name);
    button?.setAttribute("aria-disabled", String(Boolean(why)));
    if (why) button?.setAttribute("aria-describedby", this.reason.id);
    else button?.removeAttribute("aria-describedby");
    this.reason.textContent = why;
  }

  /** @param {string} name @param {() => [string, Record<string, any>]} wanted @param {boolean} main */
  #button(name, wanted, main) {
    const press = () => {
      if (!this.busy && button.getAttribute("aria-disabled") !== "true") this.#do(...wanted());
    };
    const button = h("button", { type: "button", class: ["dnb-button", main && "dnb-button-main"], onclick: press }, name);
    return button;
  }

  /** @param {string} verb @param {Record<string, any>} args */
  async #do(verb, args) {
    const before = this.store.structure.totals;
    this.#wait(true);
    const slow = () => fill(this.said, h("p", {}, "Waits for the running cell …"));
    try {
      const found = await ask(this.model, verb, args, { slow, signal: this.signal });
      fill(this.said, ...told(found, before, this.store.structure.totals));
    } catch (error) {
      if (!this.signal.aborted) fill(this.said, wrong(error));
    } finally {
      this.#wait(false);
    }
  }

  /** @param {boolean} busy */
  #wait(busy) {
    this.busy = busy;
    for (const button of this.buttons.values()) {
      if (busy) button.setAttribute("aria-busy", "true");
      else button.removeAttribute("aria-busy");
    }
  }
}

/** @param {Outcome} outcome @param {number[]} before @param {number[]} after totals */
function told({ title, facts = {}, notes = [], next = "" }, before, after) {
  const counts = [
    ["trainable", before[1], after[1]],
    ["in deltas", before[2], after[2]],
  ].filter(([, old, now]) => old !== now);
  const changed = counts.map(([what, old, now]) => h("p", { class: "dnb-change" }, `${what} ${number(Number(old))} `, h("span", { "aria-hidden": "true" }, "→"), h("span", { class: "dnb-hidden" }, "to"), ` `, h("b", {}, number(Number(now)))));
  const rows = Object.entries(facts).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value)));
  const known = rows.length ? h("dl", { class: "dnb-numbers dnb-facts-list" }, rows) : null;
  const said = notes.map((note) => h("p", { class: "dnb-note-line" }, h("b", {}, "Note: "), note));
  return [h("p", {}, h("b", {}, title)), ...changed, known, ...said, next ? h("p", { class: "dnb-hint" }, "next: ", h("code", {}, next)) : null];
}

/** A mistake: what happened, what was expected, the nearest, what to try. @param {unknown} error */
function wrong(error) {
  if (error instanceof NoKernel) return h("p", { class: "dnb-problem" }, `${error.message} The code below does the same in a notebook.`);
  if (!(error instanceof Refused)) return h("p", { class: "dnb-problem" }, String(/** @type {any} */ (error)?.message ?? error));
  return h(
    "div",
    { class: "dnb-problem" },
    h("p", {}, h("b", {}, error.message)),
    error.expected ? h("p", {}, error.expected) : null,
    error.nearest.length ? h("p", {}, "Nearest: ", h("code", {}, error.nearest.join(", "))) : null,
    error.tryThis ? h("p", {}, "Try: ", h("code", {}, error.tryThis)) : null,
  );
}
