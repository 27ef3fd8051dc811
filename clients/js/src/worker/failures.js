/**
 * Errors on their way out of a worker: their kind by name, and the error of a kind.
 */
import { DecodeError, Interrupted, LocalError, SessionEnd, Violation } from '../rules.js';

// An Interrupted is a LocalError, too: the first that fits counts.
const KINDS = { DecodeError, Interrupted, LocalError, SessionEnd, Violation };

/** The name of the kind of an error; undefined for a defect. */
export const kindOf = (error) => Object.keys(KINDS).find((name) => error instanceof KINDS[name]);

/** The error of a failure: of its kind, with its rule or message. */
export function errorOf({ kind, message, rule }) {
  const error = kind ? new KINDS[kind](rule ?? message) : new Error(message);
  return Object.assign(error, { message });
}
