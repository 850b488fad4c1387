// The same in PEFT, for the types that it has. Its rule for names is not the grammar's: a list means whole names or
// suffixes, a text is a regular expression for the whole name. What is written here hits exactly the matched modules.

import { python } from "./code_text.js";
import { peftTargets } from "./peft_targets.js";

/**
 * @typedef {object} Placed a delta and where it sits
 * @property {string} type @property {Record<string, any>} options all of them @property {string[]} freeze words of `%delta freeze --exclude`
 * @property {string[]} hosts names @property {readonly string[]} names of all modules @property {string[]} inward hosts whose input IA3 scales
 * @property {string} model the backbone's class @property {string[]} [kinds] the hosts' types
 */

/** How the wrapped model's own names begin. */
const WRAPPED = /^base_model\.model\./;
const NO_FORM = /** @type {Record<string, string>} */ ({
  bitfit: "PEFT has no BitFit of its own (bias='all' of its LoRA trains biases beside a LoRA).",
  compacter: "PEFT has no Compacter.",
});
const TASKS = /** @type {const} */ ([
  ["ForSequenceClassification", "SEQ_CLS"],
  ["ForTokenClassification", "TOKEN_CLS"],
  ["ForQuestionAnswering", "QUESTION_ANS"],
  ["ForCausalLM", "CAUSAL_LM"],
  ["LMHeadModel", "CAUSAL_LM"],
  ["ForConditionalGeneration", "SEQ_2_SEQ_LM"],
]);
// Types of layers that PEFT's LoRA and IA3 know.
const KNOWN = /^(Linear|NonDynamicallyQuantizableLinear|Linear4bit|Linear8bitLt|Embedding|Conv1D|Conv[123]d|MultiheadAttention|.*Embedding)$/;

/** @param {Placed} placed @returns {string[]} lines of Python; comments alone where PEFT has no such type */
export function peftLines(placed) {
  if (placed.type.endsWith("adapter")) return ["# PEFT has no bottleneck adapter."];
  if (placed.type in NO_FORM) return [`# ${NO_FORM[placed.type]}`];
  const onModules = !["prefix", "soft_prompt"].includes(placed.type);
  if (onModules && !placed.hosts.length) return ["# No module is matched yet."];
  const { kind, settings, notes } = FORMS[placed.type](placed);
  const whole = savedWhole(placed);
  const said = Object.entries({ ...settings, ...(whole.length ? { modules_to_save: whole } : {}) }).map(([key, value]) => `    ${key}=${python(value)},`);
  const taken = [...notes, ...untold(placed, whole), ...refused(placed, onModules)].map((note) => `# ${note}`);
  return [`from peft import ${kind}, get_peft_model`, "", ...taken, `config = ${kind}(`, ...said, ")", "model = get_peft_model(model, config)"];
}

/** @param {Placed} placed */
const targets = ({ hosts, names }) => peftTargets(hosts.map(inner), names.map(inner));
/** @param {string} name */
const inner = (name) => name.replace(WRAPPED, "");

/** @type {Record<string, (placed: Placed) => {kind: string, settings: Record<string, any>, notes: string[]}>} */
const FORMS = {
  lora(placed) {
    const { lora_r, lora_alpha, lora_dropout, use_rslora, use_dora, rank_pattern = {}, alpha_pattern = {} } = placed.options;
    const switches = Object.entries({ use_rslora, use_dora }).filter(([, on]) => on);
    const notes = Object.keys({ ...rank_pattern, ...alpha_pattern }).length ? ["rank_pattern and alpha_pattern follow PEFT's own rule for names there: left out."] : [];
    const settings = { r: lora_r, lora_alpha, ...(lora_dropout ? { lora_dropout } : {}), ...Object.fromEntries(switches), target_modules: targets(placed) };
    return { kind: "LoraConfig", settings, notes };
  },
  ia3(placed) {
    const all = targets(placed);
    const inward = placed.inward.length ? peftTargets(placed.inward.map(inner), placed.names.map(inner)) : [];
    const parts = typeof all !== "string" && typeof inward !== "string" && inward.every((word) => all.includes(word)) && endsAgree(inward, placed);
    const settings = parts
      ? { target_modules: all, feedforward_modules: inward }
      : { target_modules: placed.hosts.map(inner), feedforward_modules: placed.inward.map(inner) };
    return { kind: "IA3Config", settings, notes: [] };
  },
  ln_tuning: (placed) => ({ kind: "LNTuningConfig", settings: { target_modules: targets(placed) }, notes: [] }),
  prefix(placed) {
    const { prefix_token_num, reparameterize, mid_dim } = placed.options;
    const network = reparameterize ? { prefix_projection: true, encoder_hidden_size: mid_dim } : {};
    const notes = ["In PEFT a prefix sits in every layer, whatever is matched, and shifts the text's positions (shift_positions=True here)."];
    if (reparameterize) notes.push("Its network begins with the model's size where this one begins with embed_dim.");
    return { kind: "PrefixTuningConfig", settings: { ...task(placed), num_virtual_tokens: prefix_token_num, ...network }, notes };
  },
  soft_prompt(placed) {
    const notes = ["In PEFT the text's positions begin after the prompt (shift_positions=True here)."];
    return { kind: "PromptTuningConfig", settings: { ...task(placed), num_virtual_tokens: placed.options.soft_token_num }, notes };
  },
};

/** PEFT takes plain endings in `feedforward_modules`. @param {string[]} words @param {Placed} placed */
function endsAgree(words, placed) {
  const hit = placed.hosts.filter((host) => words.some((word) => host.endsWith(word)));
  return hit.length === placed.inward.length && hit.every((host) => placed.inward.includes(host));
}

/** @param {Placed} placed */
function task({ model }) {
  const found = TASKS.find(([end]) => model.endsWith(end));
  return found ? { task_type: found[1] } : {};
}

/** Modules that are trained whole: what freezing leaves out, where PEFT's rule for that (an ending) hits no other. @param {Placed} placed */
function savedWhole({ freeze, names, hosts }) {
  const known = new Set(names.map(inner));
  const words = freeze.map(inner).filter((word) => known.has(word));
  return words.filter(
    (word) => ![...known].some((name) => name !== word && name.endsWith(word)) && !hosts.map(inner).some((host) => `${host}.`.startsWith(`${word}.`)),
  );
}

/** @param {Placed} placed @param {string[]} whole */
function untold({ freeze }, whole) {
  const left = freeze.filter((word) => word !== "deltas" && !whole.includes(inner(word)));
  return left.length ? [`PEFT cannot say what else trains: ${left.join(", ")}.`] : [];
}

/** @param {Placed} placed @param {boolean} onModules */
function refused({ type, kinds = [] }, onModules) {
  const strange = onModules && type !== "ln_tuning" ? kinds.find((kind) => !KNOWN.test(kind)) : undefined;
  return strange ? [`PEFT refuses a ${strange}: it takes linear layers, convolutions and embeddings.`] : [];
}
