/**
 * Snapshots and ledgers (§9). A snapshot is SHA-256("secagg/v1 snapshot" ‖ body) ‖ body; the body is JSON, in which
 * byte strings, 64-bit integers, maps and sets are marked objects.
 */
import { concat, equal, hex, unhex } from './canonical.js';
import { sha256, sha256OfMessage } from './crypto.js';
import { LocalError, SessionEnd } from './rules.js';

const LABEL = new TextEncoder().encode('secagg/v1 snapshot');
const DIGEST = 32;

function mark(value) {
  if (typeof value === 'bigint') return { $id: value.toString() };
  if (value instanceof Uint8Array) return { $bytes: hex(value) };
  if (value instanceof BigUint64Array) return { $words: hex(new Uint8Array(value.buffer)) };
  if (value instanceof Map) return { $map: [...value].map(mark) };
  if (value instanceof Set) return { $set: [...value].map(mark) };
  if (Array.isArray(value)) return value.map(mark);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mark(item)]));
}

function unmark(name, value) {
  if (value === null || typeof value !== 'object') return value;
  if ('$id' in value) return BigInt(value.$id);
  if ('$bytes' in value) return unhex(value.$bytes);
  if ('$words' in value) return new BigUint64Array(unhex(value.$words).buffer);
  if ('$map' in value) return new Map(value.$map);
  if ('$set' in value) return new Set(value.$set);
  return value;
}

/**
 * Serializes the state of a session (§9).
 * @param {string} role
 * @param {object} state
 * @returns {Uint8Array}
 */
export function freeze(role, state) {
  const body = new TextEncoder().encode(JSON.stringify({ role, state: mark(state) }));
  return concat(sha256(concat(LABEL, body)), body);
}

/**
 * The state of a snapshot (§9).
 * @throws {LocalError} damaged bytes, or a snapshot of the other role
 */
export function thaw(role, snapshot) {
  const body = snapshot.slice(DIGEST);
  if (!equal(snapshot.slice(0, DIGEST), sha256(concat(LABEL, body)))) throw new LocalError('a damaged snapshot');
  const frozen = JSON.parse(new TextDecoder().decode(body), unmark);
  if (frozen.role !== role) throw new LocalError('a snapshot of the other role');
  return frozen.state;
}

/** Which answer each client gave in each phase of each session (§9), and what inputs went into (§6.9). In memory. */
export class Ledger {
  #hashes = new Map();
  #inputs = new Map();

  /**
   * Enters an answer, which leaves once this is done. A durable ledger keeps the snapshot with it.
   * @param {() => Uint8Array} [_snapshot] of the session with this answer given
   * @throws {SessionEnd} A12, when there is another one
   */
  async enter(sessionDigest, client, phase, answer, _snapshot) {
    const place = `${hex(sessionDigest)} ${client} ${phase}`;
    const hash = hex(await sha256OfMessage(answer));
    if ((this.#hashes.get(place) ?? hash) !== hash) throw new SessionEnd('A12');
    this.#hashes.set(place, hash);
  }

  /** Whether a client has answered in a phase of a session. */
  async answered(sessionDigest, client, phase) {
    return this.#hashes.has(`${hex(sessionDigest)} ${client} ${phase}`);
  }

  /**
   * Enters a session behind the others of its input, when it is offered (R57).
   * @throws {LocalError} shares were revealed in more sessions of this input than may be
   */
  async enterSession(input, client, sessionDigest, repeatedSums) {
    const record = this.#sessionsOf(input, client);
    const session = hex(sessionDigest);
    if (record.entered.includes(session)) return;
    if (record.revealed.size > repeatedSums) throw new LocalError('shares of this input were revealed (R57)');
    record.entered.push(session);
  }

  /**
   * Lets an input or shares leave, before they do (R57).
   * @throws {SessionEnd} A10, when a later session of the same input was entered
   */
  async letLeave(input, client, sessionDigest, reveals) {
    const record = this.#sessionsOf(input, client);
    const session = hex(sessionDigest);
    if (record.entered.at(-1) !== session) throw new SessionEnd('A10');
    if (reveals) record.revealed.add(session);
  }

  #sessionsOf(input, client) {
    const place = `${client} ${input}`;
    if (!this.#inputs.has(place)) this.#inputs.set(place, { entered: [], revealed: new Set() });
    return this.#inputs.get(place);
  }
}
