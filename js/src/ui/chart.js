// A line chart, drawn anew at every change: a few polylines, readable ticks, a label at each line's end.

import { dash, groups, line, range, scale, spread, steps, ticks } from "./chart_scale.js";
import { number, s } from "./dom.js";

/**
 * @typedef {[number, number]} Point
 *
 * @typedef {object} Line
 * @property {string} mark stands at its end: a value, or the number of an earlier run
 * @property {Point[]} points
 * @property {"main" | "raw" | "earlier"} kind
 * @property {number} [at] which of the earlier runs: decides the dash
 * @property {boolean} [dots] a dot at each point
 *
 * @typedef {object} Chart
 * @property {string} title
 * @property {string} words what it shows, for who does not see it
 * @property {Line[]} lines
 * @property {number} end of the axis of steps
 * @property {[string, number][]} [levels] horizontal lines with a name
 * @property {string} [none] what to say where there is no line
 * @property {Parameters<typeof range>[1]} [span]
 * @property {"loss" | "accuracy"} hue
 */

/**
 * @param {Chart} chart
 * @param {{width: number, height: number, size: number}} box pixels, and the size of letters
 */
export function draw(chart, { width, height, size }) {
  const values = [...chart.lines.flatMap((one) => one.points.map((point) => point[1])), ...(chart.levels ?? []).map((level) => level[1])];
  const domain = range(values, chart.span);
  const marks = ticks(...domain, 4);
  const digits = Math.max(0, ...marks.map((mark) => (String(mark).split(".")[1] ?? "").length));
  const labels = marks.map((mark) => mark.toFixed(digits));
  const left = size * (0.62 * Math.max(...labels.map((label) => label.length)) + 0.8);
  const [top, bottom, right] = [size * 2.1, height - size * 2.9, width - size * 3.2];
  const x = scale([1, Math.max(2, chart.end)], [left, right]);
  const y = scale(domain, [bottom, top]);
  const place = { left, right, top, bottom, x, y, size };
  const parts = [
    text(left, size, chart.title, "dnb-chart-title"),
    ...marks.flatMap((mark, at) => [rule(left, right, y(mark), "dnb-chart-grid"), text(left - 6, y(mark) + size * 0.35, labels[at], "dnb-chart-tick", "end")]),
    rule(left, right, bottom, "dnb-chart-axis"),
    ...steps(chart.end, width < 420 ? 2 : 4).map((step) => text(x(step), bottom + size * 1.35, number(step), "dnb-chart-tick", "middle")),
    text((left + right) / 2, bottom + size * 2.6, "step", "dnb-chart-tick", "middle"),
    ...levels(chart, place),
    ...chart.lines.flatMap((one) => drawn(one, chart, place)),
    ...ends(chart, place),
  ];
  if (!chart.lines.some((one) => one.kind !== "earlier" && one.points.length) && chart.none)
    parts.push(text((left + right) / 2, top + size * 0.9, chart.none, "dnb-chart-tick", "middle"));
  const attributes = { class: "dnb-chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${chart.title}. ${chart.words}` };
  return s("svg", { ...attributes, "font-size": size }, ...parts);
}

/** @typedef {{left: number, right: number, top: number, bottom: number, x: (v: number) => number, y: (v: number) => number, size: number}} Place */

/** A level's name stands above its line, or below it where another name is above. @param {Chart} chart @param {Place} place */
function levels(chart, { left, right, y, size }) {
  let last = -Infinity;
  return (chart.levels ?? []).toSorted((one, other) => other[1] - one[1]).flatMap(([name, value]) => {
    const above = y(value) - size * 0.35;
    last = above - last < size * 1.15 ? Math.max(y(value), last) + size * 1.05 : above;
    return [rule(left, right, y(value), "dnb-chart-level"), text(left + 4, last, `${name} ${value.toFixed(3)}`, "dnb-chart-tick dnb-chart-halo")];
  });
}

/** @param {Line} one @param {Chart} chart @param {Place} place */
function drawn(one, chart, { x, y, size }) {
  const look = ["dnb-chart-line", `dnb-chart-${one.kind}`, `dnb-chart-${chart.hue}`];
  const dashes = one.kind === "earlier" ? dash(one.at ?? 0) : null;
  const parts = one.points.length > 1 ? [s("polyline", { class: look, points: line(one.points, x, y), "stroke-dasharray": dashes })] : [];
  const dots = one.dots || one.points.length === 1 ? one.points : [];
  return [...parts, ...dots.map(([a, b]) => dot(one, chart, x(a), y(b), size * 0.28))];
}

/** A full dot for this run, a hollow square for an earlier one. @param {Line} one @param {Chart} chart @param {number} cx @param {number} cy @param {number} r */
function dot(one, chart, cx, cy, r) {
  const look = ["dnb-chart-dot", `dnb-chart-${one.kind}`, `dnb-chart-${chart.hue}`];
  if (one.kind !== "earlier") return s("circle", { class: look, cx, cy, r });
  return s("rect", { class: look, x: cx - r, y: cy - r, width: 2 * r, height: 2 * r });
}

/** @param {Chart} chart @param {Place} place */
function ends(chart, { x, y, top, bottom, size }) {
  const marked = chart.lines.filter((one) => one.mark && one.points.length);
  const at = marked.map((one) => one.points[one.points.length - 1]);
  const left = at.map((point) => x(point[0]) + size * 0.45);
  const heights = at.map((point) => y(point[1]) + size * 0.35);
  for (const near of groups(left, size * 4)) {
    const placed = spread(near.map((one) => heights[one]), size * 1.1, [top, bottom]);
    near.forEach((one, index) => (heights[one] = placed[index]));
  }
  const look = (/** @type {Line} */ one) => ["dnb-chart-end", "dnb-chart-halo", `dnb-chart-${one.kind}`, `dnb-chart-${chart.hue}`];
  return marked.map((one, index) => text(left[index], heights[index], one.mark, look(one)));
}

/** @param {number} left @param {number} right @param {number} height @param {string} look */
const rule = (left, right, height, look) => s("line", { class: look, x1: left, x2: right, y1: height, y2: height });

/** @param {number} x @param {number} y @param {string} words @param {string | string[]} look @param {string} [anchor] */
const text = (x, y, words, look, anchor) => s("text", { x, y, class: look, "text-anchor": anchor }, words);

/** A piece of a line as it looks in the chart. @param {Line["kind"]} kind @param {number} [at] */
export function sample(kind, at = 0) {
  const look = ["dnb-chart-line", `dnb-chart-${kind}`, "dnb-chart-loss"];
  const dashes = kind === "earlier" ? dash(at) : null;
  return s("svg", { class: "dnb-chart-sample", width: 34, height: 12, "aria-hidden": "true" }, s("line", { class: look, x1: 1, x2: 33, y1: 6, y2: 6, "stroke-dasharray": dashes }));
}
