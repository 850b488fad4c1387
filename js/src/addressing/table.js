// A model's module names, looked at once: what every pattern needs to know of them.

const OUTER_NUMBER = /^(.+?)\.([0-9]{1,9})(?:\.|$)/;

export class NameTable {
  /** @type {Map<string, number[]> | undefined} */ #ends;
  /** @type {Map<string, string> | undefined} */ #vocabulary;
  /** @type {{parts: number[][], words: string[]} | undefined} */ #split;
  /** @type {Map<string, number> | undefined} */ #position;
  /** @type {Int32Array | undefined} */ #above;
  /** @type {Outer | undefined} */ #outer;
  /** @type {boolean | undefined} */ #plain;

  /** @param {readonly string[]} names dotted names in model order, each once */
  constructor(names) {
    this.names = names;
  }

  /** Positions of the names by their last segment. */
  get ends() {
    if (this.#ends) return this.#ends;
    /** @type {Map<string, number[]>} */
    const ends = (this.#ends = new Map());
    this.names.forEach((name, at) => {
      const end = name.slice(name.lastIndexOf(".") + 1);
      const known = ends.get(end);
      if (known) known.push(at);
      else ends.set(end, [at]);
    });
    return ends;
  }

  /** The last segments that are no numbers, in order, each by its small letters. */
  get vocabulary() {
    if (this.#vocabulary) return this.#vocabulary;
    const words = [...this.ends.keys()].filter((end) => !/^\p{Nd}+$/u.test(end)).sort();
    return (this.#vocabulary = new Map(words.map((word) => [word.toLowerCase(), word])));
  }

  /** The segments of each name as numbers, the last first, and the word that each number stands for. */
  get split() {
    if (this.#split) return this.#split;
    /** @type {Map<string, number>} */
    const ids = new Map();
    const parts = this.names.map((name) =>
      name
        .split(".")
        .reverse()
        .map((word) => {
          const known = ids.get(word);
          if (known !== undefined) return known;
          ids.set(word, ids.size);
          return ids.size - 1;
        }),
    );
    return (this.#split = { parts, words: [...ids.keys()] });
  }

  /** Where each name stands. */
  get position() {
    return (this.#position ??= new Map(this.names.map((name, at) => [name, at])));
  }

  /** For each name the position of the nearest module above it, -1 where there is none. */
  get above() {
    return (this.#above ??= Int32Array.from(this.names, (name) => {
      for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
        const found = this.position.get(name.slice(0, dot));
        if (found !== undefined) return found;
      }
      return -1;
    }));
  }

  /**
   * The outermost number of each name: which stack of numbered siblings, and which of them.
   *
   * @typedef {{stacks: string[], of: Int32Array, number: Float64Array, every: Set<number>[]}} Outer
   * @returns {Outer}
   */
  get outer() {
    if (this.#outer) return this.#outer;
    /** @type {Map<string, number>} */
    const ids = new Map();
    const of = new Int32Array(this.names.length).fill(-1);
    const number = new Float64Array(this.names.length);
    /** @type {Set<number>[]} */
    const every = [];
    this.names.forEach((name, at) => {
      const hit = OUTER_NUMBER.exec(name);
      if (!hit) return;
      const id = ids.get(hit[1]) ?? ids.size;
      if (id === ids.size) every[ids.set(hit[1], id).size - 1] = new Set();
      every[id].add(Number(hit[2]));
      of[at] = id;
      number[at] = Number(hit[2]);
    });
    return (this.#outer = { stacks: [...ids.keys()], of, number, every });
  }

  /** Whether all characters are printable ASCII: there `\w` means the same in JavaScript as in Python. */
  get plain() {
    return (this.#plain ??= this.names.every((name) => /^[\x20-\x7e]*$/.test(name)));
  }

  /** Look at everything now, so that the first key stroke need not. */
  warm() {
    return [this.ends, this.vocabulary, this.split, this.above, this.outer, this.plain].length;
  }
}

/** @param {NameTable | readonly string[]} names */
export const index = (names) => (names instanceof NameTable ? names : new NameTable(names));
