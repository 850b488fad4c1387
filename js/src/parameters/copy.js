// The shown table as text that a spreadsheet takes.

import { TITLES } from "./cells.js";

/** @import { Node } from "./nodes.js" */
/** @import { Values } from "./rows.js" */

/**
 * Lines of cells between tabs, and the totals.
 *
 * @param {Node[]} nodes @param {(keyof Values)[]} columns @param {Values} totals @param {string} first title
 */
export function asText(nodes, columns, totals, first) {
  const cells = (/** @type {Values} */ values) => columns.map((column) => String(values[column]));
  const lines = nodes.map((node) => [node.key, node.type, ...cells(node.values)]);
  const titles = [first, "Type", ...columns.map((column) => TITLES[column])];
  return [titles, ...lines, ["Total", "", ...cells(totals)]].map((line) => line.map(plain).join("\t")).join("\n");
}

/** @param {string} text */
const plain = (text) => {
  const flat = text.replace(/\s+/g, " ");
  return /^[=+@-]/.test(flat) && Number.isNaN(Number(flat)) ? `'${flat}` : flat; // a spreadsheet would take it for a formula
};

/** Put a text on the clipboard, also where the page may not ask for it. @param {string} text @param {HTMLElement} near */
export async function toClipboard(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = document.createElement("textarea");
    box.value = text;
    near.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    if (!done) throw new Error("The browser does not let this page copy.");
  }
}
