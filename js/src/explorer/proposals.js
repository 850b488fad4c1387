// Point and get the pattern: for the selected modules the patterns that hit exactly these, and what shorter ones would hit, too.

import { patternsFor, widerPatterns } from "../addressing/synthesis.js";
import { joinPatterns } from "../addressing/split.js";
import { NameTable } from "../addressing/table.js";
import { RoleTable } from "../addressing/roles.js";
import { fill, h, number } from "../ui/dom.js";

/** @import { Store } from "./store.js" */

const SHOWN = 4;
const KINDS = { suffix: "suffix", segments: "segments", several: "several", role: "role", address: "address", regex: "regular expression" };

/**
 * @param {Store} store
 * @param {(pattern: string) => void} use puts a pattern into the box
 * @param {AbortSignal} signal
 */
export function proposals(store, use, signal) {
  const list = h("div", { class: "dnb-proposals", role: "group", "aria-label": "Patterns for what is selected" });
  /** @type {{names: readonly string[], table: NameTable, roles: RoleTable | null} | null} */
  let known = null;
  const look = () => {
    const { names, roles, knowsRoles } = store.structure;
    if (known?.names !== names) {
      const table = new NameTable(names);
      known = { names, table, roles: knowsRoles ? new RoleTable(table, roles) : null };
    }
    return known;
  };
  /** @param {readonly number[]} positions */
  const mark = (positions) => {
    if (!positions.length && !store.also.size) return;
    store.also = new Set(positions);
    store.tell("also");
  };
  let frame = 0;
  const draw = () => {
    frame = 0;
    mark([]);
    if (!store.selection.size) return fill(list, hint());
    const { table, roles } = /** @type {NonNullable<typeof known>} */ (look());
    const chosen = [...store.selection];
    const exact = patternsFor(table, chosen, roles).slice(0, SHOWN);
    const [best] = exact;
    const shorter = widerPatterns(table, chosen).filter((one) => !best || one.pattern.length < joinPatterns(best.patterns).length);
    const all = h("span", {}, h("b", {}, chosen.length === 1 ? "1 module" : `${number(chosen.length)} modules`), " selected. Exactly these:");
    const clear = h("button", { class: "dnb-quiet", type: "button", onclick: () => ((store.selection = new Set()), store.tell("selection")) }, "Clear");
    fill(
      list,
      h("div", { class: "dnb-proposals-head" }, all, clear),
      exact.map((one) => exactLine(joinPatterns(one.patterns), KINDS[one.kind], use)),
      shorter.slice(0, 2).map((one) => widerLine(one.pattern, one.extra, use, mark)),
    );
  };
  const soon = () => void (frame ||= requestAnimationFrame(draw));
  store.on(["selection", "structure"], soon, signal);
  signal.addEventListener("abort", () => cancelAnimationFrame(frame));
  draw();
  return list;
}

const hint = () => h("span", { class: "dnb-hint" }, "Click modules, Shift for a range, Ctrl for more: the pattern that hits exactly those comes here.");

/** @param {string} pattern @param {string} kind @param {(pattern: string) => void} use */
function exactLine(pattern, kind, use) {
  return h(
    "div",
    { class: "dnb-proposal" },
    h("code", { class: "dnb-mono" }, pattern),
    h("span", { class: "dnb-hint" }, kind),
    h("button", { class: "dnb-small", type: "button", "aria-label": `Use ${pattern}`, onclick: () => use(pattern) }, "Use"),
  );
}

/** @param {string} pattern @param {readonly number[]} extra @param {(pattern: string) => void} use @param {(positions: readonly number[]) => void} mark */
function widerLine(pattern, extra, use, mark) {
  const words = `would also hit ${number(extra.length)} ${extra.length === 1 ? "other" : "others"}`;
  const show = h("button", { class: "dnb-small", type: "button", "aria-pressed": "false", "aria-label": `Show what ${pattern} ${words}` }, "Show");
  show.addEventListener("click", () => {
    const on = show.getAttribute("aria-pressed") !== "true";
    for (const other of show.closest(".dnb-proposals")?.querySelectorAll("[aria-pressed]") ?? []) other.setAttribute("aria-pressed", "false");
    show.setAttribute("aria-pressed", String(on));
    mark(on ? extra : []);
  });
  return h(
    "div",
    { class: "dnb-proposal dnb-proposal-wider" },
    h("code", { class: "dnb-mono" }, pattern),
    h("span", { class: "dnb-hint" }, words),
    show,
    h("button", { class: "dnb-small", type: "button", "aria-label": `Use ${pattern} all the same`, onclick: () => use(pattern) }, "Use"),
  );
}
