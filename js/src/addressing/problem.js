// What is wrong with a pattern, in the four parts of every message.

/**
 * @typedef {"nothing" | "parameter" | "second_name" | "all_excluded" | "empty" | "empty_segment" | "empty_alternative" | "backwards_range"
 *   | "invalid_regex" | "slow_regex" | "unknown_family" | "kernel"} ProblemKind
 */

/** What the kernel would raise as a DeltaError; `kernel` passes on what it did raise. */
export class Problem extends Error {
  /**
   * @param {ProblemKind} kind
   * @param {string} what what happened, with the offending value quoted
   * @param {{expected?: string, nearest?: string[], try_?: string}} [more]
   */
  constructor(kind, what, { expected = "", nearest = [], try_ = "" } = {}) {
    super(what);
    this.kind = kind;
    this.what = what;
    this.expected = expected;
    this.nearest = nearest;
    this.try_ = try_;
  }

  /** Whether the pattern is well formed and merely hits no module. */
  get hitsNothing() {
    return this.kind === "nothing" || this.kind === "parameter" || this.kind === "second_name";
  }
}
