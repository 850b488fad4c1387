// A long list of rows of one height, of which only those near the view stand in the page.

import { windowOf } from "./tree_keys.js";

const FIRST_HEIGHT = 600;
const SPARE = 12; // rows beyond the view on each side

/**
 * Keep the rows near the view drawn while it scrolls.
 *
 * @param {object} parts
 * @param {HTMLElement} parts.scroller
 * @param {() => number} parts.count of all rows
 * @param {() => number} parts.height of a row in pixels, once one is drawn
 * @param {(first: number, last: number, above: number, below: number) => void} parts.draw rows `first` to before `last`; `above` and
 *   `below` are the pixels of those left out
 * @param {() => number} [parts.covered] pixels at the top and bottom of the scroller that sticky parts take from the view
 * @param {AbortSignal} [parts.signal]
 */
export function windowed({ scroller, count, height, draw, covered = () => 0, signal }) {
  let drawn = [0, 0];
  let asked = 0;
  /** @param {number} spare */
  const range = (spare) => {
    const { from, to } = windowOf({ top: scroller.scrollTop, height: scroller.clientHeight || FIRST_HEIGHT, row: height(), count: count(), spare });
    return [Math.min(from, Math.max(0, count() - 1)), to];
  };
  const now = () => {
    asked = 0;
    const [first, last] = (drawn = range(SPARE));
    draw(first, last, first * height(), (count() - last) * height());
  };
  const moved = () => {
    const [first, last] = range(2);
    if ((first < drawn[0] || last > drawn[1]) && !asked) asked = requestAnimationFrame(now);
  };
  scroller.addEventListener("scroll", moved, { passive: true, signal });
  const size = new ResizeObserver(moved);
  size.observe(scroller);
  signal?.addEventListener("abort", () => (size.disconnect(), cancelAnimationFrame(asked)));
  return {
    /** Draw anew. */
    now,
    /** Bring a row into view, and draw it if it was not. @param {number} at */
    show(at) {
      const [top, room] = [at * height(), scroller.clientHeight - covered()];
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      else if (top + height() > scroller.scrollTop + room) scroller.scrollTop = top + height() - room;
      if (at < drawn[0] || at >= drawn[1]) now();
    },
  };
}
