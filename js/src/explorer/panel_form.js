// The inputs of the panel: type, name, and the type's options, each with its explanation and its limits.

import { field, fill, h, newId } from "../ui/dom.js";
import { put, watch } from "../ui/model.js";
import { changed, limits, nameProblem, read, shown } from "./options.js";

/** @import { Model } from "../ui/model.js" */
/** @import { DeltaType, Option } from "./options.js" */

export class Form {
  /** What is wrong with which input. @type {Map<string, string>} */
  problems = new Map();

  /**
   * @param {Model} model
   * @param {() => void} heard called when an input has changed, and when it became wrong or right
   * @param {AbortSignal} signal
   */
  constructor(model, heard, signal) {
    this.model = model;
    this.heard = heard;
    this.options = h("div", { class: "dnb-options" });
    this.summary = h("p", { class: "dnb-type-summary dnb-hint", id: newId("summary") });
    this.type = h(
      "select",
      { onchange: () => this.#choose(), "aria-describedby": this.summary.id },
      this.types.map(({ type }) => h("option", { value: type }, type)),
    );
    this.name = h("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => this.#named() });
    this.element = h("div", { class: "dnb-form" }, field("Type", this.type), checked("Name", this.name, "optional"), this.summary, this.options);
    watch(model, ["delta_type", "types"], () => this.draw(), signal);
    watch(model, ["delta_options", "delta_name"], () => this.#follow(), signal);
    this.draw();
  }

  /** @returns {DeltaType[]} */
  get types() {
    return this.model.get("types") ?? [];
  }

  /** @returns {DeltaType} */
  get chosen() {
    return this.types.find(({ type }) => type === this.model.get("delta_type")) ?? this.types[0];
  }

  draw() {
    const { type, summary, options } = this.chosen;
    this.type.value = type;
    this.summary.textContent = summary;
    this.name.placeholder = type;
    if (this.name.value !== this.model.get("delta_name")) this.name.value = this.model.get("delta_name") ?? "";
    const common = options.filter((one) => !one.rare).map((one) => this.#input(one));
    const rare = options.filter((one) => one.rare).map((one) => this.#input(one));
    this.problems.clear();
    this.#named(false);
    fill(this.options, common, rare.length ? h("details", { class: "dnb-more" }, h("summary", {}, "More options"), h("div", { class: "dnb-more-fields" }, rare)) : null);
  }

  #choose() {
    const told = changed(/** @type {DeltaType} */ (this.types.find(({ type }) => type === this.type.value)), this.model.get("delta_options") ?? {});
    put(this.model, { delta_type: this.type.value, delta_options: told });
  }

  #named(tell = true) {
    this.#judge("name", this.name, nameProblem(this.name.value.trim()));
    if (!tell) return;
    if (!this.problems.has("name")) put(this.model, { delta_name: this.name.value.trim() });
    this.heard();
  }

  /** The kernel, or a link to another widget, has set the values. */
  #follow() {
    const values = this.model.get("delta_options") ?? {};
    for (const input of /** @type {NodeListOf<any>} */ (this.options.querySelectorAll("[data-option]"))) {
      const option = this.chosen.options.find(({ name }) => name === input.dataset.option);
      if (!option || input.matches(":focus")) continue;
      const value = option.name in values ? values[option.name] : option.default;
      if (input.type === "checkbox") input.checked = Boolean(value);
      else if (!this.problems.has(option.name)) input.value = shown(option, value);
    }
    if (!this.name.matches(":focus")) this.name.value = this.model.get("delta_name") ?? "";
    this.heard();
  }

  /** @param {Option} option */
  #input(option) {
    const values = this.model.get("delta_options") ?? {};
    const value = option.name in values ? values[option.name] : option.default;
    const input = control(option, value);
    const changes = input instanceof HTMLInputElement && input.type === "checkbox" ? "change" : "input";
    input.dataset.option = option.name;
    input.addEventListener(changes, () => this.#changed(option, input));
    return checked(option.name, input, limits(option), option.help);
  }

  /** @param {Option} option @param {HTMLInputElement | HTMLSelectElement} input */
  #changed(option, input) {
    const typed = input instanceof HTMLInputElement && input.type === "checkbox" ? input.checked : input.value;
    const found = read(option, typed);
    this.#judge(option.name, input, "problem" in found ? found.problem : "");
    if ("value" in found) {
      const all = { ...this.model.get("delta_options"), [option.name]: found.value };
      put(this.model, { delta_options: changed(this.chosen, all) });
    }
    this.heard();
  }

  /** @param {string} name @param {HTMLElement} input @param {string} problem */
  #judge(name, input, problem) {
    if (problem) this.problems.set(name, problem);
    else this.problems.delete(name);
    if (problem) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    const words = input.closest(".dnb-checked")?.querySelector(".dnb-wrong");
    if (words && words.textContent !== problem) words.textContent = problem;
  }
}

/** @param {Option} option @param {any} value @returns {HTMLInputElement | HTMLSelectElement} */
function control(option, value) {
  if (option.kind === "bool" && !option.optional) return h("input", { type: "checkbox", checked: Boolean(value) });
  const choices = option.kind === "bool" ? ["", "true", "false"] : option.choices;
  if (choices.length) {
    const select = h("select", {}, choices.map((one) => h("option", { value: one }, one || "usual")));
    select.value = shown(option, value);
    return select;
  }
  if (option.kind === "int" || option.kind === "float") {
    return h("input", { type: "number", step: option.kind === "int" ? "1" : "any", min: option.min ?? false, max: option.max ?? false, value: shown(option, value) });
  }
  const example = option.kind === "table" ? "pattern=number" : "patterns";
  return h("input", { type: "text", spellcheck: "false", autocomplete: "off", placeholder: option.optional ? "usual" : example, value: shown(option, value) });
}

/**
 * An input with its explanation, and a place for what is wrong with it: both belong to its description.
 *
 * @param {string} label @param {HTMLElement} input @param {string} [hint] @param {string} [help]
 */
export function checked(label, input, hint = "", help = "") {
  const whole = field(label, input, hint);
  const wrong = h("p", { class: "dnb-wrong dnb-bad", id: newId("wrong"), "aria-live": "polite" });
  const text = help ? h("p", { class: "dnb-help dnb-hint", id: newId("help") }, help) : null;
  const ids = [input.getAttribute("aria-describedby"), text?.id, wrong.id].filter(Boolean).join(" ");
  input.setAttribute("aria-describedby", ids);
  whole.classList.add("dnb-checked");
  if (input.getAttribute("type") === "checkbox") whole.classList.add("dnb-tick");
  whole.append(...[text, wrong].filter((one) => one !== null));
  return whole;
}
