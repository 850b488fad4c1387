// The options of a delta type as inputs: what is shown, what was typed, and what is wrong with it, in words.

import { joinPatterns, splitPatterns } from "../addressing/split.js";

/**
 * @typedef {object} Option as `deltanb.engine.describe_types()` gives it
 * @property {string} name @property {string} short @property {"int" | "float" | "bool" | "str" | "list" | "table"} kind
 * @property {any} default @property {string} help @property {number | null} min @property {number | null} max itself not allowed
 * @property {string[]} choices @property {boolean} optional whether nothing is a value @property {boolean} rare
 * @typedef {object} DeltaType
 * @property {string} type @property {string} summary @property {string[]} roles @property {Record<string, string>} stand_ins
 * @property {boolean} merges @property {Option[]} options
 * @typedef {{value: any} | {problem: string}} Reading
 */

/** The text that stands for a value in its input. @param {Option} option @param {any} value */
export function shown(option, value) {
  if (value === null || value === undefined) return "";
  if (option.kind === "list") return joinPatterns(value);
  if (option.kind === "table") return Object.entries(value).map(([key, one]) => `${joinPatterns([key])}=${one}`).join(" ");
  return String(value);
}

/** What was typed, as a value, or what is wrong with it. @param {Option} option @param {string | boolean} typed @returns {Reading} */
export function read(option, typed) {
  if (typeof typed === "boolean") return { value: typed };
  const text = typed.trim();
  if (!text && option.optional) return { value: null };
  if (option.kind === "bool") return { value: text === "true" };
  if (option.kind === "list") return list(text);
  if (option.kind === "table") return table(option, text);
  if (option.kind === "str") return word(option, text);
  return numeric(option, text);
}

/** The limits in a few words, "" if there are none. @param {Option} option */
export function limits({ min, max }) {
  return [min !== null && `from ${min}`, max !== null && `below ${max}`].filter(Boolean).join(", ");
}

/** @param {Option} option */
function wanted(option) {
  return `${option.kind === "int" ? "a whole number" : "a number"}${limits(option) && ` ${limits(option).replace(",", "")}`}`;
}

/** @param {Option} option @param {string} text @returns {Reading} */
function numeric(option, text) {
  const value = Number(text);
  const { min, max } = option;
  const good = text !== "" && Number.isFinite(value) && (option.kind === "float" || Number.isInteger(value));
  if (good && (min === null || value >= min) && (max === null || value < max)) return { value };
  return { problem: `${option.name} must be ${wanted(option)}${text ? `, not ${text}` : ""}.` };
}

/** @param {Option} option @param {string} text @returns {Reading} */
function word(option, text) {
  if (text && (!option.choices.length || option.choices.includes(text))) return { value: text };
  return { problem: option.choices.length ? `${option.name} must be one of its choices.` : `${option.name} must be a word.` };
}

/** @param {string} text @returns {Reading} */
function list(text) {
  const { patterns, open } = splitPatterns(text);
  return open ? { problem: "A quote is opened and never closed." } : { value: patterns };
}

/** `query=4 'a, b'=8` as a table. @param {Option} option @param {string} text @returns {Reading} */
function table(option, text) {
  const { patterns, open } = splitPatterns(text);
  if (open) return { problem: "A quote is opened and never closed." };
  /** @type {Record<string, number>} */
  const found = {};
  for (const pair of patterns) {
    const at = pair.lastIndexOf("=");
    /** @type {"float" | "int"} */
    const kind = option.name.startsWith("alpha") ? "float" : "int";
    const value = at > 0 ? numeric({ ...option, kind }, pair.slice(at + 1)) : null;
    if (!value) return { problem: `${option.name} is written as pattern=number, not ${pair}.` };
    if ("problem" in value) return value;
    found[pair.slice(0, at)] = value.value;
  }
  return { value: found };
}

/** The options that differ from their defaults. @param {DeltaType} type @param {Record<string, any>} values */
export function changed(type, values) {
  const told = type.options.filter(({ name, default: usual }) => name in values && !same(values[name], usual));
  return Object.fromEntries(told.map(({ name }) => [name, values[name]]));
}

/** All options with their values. @param {DeltaType} type @param {Record<string, any>} values */
export function complete(type, values) {
  return Object.fromEntries(type.options.map((option) => [option.name, option.name in values ? values[option.name] : option.default]));
}

/** @param {any} one @param {any} other */
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** What is wrong with a delta's name, "" if nothing is. The kernel has the last word: it knows what the hosts have. @param {string} name */
export function nameProblem(name) {
  if (!name || (/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) && !PYTHON.has(name))) return "";
  return PYTHON.has(name) ? `${name} is a word of Python's, and no name.` : "A name has letters, digits and _, and begins with no digit.";
}

const PYTHON = new Set(
  ("False None True and as assert async await break class continue def del elif else except finally for from global if import in is " +
    "lambda nonlocal not or pass raise return try while with yield deltas").split(" "),
);
