// What the monitor says, as text: figures, the end of a phase, milestones. No page.

import { number } from "../ui/dom.js";

/**
 * @typedef {object} State the traits
 * @property {string} status
 * @property {string} phase
 * @property {number} steps
 * @property {number} end
 * @property {number} share
 * @property {[number, number, number][]} losses
 * @property {[number, number][]} rates
 * @property {[number, number][]} accuracies
 * @property {number} throughput
 * @property {Record<string, number>} memory
 * @property {number} left
 * @property {number} seconds
 * @property {string} verdict
 * @property {{what?: string, expected?: string, try_?: string}} problem
 */

/** The word and the sign of a status: the sign is there for who sees no colour. @type {Record<string, [string, string]>} */
export const STATUS = {
  waiting: ["◌", "about to start"],
  running: ["▶", "running"],
  stopping: ["◼", "stopping after this step"],
  finished: ["✓", "finished"],
  stopped: ["◼", "stopped"],
  failed: ["✕", "failed"],
};

/** A time as a person says it. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Megabytes. @param {number} value */
export const megabytes = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} GB` : `${Math.round(value)} MB`);

/** A learning rate. @param {number} value */
export function rate(value) {
  if (!value) return "0";
  return value >= 1e-3 ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace(".0e", "e");
}

/** Whether the run has ended. @param {State} state */
export const over = (state) => ["finished", "stopped", "failed"].includes(state.status);

/**
 * The figures, as pairs of label and value; what is not known yet is a dash.
 *
 * @param {State} state
 * @returns {[string, string][]}
 */
export function figures(state) {
  const loss = state.losses.at(-1);
  const accuracy = state.accuracies.at(-1);
  const lr = state.rates.at(-1);
  const { now, peak, gpu } = state.memory;
  const ended = over(state);
  return [
    ["Step", state.end ? `${number(state.steps)} of ${number(state.end)}` : "–"],
    ["Loss", loss ? loss[2].toFixed(3) : "–"],
    ["Accuracy", accuracy ? accuracy[1].toFixed(3) : "–"],
    ["Learning rate", lr ? rate(lr[1]) : "–"],
    ["Throughput", state.throughput ? `${number(Math.round(state.throughput))} texts/s` : "–"],
    ["Memory", now ? `${megabytes(now)}, peak ${megabytes(peak)}${gpu ? `, GPU ${megabytes(gpu)}` : ""}` : "–"],
    ended || state.left < 0 || state.phase ? ["Time", state.seconds ? duration(state.seconds) : "–"] : ["Time left", duration(state.left)],
  ];
}

/** What the curve shows, in one sentence. @param {State} state */
export function summary(state) {
  const first = state.losses[0];
  const last = state.losses.at(-1);
  if (!first || !last) return "No step is done yet.";
  const accuracy = state.accuracies.at(-1);
  const measured = accuracy ? `accuracy ${accuracy[1].toFixed(3)} at step ${number(accuracy[0])}` : "accuracy not measured yet";
  return `Loss ${first[2].toFixed(3)} at step ${number(first[0])}, ${last[2].toFixed(3)} at step ${number(last[0])}; ${measured}.`;
}

/** @param {State} state */
const quarter = (state) => (state.end ? Math.floor((4 * state.steps) / state.end) : 0);

/**
 * What a screen reader is told: the start, each quarter, each measuring, the end; not every step.
 *
 * @param {State | null} before
 * @param {State} now
 * @returns {string} empty where there is nothing to say
 */
export function milestone(before, now) {
  if (over(now)) {
    if (before && over(before)) return "";
    return now.status === "failed" ? `Training failed. ${now.problem.what ?? ""}` : now.verdict;
  }
  if (now.status === "stopping") return before?.status === "stopping" ? "" : "Stopping after this step.";
  if (now.phase && now.phase !== before?.phase) return `${now.phase[0].toUpperCase()}${now.phase.slice(1)}.`;
  if (now.status === "running" && before?.status !== "running") return `Training ${number(now.end)} steps.`;
  const accuracy = now.accuracies.at(-1);
  if (before && now.accuracies.length > before.accuracies.length && accuracy) return `Step ${number(now.steps)}: accuracy ${accuracy[1].toFixed(3)}.`;
  if (before && now.steps < now.end && quarter(now) > quarter(before)) return `Step ${number(now.steps)} of ${number(now.end)}. ${summary(now)}`;
  return "";
}
