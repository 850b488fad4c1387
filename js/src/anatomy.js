// What a delta has learned: bars for each layer, the singular values of one, and a sentence with the delta and without it.

import { answerView } from "./anatomy/answers.js";
import { figure, isShare, linesOf, MEASURES, measuresOf, verdict } from "./anatomy/lines.js";
import { spectrum } from "./anatomy/spectrum.js";
import { ask, NoKernel, Refused } from "./ui/ask.js";
import { field, fill, h } from "./ui/dom.js";
import { put, watch } from "./ui/model.js";
import { makeRoot } from "./ui/root.js";
import { Tree } from "./ui/tree.js";

/** @import { Model } from "./ui/model.js" */
/** @import { AnatomyLine, Group, Row } from "./anatomy/lines.js" */

const OPEN_ROWS = 60; // more than that, and the later groups are closed at first

/** @param {{model: Model, el: HTMLElement, signal?: AbortSignal}} view */
function render({ model, el, signal }) {
  const stop = new AbortController();
  signal?.addEventListener("abort", () => stop.abort());
  const root = makeRoot(el, model, stop.signal, "anatomy");
  root.append(
    h("div", { class: "dnb-head" }, h("h2", { class: "dnb-title" }, model.get("title"))),
    h("div", { class: "dnb-anatomy-body" }, layers(model, stop.signal), detail(model, stop.signal)),
    sentence(model, stop.signal),
    ...notes(model),
  );
  return () => (stop.abort(), root.remove());
}

/** Bars, one a layer, under the pattern of their hosts. @param {Model} model @param {AbortSignal} signal */
function layers(model, signal) {
  /** @type {Set<string>} */
  const closed = firstClosed(model.get("groups"));
  const measure = h("select", { onchange: () => put(model, { measure: measure.value }) });
  const order = h("select", { onchange: () => put(model, { order: order.value }) },
    h("option", { value: "model" }, "as in the model"), h("option", { value: "size" }, "largest first"));
  /** @type {Tree<AnatomyLine>} */
  const tree = new Tree({
    label: "Layers",
    view: lineView,
    text: (line) => line.label,
    open: (lines, open) => {
      for (const line of lines) open ? closed.delete(line.key) : closed.add(line.key);
      paint();
    },
    choose: (_, __, at) => (at.row ? put(model, { selected: at.row.name }) : void (closed.has(at.key) ? closed.delete(at.key) : closed.add(at.key), paint())),
    chosen: (line) => (line.row ? line.row.name === model.get("selected") : null),
    signal,
  });
  tree.tree.removeAttribute("aria-multiselectable");
  const caption = h("p", { class: "dnb-hint" });
  const paint = () => {
    const [groups, here] = [model.get("groups"), model.get("here") ?? {}];
    const known = measuresOf(groups, here);
    const shown = known.includes(model.get("measure")) ? model.get("measure") : (known[0] ?? "relative");
    fill(measure, known.map((name) => h("option", { value: name }, MEASURES[name])));
    [measure.value, order.value] = [shown, model.get("order")];
    tree.set(linesOf(groups, { measure: shown, order: model.get("order"), here, closed }).map((line) => ({ ...line, measure: shown })));
    fill(caption, explained(model, shown));
  };
  watch(model, ["groups", "measure", "order", "here", "selected"], paint, signal);
  paint();
  return h("section", { class: "dnb-layers", "aria-label": "Layers" },
    h("div", { class: "dnb-controls" }, field("Bars", measure), field("Order", order)), tree.element, caption);
}

/** What the bars are of. @param {Model} model @param {string} measure */
function explained(model, measure) {
  if (measure === "moved") return `What comes out of each module with the delta against without it, ${model.get("caption")}.`;
  if (measure === "here") return `What comes out of each module with the delta against without it, on “${typed(model)}”.`;
  return "‖·‖ is the Frobenius norm; the change is taken from the backbone's own weights.";
}

/** @param {Model} model */
const typed = (model) => model.get("comparisons").find((/** @type {any} */ one) => one.typed)?.text ?? model.get("sentence");

/** @param {Group[]} groups */
function firstClosed(groups) {
  let rows = 0;
  return new Set(groups.flatMap((group, at) => {
    rows += group.rows.length;
    return at && rows > OPEN_ROWS ? [`${group.core ? "" : "+"}${group.pattern}`] : [];
  }));
}

function lineView() {
  const name = h("span", { class: "dnb-line-name" });
  const part = h("span", { class: "dnb-bar-part" });
  const value = h("span", { class: "dnb-number" });
  const bar = h("span", { class: "dnb-bar", "aria-hidden": "true" }, part);
  const element = h("div", { class: "dnb-line" }, name, bar, value);
  /** @param {AnatomyLine & {measure?: any}} line */
  const show = (line) => {
    const { group } = line;
    const share = isShare(line.measure);
    element.classList.toggle("dnb-line-group", line.expandable);
    if (line.expandable) {
      const many = group.rows.length > 1 ? h("span", { class: "dnb-folded" }, `×${group.rows.length}`) : null;
      const twisty = h("span", { "data-twisty": "", "aria-hidden": "true", class: "dnb-twisty" }, line.open ? "▾" : "▸");
      fill(name, twisty, h("b", { class: "dnb-mono", title: group.pattern }, h("bdi", {}, group.pattern)), h("span", { class: "dnb-type" }, group.type), many,
        group.core ? null : h("span", { class: "dnb-trained" }, "trained too"));
    } else fill(name, h("span", { class: "dnb-line-label" }, line.label));
    part.className = `dnb-bar-part dnb-fill-${line.measure === "moved" || line.measure === "here" ? "trainable" : "delta"}`;
    part.style.width = `${100 * line.share}%`;
    fill(value, !line.expandable ? figure(line.value, share) : group.rows.length > 1 ? `mean ${figure(line.value, share)}` : "");
  };
  return { element, show };
}

