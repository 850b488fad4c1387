// Nearest names: what a person who typed X most likely meant, by spelling and by the habit of another model family.

import { NameTable } from "./table.js";
import { PREFIX, strip } from "./text.js";
import { atMost, similarity } from "./similarity.js";

// Suffixes that mean the same thing in different model families, most common first.
const SAME_THING = [
  "output.dense fc2 wo DenseReluDense.wo down_proj mlp.c_proj lin2 dense_4h_to_h w2 linear2 ff2",
  "intermediate.dense fc1 wi wi_0 up_proj gate_proj c_fc lin1 dense_h_to_4h w1 linear1 ff1",
  "query q_proj q_lin query_proj SelfAttention.q c_attn query_key_value q Wqkv to_q wq",
  "key k_proj k_lin key_proj SelfAttention.k c_attn query_key_value k Wqkv to_k wk",
  "value v_proj v_lin value_proj SelfAttention.v c_attn query_key_value v Wqkv to_v wv",
  "attention.output.dense out_proj o_proj out_lin SelfAttention.o attn.c_proj to_out",
  "LayerNorm layer_norm final_layer_norm input_layernorm ln_1 ln_2 output_layer_norm norm layernorm",
  "classifier classification_head score lm_head head pre_classifier qa_outputs",
  "word_embeddings embed_tokens wte shared tok_embeddings embed_in",
  "attention self_attn attn SelfAttention self_attention",
].map((line) => line.split(" "));
const CUTOFF = 0.55;

/**
 * The options spelled most like `word`, best first; case is ignored.
 *
 * @param {string} word
 * @param {ReadonlyMap<string, string>} options each by its small letters
 */
function close(word, options, n = 3) {
  const low = word.toLowerCase();
  const bound = atMost(low);
  /** @type {{ratio: number, option: string}[]} */
  const best = [];
  const likely = [...options.keys()].map((option) => ({ ratio: bound(option), option })).filter((one) => one.ratio >= CUTOFF);
  // Most likely first, so that the long comparison is soon over.
  for (const { ratio: most, option } of likely.sort((one, other) => other.ratio - one.ratio)) {
    if (best.length === n && most < best[n - 1].ratio) break;
    const ratio = similarity(option, low);
    if (ratio < CUTOFF) continue;
    best.push({ ratio, option });
    best.sort((one, other) => other.ratio - one.ratio || (one.option < other.option ? 1 : -1)).splice(n);
  }
  const started = low ? [...options.keys()].filter((option) => option.startsWith(low)) : [];
  const found = new Set([...best.map((one) => one.option), ...started]);
  return [...found].slice(0, n).map((option) => /** @type {string} */ (options.get(option)));
}

/**
 * Suffixes that exist among the names and are close to `pattern` in meaning or spelling, best first.
 *
 * @param {string} pattern
 * @param {NameTable} table
 */
export function nearestModules(pattern, table, n = 4) {
  const word = strip(pattern.startsWith(PREFIX) ? pattern.slice(PREFIX.length) : pattern);
  const last = word.slice(word.lastIndexOf(".") + 1);
  const found = SAME_THING.filter((group) => group.includes(word) || group.includes(last))
    .flat()
    .filter((other) => other !== word && other !== last && isThere(other, table));
  if (last !== word && table.ends.has(last)) found.push(last);
  return [...new Set([...found, ...close(last, table.vocabulary, n)])].slice(0, n);
}

/** @param {string} suffix @param {NameTable} table */
function isThere(suffix, table) {
  const bucket = table.ends.get(suffix.slice(suffix.lastIndexOf(".") + 1)) ?? [];
  return bucket.some((at) => `.${table.names[at]}`.endsWith(`.${suffix}`));
}
