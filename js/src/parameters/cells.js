// One line of the table as elements.

import { h, number } from "../ui/dom.js";

/** @import { Node } from "./nodes.js" */
/** @import { Values } from "./rows.js" */

/** @type {Record<keyof Values, string>} */
export const TITLES = { total: "Total", before: "Trained before", trainable: "Trainable", dead: "No gradient", frozen: "Frozen", delta: "Delta" };

/**
 * @param {Node} node
 * @param {(keyof Values)[]} columns
 * @param {{whole: number, index: number}} place all parameters of the model; position among the rows
 */
export function line(node, columns, { whole, index }) {
  const row = h("tr", {
    role: "row", class: ["dnb-params-row", node.delta && "dnb-params-delta"], "data-index": index, tabindex: -1,
    "aria-level": node.level, "aria-posinset": node.at, "aria-setsize": node.of, "aria-rowindex": index + 2,
    "aria-expanded": node.opens ? String(node.open) : null,
  });
  row.append(name(node), ...columns.map((column) => amount(node, column, whole)));
  return row;
}

/** @param {Node} node */
function name(node) {
  const dots = node.label.lastIndexOf(".") + 1;
  const full = [node.key, node.type, node.delta && `of the delta ${node.delta}`, node.tied && `counted under ${node.tied}`, ...node.reasons];
  return h(
    "td",
    { role: "gridcell", class: "dnb-params-name", tabindex: -1, title: full.filter(Boolean).join(" · "), style: { "--dnb-level": node.level - 1 } },
    h("span", { class: "dnb-params-turn", "aria-hidden": "true" }, node.opens ? (node.open ? "▾" : "▸") : ""),
    h("b", { class: ["dnb-mono", node.members > 0 && "dnb-folded", node.delta && "dnb-delta"] }, node.label.slice(dots)),
    times(node),
    node.hit && h("span", { class: "dnb-chip" }, node.hit),
    node.reasons.length > 0 && h("span", { class: "dnb-matched" }, `⚠ no gradient: ${node.reasons.join("; ")}`),
    node.tied && h("span", { class: "dnb-muted" }, `⇄ counted under ${node.tied}`),
    h("span", { class: "dnb-type" }, node.type),
  );
}

/** How many modules: for a fold with rows below, the button that shows them one by one. @param {Node} node */
function times(node) {
  if (node.members && node.row?.children.length) {
    const words = node.each ? `Fold the ${node.members} members of ${node.label}` : `Show the ${node.members} members of ${node.label} one by one`;
    const label = { "aria-label": words, title: `${words} (key ${node.each ? "-" : "+"})`, tabindex: -1 };
    return h("button", { type: "button", class: "dnb-params-each", ...label }, node.each ? "fold" : `×${number(node.members)}`);
  }
  return node.count > 1 ? h("span", { class: "dnb-muted" }, `×${number(node.count)}`) : null;
}

/** @param {Node} node @param {keyof Values} column @param {number} whole */
function amount(node, column, whole) {
  const value = node.values[column];
  const look = value === 0 ? "dnb-muted" : column === "dead" ? "dnb-matched" : column === "trainable" ? "dnb-params-trains" : column === "delta" && "dnb-delta";
  const words = h("span", { class: look }, column === "dead" && value ? `⚠ ${number(value)}` : number(value));
  return h("td", { role: "gridcell", class: "dnb-number", tabindex: -1 }, words, column === "total" && bar(node.values, whole));
}

/** A bar: what trains, then what is frozen, of the whole. @param {Values} of @param {number} whole */
export function bar(of, whole) {
  const part = (/** @type {number} */ value, /** @type {string} */ look) =>
    value > 0 && h("span", { class: ["dnb-bar-part", `dnb-params-${look}`], style: { width: `${(100 * value) / (whole || 1)}%` } });
  return h("span", { class: "dnb-params-bar", "aria-hidden": "true" }, part(of.trainable, "bar-trains"), part(of.frozen, "bar-frozen"));
}
