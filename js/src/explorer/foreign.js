// What another library has already done to the model: which deltas, on how many modules, and the patterns that say where.

import { fill, h, number } from "../ui/dom.js";
import { peftTargets } from "./peft_targets.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Store } from "./store.js" */
/** @import { Structure } from "../structure/structure.js" */

/**
 * @param {Store} store
 * @param {Model} model
 * @param {AbortSignal} signal
 */
export function foreignStrip(store, model, signal) {
  const strip = h("div", { class: "dnb-foreign" });
  const draw = () => {
    /** @type {{origin: string, kind: string, name: string, hosts: number}[]} */
    const found = model.get("structure")?.foreign ?? [];
    strip.hidden = !found.length;
    fill(strip, found.map((one) => line(store.structure, one)));
  };
  store.on("structure", draw, signal);
  draw();
  return strip;
}

/** @param {Structure} structure @param {{origin: string, kind: string, name: string, hosts: number}} found */
function line(structure, { origin, kind, name, hosts }) {
  const places = hostsOf(structure, name, kind);
  const where = places.length ? `on ${number(hosts)} ${hosts === 1 ? "module" : "modules"}` : "before the whole model";
  const targets = places.length ? peftTargets(places, structure.names.map(bare)) : [];
  const said = typeof targets === "string" ? `r"${targets}"` : targets.join(", ");
  const word = kind === "modules_to_save" ? "modules_to_save" : origin === "PEFT" ? "target_modules" : "modules";
  return h("p", {}, h("b", {}, `Changed by ${origin}: `), `${kind} `, h("code", {}, name), ` ${where}`, said ? [` · ${word}: `, h("code", {}, said)] : null);
}

/** @param {string} name */
const bare = (name) => name.replace(/^base_model\.model\./, "");

/**
 * The modules that a delta of another library sits on.
 *
 * @param {Structure} structure @param {string} name @param {string} kind
 */
export function hostsOf(structure, name, kind) {
  const parents = new Set(structure.rows.filter((row) => row.delta.split(", ").includes(name) && row.deltaKind === kind).map((row) => matchable(row)));
  return structure.names.filter((_, at) => parents.has(structure.rows[structure.rowOf[at]])).map(bare);
}

/** @param {import("../structure/structure.js").Row} row */
function matchable(row) {
  let above = row.parent;
  while (above?.delta) above = above.parent;
  return above;
}
