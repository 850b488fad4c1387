// Where things go in a chart: numbers only, no page.

/** @typedef {[number, number]} Point x and y, in the units of the data */

/**
 * A little more than the values span; the tallest spikes of a long run are let go.
 *
 * @param {number[]} values
 * @param {{empty?: Point, least?: number, within?: Point}} [options] `least` is the smallest span, `within` bounds the answer
 * @returns {Point}
 */
export function range(values, { empty = [0, 1], least = 0.02, within = [-Infinity, Infinity] } = {}) {
  const ordered = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!ordered.length) return empty;
  const low = ordered[0];
  const high = ordered[ordered.length < 20 ? ordered.length - 1 : Math.floor(0.99 * (ordered.length - 1))];
  const half = Math.max(high - low, least) * 0.55;
  const middle = (low + high) / 2;
  return [Math.max(within[0], middle - half), Math.min(within[1], middle + half)];
}

/**
 * Round numbers from low to high, about `count` of them.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} [count]
 */
export function ticks(low, high, count = 5) {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((size) => size >= rough * (1 - 1e-9)) ?? 10 * unit;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at <= Math.floor(high / step + 1e-9); at++) found.push(Number((at * step).toPrecision(12)));
  return found;
}

/**
 * Whole steps from 1 to the end: both ends, and round numbers between them that leave room for the ends' own labels.
 *
 * @param {number} end
 * @param {number} [count]
 */
export function steps(end, count = 4) {
  if (end <= 1) return [1];
  const unit = Math.max(1, (end - 1) / count);
  const inner = ticks(1, end, count).filter((step) => Number.isInteger(step) && step - 1 >= 0.5 * unit && end - step >= 0.5 * unit);
  return [1, ...inner, end];
}

/**
 * From data to pixels; what lies outside is drawn at the edge.
 *
 * @param {Point} domain
 * @param {Point} pixels the second may be smaller than the first: upward axes
 * @returns {(value: number) => number}
 */
export function scale([low, high], [start, stop]) {
  const span = high - low || 1;
  return (value) => start + (stop - start) * Math.min(1, Math.max(0, (value - low) / span));
}

/**
 * A polyline's points.
 *
 * @param {Point[]} points
 * @param {(value: number) => number} x
 * @param {(value: number) => number} y
 */
export const line = (points, x, y) => points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");

/**
 * Heights for labels that want to stand at these heights: in their order, `gap` apart, between top and bottom.
 *
 * @param {number[]} wanted
 * @param {number} gap
 * @param {Point} between
 * @returns {number[]}
 */
export function spread(wanted, gap, [top, bottom]) {
  const order = wanted.map((_, at) => at).sort((a, b) => wanted[a] - wanted[b]);
  const placed = wanted.slice();
  let least = top;
  for (const at of order) {
    placed[at] = Math.max(wanted[at], least);
    least = placed[at] + gap;
  }
  let most = bottom;
  for (const at of order.reverse()) {
    placed[at] = Math.min(placed[at], most);
    most = placed[at] - gap;
  }
  return placed;
}

/**
 * Which of these stand nearer to each other than a label is wide.
 *
 * @param {number[]} places
 * @param {number} width
 * @returns {number[][]} their positions in the list, group by group
 */
export function groups(places, width) {
  const order = places.map((_, at) => at).sort((a, b) => places[a] - places[b]);
  /** @type {number[][]} */
  const found = [];
  for (const at of order) {
    const last = found.at(-1);
    if (last && places[at] - places[last[last.length - 1]] < width) last.push(at);
    else found.push([at]);
  }
  return found;
}

const DASHES = ["7 4", "2 3", "10 3 2 3", "1 5"];
/** The dashes of the earlier runs, which tell them apart without colour. @param {number} at */
export const dash = (at) => DASHES[at % DASHES.length];
