// The Pattern box's text as patterns and back: quotes as on a `%delta match` line.

const SPACE = " \t\r\n";

/**
 * @param {string} text such as `fc1 'q_proj, v_proj'`
 * @returns {{patterns: string[], open: boolean}} `open`: a quote is opened and not closed (yet); what stands in it is the last pattern
 */
export function splitPatterns(text) {
  const patterns = [];
  /** @type {string | null} */
  let word = null;
  let quote = "";
  for (const char of withoutEnd(text)) {
    if (quote) {
      if (char === quote) quote = "";
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else if (SPACE.includes(char)) {
      if (word !== null) patterns.push(word);
      word = null;
    } else word = (word ?? "") + char;
  }
  if (word !== null) patterns.push(word);
  return { patterns, open: quote !== "" };
}

/** Without a trailing ` # comment` outside quotes and a trailing `;`. @param {string} text */
function withoutEnd(text) {
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (quote) quote = char === quote ? "" : quote;
    else if ("'\"".includes(char) && (at === 0 || " =".includes(text[at - 1]))) quote = char;
    else if (char === "#" && (at === 0 || /\s/.test(text[at - 1]))) {
      text = text.slice(0, at);
      break;
    }
  }
  return text.trimEnd().replace(/;+$/, "").trimEnd();
}

/** The text that `splitPatterns` reads as these patterns. @param {Iterable<string>} patterns */
export function joinPatterns(patterns) {
  return Array.from(patterns, quotedWord).join(" ");
}

/** @param {string} pattern */
function quotedWord(pattern) {
  if (pattern && !/[\s'"#;]/.test(pattern)) return pattern;
  if (!pattern.includes("'")) return `'${pattern}'`;
  if (!pattern.includes('"')) return `"${pattern}"`;
  return pattern.split(/('+)/).filter(Boolean).map((piece) => (piece.startsWith("'") ? `"${piece}"` : `'${piece}'`)).join("");
}
