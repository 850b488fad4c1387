// What a widget asks of its model: the part of anywidget's that is used here, so that a page without a kernel can be one too.

/**
 * @typedef {object} Model
 * @property {boolean} [kernel] false where no kernel can ever answer
 * @property {(name: string) => any} get
 * @property {(name: string, value: any) => void} set
 * @property {() => void} save_changes
 * @property {(content: any, callbacks?: any, buffers?: any) => void} send
 * @property {(event: string, heard: (...args: any[]) => void) => void} on
 * @property {(event?: string | null, heard?: ((...args: any[]) => void) | null) => void} off
 */

/**
 * Listen until the view goes.
 *
 * @param {Model} model
 * @param {string | string[]} names of traits
 * @param {() => void} heard
 * @param {AbortSignal} signal
 */
export function watch(model, names, heard, signal) {
  for (const name of [names].flat()) {
    model.on(`change:${name}`, heard);
    signal.addEventListener("abort", () => model.off(`change:${name}`, heard));
  }
}

/**
 * Set traits and send them to the kernel, if there is one.
 *
 * @param {Model} model
 * @param {Record<string, any>} values
 */
export function put(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  try {
    model.save_changes();
  } catch {
    // The kernel is gone; the view goes on with what it has.
  }
}
