// A delta type's diagram, drawn.

import { fill, h, newId, s } from "../ui/dom.js";
import { layout } from "./diagram_layout.js";
import { specOf } from "./diagram_table.js";

/** @import { HostView, Spec } from "./diagram_table.js" */
/** @import { Layout, Line, Node } from "./diagram_layout.js" */

const SMALLEST = 0.85; // a drawing that would have to shrink further stands upright
const UNIT = 15; // the letters' size in the drawing

/**
 * A figure that redraws itself when its width changes.
 *
 * @param {AbortSignal} signal
 */
export function diagram(signal) {
  const figure = h("figure", { class: "dnb-diagram" });
  /** @type {{type: string, host: HostView, options: Record<string, any>} | null} */
  let shown = null;
  const draw = () => {
    if (!shown) return;
    const spec = specOf(shown.type, shown.host, shown.options);
    const flat = layout(spec, shown.host, false);
    const letter = parseFloat(getComputedStyle(figure).fontSize);
    const upright = figure.clientWidth > 0 && figure.clientWidth < (flat.width / UNIT) * letter * SMALLEST;
    fill(figure, ...drawn(shown, spec, upright ? layout(spec, shown.host, true) : flat, upright));
  };
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (figure.clientWidth !== width) draw();
    width = figure.clientWidth;
  });
  observer.observe(figure);
  signal.addEventListener("abort", () => observer.disconnect());
  /** @param {string} type @param {HostView} host @param {Record<string, any>} options */
  const show = (type, host, options) => {
    shown = { type, host, options };
    draw();
  };
  return { element: figure, show };
}

/** @param {{type: string, host: HostView}} shown @param {Spec} spec @param {Layout} found @param {boolean} upright */
function drawn({ type, host }, spec, found, upright) {
  const [title, words] = [newId("title"), newId("says")];
  const picture = s(
    "svg",
    {
      viewBox: `0 0 ${found.width.toFixed(0)} ${found.height.toFixed(0)}`,
      role: "img",
      "aria-labelledby": `${title} ${words}`,
      style: { width: `${(found.width / UNIT).toFixed(2)}em` },
    },
    s("title", { id: title }, `${type} on ${host.label}`),
    found.lines.map(edge),
    found.nodes.map((node) => shape(node, upright)),
  );
  return [picture, h("figcaption", { id: words, class: "dnb-hint" }, spec.says)];
}

/** @param {Line} line */
function edge({ points, label, delta, to }) {
  const kind = delta ? "dnb-way dnb-way-delta" : "dnb-way";
  const path = s("polyline", { class: kind, points: points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ") });
  const [start, end] = [points[0], points[points.length - 1]];
  const [x, y] = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
  const beside = start[0] === end[0] ? { x: x + 10, y: y + 5, style: { "text-anchor": "start" } } : { x, y: y - 8 };
  const words = label ? s("text", { class: "dnb-note", ...beside }, label) : null;
  const head = to && to.text ? s("polygon", { class: delta ? "dnb-head-arrow dnb-head-delta" : "dnb-head-arrow", points: headAt(points[points.length - 2], end, to) }) : null;
  return s("g", {}, path, head, words);
}

/** An arrow's head where a line comes to the outline of what it leads to. @param {number[]} from @param {number[]} to @param {Node} node */
function headAt(from, to, node) {
  const [dx, dy] = [Math.sign(to[0] - from[0]), Math.sign(to[1] - from[1])];
  const [x, y] = [to[0] - (dx * node.w) / 2, to[1] - (dy * node.h) / 2];
  const [bx, by] = [x - dx * 9, y - dy * 9];
  return `${x},${y} ${bx - dy * 5},${by - dx * 5} ${bx + dy * 5},${by + dx * 5}`;
}

/** @param {Node} node @param {boolean} upright */
function shape(node, upright) {
  const { x, y, w, h: height, shape: kind } = node;
  const [l, r, t, b] = [x - w / 2, x + w / 2, y - height / 2, y + height / 2];
  const inset = 12;
  const outline = () => {
    if (kind === "dot") return s("circle", { cx: x, cy: y, r: 4, class: "dnb-dot" });
    if (kind === "join") return s("circle", { cx: x, cy: y, r: w / 2 });
    if (kind === "round") return s("rect", { x: l, y: t, width: w, height, rx: height / 2 });
    if (kind !== "narrow" && kind !== "wide") return s("rect", { x: l, y: t, width: w, height, rx: kind === "host" || kind === "open" ? 8 : 3 });
    const [one, other] = kind === "narrow" ? [0, inset] : [inset, 0];
    const corners = upright
      ? [[l + one, t], [r - one, t], [r - other, b], [l + other, b]]
      : [[l, t + one], [r, t + other], [r, b - other], [l, b - one]];
    return s("polygon", { points: corners.map((corner) => corner.join(",")).join(" ") });
  };
  const inside = node.note && (kind === "host" || kind === "open");
  const below = node.note && !inside;
  const bare = kind === "word";
  if (bare && !node.text) return s("polygon", { class: "dnb-head-arrow", points: upright ? `${x - 6},${y - 8} ${x + 6},${y - 8} ${x},${y + 4}` : `${x - 8},${y - 6} ${x - 8},${y + 6} ${x + 4},${y}` });
  return s(
    "g",
    { class: ["dnb-part", `dnb-part-${kind}`, node.delta && "dnb-part-delta"] },
    bare ? s("rect", { class: "dnb-behind", x: l, y: t, width: w, height }) : outline(),
    node.text ? s("text", { x, y: y + (inside ? -3 : upright && below ? -3 : 5) }, node.text) : null,
    inside ? s("text", { class: "dnb-note", x, y: y + 16 }, /** @type {string} */ (node.note)) : null,
    below ? s("text", { class: "dnb-note", x, y: upright ? y + 15 : b + 18 }, /** @type {string} */ (node.note)) : null,
  );
}
