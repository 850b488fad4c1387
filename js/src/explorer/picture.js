// The structure as a picture, in step with the tree: what is open there is open here, what is hit or selected is marked in both.

import { h, newId } from "../ui/dom.js";
import { Boxes } from "./picture_boxes.js";
import { listen } from "./picture_hands.js";
import { Marks } from "./picture_marks.js";
import { Source } from "./picture_source.js";
import { readPicture } from "./picture_svg.js";
import { View } from "./picture_view.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Row } from "../structure/structure.js" */
/** @import { Store } from "./store.js" */
/** @import { Answer } from "./picture_source.js" */

const ROOM_STEP = 40;

/** The pane: it draws when it can be seen, and asks for a new picture only when boxes come or go. */
export class Picture {
  /** @param {HTMLElement} el @param {Store} store @param {Model} model @param {AbortSignal} signal */
  constructor(el, store, model, signal) {
    this.store = store;
    /** Addresses, as shown, of folds that are opened to their members. @type {Set<string>} */
    this.unfolded = new Set();
    /** @type {Marks | null} */
    this.marks = null;
    /** Where a range begins. */
    this.anchor = -1;
    /** What is to be said of the picture as a whole. */
    this.words = "";
    this.note = h("p", { class: "dnb-picture-note dnb-muted", "aria-live": "polite" });
    const said = newId("keys");
    this.box = h("div", {
      class: "dnb-picture-box", role: "listbox", tabindex: 0, "aria-multiselectable": "true",
      "aria-label": "Picture of the structure", "aria-describedby": said,
    });
    this.view = new View(this.box, () => this.tell(), signal);
    this.source = new Source(model, { drawn: (answer) => this.#draw(answer), trouble: (words) => this.#say(words) }, signal);
    this.depth = this.#depth();
    this.openButton = button("Open", () => this.open(), "Open the box: what is in it, or the members of a fold (+)");
    this.closeButton = button("Close", () => this.close(), "Close the box, or fold its members again (−)");
    this.percent = h("span", { class: "dnb-muted dnb-picture-zoom" });
    el.append(
      h("div", { class: "dnb-picture", role: "group", "aria-label": "Picture" },
        h("div", { class: "dnb-picture-tools" },
          h("label", { class: "dnb-label dnb-picture-depth" }, "Depth", this.depth), this.openButton, this.closeButton,
          h("span", { class: "dnb-picture-space" }), this.percent,
          button("Zoom out", () => this.view.zoomOut()), button("Zoom in", () => this.view.zoomIn()), button("Fit", () => this.view.fit())),
        this.note, this.box,
        h("p", { class: "dnb-hidden", id: said },
          "The tree says the same in words. Arrow keys go from box to box, Space selects, plus opens, minus closes, Control with an arrow key moves the picture.")),
    );
    listen(this, signal);
    store.on(["match", "also"], () => this.marks && (this.marks.match(), this.#remark()), signal);
    store.on("selection", () => this.#chosen(), signal);
    store.on(["open", "structure"], () => this.refresh(), signal);
    const seen = new ResizeObserver(() => this.refresh());
    seen.observe(this.box);
    signal.addEventListener("abort", () => seen.disconnect());
    this.tell();
  }

  /** The box where the keyboard is. */
  get active() {
    return this.marks?.boxes.all[this.marks.active];
  }

  /** Ask for the picture of what is open now, if anybody can see it. */
  refresh() {
    this.tell();
    if (this.box.clientWidth < 40) return;
    const { structure, open } = this.store;
    const opened = structure.rows.filter((row) => row.address && (open.has(row.id) || listOnly(row))).map((row) => row.address);
    const room = Math.floor(this.view.room / ROOM_STEP) * ROOM_STEP;
    this.source.want({ opened, unfolded: [...this.unfolded].sort(), room }, structure);
  }

  /** @param {number} at @param {boolean} [seen] whether to scroll there */
  activate(at, seen = true) {
    const group = this.marks?.activate(at);
    if (group) this.box.setAttribute("aria-activedescendant", group.id);
    else this.box.removeAttribute("aria-activedescendant");
    const place = this.marks?.drawn.boxes.get(at)?.place;
    if (seen && place) this.view.reveal(place);
    this.tell();
  }

  /** What *Open* would do with the box: show what is in it, or the members of a fold. */
  get opens() {
    if (!this.active || this.source.alone) return "";
    return this.active.hidden && this.active.row ? "inside" : this.active.foldable ? "members" : "";
  }

  /** What *Close* would do: fold the members again, or hide what is inside. */
  get closes() {
    const box = this.active;
    if (!box?.row || this.source.alone) return "";
    return box.fold ? "members" : [box.row, ...box.around].some((row) => this.store.open.has(row.id)) ? "inside" : "";
  }

  open() {
    const box = this.active;
    if (!box?.row || !this.opens) return;
    if (this.opens === "members") return this.#unfold(box.address, true);
    this.store.open.add(box.row.id);
    this.store.tell("open");
  }

  close() {
    const box = this.active;
    if (!box?.row || !this.closes) return;
    if (this.closes === "members") return this.#unfold(box.fold, false);
    const row = [box.row, ...[...box.around].reverse()].find((one) => this.store.open.has(one.id));
    if (row) this.store.open.delete(row.id);
    this.store.tell("open");
  }

  /** The buttons say what can be done now. */
  tell() {
    this.percent.textContent = `${Math.round(this.view.zoom * 100)} %`;
    this.openButton.disabled = !this.opens;
    this.closeButton.disabled = !this.closes;
    for (const control of [this.depth.parentElement, this.openButton, this.closeButton]) if (control) control.hidden = this.source.alone;
    this.depth.value = String(depthOf(this.store));
  }

  /** @param {string} address @param {boolean} on */
  #unfold(address, on) {
    if (on) this.unfolded.add(address);
    else this.unfolded.delete(address);
    this.refresh();
  }

  /** @param {Answer} answer */
  #draw(answer) {
    if (!answer.svg) return this.#say(`No picture: ${answer.reason}. The tree shows the same.`);
    const before = this.active;
    const drawn = readPicture(answer.svg);
    const boxes = new Boxes(answer.boxes, this.store.structure);
    this.box.replaceChildren(drawn.svg);
    this.marks = new Marks(drawn, boxes, this.store);
    this.view.show(drawn);
    this.words = this.source.alone
      ? "Without a kernel the picture stays as it was saved; the tree opens and closes."
      : answer.cut ? "Only the upper levels are drawn here: with all of them there would be more boxes than a picture can hold." : "";
    this.#remark();
    const same = before ? boxes.all.findIndex((box) => box.address === before.address) : -1;
    const near = same < 0 && before ? boxes.all.findIndex((box) => box.address === before.fold || box.fold === before.address) : same;
    this.anchor = -1;
    this.activate(near, near >= 0 && this.box.contains(document.activeElement));
  }

  /** @param {string} words */
  #say(words) {
    this.words = words;
    this.#remark();
    if (!this.marks) this.box.replaceChildren();
  }

  /** What the picture cannot show is said. */
  #remark() {
    const missing = this.marks?.elsewhere ?? 0;
    const hits = missing ? `${missing} of the matched modules have no box here.` : "";
    const words = [this.words, hits].filter(Boolean).join(" ");
    if (this.note.textContent !== words) this.note.textContent = words;
  }

  #chosen() {
    if (!this.marks) return;
    this.marks.select();
    const first = [...this.store.selection].find((at) => this.marks && this.marks.boxes.home[at] >= 0);
    if (first === undefined || this.box.contains(document.activeElement)) return;
    const place = this.marks.drawn.boxes.get(this.marks.boxes.home[first])?.place;
    if (place) this.view.reveal(place);
  }

