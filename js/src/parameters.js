// The parameter table: before and after freezing, by module, type or delta.

import { ask, Refused } from "./ui/ask.js";
import { fill, h } from "./ui/dom.js";
import { put, watch } from "./ui/model.js";
import { makeRoot } from "./ui/root.js";
import { asText, toClipboard } from "./parameters/copy.js";
import { Grid } from "./parameters/grid.js";
import { Head } from "./parameters/head.js";
import { Table } from "./parameters/nodes.js";
import { COLUMNS } from "./parameters/rows.js";

/** @import { Model } from "./ui/model.js" */
/** @import { Choice, Node } from "./parameters/nodes.js" */

const FIRST = { module: "Module", type: "Type", delta: "Owner" };

class View {
  /** @param {Model} model @param {HTMLElement} root @param {AbortSignal} signal */
  constructor(model, root, signal) {
    this.model = model;
    this.signal = signal;
    this.table = new Table(model.get("rows"));
    /** Rows that were closed while the filter holds them open. @type {Set<string>} */
    this.shut = new Set();
    /** @type {Node[]} */
    this.nodes = [];
    const looks = (/** @type {boolean} */ gradients) => () => this.refresh(gradients);
    this.head = new Head(model, [
      { label: "Open all", act: () => put(model, { expanded: this.table.openable }) },
      { label: "Close all", act: () => put(model, { expanded: [], members: [] }) },
      { label: "Copy", act: () => this.copy() },
      { label: "Refresh", act: looks(false) },
      { label: "Look for gradients", act: looks(true) },
    ]);
    const acts = {
      turn: (/** @type {Node} */ node, open = !node.open) => this.turn(node, open),
      each: (/** @type {Node} */ node) => this.each(node),
      sort: (/** @type {string} */ sort) => put(model, { sort }),
    };
    this.grid = new Grid(acts, signal);
    this.notes = h("div", { class: "dnb-params-notes dnb-muted" });
    root.append(this.head.element, this.grid.element, this.notes);
    watch(model, "rows", () => this.counted(), signal);
    watch(model, "filter", () => this.shut.clear(), signal);
    watch(model, ["by", "sort", "filter", "expanded", "members"], () => this.draw(), signal);
    watch(model, "projector", () => requestAnimationFrame(() => this.draw()), signal);
    this.counted();
  }

  counted() {
    this.table = new Table(this.model.get("rows"));
    fill(this.notes, this.table.data.notes.map((note) => h("div", {}, note)));
    for (const label of ["Refresh", "Look for gradients"]) this.button(label).hidden = this.model.kernel === false;
    if (!this.table.data.notes.length) this.button("Look for gradients").hidden = true;
    this.draw();
  }

  /** @returns {Choice} */
  get choice() {
    const get = (/** @type {string} */ name) => this.model.get(name);
    return { by: get("by"), sort: get("sort"), filter: get("filter"), expanded: get("expanded"), members: get("members"), shut: this.shut };
  }

  /** Columns that say something about this model. */
  get columns() {
    const { before, dead } = this.table.data;
    return COLUMNS.filter((column) => (column !== "before" || before) && (column !== "dead" || dead));
  }

  get first() {
    return FIRST[/** @type {keyof typeof FIRST} */ (this.model.get("by"))];
  }

  draw() {
    this.nodes = this.table.nodes(this.choice);
    this.head.show(this.table);
    this.head.say(this.table, this.nodes.length);
    for (const label of ["Open all", "Close all"]) this.button(label).disabled = this.model.get("by") !== "module" || !this.table.deep;
    const { columns, first, nodes } = this;
    this.grid.show({ nodes, columns, totals: this.table.totals, sort: this.model.get("sort"), first });
  }

  /** @param {string} label @returns {HTMLButtonElement} */
  button(label) {
    return /** @type {HTMLButtonElement} */ (this.head.buttons.get(label));
  }

  /** @param {Node} node @param {boolean} open */
  turn(node, open) {
    if (open) this.shut.delete(node.key);
    else this.shut.add(node.key);
    this.switch("expanded", node.key, open);
  }

  /** Members one by one, or folded. @param {Node} node */
  each(node) {
    if (node.row?.children.length) this.model.set("members", toggled(this.model.get("members"), node.key, !node.each));
    this.switch("expanded", node.key, true);
  }

  /** @param {string} trait @param {string} key @param {boolean} on */
  switch(trait, key, on) {
    const [old, now] = [this.model.get(trait), toggled(this.model.get(trait), key, on)];
    put(this.model, { [trait]: now });
    if (old.length === now.length) this.draw(); // only `shut` has changed
  }

  async copy() {
    const text = asText(this.nodes, this.columns, this.table.totals, this.first);
    try {
      await toClipboard(text, this.head.element);
      this.head.tell(`Copied: ${this.nodes.length} rows and the totals, with tabs between the cells.`);
    } catch (error) {
      this.head.tell(String(/** @type {Error} */ (error).message), true);
    }
  }

  /** Count anew in the kernel. @param {boolean} gradients */
  async refresh(gradients) {
    const slow = () => this.head.tell("The kernel is busy; the table is counted anew when it is free.");
    try {
      await ask(this.model, "refresh", { gradients }, { slow, signal: this.signal });
      this.head.tell("Counted anew.");
    } catch (error) {
      if (!this.signal.aborted) this.head.tell(error instanceof Refused ? error.sentence : String(/** @type {Error} */ (error).message), true);
    }
  }
}

/** @param {string[]} list @param {string} key @param {boolean} on */
const toggled = (list, key, on) => (on ? [...list.filter((one) => one !== key), key] : list.filter((one) => one !== key));

/** @param {{model: Model, el: HTMLElement, signal: AbortSignal}} host */
function render({ model, el, signal }) {
  const root = makeRoot(el, model, signal, "params");
  new View(model, root, signal);
  return () => root.remove();
}

export default { render };
