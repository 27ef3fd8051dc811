/** How taking part over HTTP ends other than well. What breaks a rule of the protocol is in ../rules.js. */

// Nothing that moves what stands around it: of terminals, and of directions.
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;
const LONGEST = 500;

/** What a server says, as it stands in a sentence of ours, which people read on terminals and pages. */
export const quoted = (text, longest = LONGEST) => text.slice(0, longest).replace(CONTROLS, '\ufffd');

/** A server cannot be used, or refused a call for good. The session may go on: what was answered is kept. */
export class ServiceError extends Error {
  /**
   * @param {string} message
   * @param {string} [refusal] the server's reason, such as "NOT_IN_COHORT"; '' where no server of this service gave one
   */
  constructor(message, refusal = '') {
    super(message);
    this.refusal = refusal;
  }
}

/** Trying again did not help for as long as it was to be tried. */
export class UnreachableError extends ServiceError {}

/** The session ended without a sum. */
export class SessionAbortedError extends Error {
  /**
   * @param {string} message
   * @param {string} [rule] the id of the reason, such as "A03"
   * @param {string} [successor] the session that follows it
   */
  constructor(message, rule = '', successor = '') {
    super(message);
    this.rule = rule;
    this.successor = successor;
  }
}

/** The server goes on without this client, or the session has no input of it. `rule` says why, where that is known. */
export class DroppedError extends SessionAbortedError {}

const HINTS = { S05: '; two tabs or processes run as this client, or one began anew without what was kept' };

/** What a client can do about a drop, as the end of a sentence; the server sends ids only. */
export const hint = (rule) => HINTS[rule] ?? '';
