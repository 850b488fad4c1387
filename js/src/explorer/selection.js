// The selection as names in a trait, in step with the clicked modules.

import { put, watch } from "../ui/model.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Store } from "./store.js" */

/** @param {Store} store @param {Model} model @param {AbortSignal} signal */
export function follow(store, model, signal) {
  const names = () => [...store.selection].sort((one, other) => one - other).map((at) => store.structure.names[at]);
  const send = () => {
    const now = names();
    const known = model.get("selected") ?? [];
    if (now.length !== known.length || now.some((name, at) => name !== known[at])) put(model, { selected: now });
  };
  const heard = () => {
    const known = new Set(model.get("selected") ?? []);
    if (known.size === store.selection.size && names().every((name) => known.has(name))) return;
    store.selection = new Set(store.structure.names.flatMap((name, at) => (known.has(name) ? [at] : [])));
    store.tell("selection");
  };
  heard();
  store.on("selection", send, signal);
  watch(model, "selected", heard, signal);
}
