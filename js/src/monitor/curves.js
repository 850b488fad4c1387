// The two charts of a run, their legend, and the same as a table.

import { draw, sample } from "../ui/chart.js";
import { h, number } from "../ui/dom.js";
import { rate, summary } from "./words.js";

/** @import { Line } from "../ui/chart.js" */
/** @import { State } from "./words.js" */

/**
 * @typedef {object} Earlier a run of this session
 * @property {number} number
 * @property {string} label
 * @property {[number, number][]} losses
 * @property {[number, number][]} accuracies
 */

const ROWS = 12;

/**
 * Loss and accuracy, side by side where there is room.
 *
 * @param {State & {runs: Earlier[], levels: Record<string, number>}} state
 * @param {number} width
 * @param {number} size of letters, in pixels
 */
export function charts(state, width, size) {
  const beside = width >= 640;
  const height = Math.round(size * (beside ? 17 : 15));
  const widths = beside ? [Math.floor(width * 0.56) - 12, Math.floor(width * 0.44) - 12] : [width, width];
  const end = Math.max(state.end, state.steps, ...state.runs.flatMap((run) => [...run.losses, ...run.accuracies].map((point) => point[0])));
  const words = summary(state);
  const loss = { title: "Training loss", words, end, hue: /** @type {const} */ ("loss"), none: "no step yet", lines: lossLines(state) };
  const accuracy = {
    title: "Accuracy, held-out rows", words, end, hue: /** @type {const} */ ("accuracy"), none: "not measured yet", lines: accuracyLines(state),
    levels: Object.entries(state.levels), span: { empty: /** @type {[number, number]} */ ([0.4, 1]), least: 0.2, within: /** @type {[number, number]} */ ([0, 1]) },
  };
  return [draw(loss, { width: widths[0], height, size }), draw(accuracy, { width: widths[1], height, size })];
}

/** @param {State & {runs: Earlier[]}} state @returns {Line[]} */
function lossLines(state) {
  const mean = state.losses.at(-1)?.[2];
  return [
    ...state.runs.map((run, at) => ({ mark: `#${run.number}`, kind: /** @type {const} */ ("earlier"), at, points: run.losses })),
    { mark: "", kind: "raw", points: state.losses.map(([step, raw]) => /** @type {[number, number]} */ ([step, raw])) },
    { mark: mean === undefined ? "" : mean.toFixed(3), kind: "main", points: state.losses.map(([step, , value]) => /** @type {[number, number]} */ ([step, value])) },
  ];
}

/** @param {State & {runs: Earlier[]}} state @returns {Line[]} */
function accuracyLines(state) {
  const last = state.accuracies.at(-1)?.[1];
  return [
    ...state.runs.map((run, at) => ({ mark: `#${run.number}`, kind: /** @type {const} */ ("earlier"), at, points: run.accuracies, dots: true })),
    { mark: last === undefined ? "" : last.toFixed(3), kind: "main", points: state.accuracies, dots: true },
  ];
}

/** What each line is. @param {Earlier[]} runs @param {string} title */
export function legend(runs, title) {
  const own = [
    h("li", {}, sample("main"), h("span", {}, title ? `this run: ${title}` : "this run")),
    h("li", {}, sample("raw"), h("span", {}, "each step")),
  ];
  const past = runs.map((run, at) => h("li", {}, sample("earlier", at), h("span", {}, run.label.replace(/^run /, "#"))));
  return h("ul", { class: "dnb-legend", "aria-label": "Lines of the chart" }, ...own, ...past);
}

/** The value at a step, or the last before it. @param {number[][]} points @param {number} step @param {number} column */
function valueAt(points, step, column) {
  if (!points.length || points[points.length - 1][0] < step) return null;
  return points.findLast((point) => point[0] <= step)?.[column] ?? null;
}

/** The same numbers as a table, for who does not see the lines. @param {State & {runs: Earlier[]}} state */
export function numbers(state) {
  const stride = Math.max(1, Math.ceil(state.losses.length / (ROWS - 1)));
  const chosen = state.losses.filter((_, at) => at % stride === 0 || at === state.losses.length - 1);
  const head = ["step", "loss", "learning rate", "accuracy", ...state.runs.map((run) => `loss, run ${run.number}`)];
  const cell = (/** @type {number | null} */ value) => h("td", {}, value === null ? "" : value.toFixed(3));
  const rows = chosen.map(([step, , mean]) => {
    const lr = valueAt(state.rates, step, 1);
    const measured = state.accuracies.find((point) => point[0] === step)?.[1] ?? null;
    const past = state.runs.map((run) => cell(valueAt(run.losses, step, 1)));
    return h("tr", {}, h("th", { scope: "row" }, number(step)), cell(mean), h("td", {}, lr === null ? "" : rate(lr)), cell(measured), ...past);
  });
  return h("table", { class: "dnb-table" }, h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows));
}
