// The Explorer: a backbone to look at, patterns to try, a delta to attach, each seen before anything is changed.

import { mountCode } from "./explorer/code.js";
import { mountPanel } from "./explorer/panel.js";
import { header } from "./explorer/shell.js";
import { Matching } from "./explorer/matching.js";
import { mountPicture } from "./explorer/picture.js";
import { patternRow } from "./explorer/pattern_row.js";
import { proposals } from "./explorer/proposals.js";
import { Store } from "./explorer/store.js";
import { TreePane } from "./explorer/tree_pane.js";
import { treeTools } from "./explorer/tree_tools.js";
import { Structure } from "./structure/structure.js";
import { follow } from "./explorer/selection.js";
import { h } from "./ui/dom.js";
import { watch } from "./ui/model.js";
import { makeRoot } from "./ui/root.js";

/** @import { Model } from "./ui/model.js" */

/** @param {{model: Model, el: HTMLElement, signal?: AbortSignal}} host */
function render({ model, el, signal }) {
  const stop = new AbortController();
  signal?.addEventListener("abort", () => stop.abort());
  const root = makeRoot(el, model, stop.signal, "explorer");
  root.role = "region";
  root.ariaLabel = "deltanb Explorer";
  fillIn(root, model, stop.signal);
  return () => stop.abort();
}

/** @param {HTMLElement} root @param {Model} model @param {AbortSignal} signal */
function fillIn(root, model, signal) {
  const store = new Store(new Structure(model.get("structure")));
  watch(model, "structure", () => store.replace(new Structure(model.get("structure"))), signal);
  const matching = new Matching(store, model, signal);
  const row = patternRow({ store, model, matching, signal });
  const pane = new TreePane(store, signal);
  follow(store, model, signal);
  watch(model, "projector", () => pane.tree.measure(), signal);
  const picture = h("div", { class: "dnb-place-picture" });
  const panel = h("div", { class: "dnb-place-panel" });
  const code = h("div", { class: "dnb-place-code" });
  const left = h(
    "div",
    { class: "dnb-left" },
    h("div", { class: "dnb-place-tree" }, treeTools(store, pane, signal), pane.element),
    picture,
    proposals(store, row.use, signal),
  );
  root.append(header(store, model, root, signal), row.element, h("div", { class: "dnb-body" }, left, panel), code);
  mountPicture(picture, store, model, signal);
  mountPanel(panel, store, model, signal);
  mountCode(code, store, model, signal);
}

export default { render };
