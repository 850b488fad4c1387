// Where everything of a diagram stands: a frozen way from input to output, and the delta's way beside it. Along the way from
// left to right, or from top to bottom where there is little room.

/** @import { HostView, Spec } from "./diagram_table.js" */

/**
 * @typedef {object} Node
 * @property {"word" | "host" | "open" | "dot" | "join" | "narrow" | "wide" | "round" | "box" | "rows"} shape
 * @property {string} text @property {string} [note] @property {boolean} [delta]
 * @property {number} w @property {number} h @property {number} x @property {number} y of its middle
 * @typedef {{points: [number, number][], label?: string, delta?: boolean, to?: Node}} Line
 * @typedef {{nodes: Node[], lines: Line[], width: number, height: number}} Layout
 */

const SIZES = /** @type {Record<string, [number, number]>} */ ({
  word: [22, 24],
  host: [128, 54],
  open: [128, 54],
  dot: [8, 8],
  join: [34, 34],
  narrow: [76, 50],
  wide: [76, 50],
  round: [64, 50],
  box: [84, 44],
  rows: [140, 44],
});
const GAP = 24;
const ACROSS = 92;
const EDGE = 12;
const LETTER = 9.1; // the width of one

/**
 * @param {Spec} spec
 * @param {HostView} host
 * @param {boolean} upright from top to bottom
 * @returns {Layout}
 */
export function layout(spec, host, upright) {
  const size = (/** @type {Node} */ node) => (upright ? node.h : node.w);
  const across = upright ? 165 : ACROSS;
  const { main, fork, join, chain } = ways(spec, host);
  if (upright) for (const node of chain) if (node.note) node.w = Math.max(node.w, node.note.length * 8.6 + 30);
  const length = (/** @type {Node[]} */ nodes) => nodes.reduce((sum, node) => sum + size(node) + GAP, 0);
  const [before, between, after] = fork
    ? [main.slice(0, main.indexOf(fork) + 1), main.slice(main.indexOf(fork) + 1, main.indexOf(join)), main.slice(main.indexOf(join))]
    : [main, [], []];
  const room = fork ? Math.max(length(between), length(chain)) : 0;
  line(before, EDGE, size);
  const middle = EDGE + length(before);
  line(between, middle + (room - length(between)) / 2, size);
  line(after, middle + room, size);
  const end = fork ? middle + room + length(after) : middle;
  if (fork) line(chain, middle + (room - length(chain)) / 2, size, across);
  else if (chain.length) line(chain, Math.max(EDGE, join.x - length(chain) + GAP + size(chain[chain.length - 1]) / 2), size, across);
  const lines = edges({ main, fork, join, chain, spec });
  const nodes = [...main, ...chain];
  const reach = Math.max(end - GAP, ...nodes.map((node) => node.x + size(node) / 2)) + EDGE;
  const widest = Math.max(...main.map((node) => (upright ? node.w : node.h))) / 2 + (spec.where === "after" && !upright ? 12 : 4);
  const below = chain.length ? across + Math.max(...chain.map((node) => (upright ? node.w / 2 : node.h / 2 + (node.note ? 24 : 2)))) : widest;
  const turned = { nodes, lines, width: reach, height: widest + below + 6 };
  for (const node of nodes) node.y += widest;
  for (const one of lines) for (const point of one.points) point[1] += widest;
  return upright ? turnedUpright(turned) : turned;
}

/** @param {string} shape @param {string} text @param {Partial<Node>} [rest] @returns {Node} */
function made(shape, text, rest = {}) {
  const [w, h] = SIZES[shape];
  const wide = Math.max(w, text.length * LETTER + (shape === "word" ? 10 : 20), (rest.note?.length ?? 0) * 8);
  return { shape: /** @type {any} */ (shape), text, w: shape === "join" || shape === "dot" ? w : wide, h, x: 0, y: 0, ...rest };
}

/** The two ways. @param {Spec} spec @param {HostView} host */
function ways(spec, host) {
  const chain = spec.chain.map((part) => made(part.shape, part.text, { note: part.note, delta: true }));
  const box = spec.where === "own" ? made("open", host.label, { note: "trains", delta: true }) : made("host", host.label, { note: "frozen" });
  const [start, end, dot] = [made("word", host.facts === "e" ? "ids" : "x"), made("word", ""), made("dot", "")];
  const join = made("join", spec.join);
  const second = host.second ? [made("host", host.second, { note: "frozen" })] : [];
  const model = made("host", "layers", { note: "frozen" });
  const table = /** @type {Record<Spec["where"], {main: Node[], fork: Node | null, join: Node, chain: Node[]}>} */ ({
    after: { main: spec.source ? [start, box, join, end] : [start, box, dot, join, end], fork: spec.source ? null : dot, join, chain },
    beside: { main: [start, dot, box, ...second, join, end], fork: dot, join, chain },
    before: { main: [start, join, box, end], fork: null, join, chain },
    norm: { main: [start, dot, join, box, end], fork: dot, join, chain: [made("host", host.label, { note: "the same" }), ...chain] },
    own: { main: [start, box, end], fork: null, join: box, chain },
    into: { main: [start, box, end], fork: null, join: box, chain },
    front: { main: [start, box, join, model, end], fork: null, join, chain },
  });
  return table[spec.where];
}

/** @param {Node[]} nodes @param {number} from @param {(node: Node) => number} size @param {number} [y] */
function line(nodes, from, size, y = 0) {
  for (const node of nodes) {
    Object.assign(node, { x: from + size(node) / 2, y });
    from += size(node) + GAP;
  }
}

/** @param {{main: Node[], fork: Node | null, join: Node, chain: Node[], spec: Spec}} ways @returns {Line[]} */
function edges({ main, fork, join, chain, spec }) {
  /** @type {Line[]} */
  /** @type {Line[]} */
  const found = main.slice(1).map((node, at) => ({ to: node, points: [[main[at].x, 0], [node.x, 0]], label: main[at] === fork && node === join ? "unchanged" : "" }));
  if (!chain.length) return found;
  const [first, last] = [chain[0], chain[chain.length - 1]];
  for (const [at, node] of chain.slice(1).entries()) found.push({ points: [[chain[at].x, node.y], [node.x, node.y]], delta: true, to: node });
  if (fork) found.push({ points: [[fork.x, 0], [fork.x, first.y], [first.x, first.y]], delta: spec.where !== "norm", to: first });
  found.push({ points: last.x === join.x ? [[last.x, last.y], [join.x, 0]] : [[last.x, last.y], [join.x, last.y], [join.x, 0]], delta: true, to: join });
  return found;
}

/** @param {Layout} flat @returns {Layout} */
function turnedUpright({ nodes, lines, width, height }) {
  for (const node of nodes) [node.x, node.y] = [node.y, node.x];
  for (const one of lines) one.points = one.points.map(([x, y]) => [y, x]);
  return { nodes, lines, width: height, height: width };
}
