// The keyboard of a treegrid: one row, or one cell of it, has the focus; it keeps it when rows are drawn anew.

/** @import { Grid } from "./grid.js" */

const PAGE = 10;

export class Keys {
  /** @param {Grid} grid @param {AbortSignal} signal */
  constructor(grid, signal) {
    this.grid = grid;
    this.key = "";
    this.index = 0;
    this.cell = -1; // the row itself
    grid.element.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    grid.body.addEventListener("focusin", (event) => this.#entered(event), { signal });
  }

  /** Make a row the current one. @param {string} key */
  at(key) {
    this.key = key;
    this.index = Math.max(0, this.grid.nodes.findIndex((node) => node.key === key));
  }

  /** Find the current row among new ones; if it is gone, what holds it. */
  settle() {
    const { nodes } = this.grid;
    let key = this.key;
    let index = nodes.findIndex((node) => node.key === key);
    while (index < 0 && key.includes(".")) {
      key = key.slice(0, key.lastIndexOf("."));
      index = nodes.findIndex((node) => node.key === key);
    }
    this.index = Math.max(0, index);
    this.key = nodes[this.index]?.key ?? "";
  }

  /** Rows were drawn: one of them can be reached by Tab. @param {boolean} focused whether the focus was inside */
  drawn(focused) {
    const current = this.#row();
    const first = /** @type {HTMLElement | null} */ (this.grid.body.querySelector(".dnb-params-row"));
    this.#reachable(current ?? first);
    if (!focused) return;
    if (current) this.#focus();
    else this.grid.element.focus({ preventScroll: true });
  }

  #row() {
    return /** @type {HTMLElement | null} */ (this.grid.body.querySelector(`[data-index="${this.index}"]`));
  }

  /** @param {HTMLElement | null} row */
  #reachable(row) {
    for (const other of this.grid.body.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", "-1");
    const place = row && this.cell >= 0 ? /** @type {HTMLElement | null} */ (row.children[this.cell]) : row;
    place?.setAttribute("tabindex", "0");
    row?.querySelector("button")?.setAttribute("tabindex", "0");
    return place;
  }

  #focus() {
    this.#reachable(this.#row())?.focus({ preventScroll: true });
  }

  /** @param {FocusEvent} event */
  #entered(event) {
    const place = /** @type {HTMLElement} */ (event.target);
    const row = /** @type {HTMLElement | null} */ (place.closest("tr[data-index]"));
    if (!row || place instanceof HTMLButtonElement) return;
    this.index = Number(row.dataset.index);
    this.key = this.grid.nodes[this.index]?.key ?? "";
    this.cell = place === row ? -1 : [...row.children].indexOf(place);
    this.#reachable(row);
  }

  /** @param {number} index */
  #go(index) {
    const last = this.grid.nodes.length - 1;
    this.index = Math.max(0, Math.min(last, index));
    this.key = this.grid.nodes[this.index]?.key ?? "";
    this.grid.window.show(this.index);
    this.#focus();
  }

  /** @param {number} cell */
  #across(cell) {
    this.cell = Math.max(-1, Math.min(cell, (this.#row()?.children.length ?? 1) - 1));
    this.#focus();
    this.#row()?.children[Math.max(0, this.cell)]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const inside = /** @type {Element} */ (event.target);
    if (inside.closest("thead") || event.altKey || event.metaKey) return;
    if (inside instanceof HTMLButtonElement && (event.key === "Enter" || event.key === " ")) return;
    const act = this.#act(event.key, event.ctrlKey);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook's own shortcuts are not meant
    act();
  }

  /** @param {string} key @param {boolean} ctrl @returns {(() => void) | undefined} */
  #act(key, ctrl) {
    const node = this.grid.nodes[this.index];
    if (!node) return undefined;
    const last = this.grid.nodes.length - 1;
    const inRow = this.cell >= 0;
    const turn = node.opens ? () => this.grid.acts.turn(node) : undefined;
    /** @type {Record<string, (() => void) | undefined>} */
    const acts = {
      ArrowDown: () => this.#go(this.index + 1),
      ArrowUp: () => this.#go(this.index - 1),
      PageDown: () => this.#go(this.index + PAGE),
      PageUp: () => this.#go(this.index - PAGE),
      ArrowRight: () => (!inRow && node.opens && !node.open ? this.grid.acts.turn(node, true) : this.#across(this.cell + 1)),
      ArrowLeft: () => (inRow ? this.#across(this.cell - 1) : node.open ? this.grid.acts.turn(node, false) : this.#out()),
      Home: () => (inRow && !ctrl ? this.#across(0) : this.#go(0)),
      End: () => (inRow && !ctrl ? this.#across(99) : this.#go(last)),
      Enter: turn,
      " ": turn,
      "+": node.members && !node.each ? () => this.grid.acts.each(node) : undefined,
      "-": node.members && node.each && node.row?.children.length ? () => this.grid.acts.each(node) : undefined,
    };
    return acts[key];
  }

  #out() {
    const parent = this.grid.nodes[this.index].parent;
    if (parent) this.#go(this.grid.nodes.findIndex((node) => node.key === parent.key));
  }
}
