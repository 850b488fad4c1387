// The Explorer's tree: the store's structure as lines, in step with what is matched, selected and open.

import { number } from "../ui/dom.js";
import { Tree } from "../ui/tree.js";
import { firstOpen, visibleItems } from "./items.js";
import { Tally } from "./marks.js";
import { RowView } from "./row_view.js";

/** @import { Item } from "./items.js" */
/** @import { Store } from "./store.js" */
/** @import { Row } from "../structure/structure.js" */
/** @import { Choice } from "../ui/tree_keys.js" */

const LINES = 24;

export class TreePane {
  #parts = new Set();
  #split = new Set();
  #waits = false;
  /** Lists of layers that are hit themselves, and so need a line of their own. */
  #kept = "";
  #narrow = false;
  /** Ids of rows that were closed while only matches are shown. @type {Set<number>} */
  #closed = new Set();

  /**
   * @param {Store} store
   * @param {AbortSignal} signal
   * @param {{lines?: number, selectable?: boolean, narrow?: boolean}} [options] `lines`: how many to open at first;
   *   `narrow`: show only what is hit, with what it is in
   */
  constructor(store, signal, { lines = LINES, selectable = true, narrow = false } = {}) {
    this.#narrow = narrow;
    this.store = store;
    this.tally = new Tally(store);
    if (!store.open.size) store.open = firstOpen(store.structure, lines);
    const context = { store, tally: () => this.tally };
    /** @type {Tree<Item & {expandable: boolean}>} */
    this.tree = new Tree({
      label: "Structure",
      view: () => new RowView(context),
      text: (item) => `${item.before}${item.label}`,
      open: (items, open) => this.#open(items, open),
      choose: selectable ? (items, choice) => this.#choose(items, choice) : undefined,
      chosen: (item) => (selectable && item.row.matchable ? this.#isChosen(item) : null),
      split: (item, split) => this.#splitFold(item, split),
      signal,
    });
    this.element = this.tree.element;
    store.on(["structure", "open"], () => this.#list(), signal);
    store.on(["match", "plan", "also", "selection"], () => this.#soon(), signal);
    this.#list();
  }

  /** Open what hides a matched module. */
  reveal() {
    const { structure, match, open } = this.store;
    for (const id of match.rows.keys()) for (let row = structure.rows[id].parent; row; row = row.parent) open.add(row.id);
    this.store.tell("open");
    const first = this.tree.lines.find((item) => this.tally.own(item) > 0);
    if (first) this.tree.go(first.key, { focus: false });
  }

  /** Whether only matches are shown. */
  get narrow() {
    return this.#narrow;
  }

  set narrow(only) {
    this.#narrow = only;
    this.#list();
  }

  /** Back to the first lines. */
  close() {
    this.#parts.clear();
    this.#split.clear();
    this.store.open = firstOpen(this.store.structure, this.store.structure.root.children.length);
    this.store.tell("open");
  }

  #list() {
    const { structure, open, match } = this.store;
    this.tally = new Tally(this.store);
    this.#kept = this.#keptNow();
    this.element.style.setProperty("--dnb-count", `${number(structure.totals[0]).length}ch`);
    const only = this.#narrow && match.hits.length ? this.#hitRows() : null;
    const shown = {
      open: only ? new Set([...only].filter((id) => !this.#closed.has(id))) : open,
      parts: this.#parts,
      split: this.#split,
      kept: (/** @type {Row} */ row) => match.rows.has(row.id),
      only,
    };
    this.tree.set(visibleItems(structure, shown));
  }

  /** Rows with hits, and those they are in. */
  #hitRows() {
    const { structure, match } = this.store;
    /** @type {Set<number>} */
    const found = new Set();
    for (const id of match.rows.keys()) for (let row = /** @type {Row | null} */ (structure.rows[id]); row && !found.has(row.id); row = row.parent) found.add(row.id);
    return found;
  }

  #keptNow() {
    const { structure, match } = this.store;
    return [...match.rows.keys()].filter((id) => structure.rows[id].type === "ModuleList").join();
  }

  /** Once, however much changes at a time. */
  #soon() {
    if (this.#waits) return;
    this.#waits = true;
    queueMicrotask(() => {
      this.#waits = false;
      if (this.#narrow || this.#keptNow() !== this.#kept) return this.#list();
      if (this.tally.match !== this.store.match) this.tally = new Tally(this.store);
      this.tree.paint();
    });
  }

  /** @param {Item[]} items @param {boolean} open */
  #open(items, open) {
    for (const item of items) {
      if (open) this.#closed.delete(item.row.id);
      else this.#closed.add(item.row.id);
      const [set, key] = item.instances ? [this.#parts, item.key] : [this.store.open, item.row.id];
      if (open) /** @type {Set<any>} */ (set).add(key);
      else /** @type {Set<any>} */ (set).delete(key);
    }
    this.store.tell("open");
  }

  /** @param {Item} item @param {boolean} split */
  #splitFold(item, split) {
    if (!item.canSplit || item.split === split) return;
    if (split) this.#split.add(item.key);
    else this.#split.delete(item.key);
    this.#open([item], split || item.open);
  }

  /** @param {Item} item */
  #isChosen(item) {
    const { selection } = this.store;
    return selection.size > 0 && item.members.length > 0 && item.members.every((at) => selection.has(at));
  }

  /** @param {Item[]} items @param {Choice} choice */
  #choose(items, choice) {
    const positions = items.flatMap((item) => item.members);
    if (!positions.length) return;
    if (choice === "toggle") {
      const gone = positions.every((at) => this.store.selection.has(at));
      for (const at of positions) {
        if (gone) this.store.selection.delete(at);
        else this.store.selection.add(at);
      }
    } else {
      const same = items.length === 1 && this.store.selection.size === positions.length && this.#isChosen(items[0]);
      this.store.selection = new Set(same && choice === "one" ? [] : positions);
    }
    this.store.tell("selection");
  }
}
