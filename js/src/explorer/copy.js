// Text to the clipboard, where the page may; else it is selected, so that the keyboard can.

/**
 * @param {string} text
 * @param {HTMLElement} shown the element that shows it
 * @param {(words: string) => void} say
 */
export async function copyText(text, shown, say) {
  say("");
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
  } catch {
    say(copiedByHand(text) ? "Copied" : selected(shown));
  }
}

/** The old way, for pages without the right to the clipboard. @param {string} text */
function copiedByHand(text) {
  const area = document.createElement("textarea");
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    before?.focus?.();
  }
}

/** @param {HTMLElement} shown */
function selected(shown) {
  getSelection()?.selectAllChildren(shown);
  return "Selected: press Ctrl+C";
}
