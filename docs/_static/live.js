// Embedded pages follow the theme that the reader chose here. Opened from the disk, a page may not look into another one:
// then they follow the system.

const COLOURS = { dark: ["#111418", "#eceff4"], light: ["#ffffff", "#1a1f2b"] };
const system = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const chosen = document.body.dataset.theme;
  return chosen in COLOURS ? chosen : system.matches ? "dark" : "light";
}

function follow(frame) {
  const body = frame.contentDocument?.body;
  if (!body) return;
  const [page, text] = COLOURS[theme()];
  body.dataset.theme = theme();
  body.style.setProperty("--dnb-page", page);
  body.style.setProperty("--dnb-text", text);
}

function all() {
  document.querySelectorAll(".live iframe").forEach(follow);
}

addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".live iframe").forEach((frame) => frame.addEventListener("load", () => follow(frame)));
  new MutationObserver(all).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
  system.addEventListener("change", all);
  all();
});