  #depth() {
    const deepest = Math.max(1, ...this.store.structure.rows.filter((row) => row.children.length).map((row) => row.depth + 1));
    const levels = Array.from({ length: Math.min(deepest, 12) }, (_, at) => at + 1);
    const choices = levels.map((level) => h("option", { value: level }, level === deepest ? `${level} (all)` : String(level)));
    return h("select", { onchange: () => openTo(this.store, Number(this.depth.value)) }, h("option", { value: 0, hidden: true }, "as opened"), choices);
  }
}

/**
 * Show the picture in an element.
 *
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {Model} model answers `picture`; an exported page has the trait `picture` instead
 * @param {AbortSignal} signal
 */
export function mountPicture(el, store, model, signal) {
  return new Picture(el, store, model, signal);
}

/** A list around one run of layers: the tree has no line for it, so it can be neither open nor closed. @param {Row} row */
const listOnly = (row) => row.type === "ModuleList" && row.children.length === 1;

/** @param {string} words @param {() => void} act @param {string} [title] */
function button(words, act, title) {
  return h("button", { type: "button", class: "dnb-button", onclick: act, title }, words);
}

/** Open the rows above a depth and close those below. @param {Store} store @param {number} depth */
function openTo(store, depth) {
  if (!depth) return;
  store.open = new Set(store.structure.rows.filter((row) => row.children.length && row.depth < depth).map((row) => row.id));
  store.tell("open");
}

/** The depth to which all is open, 0 where it is not the same everywhere. @param {Store} store */
function depthOf(store) {
  const holds = store.structure.rows.filter((row) => row.children.length && row.depth > 0);
  const deepest = Math.max(0, ...holds.filter((row) => store.open.has(row.id)).map((row) => row.depth)) + 1;
  return holds.every((row) => store.open.has(row.id) === row.depth < deepest) ? deepest : 0;
}
