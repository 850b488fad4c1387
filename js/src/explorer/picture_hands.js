// Pointer and keyboard on the picture: go from box to box, select, open and close.

import { choose } from "./choose.js";
import { neighbour, range } from "./picture_boxes.js";

/** @import { Choice } from "../ui/tree_keys.js" */
/** @import { Picture } from "./picture.js" */

const WAYS = /** @type {const} */ ({ ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" });
const SCROLL = 60;

/** @param {Picture} picture @param {AbortSignal} signal */
export function listen(picture, signal) {
  const { box, view } = picture;
  box.addEventListener("click", (event) => {
    const at = boxAt(picture, event.target);
    // The second click of a double one opens, and leaves the choice as the first made it.
    if (view.dragged || at < 0 || event.detail > 1) return;
    picture.activate(at, false);
    chooseBox(picture, at, event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "one");
  }, { signal });
  box.addEventListener("dblclick", (event) => {
    if (boxAt(picture, event.target) >= 0) toggle(picture);
  }, { signal });
  box.addEventListener("keydown", (event) => {
    if (key(picture, event)) event.preventDefault();
  }, { signal });
  box.addEventListener("focus", () => {
    if (picture.marks && picture.marks.active < 0 && box.matches(":focus-visible")) picture.activate(0);
  }, { signal });
}

/** @param {Picture} picture @param {EventTarget | null} target */
function boxAt({ marks }, target) {
  const group = target instanceof Element ? target.closest(".dnb-frame") : null;
  if (!marks || !group) return -1;
  return [...marks.drawn.boxes].find(([, drawn]) => drawn.group === group)?.[0] ?? -1;
}

/** @param {Picture} picture */
function toggle(picture) {
  if (picture.opens) picture.open();
  else picture.close();
}

/** @param {Picture} picture @param {KeyboardEvent} event @returns {boolean} whether the key was ours */
function key(picture, event) {
  const { marks, box } = picture;
  if (!marks || event.altKey) return false;
  const way = WAYS[/** @type {keyof typeof WAYS} */ (event.key)];
  if (way && (event.ctrlKey || event.metaKey)) {
    box.scrollBy(way === "left" ? -SCROLL : way === "right" ? SCROLL : 0, way === "up" ? -SCROLL : way === "down" ? SCROLL : 0);
    return true;
  }
  if (event.ctrlKey || event.metaKey) return false;
  if (way) {
    const places = marks.boxes.all.map((_, at) => marks.drawn.boxes.get(at)?.place ?? { x: 0, y: 0, width: 0, height: 0 });
    if (event.shiftKey && picture.anchor < 0) picture.anchor = marks.active;
    picture.activate(neighbour(places, marks.active, way));
    if (event.shiftKey) chooseBox(picture, marks.active, "range");
    return true;
  }
  const doing = {
    " ": () => chooseBox(picture, marks.active, event.shiftKey ? "range" : "toggle"),
    Enter: () => toggle(picture),
    "+": () => picture.open(),
    "-": () => picture.close(),
    Home: () => picture.activate(0),
    End: () => picture.activate(marks.boxes.all.length - 1),
  }[event.key];
  doing?.();
  return Boolean(doing);
}

/** @param {Picture} picture @param {number} at @param {Choice} choice */
function chooseBox(picture, at, choice) {
  const boxes = picture.marks?.boxes.all ?? [];
  if (!boxes[at]) return;
  const ranged = choice === "range" && picture.anchor >= 0;
  if (!ranged) picture.anchor = at;
  const chosen = ranged ? range(boxes, picture.anchor, at) : [boxes[at]];
  choose(picture.store, chosen.flatMap((box) => box.members), choice);
}
