// The rule of `[r]`: the leftmost search hit must end the name and start at a segment boundary.

/** Between names that travel to a thread as one text. */
export const SEPARATOR = "\0";

/**
 * Positions of the names that an expression hits.
 *
 * @param {string} source in JavaScript's dialect
 * @param {string} flags
 * @param {readonly string[]} names
 */
export function regexHits(source, flags, names) {
  const expression = new RegExp(source, flags);
  const found = [];
  for (let at = 0; at < names.length; at++) {
    const name = names[at];
    const hit = expression.exec(name);
    if (!hit || !hit[0] || hit.index + hit[0].length !== name.length) continue;
    if (hit.index === 0 || name[hit.index - 1] === ".") found.push(at);
  }
  return found;
}
