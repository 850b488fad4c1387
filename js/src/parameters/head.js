// Above the table: before and now as bars, how rows are grouped, the filter, and the buttons.

import { field, fill, h, newId, number, percent } from "../ui/dom.js";
import { put } from "../ui/model.js";
import { bar } from "./cells.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Table } from "./nodes.js" */

const GROUPS = { module: "Module", type: "Type", delta: "Delta" };

/**
 * @typedef {{label: string, act: () => void}} Button
 */

export class Head {
  /** @param {Model} model @param {Button[]} buttons */
  constructor(model, buttons) {
    this.model = model;
    this.summary = h("div", { class: "dnb-params-summary" });
    this.status = h("div", { role: "status", class: "dnb-params-status" });
    this.filter = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => put(model, { filter: this.filter.value }) });
    const group = newId("by");
    /** @type {HTMLInputElement[]} */
    this.groups = Object.keys(GROUPS).map((by) => h("input", { type: "radio", name: group, value: by, onchange: () => put(model, { by }) }));
    const radios = Object.values(GROUPS).map((label, at) => h("label", {}, this.groups[at], h("span", {}, label)));
    const by = h("fieldset", { class: "dnb-params-by" }, h("legend", { class: "dnb-label" }, "Rows by"), h("div", {}, radios));
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map(buttons.map(({ label, act }) => [label, h("button", { type: "button", class: "dnb-button", onclick: act }, label)]));
    const row = h("div", { class: "dnb-params-tools" }, by, field("Filter", this.filter, "words in a name or a type"), h("div", { class: "dnb-params-buttons" }, [...this.buttons.values()]));
    this.element = h("div", { class: "dnb-params-head" }, this.summary, row, this.status);
  }

  /** @param {Table} table */
  show(table) {
    const { data, totals } = table;
    const now = { name: "Now", trains: totals.trainable, total: totals.total };
    const before = data.before ? [{ name: "Before", trains: totals.before, total: data.beforeTotal }] : [];
    fill(this.summary, h("b", {}, data.type), [...before, now].flatMap(moment));
    for (const input of this.groups) input.checked = input.value === this.model.get("by");
    if (this.filter.value !== this.model.get("filter")) this.filter.value = this.model.get("filter");
  }

  /** Say what the filter finds, or what the table is about. @param {Table} table @param {number} shown lines */
  say(table, shown) {
    const [by, filter] = [this.model.get("by"), this.model.get("filter").trim()];
    const found = table.found(filter);
    const { data, totals } = table;
    if (!found) return this.tell(`${number(data.modules)} modules, ${number(totals.total)} parameters, ${number(totals.trainable)} trainable`);
    if (by !== "module") return this.tell(`${number(shown)} of ${number((by === "type" ? data.types : data.deltas).length)} rows`);
    const { modules, values } = found;
    const share = percent(values.total, totals.total);
    const sums = `${number(values.total)} parameters (${share}), ${number(values.trainable)} trainable`;
    return this.tell(modules ? `${number(modules)} of ${number(data.modules)} modules: ${sums}` : `No module has "${filter}" in its name or type.`);
  }

  /** @param {string} words @param {boolean} [bad] */
  tell(words, bad = false) {
    this.status.classList.toggle("dnb-bad", bad);
    if (this.status.textContent !== words) this.status.textContent = words;
  }
}

/** One moment's share as a bar with its numbers. @param {{name: string, trains: number, total: number}} moment */
function moment({ name, trains, total }) {
  const values = { total, before: 0, trainable: trains, dead: 0, frozen: total - trains, delta: 0 };
  const words = `${number(trains)} of ${number(total)} trainable (${percent(trains, total)})`;
  return [h("span", { class: "dnb-label" }, name), bar(values, total), h("span", { class: "dnb-params-words" }, words)];
}
