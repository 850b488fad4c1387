// What changes on a picture without drawing it again: hits, what is selected, where the keyboard is.

import { number, s } from "../ui/dom.js";
import { STATES, stateOf } from "./marks.js";
import { hitWords } from "./picture_boxes.js";

/** @import { Store } from "./store.js" */
/** @import { Box, Boxes } from "./picture_boxes.js" */
/** @import { Drawn, Place } from "./picture_svg.js" */

const CORNER = 6;

/** The signs on one drawn picture. */
export class Marks {
  /** @param {Drawn} drawn @param {Boxes} boxes @param {Store} store */
  constructor(drawn, boxes, store) {
    this.drawn = drawn;
    this.boxes = boxes;
    this.store = store;
    this.active = -1;
    this.elsewhere = 0;
    /** For each box what its label says of hits and of what is selected. */
    this.hits = boxes.all.map(() => "");
    this.chosen = boxes.all.map(() => "");
    boxes.all.forEach((box, at) => {
      const group = drawn.boxes.get(at)?.group;
      group?.setAttribute("role", "option");
      this.#label(box, at);
      if (box.hidden || box.foldable) group?.classList.add("dnb-opens");
    });
    this.match();
    this.select();
  }

  /** Show what the patterns hit, and what a shorter one would hit too. */
  match() {
    const { tallies, elsewhere } = this.boxes.count(this.store.match.names);
    const also = this.store.also.size ? this.boxes.count(this.store.also).tallies : null;
    this.elsewhere = elsewhere;
    tallies.forEach((tally, at) => {
      const more = also?.[at].own ?? 0;
      const words = [hitWords(this.boxes.all[at], tally), more && `+${number(more)} too`].filter(Boolean).join(" ");
      if (words === this.hits[at]) return;
      this.hits[at] = words;
      const drawn = this.drawn.boxes.get(at);
      if (!drawn) return;
      if (drawn.slot) drawn.slot.textContent = words;
      drawn.group.classList.toggle("dnb-hit", tally.own + tally.around > 0);
      drawn.group.classList.toggle("dnb-hit-inside", !(tally.own + tally.around) && (tally.inside > 0 || more > 0));
      if (words && !drawn.group.querySelector(".dnb-hit-ring")) drawn.group.append(ring(drawn.place, "dnb-hit-ring", 2));
      this.#label(this.boxes.all[at], at);
    });
  }

  /** Show what is selected. */
  select() {
    const { tallies } = this.boxes.count(this.store.selection);
    tallies.forEach(({ own }, at) => {
      const all = this.boxes.all[at].members.length;
      const words = own === 0 ? "" : own === all ? "selected" : `${own} of ${all} selected`;
      if (words === this.chosen[at]) return;
      this.chosen[at] = words;
      const group = this.drawn.boxes.get(at)?.group;
      group?.classList.toggle("dnb-chosen", own > 0);
      group?.classList.toggle("dnb-chosen-some", own > 0 && own < all);
      group?.querySelector(".dnb-choice")?.remove();
      const place = this.drawn.boxes.get(at)?.place;
      if (own && place) group?.append(choice(place, own < all));
      this.#label(this.boxes.all[at], at);
    });
  }

  /** Move to a box; -1 for none. @param {number} at */
  activate(at) {
    this.drawn.boxes.get(this.active)?.group.classList.remove("dnb-active");
    this.active = this.drawn.boxes.has(at) ? at : -1;
    const drawn = this.drawn.boxes.get(this.active);
    drawn?.group.classList.add("dnb-active");
    if (drawn && !drawn.group.querySelector(".dnb-active-ring")) drawn.group.append(ring(drawn.place, "dnb-active-ring", 4));
    return drawn?.group ?? null;
  }

  /** @param {Box} box @param {number} at */
  #label(box, at) {
    const group = this.drawn.boxes.get(at)?.group;
    group?.setAttribute("aria-selected", String(this.chosen[at] === "selected"));
    group?.setAttribute("aria-label", [...describe(box), this.hits[at] && matched(this.hits[at]), this.chosen[at]].filter(Boolean).join(", "));
  }
}

/** @param {string} words */
const matched = (words) => `matched: ${words.replace("● ", "")}`;

/** @param {Box} box */
function describe(box) {
  const row = box.row;
  if (!row) return [box.address || "the model itself"];
  const state = stateOf(row);
  const count = box.members.length || row.count;
  return [
    box.address || "the model itself",
    row.type,
    count > 1 ? `${number(count)} modules` : "",
    `${number(row.counts[0] * count)} parameters`,
    row.delta ? `belongs to delta ${row.delta}` : STATES[state],
    row.sameAs ? `the same module as ${row.sameAs}` : "",
    box.hidden ? `closed, ${box.hidden} modules inside` : "",
  ];
}

/** @param {Place} place @param {string} name @param {number} outside */
function ring({ x, y, width, height }, name, outside) {
  return s("rect", { class: name, x: x - outside, y: y - outside, width: width + 2 * outside, height: height + 2 * outside, rx: CORNER + outside });
}

/** A tick at the corner, a bar where only some are selected. @param {Place} place @param {boolean} some */
function choice({ x, y, width, height }, some) {
  const across = x + width - 1;
  const sign = some ? `M${across - 3},${y + 1}h6` : `M${across - 3},${y + 1}l2.2,2.4l3.8,-4.6`;
  return s(
    "g",
    { class: "dnb-choice" },
    s("rect", { class: "dnb-choice-ring", x, y, width, height, rx: CORNER }),
    s("circle", { cx: across, cy: y + 1, r: 5.5 }),
    s("path", { d: sign }),
  );
}
