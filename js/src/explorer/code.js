// The code pane: what is typed now, and what was done, as `%delta` lines, as Python, and in PEFT.

import { fill, h, newId } from "../ui/dom.js";
import { watch } from "../ui/model.js";
import { peftLines } from "./code_peft.js";
import { deltaLines, pythonLines } from "./code_text.js";
import { draftOf } from "./draft.js";
import { copyText } from "./copy.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Store } from "./store.js" */

const TABS = ["%delta", "Python", "PEFT"];
const MOVES = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1 });

/**
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {Model} model
 * @param {AbortSignal} signal
 */
export function mountCode(el, store, model, signal) {
  const said = h("span", { class: "dnb-said", role: "status" });
  const draft = block("Copy", "What is typed", said);
  const done = block("Copy what was done", "What was done", said);
  const panel = h("div", { role: "tabpanel", class: "dnb-code-panel", id: newId("code") }, draft.element, done.element);
  let chosen = 0;
  const draw = () => {
    draft.show(pending(chosen, store, model).join("\n"));
    done.show(past(chosen, store, model));
  };
  const tabs = tabList(panel, (at) => {
    chosen = at;
    draw();
  });
  el.append(h("section", { class: "dnb-code", "aria-label": "Code" }, h("div", { class: "dnb-code-head" }, tabs, said), panel));
  store.on(["match", "structure"], draw, signal);
  watch(model, ["delta_type", "delta_name", "delta_options", "freeze_exclude", "done"], draw, signal);
  draw();
}

/** Tabs as the W3C describes them: one stop, arrows, Home and End. @param {HTMLElement} panel @param {(at: number) => void} chosen */
function tabList(panel, chosen) {
  const tabs = TABS.map((name, at) =>
    h("button", { type: "button", role: "tab", id: newId("tab"), class: "dnb-tab", "aria-controls": panel.id, onclick: () => choose(at), onkeydown: (/** @type {KeyboardEvent} */ event) => pressed(event, at) }, name),
  );
  const choose = (/** @type {number} */ at) => {
    tabs.forEach((tab, other) => {
      tab.setAttribute("aria-selected", String(other === at));
      tab.tabIndex = other === at ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", tabs[at].id);
    chosen(at);
  };
  const pressed = (/** @type {KeyboardEvent} */ event, /** @type {number} */ at) => {
    const to = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : event.key in MOVES ? (at + MOVES[event.key] + tabs.length) % tabs.length : -1;
    if (to < 0) return;
    event.preventDefault();
    choose(to);
    tabs[to].focus();
  };
  tabs.forEach((tab, at) => (tab.setAttribute("aria-selected", String(at === 0)), (tab.tabIndex = at ? -1 : 0)));
  panel.setAttribute("aria-labelledby", tabs[0].id);
  return h("div", { role: "tablist", class: "dnb-tabs", "aria-label": "Code as" }, tabs);
}

/** @param {string} copy the button's name @param {string} heading @param {HTMLElement} said */
function block(copy, heading, said) {
  const code = h("code", {});
  const words = h("button", { type: "button", class: "dnb-button dnb-copy", onclick: () => copyText(code.textContent ?? "", code, (/** @type {string} */ text) => fill(said, text)) }, copy);
  const element = h("div", { class: "dnb-code-block" }, h("div", { class: "dnb-code-line" }, h("span", { class: "dnb-hint" }, heading), words), h("pre", { class: "dnb-code-text", tabindex: "0" }, code));
  const show = (/** @type {string} */ text) => {
    element.hidden = !text;
    if (code.textContent !== text) code.textContent = text;
  };
  return { element, show };
}

/** @param {number} tab @param {Store} store @param {Model} model @returns {string[]} */
export function pending(tab, store, model) {
  const draft = draftOf(store, model);
  if (draft.waiting) return [`# ${draft.waiting}`];
  if (tab === 0) return deltaLines(draft);
  if (tab === 1) return pythonLines(draft);
  const { structure } = store;
  const names = (/** @type {number[]} */ places) => places.map((at) => structure.names[at]);
  const kinds = [...new Set(draft.hosts.map((at) => structure.rows[structure.rowOf[at]].type))];
  return peftLines({ type: draft.type, options: draft.all, freeze: draft.freeze, hosts: names(draft.hosts), inward: names(draft.inward), names: structure.names, model: structure.type, kinds });
}

/** @param {number} tab @param {Store} store @param {Model} model @returns {string} */
function past(tab, { structure }, model) {
  const done = model.get("done") ?? {};
  if (tab === 0) return (done.lines ?? []).join("\n");
  if (tab === 1) return done.lines?.length ? done.python.trimEnd() : "";
  return (done.deltas ?? [])
    .map((/** @type {any} */ delta) => peftLines({ ...delta, freeze: delta.freeze.length ? delta.freeze : ["deltas"], names: structure.names, model: structure.type }).join("\n"))
    .join("\n\n");
}
