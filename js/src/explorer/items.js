// The rows of the tree as they are shown at the moment: which are open, which folds are shown one by one.

/** @import { Row, Structure } from "../structure/structure.js" */

/**
 * @typedef {object} Shown what is open
 * @property {Set<number>} open ids of rows whose children are shown
 * @property {Set<string>} parts keys of single members of a fold whose children are shown
 * @property {Set<string>} split keys of folds that are shown one by one
 * @property {(row: Row) => boolean} [kept] whether a list of layers needs a line of its own
 * @property {Set<number> | null} [only] ids of the rows to be shown; all by default
 */

/** One line of the tree: a row of the structure, or one member of a folded row. */
export class Item {
  /** @type {number} */ level;

  /**
   * @param {Row} row
   * @param {object} place
   * @param {string} place.label @param {string} [place.before] labels of the lists that the line stands for, too
   * @param {Item | null} place.parent @param {number[] | null} place.instances which of the row's modules; null for all
   * @param {number} place.position among its siblings, from 1 @param {number} place.siblings
   */
  constructor(row, { label, before = "", parent, instances, position, siblings }) {
    this.row = row;
    this.label = label;
    this.before = before;
    this.parent = parent;
    this.instances = instances;
    this.position = position;
    this.siblings = siblings;
    this.level = 1 + (parent?.level ?? 0);
    this.key = instances ? `${row.id}:${instances[0]}:${instances.length}` : `${row.id}`;
    /** Whether it is one of the modules of a fold that is shown one by one. */
    this.single = instances !== null && (parent?.row === row);
    this.canSplit = row.folded && !this.single;
    this.open = false;
    this.split = false;
    /** Rows below it that are to be shown. @type {Row[]} */
    this.children = row.children;
  }

  /** How many modules it stands for. */
  get count() {
    return this.instances ? this.instances.length : this.row.count;
  }

  get expandable() {
    return this.children.length > 0 || this.split;
  }

  /** Positions of its modules among the structure's names. @returns {number[]} */
  get members() {
    if (!this.instances || !this.row.matchable) return this.row.members;
    return this.instances.map((at) => this.row.members[at]);
  }

  /** Elements of all its modules: total, trainable, delta, buffers. */
  get sums() {
    return this.row.counts.map((value) => value * this.count);
  }
}

/**
 * All lines, in order.
 *
 * @param {Structure} structure
 * @param {Shown} shown
 */
export function visibleItems(structure, shown) {
  /** @type {Item[]} */
  const found = [];
  const tops = structure.root.children.length ? structure.root.children : [structure.root];
  add(found, chosen(tops, shown), null, shown);
  return found;
}

/** @param {Item[]} found @param {Row[]} rows @param {Item | null} parent @param {Shown} shown */
function add(found, rows, parent, shown) {
  rows.forEach((row, at) => {
    let before = "";
    let inside = row;
    let instances = parent?.instances ?? null;
    while (standsAside(inside, shown)) {
      before += `${inside.label}.`;
      inside = inside.children[0];
      instances = instances && within(instances, inside);
    }
    if (inside === row) instances = instances && within(instances, row);
    put(found, new Item(inside, { label: inside.label || inside.type, before, parent, instances, position: at + 1, siblings: rows.length }), shown);
  });
}

/** @param {Row[]} rows @param {Shown} shown */
const chosen = (rows, { only }) => (only ? rows.filter((row) => only.has(row.id)) : rows);

/** A list that holds one run of layers and nothing else shares its layers' line. @param {Row} row @param {Shown} shown */
function standsAside(row, shown) {
  if (row.type !== "ModuleList" || row.children.length !== 1 || row.folded || !row.parent) return false;
  const [only] = row.children;
  return /^[\d,-]+$/.test(only.label) && !only.delta && !only.sameAs && !shown.kept?.(row);
}

/** The modules of a row that lie in some modules of the row above it. @param {number[]} above @param {Row} row */
const within = (above, row) => above.flatMap((at) => row.labels.map((_, label) => at * row.labels.length + label));

/** @param {Item[]} found @param {Item} item @param {Shown} shown */
function put(found, item, shown) {
  found.push(item);
  const { row } = item;
  item.children = chosen(row.children, shown);
  item.split = item.canSplit && shown.split.has(item.key);
  item.open = item.expandable && (item.instances ? shown.parts.has(item.key) : shown.open.has(row.id));
  if (!item.open) return;
  if (!item.split) return add(found, item.children, item, shown);
  const count = row.labels.length;
  row.labels.forEach((label, at) => {
    const all = item.instances ?? Array.from({ length: row.count }, (_, every) => every);
    const instances = all.filter((every) => every % count === at);
    put(found, new Item(row, { label, parent: item, instances, position: at + 1, siblings: count }), shown);
  });
}

/**
 * Rows to be open at first: level by level, as long as the lines fit.
 *
 * @param {Structure} structure
 * @param {number} most lines
 */
export function firstOpen(structure, most) {
  /** @type {Set<number>} */
  const open = new Set([structure.root.id]);
  let level = structure.root.children;
  let lines = level.length;
  while (level.length) {
    /** @type {Row[]} */
    const next = [];
    for (const row of level) {
      if (!row.children.length || row.delta || lines + row.children.length > most) continue;
      lines += row.children.length;
      open.add(row.id);
      next.push(...row.children);
    }
    level = next;
  }
  return open;
}

/**
 * How many of the sorted positions lie in [from, to).
 *
 * @param {readonly number[]} sorted
 * @param {number} from
 * @param {number} to
 */
export const between = (sorted, from, to) => lower(sorted, to) - lower(sorted, from);

/** @param {readonly number[]} sorted @param {number} value */
function lower(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many names one module of a row and all below it have. @param {Row} row @returns {number} */
export function span(row) {
  if (!row.matchable && row.parent) return 0;
  const known = spans.get(row);
  if (known !== undefined) return known;
  const own = (row.parent ? 1 : 0) + row.children.reduce((sum, child) => sum + child.labels.length * span(child), 0);
  spans.set(row, own);
  return own;
}

/** @type {WeakMap<Row, number>} */
const spans = new WeakMap();
