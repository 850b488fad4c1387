// The outermost element of a widget: it knows whether the page around it is light or dark, and whether a room looks on.
//
// Every host marks a dark theme in its own way (JupyterLab on the body, Colab on the document, marimo outside a shadow
// root where no style sheet of ours can see it), so the marks are read here, and else the colour that lies behind.

import { h } from "./dom.js";
import { watch } from "./model.js";

/** @import { Model } from "./model.js" */

const MARKS = ["class", "style", "theme", "data-theme", "data-jp-theme-light", "data-jp-theme-name", "data-color-mode", "data-vscode-theme-kind"];
const DARK = /(^|[\s-])dark($|[\s-])|vscode-high-contrast(?!-light)/;
const LIGHT = /(^|[\s-])light($|[\s-])/;
const MIDDLE = 0.4; // relative luminance between a dark and a light background

/**
 * Make the root of a view; it follows the page's theme and the widget's `projector` trait until the view goes.
 *
 * @param {Element} el where the host wants the view
 * @param {Model} model
 * @param {AbortSignal} signal
 * @param {string} name of the widget, for its class
 */
export function makeRoot(el, model, signal, name) {
  const root = h("div", { class: ["dnb", `dnb-${name}`] });
  const look = () => (root.dataset.dnbTheme = isDark(el) ? "dark" : "light");
  const room = () => root.classList.toggle("dnb-projector", Boolean(model.get("projector")));
  const soon = () => (look(), setTimeout(look, 400)); // a theme's style sheet may arrive after its mark
  const observer = new MutationObserver(soon);
  for (const place of [document.documentElement, document.body]) observer.observe(place, { attributes: true, attributeFilter: MARKS });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", soon);
  signal?.addEventListener("abort", () => (observer.disconnect(), scheme.removeEventListener("change", soon)));
  watch(model, "projector", room, signal);
  el.append(root);
  soon();
  room();
  return root;
}

/** @param {Element} el */
function isDark(el) {
  const { body, documentElement: html } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  for (const place of [body, html]) {
    const marks = `${place.className} ${place.getAttribute("theme") ?? ""} ${place.dataset.theme ?? ""} ${place.dataset.colorMode ?? ""}`;
    if (DARK.test(marks)) return true;
    if (LIGHT.test(marks)) return false;
  }
  return luminance(behind(el)) < MIDDLE;
}

/** The first colour behind an element that lets nothing through, out of shadow roots too. @param {Element | null} el */
function behind(el) {
  while (el) {
    const colour = getComputedStyle(el).backgroundColor;
    const parts = colour.match(/[\d.]+/g)?.map(Number) ?? [];
    if (parts.length === 3 || (parts.length > 3 && parts[3] > 0.5)) return parts;
    const root = el.parentElement ? null : el.getRootNode(); // of an element that was taken out of the page: itself
    el = el.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
  }
  return [255, 255, 255];
}

/** @param {number[]} rgb 0 to 255 */
function luminance([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((value) => ((value / 255) ** 2.2));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
