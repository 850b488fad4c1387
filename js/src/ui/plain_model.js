// A model without a kernel: it keeps values, tells who listens, and answers no question.

/**
 * @param {Record<string, any>} state the traits' first values
 * @returns {import("./model.js").Model}
 */
export function plainModel(state) {
  const values = { ...state };
  /** @type {Map<string, Set<Function>>} */
  const listeners = new Map();
  return {
    kernel: false,
    get: (name) => values[name],
    set(name, value) {
      const old = values[name];
      values[name] = value;
      if (old !== value) for (const heard of [...(listeners.get(`change:${name}`) ?? [])]) heard();
    },
    save_changes() {},
    send() {},
    on(event, heard) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event)?.add(heard);
    },
    off(event, heard) {
      if (heard) listeners.get(event ?? "")?.delete(heard);
      else if (event) listeners.delete(event);
      else listeners.clear();
    },
  };
}
