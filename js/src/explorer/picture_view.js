// Zoom and pan. The picture lies in a box that scrolls, so wheel, touch and scroll bars work as everywhere; here is the rest.

/** @import { Drawn, Place } from "./picture_svg.js" */

const STEP = 1.25;
const LEAST = 0.15;
const MOST = 5;
const READABLE = 0.89; // letters of 13 px where the page's have 14
const FREE = 4; // px that a hand may tremble in a click

/** A picture's size on the screen and the part of it that is seen. */
export class View {
  /**
   * @param {HTMLElement} box that scrolls
   * @param {() => void} changed
   * @param {AbortSignal} signal
   */
  constructor(box, changed, signal) {
    this.box = box;
    this.changed = changed;
    this.zoom = 1;
    /** Whether a person has chosen a zoom. */
    this.chosen = false;
    /** Whether the pointer has just moved the picture: the click that follows chooses nothing. */
    this.dragged = false;
    /** @type {Drawn | null} */
    this.drawn = null;
    this.#wheel(signal);
    this.#drag(signal);
    this.#pinch(signal);
  }

  /** Pixels a point at a zoom of 1: the picture's letters are as large as the page's. */
  get scale() {
    return (Number.parseFloat(getComputedStyle(this.box).fontSize) || 14) / 10.5;
  }

  /** Points of width that can be seen without scrolling. */
  get room() {
    return (this.box.clientWidth - 4) / this.scale;
  }

  /** @param {Drawn} drawn */
  show(drawn) {
    this.drawn = drawn;
    // A picture that is a little too wide is made a little smaller, unless a person has chosen a size.
    if (!this.chosen) this.zoom = Math.min(1, Math.max(READABLE, this.room / drawn.width));
    this.#resize();
    this.changed();
  }

  /** @param {number} zoom @param {{x: number, y: number}} [at] what stays where it is, from the box's corner */
  zoomTo(zoom, at = { x: this.box.clientWidth / 2, y: this.box.clientHeight / 2 }) {
    const next = Math.min(Math.max(zoom, LEAST), MOST);
    const grown = next / this.zoom;
    const { scrollLeft, scrollTop } = this.box;
    this.zoom = next;
    this.chosen = true;
    this.#resize();
    this.box.scrollLeft = (scrollLeft + at.x) * grown - at.x;
    this.box.scrollTop = (scrollTop + at.y) * grown - at.y;
    this.changed();
  }

  zoomIn() {
    this.zoomTo(this.zoom * STEP);
  }

  zoomOut() {
    this.zoomTo(this.zoom / STEP);
  }

  /** As large as the whole picture can be seen. */
  fit() {
    if (!this.drawn) return;
    const room = { width: this.box.clientWidth - 4, height: this.box.clientHeight - 4 };
    this.zoomTo(Math.min(room.width / (this.drawn.width * this.scale), room.height / (this.drawn.height * this.scale)));
  }

  /** Scroll until a place can be seen. @param {Place} place */
  reveal({ x, y, width, height }) {
    if (!this.drawn) return;
    const unit = this.scale * this.zoom;
    const [left, top] = [x * unit, (y + this.drawn.height) * unit];
    this.box.scrollLeft = nearest(this.box.scrollLeft, this.box.clientWidth, left, width * unit);
    this.box.scrollTop = nearest(this.box.scrollTop, this.box.clientHeight, top, Math.min(height * unit, this.box.clientHeight / 2));
  }

  #resize() {
    if (!this.drawn) return;
    const unit = this.scale * this.zoom;
    this.drawn.svg.style.width = `${(this.drawn.width * unit).toFixed(1)}px`;
    this.drawn.svg.style.height = `${(this.drawn.height * unit).toFixed(1)}px`;
  }

  /** @param {{clientX: number, clientY: number}} event */
  #from(event) {
    const edge = this.box.getBoundingClientRect();
    return { x: event.clientX - edge.left, y: event.clientY - edge.top };
  }

  /** With Control or Command, which a pinch on a touch pad says too. @param {AbortSignal} signal */
  #wheel(signal) {
    this.box.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.zoomTo(this.zoom * Math.exp(-event.deltaY / (event.deltaMode ? 15 : 300)), this.#from(event));
      },
      { passive: false, signal },
    );
  }

  /** @param {AbortSignal} signal */
  #drag(signal) {
    /** @type {{x: number, y: number, left: number, top: number} | null} */
    let start = null;
    this.box.addEventListener("pointerdown", (event) => {
      this.dragged = false;
      const at = this.#from(event);
      if (event.button !== 0 || event.pointerType === "touch" || at.x > this.box.clientWidth || at.y > this.box.clientHeight) return;
      start = { x: event.clientX, y: event.clientY, left: this.box.scrollLeft, top: this.box.scrollTop };
    }, { signal });
    this.box.addEventListener("pointermove", (event) => {
      if (!start || !event.buttons) return;
      const [across, down] = [event.clientX - start.x, event.clientY - start.y];
      if (!this.dragged && Math.hypot(across, down) < FREE) return;
      if (!this.dragged) this.box.setPointerCapture(event.pointerId);
      this.dragged = true;
      this.box.classList.add("dnb-dragged");
      this.box.scrollLeft = start.left - across;
      this.box.scrollTop = start.top - down;
    }, { signal });
    const end = () => {
      start = null;
      this.box.classList.remove("dnb-dragged");
    };
    for (const name of ["pointerup", "pointercancel"]) this.box.addEventListener(name, end, { signal });
  }

  /** Two fingers. @param {AbortSignal} signal */
  #pinch(signal) {
    let apart = 0;
    let zoom = 1;
    const spread = (/** @type {TouchList} */ [one, two]) => Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY);
    this.box.addEventListener("touchstart", (event) => {
      if (event.touches.length === 2) [apart, zoom] = [spread(event.touches), this.zoom];
    }, { passive: true, signal });
    this.box.addEventListener("touchmove", (event) => {
      if (event.touches.length !== 2 || !apart) return;
      event.preventDefault();
      const [one, two] = event.touches;
      const middle = { clientX: (one.clientX + two.clientX) / 2, clientY: (one.clientY + two.clientY) / 2 };
      this.zoomTo((zoom * spread(event.touches)) / apart, this.#from(middle));
    }, { passive: false, signal });
  }
}

/** The least scrolling that shows a stretch. @param {number} now @param {number} seen @param {number} start @param {number} length */
function nearest(now, seen, start, length) {
  const edge = 12;
  if (length > seen && start >= now && start < now + seen / 2) return now;
  if (start - edge < now) return start - edge;
  return start + length + edge > now + seen ? Math.min(start + length + edge - seen, start - edge) : now;
}
