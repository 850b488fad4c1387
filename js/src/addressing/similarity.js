// How alike two words are: the share of characters in their longest common blocks (Ratcliff and Obershelp), as Python's difflib counts it.

/**
 * From 0 to 1; below `cutoff` only known to be below.
 *
 * @param {string} a
 * @param {string} b
 */
export function similarity(a, b, cutoff = 0) {
  const length = a.length + b.length;
  if (!length) return 1;
  if ((2 * Math.min(a.length, b.length)) / length < cutoff || (2 * shared(a, b)) / length < cutoff) return 0;
  return (2 * matched(a, 0, a.length, b, 0, b.length)) / length;
}

/** How many characters both have, wherever they stand. @param {string} a @param {string} b */
function shared(a, b) {
  /** @type {Map<string, number>} */
  const left = new Map();
  for (const char of b) left.set(char, (left.get(char) ?? 0) + 1);
  let count = 0;
  for (const char of a) {
    const more = left.get(char) ?? 0;
    if (more > 0) count += char.length;
    left.set(char, more - 1);
  }
  return count;
}

/**
 * Characters in the longest common block, the leftmost of several, and in those before and after it.
 *
 * @param {string} a @param {number} fromA @param {number} toA @param {string} b @param {number} fromB @param {number} toB
 * @returns {number}
 */
function matched(a, fromA, toA, b, fromB, toB) {
  let [startA, startB, size] = [fromA, fromB, 0];
  let before = new Int32Array(toB + 1);
  for (let i = fromA; i < toA; i++) {
    const now = new Int32Array(toB + 1);
    for (let j = fromB; j < toB; j++) {
      if (a[i] !== b[j]) continue;
      const run = (now[j + 1] = before[j] + 1);
      if (run > size) [startA, startB, size] = [i - run + 1, j - run + 1, run];
    }
    before = now;
  }
  if (!size) return 0;
  return size + matched(a, fromA, startA, b, fromB, startB) + matched(a, startA + size, toA, b, startB + size, toB);
}
