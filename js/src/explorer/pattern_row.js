// The two boxes, and their verdict: each pattern's own count, the nearest names where nothing is hit, the sum in one sentence.

import { joinPatterns, splitPatterns } from "../addressing/split.js";
import { field, fill, h, number, percent, size } from "../ui/dom.js";
import { put, watch } from "../ui/model.js";

/** @import { Match, PatternState, Store } from "./store.js" */
/** @import { Matching } from "./matching.js" */
/** @import { Model } from "../ui/model.js" */

// The kernel hears of a pattern when the typing pauses.
const PAUSE = 150;

/**
 * @param {object} options
 * @param {Store} options.store @param {Model} options.model @param {Matching} options.matching @param {AbortSignal} options.signal
 */
export function patternRow({ store, model, matching, signal }) {
  const [pattern, exclude] = [box("fc2"), box("none")];
  const chips = h("div", { class: "dnb-chips" });
  const status = h("div", { class: "dnb-status", role: "status" });
  const notes = h("div", { class: "dnb-notes" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;
  const send = () => {
    clearTimeout(pause);
    pause = undefined;
    put(model, { pattern: pattern.value, exclude: exclude.value });
  };
  const typed = () => {
    matching.update(pattern.value, exclude.value);
    clearTimeout(pause);
    pause = setTimeout(send, PAUSE);
  };
  const heard = () => {
    if (pause !== undefined) return; // what is being typed is newer
    pattern.value = model.get("pattern") ?? "";
    exclude.value = model.get("exclude") ?? "";
    matching.update(pattern.value, exclude.value);
  };
  /** @param {string} text */
  const use = (text) => {
    pattern.value = text;
    matching.update(pattern.value, exclude.value);
    send();
  };
  let waits = false;
  const soon = () => {
    if (!waits) queueMicrotask(draw);
    waits = true;
  };
  const draw = () => {
    waits = false;
    const { match } = store;
    drawChips(chips, match);
    const words = sentence(store, pattern.value);
    if (status.textContent !== words.map(([text]) => text).join("")) fill(status, words.map(([text, bold]) => (bold ? h("b", {}, text) : text)));
    fill(notes, problems(match, (old, name) => use(exchanged(pattern.value, old, name))), hints(match));
  };
  for (const input of [pattern, exclude]) input.addEventListener("input", typed, { signal });
  for (const input of [pattern, exclude]) input.addEventListener("change", send, { signal });
  watch(model, ["pattern", "exclude"], heard, signal);
  store.on(["match", "plan", "structure"], soon, signal);
  signal.addEventListener("abort", () => clearTimeout(pause));
  heard();
  draw();
  const fields = h("div", { class: "dnb-pattern-fields" }, field("Pattern", pattern), field("Exclude", exclude));
  const element = h("div", { class: "dnb-pattern-row" }, fields, h("div", { class: "dnb-verdict" }, chips, status), notes);
  return { element, use, focus: () => pattern.focus() };
}

/** @param {string} example */
const box = (example) => h("input", { type: "text", placeholder: example, spellcheck: "false", autocomplete: "off", autocapitalize: "off", autocorrect: "off" });

/** @param {HTMLElement} chips @param {Match} match */
function drawChips(chips, match) {
  const make = (/** @type {PatternState} */ one, /** @type {boolean} */ exclude) => {
    const count = one.kernel ? "kernel" : match.pending && !one.count && !one.problem ? "…" : `×${number(one.count)}`;
    const wrong = one.problem !== "";
    return h("span", { class: ["dnb-chip", wrong && "dnb-chip-wrong", exclude && "dnb-chip-exclude"], title: one.problem || null }, exclude ? "− " : "", one.pattern || "…", " ", h("b", {}, count));
  };
  fill(chips, match.patterns.map((one) => make(one, false)), match.exclude.map((one) => make(one, true)));
}

/**
 * The verdict: "12 of 185 modules, +230,544 parameters (0.17 %), 0.9 MB".
 *
 * @param {Store} store
 * @param {string} typed
 * @returns {[text: string, bold: boolean][]}
 */
export function sentence({ match, plan, structure }, typed) {
  const all = number(structure.names.length);
  if (!typed.trim()) return [[`${all} modules. Type a pattern, or click modules to get one.`, false]];
  if (match.pending && !match.hits.length) return [["A regular expression is at work …", false]];
  if (match.patterns.some((one) => one.kernel)) return [["This expression is for the kernel to decide: the browser cannot run it.", false]];
  /** @type {[string, boolean][]} */
  const words = [[`${number(match.hits.length)} of ${all} modules`, true]];
  if (plan && match.hits.length) {
    words.push([", ", false], [`+${number(plan.added)}`, true], [` parameters (${percent(plan.share, 1)}), ${size(plan.bytes)}`, false]);
  }
  return words;
}

/** @param {Match} match @param {(old: string, name: string) => void} exchange */
function problems(match, exchange) {
  const wrong = [...match.patterns, ...match.exclude].filter((one) => one.problem);
  const found = wrong.map((one) =>
    h(
      "div",
      { class: "dnb-note dnb-note-wrong" },
      h("span", {}, one.problem),
      match.patterns.includes(one) && one.nearest.length
        ? h("span", { class: "dnb-nearest" }, "Nearest: ", one.nearest.map((name) => h("button", { class: "dnb-small dnb-mono", type: "button", onclick: () => exchange(one.pattern, name) }, name)))
        : null,
    ),
  );
  if (!wrong.length && match.problem) found.push(h("div", { class: "dnb-note dnb-note-wrong" }, match.problem));
  return found;
}

/** @param {Match} match */
const hints = (match) => match.hints.map((one) => h("div", { class: "dnb-note" }, h("b", {}, "Hint: "), one));

/** The text with one pattern in the place of another. @param {string} text @param {string} old @param {string} name */
export function exchanged(text, old, name) {
  return joinPatterns(splitPatterns(text).patterns.map((one) => (one.trim() === old ? name : one)));
}
