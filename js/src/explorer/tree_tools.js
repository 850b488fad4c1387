// What stands above the tree: open at the matches, close again, and what the signs mean.

import { h } from "../ui/dom.js";

/** @import { Store } from "./store.js" */
/** @import { TreePane } from "./tree_pane.js" */

/** @param {Store} store @param {TreePane} pane @param {AbortSignal} signal */
export function treeTools(store, pane, signal) {
  const reveal = h("button", { class: "dnb-small", type: "button", onclick: () => pane.reveal() }, "Open at matches");
  const close = h("button", { class: "dnb-small", type: "button", onclick: () => pane.close() }, "Close all");
  const only = h("button", { class: "dnb-small", type: "button", "aria-pressed": "false" }, "Only matches");
  only.addEventListener("click", () => {
    pane.narrow = !pane.narrow;
    only.setAttribute("aria-pressed", String(pane.narrow));
  });
  const show = () => void (reveal.disabled = !store.match.hits.length);
  store.on("match", show, signal);
  show();
  const signs = [["T", "trains"], ["F", "frozen"], ["P", "partly"]].map(([letter, word]) =>
    h("span", {}, h("b", { class: `dnb-state-${letter}` }, letter), ` ${word}`),
  );
  return h("div", { class: "dnb-tree-tools" }, reveal, only, close, h("span", { class: "dnb-signs" }, signs, h("span", {}, "⇄ tied"), h("span", { class: "dnb-delta" }, "Δ delta")));
}
