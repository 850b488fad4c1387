// Bundle each widget into one self-contained ES module and one style sheet: a notebook sends them as text, so nothing
// may be imported at run time. `node build.mjs explorer` builds one widget, without a name all; `--check` only compares.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(HERE, "src");
const TARGET = join(HERE, "..", "deltanb", "widgets", "static");
const WIDGETS = ["explorer", "preview", "parameters", "monitor", "anatomy"];
// The stand-alone page's small host for a widget, and a script that runs in a Web Worker.
const PAGE = "page";
/** @type {{bundle: true, minify: true, write: false, target: string, charset: "utf8", legalComments: "none"}} */
const COMMON = { bundle: true, minify: true, write: false, target: "es2022", charset: "utf8", legalComments: "none" };

/** `import text from "worker:./file.js"` gives the bundled file as text, to be started from a blob. */
const workers = {
  name: "workers",
  /** @param {import("esbuild").PluginBuild} plugin */
  setup(plugin) {
    plugin.onResolve({ filter: /^worker:/ }, (found) => ({
      path: join(found.resolveDir, found.path.slice("worker:".length)),
      namespace: "worker",
    }));
    plugin.onLoad({ filter: /.*/, namespace: "worker" }, async (found) => {
      const done = await build({ ...COMMON, entryPoints: [found.path], format: "iife" });
      return { contents: done.outputFiles[0].text, loader: "text" };
    });
  },
};

/** @param {string} name */
async function script(name) {
  const entry = join(SOURCE, `${name}.js`);
  const done = await build({ ...COMMON, entryPoints: [entry], format: name === PAGE ? "iife" : "esm", plugins: [workers] });
  return done.outputFiles[0].text;
}

/** @param {string} name */
async function style(name) {
  const done = await build({ ...COMMON, entryPoints: [join(SOURCE, `${name}.css`)] });
  return done.outputFiles[0].text;
}

const words = process.argv.slice(2);
const compare = words.includes("--check");
const chosen = words.filter((word) => !word.startsWith("--"));
const stale = [];
for (const name of chosen.length ? chosen : [...WIDGETS, PAGE]) {
  for (const [kind, make] of /** @type {const} */ ([["js", script], ["css", style]])) {
    if (!existsSync(join(SOURCE, `${name}.${kind}`))) continue;
    const text = await make(name);
    const file = join(TARGET, `${name}.${kind}`);
    if (compare) {
      if (!existsSync(file) || readFileSync(file, "utf8") !== text) stale.push(`${name}.${kind}`);
    } else {
      writeFileSync(file, text);
      console.log(`${name}.${kind}  ${(text.length / 1000).toFixed(1)} kB`);
    }
  }
}
if (stale.length) {
  console.error(`not built from the present sources: ${stale.join(", ")} (run \`make widgets\`)`);
  process.exit(1);
}
