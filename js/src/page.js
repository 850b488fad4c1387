// The host of a widget in an exported page: its state is in the page, and there is no kernel behind it.

import { plainModel } from "./ui/plain_model.js";

const state = JSON.parse(document.getElementById("dnb-state")?.textContent ?? "{}");
const widget = /** @type {any} */ (globalThis).dnbWidget;
const here = document.getElementById("dnb-here");
if (here) {
  const stop = new AbortController();
  widget.render({ model: plainModel(state), el: here, signal: stop.signal });
}
