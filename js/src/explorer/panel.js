// The panel beside the tree: which delta, with which options, what it would add and train, and the buttons that do it.

import { ask } from "../ui/ask.js";
import { field, h, newId } from "../ui/dom.js";
import { put, watch } from "../ui/model.js";
import { diagram } from "./diagram.js";
import { hostView } from "./diagram_table.js";
import { brought, costOfRows, costs, draftOf, memoryOf, wouldTrain } from "./draft.js";
import { foreignStrip } from "./foreign.js";
import { Actions } from "./panel_actions.js";
import { Form } from "./panel_form.js";
import { NumberList } from "./panel_numbers.js";

/** @import { Model } from "../ui/model.js" */
/** @import { Store } from "./store.js" */
/** @typedef {{hosts: number, parameters: number, bytes: number, share: number}} Exact */

const PAUSE = 350;
const TAKES = new Set(["bitfit", "ln_tuning"]); // train what is there
const OWN = ["delta_type", "delta_name", "delta_options", "freeze_exclude", "batch", "length", "done"];

/**
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {Model} model
 * @param {AbortSignal} signal
 */
export function mountPanel(el, store, model, signal) {
  const panel = new Panel(store, model, signal);
  el.append(panel.element);
  panel.update();
}

class Panel {
  /** The kernel's answers, by question. @type {Map<string, Exact | string>} */ #exact = new Map();
  /** @type {Set<string>} */ #asking = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #pause;

  /** @param {Store} store @param {Model} model @param {AbortSignal} signal */
  constructor(store, model, signal) {
    this.store = store;
    this.model = model;
    this.signal = signal;
    const update = () => this.update();
    this.form = new Form(model, update, signal);
    this.diagram = diagram(signal);
    this.numbers = new NumberList();
    this.freeze = h("input", { type: "text", spellcheck: "false", autocomplete: "off", value: model.get("freeze_exclude") ?? "deltas" });
    this.freeze.addEventListener("input", () => put(model, { freeze_exclude: this.freeze.value }));
    this.actions = new Actions(store, model, signal, {
      Attach: () => ["attach", this.#attachment()],
      Freeze: () => ["freeze", { exclude: draftOf(store, model).freeze }],
      "Save HTML": () => ["save_html", {}],
    });
    const heading = h("h3", { class: "dnb-panel-heading", id: newId("panel") }, "Delta on each matched module");
    this.element = h(
      "section",
      { class: "dnb-panel", "aria-labelledby": heading.id },
      foreignStrip(store, model, signal),
      heading,
      this.form.element,
      this.diagram.element,
      this.numbers.element,
      this.numbers.why,
      field("Stays trainable when frozen", this.freeze, "patterns, or the word deltas"),
      this.actions.element,
    );
    store.on(["match", "structure"], update, signal);
    store.on("structure", () => this.#exact.clear(), signal);
    watch(model, OWN, update, signal);
    watch(model, "freeze_exclude", () => this.freeze.matches(":focus") || (this.freeze.value = model.get("freeze_exclude")), signal);
    signal.addEventListener("abort", () => clearTimeout(this.#pause));
  }

  update() {
    const { store, model } = this;
    const draft = draftOf(store, model);
    this.diagram.show(draft.type, hostView(store.structure, draft), draft.all);
    const wrong = [...this.form.problems.values()][0] ?? "";
    const counted = this.#counted(draft);
    const added = counted.cost?.parameters ?? null;
    const shape = { batch: model.get("batch"), length: model.get("length") };
    this.numbers.show(
      {
        added,
        hosts: counted.cost?.hosts ?? draft.hosts.length,
        bytes: counted.cost?.bytes ?? null,
        trains: added === null ? null : wouldTrain(store.structure, draft.freeze, brought(draft, model, added)),
        takes: TAKES.has(draft.type),
        memory: added === null ? null : memoryOf(store.structure, draft, added, shape),
        asked: counted.asked,
        why: counted.refused || usualPlace(draft),
      },
      store.structure,
      shape,
    );
    this.actions.block("Attach", wrong || draft.waiting || counted.refused);
    store.plan = counted.cost && !draft.waiting ? { added: counted.cost.parameters, share: counted.cost.share, bytes: counted.cost.bytes, each: costOfRows(store, draft) } : null;
    store.tell("plan");
  }

  /** @param {import("./draft.js").FullDraft} draft @returns {{cost: Exact | null, refused: string, asked: boolean}} */
  #counted(draft) {
    if (draft.waiting || (!draft.hosts.length && draft.type !== "soft_prompt")) return { cost: null, refused: "", asked: false };
    const question = JSON.stringify(asked(draft));
    const exact = this.#exact.get(question);
    if (typeof exact === "string") return { cost: null, refused: exact, asked: false };
    const found = exact ? null : costs(this.store, draft);
    const canAsk = this.model.kernel !== false;
    if (!exact && canAsk) this.#ask(question, asked(draft));
    if (exact) return { cost: exact, refused: "", asked: false };
    if (found?.ok) return { cost: found.cost, refused: "", asked: false };
    if (found && "refused" in found) return { cost: null, refused: `${found.refused.what} ${found.refused.expected}`, asked: false };
    return { cost: null, refused: canAsk ? "" : "What this adds only the kernel can count.", asked: canAsk };
  }

  /** Ask the kernel when the typing pauses. @param {string} question @param {Record<string, any>} args */
  #ask(question, args) {
    clearTimeout(this.#pause);
    if (this.#asking.has(question)) return;
    this.#pause = setTimeout(async () => {
      this.#asking.add(question);
      try {
        this.#exact.set(question, await ask(this.model, "plan", args, { signal: this.signal }));
      } catch (error) {
        if (this.signal.aborted) return;
        const sentence = /** @type {any} */ (error).sentence;
        if (sentence) this.#exact.set(question, sentence);
      } finally {
        this.#asking.delete(question);
      }
      this.update();
    }, PAUSE);
  }

  #attachment() {
    const draft = draftOf(this.store, this.model);
    return { ...asked(draft), name: draft.name };
  }
}

/** @param {import("./draft.js").FullDraft} draft */
const asked = ({ type, patterns, exclude, options }) => ({ delta_type: type, patterns, exclude, options });

/** Where it goes if nothing is typed. @param {import("./draft.js").FullDraft} draft */
function usualPlace({ typed, waiting, type, description }) {
  if (typed || waiting || type === "soft_prompt") return "";
  return `No pattern is typed: ${type} goes where it usually sits, ${description.roles.join(", ")}.`;
}
