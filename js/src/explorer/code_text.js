// What is typed now, as a `%delta` line and as Python.

import { joinPatterns } from "../addressing/split.js";
import { repr } from "../addressing/text.js";

/**
 * @typedef {object} Draft a delta that could be attached, and what would stay trainable
 * @property {string} type @property {string} name "" for the type's own
 * @property {string[]} patterns none: where the type sits by role
 * @property {string[]} exclude @property {Record<string, any>} options those that differ from their defaults
 * @property {string[]} freeze what `%delta freeze --exclude` names
 */

/** The lines for a notebook. @param {Draft} draft */
export function deltaLines(draft) {
  const { before, words } = spoken(draft.options);
  const name = draft.name && draft.name !== draft.type ? ["--name", draft.name] : [];
  const exclude = draft.exclude.length ? ["--exclude", joinPatterns(draft.exclude)] : [];
  const attach = ["%delta attach", draft.type, joinPatterns(draft.patterns), ...words, ...name, ...exclude];
  return [...before, attach.filter(Boolean).join(" "), freezeLine(draft.freeze)];
}

/** @param {string[]} words */
export const freezeLine = (words) => (words.length ? `%delta freeze --exclude ${joinPatterns(words)}` : "%delta freeze --exclude ''");

/** Options on a line; what a line cannot say goes through a variable. @param {Record<string, any>} options */
function spoken(options) {
  const before = [];
  const words = [];
  for (const [name, value] of Object.entries(options)) {
    if (value !== null && typeof value === "object") {
      before.push(`${name} = ${python(value)}`);
      words.push(`${name}={${name}}`);
    } else words.push(`${name}=${value === null ? "none" : joinPatterns([String(value)])}`);
  }
  return { before, words };
}

/** A script's lines; `model` is the backbone. @param {Draft} draft */
export function pythonLines(draft) {
  const kind = className(draft.type);
  const named = draft.name && draft.name !== draft.type ? { name: draft.name } : {};
  /** @type {Record<string, any>} */
  const options = {
    ...(draft.patterns.length ? { modified_modules: draft.patterns } : {}),
    ...(draft.exclude.length ? { exclude_modules: draft.exclude } : {}),
    ...draft.options,
    ...named,
  };
  const said = Object.entries(options).map(([key, value]) => `${key}=${python(value)}`);
  return [
    `from deltanb import ${kind}`,
    "",
    `delta = ${kind}(${["backbone_model=model", ...said].join(", ")})`,
    `delta.freeze_module(exclude=${python(draft.freeze)}, set_state_dict=True)`,
    "delta.log()",
  ];
}

const NAMES = /** @type {Record<string, string>} */ ({ bitfit: "BitFit", ia3: "IA3" });

/** The class of a type. @param {string} type */
export function className(type) {
  return `${NAMES[type] ?? type.split("_").map((word) => word[0].toUpperCase() + word.slice(1)).join("")}Model`;
}

/** A value as Python writes it. @param {any} value @returns {string} */
export function python(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return repr(value);
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return `{${Object.entries(value).map(([key, one]) => `${repr(key)}: ${python(one)}`).join(", ")}}`;
}
