// Which modules each box of the picture stands for, and how many of them are hit; no element of the page is known here.

/** @import { Row, Structure } from "../structure/structure.js" */
/** @import { Place } from "./picture_svg.js" */

/**
 * @typedef {object} RawBox as deltanb/widgets/_explorer_picture.py writes it
 * @property {string} address as shown @property {string} row address of its row @property {string[]} [around] rows that share it
 * @property {number} [hidden] modules of each member that are not shown @property {string[]} [names] if not all of the row's
 * @typedef {object} Tally modules that are counted
 * @property {number} own @property {number} around in rows that share the box @property {number} inside not shown
 */

/** A box, and what it stands for. */
export class Box {
  /** @param {RawBox} raw @param {Structure} structure @param {Map<string, number>} positions */
  constructor(raw, structure, positions) {
    this.address = raw.address;
    this.hidden = raw.hidden ?? 0;
    /** @type {Row | undefined} */
    this.row = structure.byAddress.get(raw.row);
    this.around = (raw.around ?? []).flatMap((address) => structure.byAddress.get(address) ?? []);
    /** Positions of its modules among the names. @type {number[]} */
    this.members = raw.names ? raw.names.flatMap((name) => positions.get(name) ?? []) : (this.row?.members ?? []);
    const folded = last(raw.row);
    /** The fold, as shown, that was opened to this member and others; "" if none was. */
    this.fold = last(raw.address) === folded ? "" : joined(above(raw.address), folded);
  }

  /** Whether there is a fold to be opened to its members. */
  get foldable() {
    return !this.fold && (this.row?.folded ?? false);
  }
}

/** All boxes of a picture. */
export class Boxes {
  /** @param {RawBox[]} raw @param {Structure} structure */
  constructor(raw, structure) {
    const positions = new Map(structure.names.map((name, at) => [name, at]));
    this.all = raw.map((one) => new Box(one, structure, positions));
    /** For each name its box, -1 where there is none. */
    this.home = new Int32Array(structure.names.length).fill(-1);
    /** For each name 0: the box stands for it, 1: it shares the box, 2: it is hidden inside. */
    this.kind = new Uint8Array(structure.names.length);
    this.all.forEach((box, at) => {
      for (const row of box.around) this.#settle(row.members, at, 1);
      this.#settle(box.members, at, 0);
    });
    // Parents come before their children, so a parent's box is known.
    structure.names.forEach((name, at) => {
      const parent = this.home[at] < 0 ? positions.get(above(name)) : undefined;
      if (parent !== undefined && this.home[parent] >= 0) this.#settle([at], this.home[parent], 2);
    });
  }

  /** @param {number[]} members @param {number} at @param {number} kind */
  #settle(members, at, kind) {
    for (const position of members) {
      this.home[position] = at;
      this.kind[position] = kind;
    }
  }

  /** Count names by box. @param {Iterable<number>} names @returns {{tallies: Tally[], elsewhere: number}} */
  count(names) {
    const tallies = this.all.map(() => ({ own: 0, around: 0, inside: 0 }));
    let elsewhere = 0;
    for (const at of names) {
      const tally = tallies[this.home[at]];
      if (!tally) elsewhere++;
      else if (this.kind[at] === 0) tally.own++;
      else if (this.kind[at] === 1) tally.around++;
      else tally.inside++;
    }
    return { tallies, elsewhere };
  }
}

/** What a box says of its hits, "" if there are none. @param {Box} box @param {Tally} tally */
export function hitWords(box, tally) {
  if (tally.own) return `● ${tally.own} of ${box.members.length}`;
  if (tally.around) return `● ${box.around.filter((row) => row.matchable).map((row) => row.label).join(".")}`;
  return tally.inside ? `● ${tally.inside} inside` : "";
}

/**
 * The boxes from one to another: those between them in the same box around, else all between them.
 *
 * @param {Box[]} boxes
 * @param {number} from
 * @param {number} to
 */
export function range(boxes, from, to) {
  const between = boxes.slice(Math.min(from, to), Math.max(from, to) + 1);
  const outside = above(boxes[from].address);
  return outside === above(boxes[to].address) ? between.filter((box) => above(box.address) === outside) : between;
}

/**
 * The next box from one in a direction: the nearest whose middle lies that way.
 *
 * @param {Place[]} places
 * @param {number} from -1 for none
 * @param {"up" | "down" | "left" | "right"} way
 * @returns {number} the same where there is none
 */
export function neighbour(places, from, way) {
  const start = places[from];
  if (!start) return places.length ? 0 : -1;
  const upright = way === "up" || way === "down";
  const sign = way === "up" || way === "left" ? -1 : 1;
  let best = from;
  let least = Infinity;
  places.forEach((place, at) => {
    if (at === from) return;
    // A box begins at its upper left corner, where its words are; a box around another one begins before it.
    const along = sign * (upright ? place.y - start.y : place.x - start.x);
    const aside = upright ? gap(start.x, start.width, place.x, place.width) : gap(start.y, start.height, place.y, place.height);
    if (along <= 0.5) return;
    const distance = along + 4 * aside + 0.01 * Math.abs(upright ? place.x - start.x : place.y - start.y);
    if (distance < least) [best, least] = [at, distance];
  });
  return best;
}

/** How far apart two stretches are, 0 where they overlap. @param {number} a @param {number} wide @param {number} b @param {number} broad */
const gap = (a, wide, b, broad) => Math.max(0, Math.max(a, b) - Math.min(a + wide, b + broad));

/** @param {string} address */
const above = (address) => address.slice(0, Math.max(0, address.lastIndexOf(".")));
/** @param {string} address */
const last = (address) => address.slice(address.lastIndexOf(".") + 1);
/** @param {string} parent @param {string} label */
const joined = (parent, label) => (parent ? `${parent}.${label}` : label);
