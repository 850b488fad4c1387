// How alike two words are: the share of characters in their longest common blocks (Ratcliff and Obershelp), as Python's difflib counts it.

/** From 0 to 1. @param {string} a @param {string} b */
export function similarity(a, b) {
  const length = a.length + b.length;
  return length ? (2 * matched(a, 0, a.length, b, 0, b.length)) / length : 1;
}

/**
 * How alike a word can be to `b` at most: by the characters that both have, wherever they stand.
 *
 * @param {string} b
 * @returns {(a: string) => number}
 */
export function atMost(b) {
  const left = new Int32Array(0x10000);
  for (let i = 0; i < b.length; i++) left[b.charCodeAt(i)] += 1;
  return (a) => {
    let count = 0;
    for (let i = 0; i < a.length; i++) if (left[a.charCodeAt(i)]-- > 0) count += 1;
    for (let i = 0; i < a.length; i++) left[a.charCodeAt(i)] += 1;
    return a.length + b.length ? (2 * count) / (a.length + b.length) : 1;
  };
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
