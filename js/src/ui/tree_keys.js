// What a key means in a tree, after the W3C's pattern. No elements here.

/**
 * @typedef {object} Line what a line of a tree says about itself
 * @property {string} key @property {number} level from 1 @property {boolean} expandable @property {boolean} open
 * @typedef {"one" | "toggle" | "range"} Choice
 * @typedef {object} Act what is to be done
 * @property {number} [to] the line to go to
 * @property {Choice} [choose] select it, or up to it
 * @property {boolean} [open] open or close the line at hand
 * @property {boolean} [openAll] open all lines beside it
 * @property {boolean} [split] show a fold's modules one by one, or together
 * @property {string} [search] a letter to go on looking for
 */

/**
 * @param {{key: string, shiftKey?: boolean, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean}} event
 * @param {readonly Line[]} lines
 * @param {number} at
 * @param {number} page lines in view
 * @returns {Act | null} null for a key that means nothing here
 */
export function actOf(event, lines, at, page) {
  if (event.altKey || !lines.length) return null;
  if (event.ctrlKey || event.metaKey) return event.key === " " ? { choose: "toggle" } : null;
  const line = lines[at];
  const last = lines.length - 1;
  const go = (/** @type {number} */ to) => {
    const there = Math.min(Math.max(to, 0), last);
    return event.shiftKey ? { to: there, choose: /** @type {Choice} */ ("range") } : { to: there };
  };
  switch (event.key) {
    case "ArrowDown": return go(at + 1);
    case "ArrowUp": return go(at - 1);
    case "PageDown": return go(at + page);
    case "PageUp": return go(at - page);
    case "Home": return go(0);
    case "End": return go(last);
    case "ArrowRight": return inward(lines, at);
    case "ArrowLeft": return line.expandable && line.open ? { open: false } : outward(lines, at);
    case "Enter": return { choose: "one" };
    case " ": return { choose: event.shiftKey ? "range" : "toggle" };
    case "*": return { openAll: true };
    case "+": return { split: true };
    case "-": return { split: false };
    default: return [...event.key].length === 1 ? { search: event.key } : null;
  }
}

/** @param {readonly Line[]} lines @param {number} at @returns {Act} */
function inward(lines, at) {
  const line = lines[at];
  if (!line.expandable) return {};
  if (!line.open) return { open: true };
  return lines[at + 1]?.level === line.level + 1 ? { to: at + 1 } : {};
}

/** @param {readonly Line[]} lines @param {number} at @returns {Act} */
function outward(lines, at) {
  for (let to = at - 1; to >= 0; to--) if (lines[to].level < lines[at].level) return { to };
  return {};
}

/**
 * The next line whose text begins with what was typed; a letter typed again and again goes from one to the next.
 *
 * @param {readonly string[]} texts
 * @param {number} at
 * @param {string} typed
 */
export function searched(texts, at, typed) {
  const low = typed.toLowerCase();
  const one = [...low].every((letter) => letter === low[0]) ? low[0] : low;
  const from = one.length === 1 ? at + 1 : at;
  for (let step = 0; step < texts.length; step++) {
    const there = (from + step) % texts.length;
    if (texts[there].toLowerCase().startsWith(one)) return there;
  }
  return at;
}

/**
 * The lines that a range from one to another means: where both are at one level, those of that level.
 *
 * @param {readonly Line[]} lines
 * @param {number} from
 * @param {number} to
 * @returns {number[]}
 */
export function rangeOf(lines, from, to) {
  const [first, last] = from < to ? [from, to] : [to, from];
  const all = Array.from({ length: last - first + 1 }, (_, at) => first + at);
  if (lines[from].level !== lines[to].level) return all;
  return all.filter((at) => lines[at].level === lines[from].level);
}

/**
 * Which lines are drawn: those in view and some around them.
 *
 * @param {{top: number, height: number, row: number, count: number, spare?: number}} view pixels, and how many lines there are
 */
export function windowOf({ top, height, row, count, spare = 8 }) {
  const from = Math.max(0, Math.floor(top / row) - spare);
  return { from, to: Math.min(count, Math.ceil((top + height) / row) + spare) };
}
