// The Explorer's frame: the model in a line, which view, undo and redo, larger letters; and the places of its parts.

import { ask } from "../ui/ask.js";
import { fill, h, newId, number, percent } from "../ui/dom.js";
import { put, watch } from "../ui/model.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Store } from "./store.js" */

const VIEWS = /** @type {const} */ (["tree", "graph", "both"]);

/**
 * @param {Store} store
 * @param {Model} model
 * @param {HTMLElement} root
 * @param {AbortSignal} signal
 */
export function header(store, model, root, signal) {
  const facts = h("div", { class: "dnb-facts" });
  const problem = h("div", { class: "dnb-head-problem", role: "alert" });
  const draw = () => fill(facts, ...summary(store, model.get("before")));
  store.on("structure", draw, signal);
  watch(model, "before", draw, signal);
  draw();
  const tools = h("div", { class: "dnb-tools" }, viewSwitch(model, root, signal), ...steps(model, problem, signal), projector(model, signal));
  return h("header", { class: "dnb-head" }, facts, tools, problem);
}

/** @param {Store} store @param {number[]} before */
function summary({ structure }, before) {
  const [total, trainable, delta] = structure.totals;
  const parts = [h("b", { class: "dnb-model" }, structure.type), h("span", {}, `${number(total)} parameters`), h("span", {}, `${number(structure.names.length)} modules`)];
  parts.push(h("span", { class: "dnb-trains" }, trained(total, trainable)));
  if (delta) parts.push(h("span", { class: "dnb-delta" }, `Δ ${number(delta)} in deltas`));
  if (before?.length && before[1] !== trainable) parts.push(h("span", { class: "dnb-before" }, `before: ${number(before[1])} of ${number(before[0])}`));
  return parts;
}

/** @param {number} total @param {number} trainable */
function trained(total, trainable) {
  if (trainable === total) return "all trainable";
  return trainable ? `${number(trainable)} trainable (${percent(trainable, total)})` : "all frozen";
}

/** @param {Model} model @param {HTMLElement} root @param {AbortSignal} signal */
function viewSwitch(model, root, signal) {
  const name = newId("view");
  const inputs = VIEWS.map((value) => h("input", { type: "radio", name, value, class: "dnb-hidden", onchange: () => (put(model, { view: value }), show()) }));
  const show = () => {
    const view = model.get("view") ?? "tree";
    root.dataset.view = view;
    for (const input of inputs) input.checked = input.value === view;
  };
  watch(model, "view", show, signal);
  show();
  return h(
    "div",
    { class: "dnb-switch", role: "radiogroup", "aria-label": "View" },
    inputs.map((input) => h("label", {}, input, h("span", {}, input.value[0].toUpperCase() + input.value.slice(1)))),
  );
}

/** @param {Model} model @param {HTMLElement} problem @param {AbortSignal} signal */
function steps(model, problem, signal) {
  const step = (/** @type {string} */ verb, /** @type {string} */ sign) => {
    const button = h("button", { class: "dnb-button", type: "button" }, h("span", { "aria-hidden": "true" }, `${sign} `), verb);
    button.addEventListener("click", async () => {
      button.setAttribute("aria-busy", "true");
      try {
        problem.textContent = "";
        await ask(model, verb.toLowerCase(), {}, { signal });
      } catch (error) {
        if (!signal.aborted) problem.textContent = /** @type {any} */ (error).sentence ?? /** @type {Error} */ (error).message;
      } finally {
        button.removeAttribute("aria-busy");
      }
    });
    return button;
  };
  return model.kernel === false ? [] : [step("Undo", "↶"), step("Redo", "↷")];
}

/** @param {Model} model @param {AbortSignal} signal */
function projector(model, signal) {
  const button = h("button", { class: "dnb-button", type: "button", onclick: () => put(model, { projector: !model.get("projector") }) }, "Projector");
  const show = () => button.setAttribute("aria-pressed", String(Boolean(model.get("projector"))));
  watch(model, "projector", show, signal);
  show();
  return button;
}
