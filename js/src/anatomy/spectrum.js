// The singular values of one module's update as bars, and the same numbers as text.

import { h, s } from "../ui/dom.js";
import { figure } from "./lines.js";

/** @import { Row } from "./lines.js" */

const WIDE = 300;
const HIGH = 84;
const LEFT = 2;
const FOOT = 2;
const MOST_NAMED = 16;

/**
 * None for a change that is no low-rank product.
 *
 * @param {Row} row
 * @param {number} highest the largest singular value of the delta, for one scale throughout
 */
export function spectrum(row, highest) {
  const { values } = row;
  if (!values.length) return null;
  const title = h("h4", {}, "Singular values of ΔW, largest first");
  if (!values[0]) return h("div", {}, title, h("p", { class: "dnb-muted" }, "All are 0: nothing is learned here yet."));
  const step = (WIDE - 2 * LEFT) / values.length;
  const tall = HIGH - FOOT;
  const bars = values.map((value, at) => {
    const height = highest ? (tall * value) / highest : 0;
    const wide = Math.max(1, step - Math.min(3, step / 4));
    return s("rect", { class: "dnb-spectrum-bar", x: LEFT + at * step, y: HIGH - FOOT - height, width: wide, height });
  });
  const label = `Singular values of ${row.name}, largest first: ${values.slice(0, MOST_NAMED).map((value) => figure(value)).join(", ")}`;
  const picture = s(
    "svg",
    { class: "dnb-spectrum", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label },
    s("line", { class: "dnb-spectrum-base", x1: LEFT, x2: WIDE - LEFT, y1: HIGH - FOOT + 0.5, y2: HIGH - FOOT + 0.5 }),
    ...bars,
  );
  const more = values.length > MOST_NAMED ? ` … ${values.length - MOST_NAMED} more` : "";
  const numbers = h("p", { class: "dnb-spectrum-numbers dnb-mono" }, values.slice(0, MOST_NAMED).map((value) => figure(value)).join("  ") + more);
  const scale = h("p", { class: "dnb-hint" }, `On one scale for all modules; the highest bar would be ${figure(highest)}.`);
  return h("div", {}, title, picture, numbers, scale);
}
