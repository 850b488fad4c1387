// The training monitor: how far a run is, its curves beside those of earlier runs, and a button that stops it.

import { ask } from "./ui/ask.js";
import { fill, h } from "./ui/dom.js";
import { watch } from "./ui/model.js";
import { makeRoot } from "./ui/root.js";
import { charts, legend, numbers } from "./monitor/curves.js";
import { STATUS, duration, figures, milestone, over } from "./monitor/words.js";

/** @import { Model } from "./ui/model.js" */

const TRAITS = [
  "status", "title", "phase", "share", "steps", "end", "losses", "rates", "accuracies", "levels", "throughput", "memory", "left",
  "seconds", "runs", "preface", "verdict", "table", "problem", "stoppable",
];
const SOON = 4000; // ms after which an answer that has not come is spoken of
const SILENCE = 20_000; // ms without news after which that is said: a kernel that is gone says nothing

/** @param {{model: Model, el: HTMLElement, signal: AbortSignal}} view */
function render({ model, el, signal }) {
  const root = makeRoot(el, model, signal, "monitor");
  const parts = build(() => stop());
  root.append(...parts.all);
  /** @type {any} */
  let before = null;
  let asked = "";
  const alone = model.kernel === false;

  const state = () => /** @type {any} */ (Object.fromEntries(TRAITS.map((name) => [name, model.get(name)])));

  async function stop() {
    parts.stop.disabled = true;
    asked = "";
    try {
      await ask(model, "stop", {}, { signal, after: SOON, slow: () => tell("The kernel has not answered yet: is a cell running?") });
    } catch (/** @type {any} */ error) {
      if (!signal.aborted) tell(error.sentence ?? error.message);
    }
  }
  /** @param {string} words */
  function tell(words) {
    asked = words;
    update();
  }

  function curves() {
    const size = parseFloat(getComputedStyle(root).fontSize) * 0.93;
    const width = parts.charts.clientWidth;
    if (width) fill(parts.charts, ...charts(state(), width, size));
  }
  function table() {
    if (parts.details.open) fill(parts.table, numbers(state()));
  }
  let heard = Date.now();
  function listen() {
    const silent = Date.now() - heard;
    if (silent >= SILENCE && !alone && !over(before)) parts.phase.textContent = `No news for ${duration(silent / 1000)}: the kernel is busy, or gone.`;
  }
  function update() {
    const now = state();
    heard = Date.now();
    head(parts, now, alone);
    fill(parts.figures, ...figures(now).map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))));
    curves();
    fill(parts.legend, legend(now.runs, now.title));
    table();
    ending(parts, now, asked, alone);
    const news = milestone(before, now);
    if (news) parts.live.textContent = news;
    before = now;
  }

  // A message from the kernel changes many traits at once; they are drawn together.
  let due = false;
  const later = () => {
    if (due) return;
    due = true;
    queueMicrotask(() => ((due = false), signal.aborted || update()));
  };
  watch(model, TRAITS, later, signal);
  parts.details.addEventListener("toggle", table);
  let width = 0;
  const sizes = new ResizeObserver(() => {
    if (Math.abs(parts.charts.clientWidth - width) < 2) return; // drawing changes the height, which is no reason to draw
    width = parts.charts.clientWidth;
    curves();
  });
  sizes.observe(parts.charts);
  update();
  const listening = setInterval(listen, 5000);
  return () => (clearInterval(listening), sizes.disconnect(), root.remove());
}

/** The lasting elements. @param {() => void} stop */
function build(stop) {
  const sign = h("span", { class: "dnb-monitor-sign", "aria-hidden": "true" });
  const status = h("span", { class: "dnb-monitor-status", tabindex: "-1" });
  const title = h("span", { class: "dnb-muted dnb-monitor-title" });
  const button = h("button", { type: "button", class: "dnb-button dnb-monitor-stop", onclick: stop }, h("span", { "aria-hidden": "true" }, "◼ "), "Stop");
  const fillBar = h("div", { class: "dnb-monitor-done" });
  const bar = h("div", { class: "dnb-monitor-bar", role: "progressbar", "aria-label": "Training", "aria-valuemin": 0, "aria-valuemax": 100 }, fillBar);
  const phase = h("p", { class: "dnb-monitor-phase dnb-muted" });
  const numbersOf = h("dl", { class: "dnb-monitor-figures" });
  const curves = h("div", { class: "dnb-monitor-charts" });
  const lines = h("div", {});
  const table = h("div", { class: "dnb-monitor-table" });
  const details = h("details", {}, h("summary", {}, "Numbers of the curve"), table);
  const end = h("div", { class: "dnb-monitor-end" });
  const live = h("div", { class: "dnb-hidden", role: "status" });
  const head = h("div", { class: "dnb-monitor-head" }, h("strong", {}, "Training"), h("span", { class: "dnb-monitor-badge" }, sign, status), title, button);
  const body = h("div", { class: "dnb-monitor-body" }, bar, phase, numbersOf, curves, lines, end, details, live);
  return { all: [head, body], head, sign, status, title, stop: button, bar, done: fillBar, phase, figures: numbersOf, charts: curves, legend: lines, table, details, end, live };
}

/** @param {ReturnType<typeof build>} parts @param {any} state @param {boolean} alone no kernel can answer */
function head(parts, state, alone) {
  const [sign, word] = STATUS[state.status] ?? STATUS.waiting;
  parts.head.dataset.status = state.status;
  parts.sign.textContent = sign;
  parts.status.textContent = word;
  parts.title.textContent = state.title;
  const share = Math.round(100 * (state.phase ? state.share : state.end ? state.steps / state.end : 0));
  parts.bar.setAttribute("aria-valuenow", String(share));
  parts.bar.setAttribute("aria-valuetext", state.phase || `${share} %`);
  parts.done.style.width = `${share}%`;
  parts.bar.classList.toggle("dnb-monitor-beside", Boolean(state.phase));
  const hint = state.stoppable || over(state) ? "" : "The notebook's stop button ◼ ends it and keeps what was learned.";
  parts.phase.textContent = state.phase ? `${state.phase} … ${share} %` : hint;
  const gone = alone || over(state) || !state.stoppable;
  if (gone && document.activeElement === parts.stop) parts.status.focus();
  parts.stop.hidden = gone;
  parts.stop.disabled = state.status !== "running" && state.status !== "waiting";
}

/** What there is to say below the curves. @param {ReturnType<typeof build>} parts @param {any} state @param {string} asked @param {boolean} alone */
function ending(parts, state, asked, alone) {
  const { what, expected, try_ } = state.problem ?? {};
  const problem = what ? h("div", { class: "dnb-problem" }, [what, expected].filter(Boolean).join(" "), try_ ? [" Try: ", h("code", {}, try_)] : []) : null;
  const verdict = state.verdict ? h("p", { class: "dnb-monitor-verdict" }, state.verdict) : null;
  const rows = state.table.map((/** @type {[string, string]} */ [label, value]) => h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, value)));
  const table = rows.length ? h("table", { class: "dnb-table" }, h("tbody", {}, ...rows)) : null;
  const where = alone && !over(state) ? h("p", { class: "dnb-muted" }, "So far: there is no kernel behind this page.") : null;
  fill(parts.end, where, asked ? h("div", { class: "dnb-problem" }, asked) : null, problem, verdict, table, state.preface ? h("p", { class: "dnb-muted" }, state.preface) : null);
}

export default { render };