/** A pattern that breaks behind dots only. @param {string} text */
function broken(text) {
  return text.split(".").flatMap((part, at, all) => (at < all.length - 1 ? [`${part}.`, h("wbr")] : [part]));
}

/** The module that is selected. @param {Model} model @param {AbortSignal} signal */
function detail(model, signal) {
  const here = h("section", { class: "dnb-detail", "aria-label": "Selected module", "aria-live": "polite" });
  const paint = () => {
    /** @type {Group[]} */
    const groups = model.get("groups");
    const found = groups.flatMap((group) => group.rows.map((row) => ({ row, group }))).find(({ row }) => row.name === model.get("selected"));
    if (!found) return fill(here, h("p", { class: "dnb-muted" }, "Choose a layer: Enter, or a click."));
    const highest = Math.max(0, ...groups.flatMap((group) => group.rows.map((row) => row.values[0] ?? 0)));
    fill(here, h("h3", { class: "dnb-mono" }, ...broken(found.row.name), " ", h("span", { class: "dnb-type" }, found.group.type)), facts(found.row, model),
      found.row.change === null ? h("p", { class: "dnb-muted" }, "It changes no weights here: it adds a function of the text.") : spectrum(found.row, highest));
  };
  watch(model, ["groups", "selected", "here"], paint, signal);
  paint();
  return here;
}

/** @param {Row} row @param {Model} model */
function facts(row, model) {
  const moved = (model.get("here") ?? {})[row.name];
  /** @type {[string, string][]} */
  const pairs = [
    ["‖ΔW‖", figure(row.change)],
    ["‖ΔW‖ / ‖W‖", figure(row.relative, true)],
    ["activations moved", figure(row.moved, true)],
    ["moved on the typed sentence", moved === undefined ? "–" : figure(moved, true)],
    ["effective rank", row.rank === null ? "–" : `${row.rank.toFixed(1)} of ${row.values.length}`],
    ["in the first direction", figure(row.first, true)],
  ];
  return h("dl", { class: "dnb-facts" }, pairs.filter(([, said]) => said !== "–").map(([term, said]) => h("div", {}, h("dt", {}, term), h("dd", {}, said))));
}

/** The text box, and the answers. @param {Model} model @param {AbortSignal} signal */
function sentence(model, signal) {
  const box = h("input", { type: "text", value: model.get("sentence"), autocomplete: "off", onchange: () => put(model, { sentence: box.value }) });
  const button = h("button", { class: "dnb-button dnb-button-main", type: "submit" }, "Compare");
  const status = h("p", { class: "dnb-status", role: "status" });
  const problem = h("div", { hidden: true });
  const answers = h("div", { class: "dnb-answers", role: "region", "aria-label": "Compared so far", tabindex: 0 });
  const compare = async () => {
    put(model, { sentence: box.value });
    button.disabled = true;
    problem.hidden = true;
    fill(status, "Comparing …");
    try {
      const found = await ask(model, "compare", { sentence: box.value }, { signal, slow: () => fill(status, "Waiting for the kernel: it is at work on something else …") });
      fill(status, found ? verdict(found) : "This model has no answers to compare; the bars can show how far the sentence moved its activations.");
      put(model, { measure: found ? model.get("measure") : "here" });
    } catch (error) {
      if (signal.aborted) return;
      fill(status, error instanceof NoKernel ? "No kernel is behind this page, so no new sentence can be compared." : "");
      if (error instanceof NoKernel) return;
      problem.hidden = false;
      problem.className = "dnb-problem";
      fill(problem, error instanceof Refused ? error.sentence : String(error));
    }
    button.disabled = false;
  };
  const form = h("form", { class: "dnb-sentence", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), button.disabled || compare()) }, field("Sentence", box), button);
  if (model.kernel === false) {
    [box.disabled, button.disabled] = [true, true];
    fill(status, "No kernel is behind this page: the sentences compared before are shown.");
  }
  const paint = () => fill(answers, model.get("comparisons").map((/** @type {any} */ one) => answerView(one, model.get("predicts") || "label")));
  watch(model, "comparisons", paint, signal);
  watch(model, "sentence", () => void (box.value === model.get("sentence") || (box.value = model.get("sentence"))), signal);
  paint();
  return h("section", { class: "dnb-compare", "aria-label": "With the delta and without it" }, form, status, problem, answers);
}

/** @param {Model} model */
function notes(model) {
  /** @type {string[]} */
  const said = model.get("notes");
  return said.length ? [h("ul", { class: "dnb-notes" }, said.map((note) => h("li", {}, note)))] : [];
}

export default { render };
