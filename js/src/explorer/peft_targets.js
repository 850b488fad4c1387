// `target_modules` for PEFT: a short list of suffixes that hits exactly the wanted modules, else a regular expression, else names.

const LONGEST = 8;

/**
 * What PEFT's `target_modules` has to be.
 *
 * @param {readonly string[]} wanted
 * @param {readonly string[]} names of all modules, the wanted ones among them
 * @returns {string[] | string} suffixes, or a regular expression for the whole name
 */
export function peftTargets(wanted, names) {
  const words = suffixes(wanted, names);
  if (words && words.length <= LONGEST) return words;
  const pattern = expression(wanted);
  return pattern.length < wanted.join("', '").length || !words ? pattern : [...wanted];
}

/** Whether PEFT puts its layers on a module of that name. @param {string[] | string} targets @param {string} name */
export function peftHits(targets, name) {
  if (typeof targets === "string") return new RegExp(`^(?:${targets})$`, "s").test(name);
  return targets.some((word) => name === word || name.endsWith(`.${word}`));
}

/** The shortest suffixes that hit none but the wanted; null where even a whole name would hit another. @param {readonly string[]} wanted @param {readonly string[]} names */
function suffixes(wanted, names) {
  const good = new Set(wanted);
  const spoilt = new Set(names.filter((name) => !good.has(name)).flatMap(endings));
  /** @type {Set<string>} */
  const found = new Set();
  for (const name of wanted) {
    const ends = endings(name);
    if (ends.some((end) => found.has(end))) continue;
    const word = ends.find((end) => !spoilt.has(end));
    if (word === undefined) return null;
    found.add(word);
  }
  return [...found];
}

/** `a.b.c` as c, b.c, a.b.c. @param {string} name */
function endings(name) {
  const parts = name.split(".");
  return parts.map((_, at) => parts.slice(parts.length - 1 - at).join("."));
}

/** A regular expression for exactly these names: numbers that differ become alternatives. @param {readonly string[]} wanted */
function expression(wanted) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const name of wanted) {
    const parts = name.split(".");
    const at = parts.findIndex((part) => /^\d+$/.test(part));
    const key = parts.map((part, place) => (place === at ? "\0" : part)).join(".");
    groups.set(key, [...(groups.get(key) ?? []), ...(at < 0 ? [] : [parts[at]])]);
  }
  /** @type {Map<string, string[]>} */
  const ends = new Map();
  for (const [key, numbers] of groups) {
    const [start, end] = key.split("\0");
    const below = end?.startsWith(".") ?? false;
    const head = end === undefined ? "" : `${escaped(start)}${either(numbers)}${below ? "\\." : ""}`;
    ends.set(head, [...(ends.get(head) ?? []), escaped(below ? end.slice(1) : (end ?? start))]);
  }
  return joined([...ends].map(([head, tails]) => (tails.length > 1 ? `${head}${either(tails)}` : `${head}${tails[0]}`)));
}

/** @param {string[]} parts */
const joined = (parts) => (parts.length > 1 ? parts.map((part) => (part.includes("|") ? `(?:${part})` : part)).join("|") : parts[0]);
/** @param {string[]} parts */
const either = (parts) => (parts.length > 1 ? `(?:${parts.join("|")})` : parts[0]);
/** @param {string} text */
const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
