// The live preview: the pattern boxes and what they hit, small enough for a slide.

import { Matching } from "./explorer/matching.js";
import { patternRow } from "./explorer/pattern_row.js";
import { Store } from "./explorer/store.js";
import { TreePane } from "./explorer/tree_pane.js";
import { follow } from "./explorer/selection.js";
import { Structure } from "./structure/structure.js";
import { watch } from "./ui/model.js";
import { makeRoot } from "./ui/root.js";

/** @param {{model: import("./ui/model.js").Model, el: HTMLElement, signal?: AbortSignal}} host */
function render({ model, el, signal: given }) {
  const stop = new AbortController();
  const { signal } = stop;
  given?.addEventListener("abort", () => stop.abort());
  const store = new Store(new Structure(model.get("structure")));
  watch(model, "structure", () => store.replace(new Structure(model.get("structure"))), signal);
  const matching = new Matching(store, model, signal);
  const row = patternRow({ store, model, matching, signal });
  const pane = new TreePane(store, signal, { lines: 10, narrow: true });
  follow(store, model, signal);
  const root = makeRoot(el, model, signal, "preview");
  root.role = "region";
  root.ariaLabel = "deltanb pattern preview";
  root.append(row.element, pane.element);
  watch(model, "projector", () => pane.tree.measure(), signal);
  return () => stop.abort();
}

export default { render };
