// The hosts of a delta for a cost formula: their kinds and sizes, and who cannot carry which type.

/**
 * @typedef {import("./structure.js").Row} Row
 * @typedef {import("./structure.js").Structure} Structure
 * @typedef {Record<string, any>} Options all of a type's options by their full names
 * @typedef {object} Request
 * @property {string} type of the delta
 * @property {Options} options see `withDefaults`
 * @property {string[]} names the hosts, in model order
 * @property {string[]} [patterns] what was typed: a parallel adapter takes patterns two by two
 * @property {string[]} [excluded] names that the exclude patterns hit
 * @property {(pattern: string, names: string[]) => string[] | null} [hits] which names a pattern hits; null: only the kernel knows
 * @property {Record<string, [number | null, number | null]>} [dims] sizes of blocks by name, from the kernel (`host_dims`)
 */

/** Only the kernel can tell. */
export class NeedsKernel extends Error {}

/** A delta of the type cannot sit there. */
export class Refused extends Error {
  /** @param {string} what @param {string} expected @param {string} host */
  constructor(what, expected, host) {
    super(what);
    this.expected = expected;
    this.host = host;
  }
}

/** One module that a delta is to sit on. */
export class Host {
  /** @param {string} name @param {Row} row @param {Hosts} hosts */
  constructor(name, row, hosts) {
    this.name = name;
    this.row = row;
    this.hosts = hosts;
  }

  get kind() {
    return this.row.facts[0];
  }

  /** The two sizes that its type tells. @returns {number[]} */
  get sizes() {
    return /** @type {number[]} */ (this.row.facts.slice(1));
  }

  /** A linear layer, of whichever of the two ways to keep the weight. */
  get isLinear() {
    return this.kind === "l" || this.kind === "c";
  }

  /** The size of the last dimension of what it gives. */
  outputSize() {
    if (this.kind === "x") {
      throw new Refused(
        `${this.name} (${this.row.type}) gives channels first, so its output ends in positions, not in features.`,
        "A Linear, Conv1D, Embedding, LayerNorm, or a module made of them.",
        this.name,
      );
    }
    if (this.kind && "lcen".includes(this.kind)) return this.sizes[1];
    return this.#tried(1, "gives no output to change");
  }

  /** The size of the last dimension of what it takes. */
  inputSize() {
    if (this.kind === "e") {
      const what = `${this.name} (Embedding) takes token ids, and this type needs a host that takes vectors.`;
      throw new Refused(what, "A Linear, Conv1D, LayerNorm, or a module made of them.", this.name);
    }
    if (this.isLinear || this.kind === "n") return this.sizes[0];
    this.outputSize();
    return this.#tried(0, "does not give one vector for each that it takes");
  }

  /** @param {0 | 1} at @param {string} lack */
  #tried(at, lack) {
    const found = this.hosts.dims[this.name] ?? this.hosts.dims[this.hosts.firstOf(this.row)];
    if (found === undefined) throw new NeedsKernel(`The sizes of ${this.row.type} take a trial pass.`);
    if (found[at] !== null) return found[at];
    throw new Refused(`${this.name} (${this.row.type}) ${lack}.`, "A module that the model calls.", this.name);
  }

  /** Refuse torch's containers: a child would become one of their steps, or never be called. */
  checkContainer() {
    if (this.kind !== "b") return;
    throw new Refused(`${this.name} is a ${this.row.type}: a container cannot carry a delta.`, "A module inside it.", this.name);
  }

  /**
   * The modules at and below it that belong to the backbone, parents first, each with its name.
   *
   * @returns {{ name: string, row: Row }[]}
   */
  below() {
    /** @type {{ name: string, row: Row }[]} */
    const found = [];
    /** @param {Row} row @param {string} name */
    const walk = (row, name) => {
      if (row.sameAs) throw new NeedsKernel(`${name} is a module that the model holds twice.`);
      found.push({ name, row });
      for (const child of row.children) {
        if (!child.delta) child.labels.forEach((label) => walk(child, name ? `${name}.${label}` : label));
      }
    };
    walk(this.row, this.name);
    return found;
  }
}

/** All hosts of one request. */
export class Hosts {
  /** @param {Structure} structure @param {Request} request */
  constructor(structure, request) {
    this.structure = structure;
    this.request = request;
    this.dims = request.dims ?? {};
    this.rows = rowsByName(structure);
    const names = request.type === "parallel_adapter" ? request.names : redirected(structure, request.names, this.rows);
    this.list = names.map((name) => this.at(name));
  }

  /** @param {string} name */
  at(name) {
    const row = this.rows.get(name);
    if (row) return new Host(name, row, this);
    throw new NeedsKernel(`${name} is no module of this structure.`);
  }

  /** The first name that a row stands for. @param {Row} row */
  firstOf(row) {
    return this.structure.names[row.members[0]];
  }

  /** Those of the hosts that a pattern hits. @param {string} pattern */
  hit(pattern) {
    const names = this.list.map((host) => host.name);
    const found = this.request.hits?.(pattern, names) ?? null;
    if (found === null) throw new NeedsKernel(`Which modules ${pattern} hits is for the kernel to say.`);
    return found;
  }

  /**
   * A value for each host that a table of patterns has one for. A host's full name means it alone; of several patterns the first counts.
   *
   * @param {Record<string, any>} table
   */
  values(table) {
    /** @type {Map<string, any>} */
    const found = new Map();
    for (const [pattern, value] of Object.entries(table)) {
      const names = this.list.some((host) => host.name === pattern) ? [pattern] : this.hit(pattern);
      const none = `${pattern} hits none of the ${this.list.length} hosts.`;
      if (!names.length) throw new Refused(none, "Patterns of modules that the delta sits on.", pattern);
      for (const name of names) if (!found.has(name)) found.set(name, value);
    }
    return found;
  }
}

/** @type {WeakMap<Structure, Map<string, Row>>} */
const known = new WeakMap();

/** @param {Structure} structure */
function rowsByName(structure) {
  let found = known.get(structure);
  if (!found) {
    found = new Map(structure.names.map((name, at) => [name, structure.rows[structure.rowOf[at]]]));
    known.set(structure, found);
  }
  return found;
}

/**
 * Exchange an embedding that is never called (BART's and T5's `shared`) for those that hold its tensor.
 *
 * @param {Structure} structure @param {string[]} names @param {Map<string, Row>} rows
 */
function redirected(structure, names, rows) {
  if (!names.some((name) => name.split(".").at(-1) === "shared")) return names;
  const held = structure.names.flatMap((name) => {
    const row = rows.get(name);
    const weight = row?.facts[0] === "e" ? row.parameters.find(([key]) => key === "weight") : undefined;
    return weight ? [/** @type {const} */ ([name, weight[3] ?? `${name}.weight`])] : [];
  });
  const tensors = new Map(held);
  const found = names.flatMap((name) => {
    const twins = held.filter(([other, tensor]) => other !== name && tensor === tensors.get(name)).map(([other]) => other);
    return twins.length && name.split(".").at(-1) === "shared" ? twins : [name];
  });
  return [...new Set(found)];
}
