// The runner with a worker of its own, started from the text that travels in the bundle: no file is fetched.

import source from "worker:./worker.js";
import { RegexRunner } from "./runner.js";

/** @returns {Worker} */
function start() {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(address);
  // The worker has its own copy of the text once it runs; the address lives as long as a start can take.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return worker;
}

/**
 * @param {readonly string[]} names
 * @param {(pattern: string, answer: import("./runner.js").Answer) => void} answered
 */
export const regexRunner = (names, answered) => new RegexRunner({ start, names, answered });
