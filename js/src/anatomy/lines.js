// The lines of the tree: one a pattern of hosts, below it one a layer. No elements here.

/**
 * @typedef {object} Row one module, as deltanb/widgets/anatomy.py writes it
 * @property {string} name @property {number | null} change @property {number | null} relative @property {number | null} moved
 * @property {number[]} values @property {number | null} rank @property {number | null} first
 * @typedef {object} Group
 * @property {string} pattern @property {string} type @property {boolean} core @property {string[]} labels @property {Row[]} rows
 * @typedef {"relative" | "change" | "moved" | "here"} Measure
 * @typedef {"model" | "size"} Order
 * @typedef {object} AnatomyLine
 * @property {string} key @property {number} level @property {boolean} expandable @property {boolean} open @property {number} position
 * @property {number} siblings @property {string} label @property {Group} group @property {Row | null} row
 * @property {number | null} value the measure; of a group the mean of its modules
 * @property {number} share of the longest bar
 */

/** What each measure is called. @type {Record<Measure, string>} */
export const MEASURES = {
  relative: "weights, ‖ΔW‖ / ‖W‖",
  change: "weights, ‖ΔW‖",
  moved: "activations, ‖Δh‖ / ‖h‖",
  here: "activations, typed sentence",
};

/** @param {Row} row @param {Measure} measure @param {Record<string, number>} here */
export const valueOf = (row, measure, here) => (measure === "here" ? (here[row.name] ?? null) : row[measure]);

/** The measures that there are numbers for, of what the delta itself sits on. @param {Group[]} groups @param {Record<string, number>} here @returns {Measure[]} */
export function measuresOf(groups, here) {
  const all = /** @type {Measure[]} */ (Object.keys(MEASURES));
  return all.filter((measure) => coreOf(groups).some((group) => group.rows.some((row) => valueOf(row, measure, here) !== null)));
}

/**
 * @param {Group[]} groups
 * @param {{measure: Measure, order: Order, here: Record<string, number>, closed: ReadonlySet<string>}} view
 * @returns {AnatomyLine[]}
 */
export function linesOf(groups, { measure, order, here, closed }) {
  const longest = longestOf(groups, measure, here);
  return groups.flatMap((group, at) => {
    const key = `${group.core ? "" : "+"}${group.pattern}`;
    const open = !closed.has(key);
    const values = group.rows.map((row) => valueOf(row, measure, here));
    const known = values.filter((value) => value !== null);
    const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    const share = (/** @type {number | null} */ value) => (value && longest ? Math.min(1, value / longest) : 0);
    const common = { group, position: at + 1, siblings: groups.length };
    const head = { ...common, key, level: 1, expandable: true, open, label: group.pattern, row: null, value: mean, share: share(mean) };
    if (!open) return [head];
    const rows = group.rows.map((row, own) => ({ row, label: group.labels[own], value: values[own] }));
    if (order === "size") rows.sort((one, other) => (other.value ?? -1) - (one.value ?? -1));
    const below = rows.map((one, own) => ({
      ...one, group, key: `${key} ${one.row.name}`, level: 2, expandable: false, open: false, position: own + 1, siblings: rows.length, share: share(one.value),
    }));
    return [head, ...below];
  });
}

/** Without what was trained beside the delta, if there is anything else. @param {Group[]} groups */
function coreOf(groups) {
  const core = groups.filter((group) => group.core);
  return core.length ? core : groups;
}

/** The longest bar of the delta itself; a trained head's would dwarf it. @param {Group[]} groups @param {Measure} measure @param {Record<string, number>} here */
function longestOf(groups, measure, here) {
  return Math.max(0, ...coreOf(groups).flatMap((group) => group.rows.map((row) => valueOf(row, measure, here) ?? 0)));
}

/**
 * A number in three digits, or as a percentage; "–" where it is not known, 0 for exactly nothing.
 *
 * @param {number | null | undefined} value
 * @param {boolean} [share]
 */
export function figure(value, share = false) {
  if (value === null || value === undefined) return "–";
  if (!value) return "0";
  const number = share ? 100 * value : value;
  const digits = number >= 1000 ? Math.round(number).toLocaleString("en-US") : number < 0.01 ? number.toExponential(1) : number.toPrecision(3);
  return digits + (share ? " %" : "");
}

/** Whether a measure is a share. @param {Measure} measure */
export const isShare = (measure) => measure !== "change";

/**
 * What a comparison says in one sentence, for a live region.
 *
 * @param {{labels: string[], with: number[], without: number[]}} answer
 */
export function verdict({ labels, with: after, without: before }) {
  const top = after.indexOf(Math.max(...after));
  const other = before.indexOf(Math.max(...before));
  const now = `With the delta: ${labels[top]} ${after[top].toFixed(3)}.`;
  if (other === top) return `${now} Without it the same answer, ${before[top].toFixed(3)}.`;
  return `${now} Without it: ${labels[other]} ${before[other].toFixed(3)}.`;
}

/**
 * The labels of a comparison, likeliest first, and no more than are read.
 *
 * @param {{labels: string[], with: number[], without: number[]}} answer
 * @param {number} [most]
 */
export function ranked({ labels, with: after, without: before }, most = 6) {
  const rows = labels.map((label, at) => ({ label, after: after[at], before: before[at] }));
  return rows.sort((one, other) => other.after - one.after || other.before - one.before).slice(0, most);
}
