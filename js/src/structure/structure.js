// A backbone's structure from its payload: rows (folded) and names (every module), each pointing to the other.

/**
 * @typedef {[string, number[], 0 | 1, string | null, string | null, string]} Parameter name, shape, trainable, tied to, delta, dtype
 * @typedef {object} RawRow as deltanb/widgets/_payload.py writes it
 * @property {string[]} l @property {string} t @property {[number, number, number, number]} n @property {Parameter[]} [p]
 * @property {string} [d] @property {string} [k] @property {string} [s] @property {string[]} [r] @property {RawRow[]} [c]
 * @property {[string, ...number[]]} [h] kind and sizes, as deltanb/engine/_facts.py tells them
 * @typedef {object} Payload
 * @property {string} type @property {string | null} family @property {[number, number, number, number]} totals
 * @property {number} modules @property {RawRow} root @property {Record<string, string>} [roles]
 * @property {number} [heads] of attentions whose scores are kept while training
 * @property {[string, number]} [prompt] where a soft prompt stands, and the size of its rows
 */

/** One row of the folded tree: a module, or several alike. */
export class Row {
  /** @type {string} */ address;
  /** @type {number} */ depth;
  /** @type {number} */ count;

  /**
   * @param {RawRow} raw
   * @param {Row | null} parent
   * @param {number} id position among all rows, parents first
   */
  constructor(raw, parent, id) {
    this.id = id;
    this.parent = parent;
    this.labels = raw.l;
    this.type = raw.t;
    /** Counts of ONE member's whole sub-tree: total, trainable, delta, buffers. */
    this.counts = raw.n;
    this.parameters = raw.p ?? [];
    this.delta = raw.d ?? "";
    this.deltaKind = raw.k ?? "";
    this.sameAs = raw.s ?? "";
    this.roles = raw.r ?? [];
    /** Kind and sizes, for costs; "" where the type does not tell them. @type {[string, ...number[]]} */
    this.facts = raw.h ?? [""];
    this.label = joinLabels(raw.l);
    /** A pattern that hits exactly these modules. @type {string} */
    this.address = parent?.address ? `${parent.address}.${this.label}` : this.label;
    /** @type {number} */
    this.depth = parent ? parent.depth + 1 : 0;
    /** How many modules of the model the row stands for. @type {number} */
    this.count = (parent ? parent.count : 1) * raw.l.length;
    /** @type {Row[]} */
    this.children = [];
    /** Positions of its modules in `Structure.names`; empty for the root, deltas and second names. @type {number[]} */
    this.members = [];
  }

  get folded() {
    return this.labels.length > 1;
  }

  /** Elements of all modules of the row: total, trainable, delta, buffers. */
  get sums() {
    return this.counts.map((value) => value * this.count);
  }

  /** Whether patterns can hit the row's modules. */
  get matchable() {
    return this.members.length > 0;
  }
}

/** All rows, and all names that patterns are matched against, in model order. */
export class Structure {
  /** @param {Payload} payload */
  constructor(payload) {
    this.type = payload.type;
    this.family = payload.family;
    this.totals = payload.totals;
    /** Heads of attentions whose scores are kept while training; 0 where torch works them out anew. */
    this.heads = payload.heads ?? 0;
    /** Where a soft prompt stands, and the size of its rows; null where none can. */
    this.prompt = payload.prompt ?? null;
    this.knowsRoles = payload.roles !== undefined;
    /** @type {Row[]} */
    this.rows = [];
    this.root = this.#read(payload.root, null);
    /** @type {string[]} */
    this.names = [];
    /** For each name the id of its row. @type {number[]} */
    this.rowOf = [];
    /** For each name its role, or "". @type {string[]} */
    this.roles = [];
    this.#open(this.root, "", payload.roles ?? {});
    this.byAddress = new Map(this.rows.map((row) => [row.address, row]));
  }

  /** @param {RawRow} raw @param {Row | null} parent */
  #read(raw, parent) {
    const row = new Row(raw, parent, this.rows.length);
    this.rows.push(row);
    row.children = (raw.c ?? []).map((child) => this.#read(child, row));
    return row;
  }

  /** @param {Row} row @param {string} above @param {Record<string, string>} others */
  #open(row, above, others) {
    if (row.delta || row.sameAs) return;
    row.labels.forEach((label, at) => {
      const name = above ? `${above}.${label}` : label;
      if (name) {
        row.members.push(this.names.length);
        this.names.push(name);
        this.rowOf.push(row.id);
        this.roles.push(others[name] ?? role(row.roles[Math.min(at, row.roles.length - 1)], name));
      }
      for (const child of row.children) this.#open(child, name, others);
    });
  }

  /** Roles by name, as the matcher takes them; null where the family is unknown. */
  roleMap() {
    if (!this.knowsRoles) return null;
    return new Map(this.names.flatMap((name, at) => (this.roles[at] ? [[name, this.roles[at]]] : [])));
  }
}

/** @param {string | undefined} template @param {string} name */
function role(template, name) {
  if (!template) return "";
  const segments = name.split(".");
  return template.replace(/\{(\d+)\}/g, (_, at) => segments[Number(at)]);
}

/**
 * Labels of one row as one segment of a pattern: runs of integers as ranges, all else joined by commas.
 *
 * @param {string[]} labels
 */
export function joinLabels(labels) {
  if (!labels.every((label) => /^(0|[1-9]\d*)$/.test(label))) return labels.join(",");
  /** @type {number[][]} */
  const runs = [];
  for (const value of labels.map(Number)) {
    const run = runs.at(-1);
    if (run && value === run[run.length - 1] + 1) run.push(value);
    else runs.push([value]);
  }
  return runs.map((run) => (run.length > 1 ? `${run[0]}-${run[run.length - 1]}` : `${run[0]}`)).join(",");
}
