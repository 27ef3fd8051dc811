/**
 * Errors. Those about a rule carry its id of §8, such as "C33": what peers, vectors and reports speak of.
 */

/** Whether text is the id of an AbortReason (§6.1, §8). */
export const isAbortReason = (text) => /^A(0[1-9]|1[0-5])$/.test(text);

/** Bytes that are no strictly encoded message or value (§2.2, §6). */
export class DecodeError extends Error {}

/** The host's mistake, or "refused" in the tables of §7. Nothing has changed. */
export class LocalError extends Error {}

/** The host interrupted the work on a message. Nothing has changed: the message can be handled again. */
export class Interrupted extends LocalError {}

class RuleError extends Error {
  /**
   * @param {string} rule
   * @param {string} [said] in which way, where the host can do something about it
   */
  constructor(rule, said) {
    super(said ? `${said} (rule ${rule})` : `rule ${rule}`);
    this.rule = rule;
  }
}

/** A message that breaks a rule of §8: C.. at a client, S.. at a server. */
export class Violation extends RuleError {}

/** A session ends for a reason A.. of §8 that is nobody's message. */
export class SessionEnd extends RuleError {}

/**
 * Refuses with the rule unless the condition holds.
 * @param {boolean} condition
 * @param {string} rule an id of §8
 * @param {() => string} [said] in which way, where the host can do something about it
 */
export function require(condition, rule, said) {
  if (!condition) throw new Violation(rule, said?.());
}
