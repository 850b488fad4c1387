// Runs regular expressions away from the page, so that one that never ends can be stopped with its whole thread.

import { SEPARATOR, regexHits } from "./regex_hits.js";

/** @type {readonly string[]} */
let names = [];

/** @param {MessageEvent<{names?: string, id?: number, source?: string, flags?: string}>} message */
self.onmessage = ({ data }) => {
  if (data.names !== undefined) names = data.names.split(SEPARATOR);
  if (data.source === undefined) return;
  // From here the time counts: starting a thread is not the expression's fault.
  self.postMessage({ id: data.id, begun: true });
  self.postMessage({ id: data.id, hits: hits(data.source, data.flags ?? "") });
};

/** @param {string} source @param {string} flags */
function hits(source, flags) {
  try {
    return Uint32Array.from(regexHits(source, flags, names));
  } catch {
    return undefined; // the engine's own stack was too small
  }
}
