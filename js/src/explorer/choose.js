// What a click selects, the same in every part that shows modules.

/** @import { Store } from "./store.js" */
/** @import { Choice } from "../ui/tree_keys.js" */

/**
 * Select modules: `one` and `range` replace what was selected (the same one again: nothing), `toggle` adds or takes away.
 *
 * @param {Store} store
 * @param {readonly number[]} positions among the structure's names
 * @param {Choice} choice
 */
export function choose(store, positions, choice) {
  if (!positions.length) return;
  const { selection } = store;
  const all = positions.every((at) => selection.has(at));
  if (choice === "toggle") for (const at of positions) if (all) selection.delete(at); else selection.add(at);
  else store.selection = new Set(choice === "one" && all && selection.size === positions.length ? [] : positions);
  store.tell("selection");
}
