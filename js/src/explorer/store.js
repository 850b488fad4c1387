// What the Explorer's parts share: the structure, what the patterns hit, what is selected, what is open. Each part listens
// for what it draws, and none knows another.

/** @import { Structure } from "../structure/structure.js" */

/**
 * @typedef {"structure" | "match" | "selection" | "open" | "depth" | "plan" | "also" | "busy"} News
 * @typedef {object} PatternState one pattern of the box
 * @property {string} pattern @property {number} count @property {string} problem "" if there is none @property {string[]} nearest
 * @property {boolean} kernel whether only the kernel can run it
 * @typedef {object} Match
 * @property {Set<number>} names positions in `structure.names`
 * @property {readonly number[]} hits the same, in model order
 * @property {Map<number, number>} rows for the id of a row how many of its modules are hit
 * @property {Set<number>} excluded positions of names that exclude took out
 * @property {PatternState[]} patterns @property {PatternState[]} exclude
 * @property {string[]} hints
 * @property {string} problem what the kernel would raise; "" while the patterns are valid
 * @property {boolean} pending whether a regular expression is still at work
 */

/**
 * @typedef {object} Plan what the panel's delta would add to the matched modules
 * @property {number} added parameters in all @property {number} share of the backbone's @property {number} bytes of the saved file
 * @property {Map<number, number>} each for the id of a row the parameters added to ONE of its modules
 */

/** @returns {Match} */
export const noMatch = () => ({
  names: new Set(),
  hits: [],
  rows: new Map(),
  excluded: new Set(),
  patterns: [],
  exclude: [],
  hints: [],
  problem: "",
  pending: false,
});

export class Store {
  /** @param {Structure} structure */
  constructor(structure) {
    this.structure = structure;
    this.match = noMatch();
    /** Positions of the names that were clicked. @type {Set<number>} */
    this.selection = new Set();
    /** Positions of the names that a shorter pattern would hit, too; shown while somebody looks at it. @type {Set<number>} */
    this.also = new Set();
    /** What the delta of the panel would cost; null while nothing is known. @type {Plan | null} */
    this.plan = null;
    /** Ids of the rows whose children are shown. @type {Set<number>} */
    this.open = new Set();
    /** @type {Map<News, Set<() => void>>} */
    this.listeners = new Map();
  }

  /**
   * Listen until the view goes.
   *
   * @param {News | News[]} news
   * @param {() => void} heard
   * @param {AbortSignal} signal
   */
  on(news, heard, signal) {
    for (const one of [news].flat()) {
      const known = this.listeners.get(one) ?? new Set();
      this.listeners.set(one, known.add(heard));
      signal.addEventListener("abort", () => known.delete(heard));
    }
  }

  /** @param {...News} news */
  tell(...news) {
    const heard = new Set(news.flatMap((one) => [...(this.listeners.get(one) ?? [])]));
    for (const call of heard) call();
  }

  /** Show another state of the backbone; the old positions mean nothing there. @param {Structure} structure */
  replace(structure) {
    const chosen = new Set([...this.selection].map((at) => this.structure.names[at]));
    const opened = new Set([...this.open].map((id) => this.structure.rows[id].address));
    this.structure = structure;
    this.match = noMatch();
    this.plan = null;
    this.also = new Set();
    this.selection = new Set(structure.names.flatMap((name, at) => (chosen.has(name) ? [at] : [])));
    this.open = new Set(structure.rows.filter((row) => opened.has(row.address)).map((row) => row.id));
    this.tell("structure", "match", "selection", "open", "plan", "also");
  }
}
