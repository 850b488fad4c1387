// Predictions with the delta and without it, side by side.

import { h } from "../ui/dom.js";
import { ranked } from "./lines.js";

/** @typedef {{text: string, labels: string[], with: number[], without: number[], typed?: boolean}} Answer */

/**
 * @param {Answer} answer
 * @param {string} predicts what a label is
 */
export function answerView(answer, predicts) {
  const top = answer.labels[answer.with.indexOf(Math.max(...answer.with))];
  const before = answer.labels[answer.without.indexOf(Math.max(...answer.without))];
  const rows = ranked(answer).map((one) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", title: one.label }, one.label),
      cell(one.after, "delta", one.label === top),
      cell(one.before, "frozen", one.label === before),
    ),
  );
  const head = h("tr", {}, h("th", { scope: "col" }, predicts), h("th", { scope: "col" }, "with the delta"), h("th", { scope: "col" }, "without it"));
  const words = h("caption", {}, answer.typed ? h("span", { class: "dnb-answer-typed" }, "typed ") : null, `“${answer.text}”`);
  return h("table", { class: ["dnb-answer", top !== before && "dnb-answer-turned"] }, words, h("thead", {}, head), h("tbody", {}, rows));
}

/** @param {number} value @param {string} look @param {boolean} first */
function cell(value, look, first) {
  const part = h("span", { class: ["dnb-bar-part", `dnb-fill-${look}`], style: { width: `${100 * value}%` } });
  const number = h("span", { class: ["dnb-number", first && "dnb-first"] }, value.toFixed(3), first ? " ✓" : "");
  return h("td", {}, h("span", { class: "dnb-cell" }, h("span", { class: "dnb-bar", "aria-hidden": "true" }, part), number));
}
