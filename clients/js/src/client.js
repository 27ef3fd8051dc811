/**
 * The client's state machine (§7.1). What the rounds do is in rounds.js.
 *
 * Everything that a snapshot holds is in the plain object `state`; identity key, roster, randomness and ledger are not.
 */
import { equal } from './canonical.js';
import { erase, sha256OfMessage } from './crypto.js';
import { decodeParameters } from './parameters.js';
import { checkPolicy, checkRoster } from './policy.js';
import * as rounds from './rounds.js';
import { DecodeError, Interrupted, LocalError, SessionEnd, Violation, require } from './rules.js';
import { freeze, thaw } from './snapshot.js';
import { SystemRandomness } from './randomness.js';
import { Topology, sharePoints } from './topology.js';
import { decodeForClient, decodeOffer, encodeMessage, responseOf } from './wire.js';

const LONGEST_VECTOR_ENCODING = 1024;
const LONGEST_CONTEXT = 65536;

const SEMI_HONEST = {
  ADVERTISE_KEYS: ['AdvertiseKeys', 'SHARE_KEYS'],
  SHARE_KEYS: ['ShareKeys', 'MASKED_INPUT'],
  MASKED_INPUT: ['MaskedInputCollection', 'UNMASKING'],
  UNMASKING: ['Unmasking', 'COMPLETED'],
};
const ACTIVE = {
  ...SEMI_HONEST,
  MASKED_INPUT: ['MaskedInputCollection', 'CONSISTENCY_CHECK'],
  DISCLOSURE: ['Disclosure', 'DISCLOSURE'],
  CONSISTENCY_CHECK: ['ConsistencyCheck', 'UNMASKING'],
};

/**
 * Refuses an offer that is longer than any that the policy allows, before it is parsed (§6).
 * @throws {DecodeError} and LocalError for what is no offer, or no policy
 */
export function checkOfferLength(offer, policy) {
  if (!(offer instanceof Uint8Array)) throw new LocalError('the offer is no Uint8Array');
  if (policy?.vectors === undefined || policy.largestVector === undefined) {
    throw new LocalError('the policy is none; make it by clientPolicy({…})');
  }
  const { largestCohort, largestVector } = policy;
  const vectors = largestVector < 65536n ? largestVector : 65536n;
  const longest = 8n * largestCohort + BigInt(LONGEST_VECTOR_ENCODING) * (vectors + 1n) + BigInt(LONGEST_CONTEXT);
  if (BigInt(offer.length) > longest) throw new DecodeError('longer than any offer that the policy allows');
}

/** Refuses what a host takes for a ledger and is none. */
function checkLedger(ledger) {
  const missing = ledger && ['enter', 'enterSession', 'letLeave'].find((name) => typeof ledger[name] !== 'function');
  if (missing) throw new LocalError(`the ledger has no ${missing}; give a MemoryLedger, an IndexedDbLedger or one of your own`);
}

/** One client in one session. */
export class Client {
  #busy = false;

  /**
   * @typedef {object} Host
   * @property {Uint8Array} [identityKey]
   * @property {Map<bigint, Uint8Array>} [roster]
   * @property {{draw: (count: number) => Uint8Array}} [randomness]
   * @property {import('./snapshot.js').Ledger} [ledger]
   * @property {string} [input] name of the input, where several sessions are given one (R57); needs a ledger
   * @property {number} [repeatedSums] in how many of them shares may be revealed after the first
   */

  /** Use Client.accept or Client.resume. */
  constructor(parameters, state, { identityKey, roster, randomness = new SystemRandomness(), ledger }) {
    this.parameters = parameters;
    this.neighbours = parameters.chosen ? [] : new Topology(parameters).neighbours(state.client);
    this.threshold = Number(parameters.threshold);
    this.state = state;
    this.identityKey = identityKey;
    this.roster = roster;
    this.randomness = randomness;
    this.ledger = ledger;
    this.abortReason = '';
  }

  /**
   * Judges an offer and accepts it (§6.1).
   * @param {Uint8Array} offer
   * @param {bigint} client
   * @param {import('./policy.js').Policy} policy
   * @param {Host} host
   * @returns {Promise<Client>}
   * @throws {DecodeError} A08
   * @throws {Violation} C..
   * @throws {LocalError} R20, R22, R57, R61
   */
  static async accept(offer, client, policy, host = {}) {
    if (typeof client !== 'bigint') throw new LocalError(`the client is a ${typeof client}; ids are bigint, such as 17n`);
    checkLedger(host.ledger);
    checkOfferLength(offer, policy);
    const parameters = decodeParameters(decodeOffer(offer));
    require(parameters.cohort.includes(client), 'C09', () => `client ${client}n is not in the cohort`);
    checkPolicy(parameters, policy);
    if (parameters.active) checkRoster(parameters, client, host.identityKey, host.roster);
    if (parameters.chosen && !host.ledger) throw new LocalError('a chosen graph is answered with a ledger only (R61)');
    const state = { parameters: parameters.encoded, client, phase: 'ADVERTISE_KEYS' };
    if (host.input) {
      if (!host.ledger) throw new LocalError('an input of several sessions needs a ledger (R57)');
      await host.ledger.enterSession(host.input, client, parameters.digest, host.repeatedSums ?? 0);
      state.inputName = host.input;
    }
    return new Client(parameters, state, host);
  }

  /**
   * Goes on from a snapshot (§9).
   * @param {Uint8Array} snapshot
   * @param {Host} host
   * @throws {LocalError}
   */
  static resume(snapshot, host) {
    if (!host.ledger) throw new LocalError('a client goes on from a snapshot with a ledger only');
    checkLedger(host.ledger);
    const state = thaw('client', snapshot);
    const parameters = decodeParameters(state.parameters);
    try {
      if (parameters.active) checkRoster(parameters, state.client, host.identityKey, host.roster);
    } catch (error) {
      throw new LocalError(`key or roster does not fit the snapshot: ${error.message}`);
    }
    return new Client(parameters, state, host);
  }

  get client() {
    return this.state.client;
  }

  /** The share point of each of the client's holders (§2.5). */
  get points() {
    return sharePoints(this.parameters.chosen ? this.state.holders : this.neighbours);
  }

  get phase() {
    return this.state.phase;
  }

  /**
   * Sets the input, or another one as long as nothing was masked (§4.2).
   * @param {Object<string, Float64Array|Float32Array|BigInt64Array>|Map} values by name of the vector, row by row
   * @param {bigint} [weight]
   * @throws {LocalError}
   */
  setInput(values, weight = 1n) {
    if (!['ADVERTISE_KEYS', 'SHARE_KEYS', 'MASKED_INPUT'].includes(this.phase)) {
      throw new LocalError('it is too late for an input');
    }
    if (this.#busy) throw new LocalError('a message is being handled; wait for its answer before you set the input');
    if (typeof weight !== 'bigint') throw new LocalError(`the weight is a ${typeof weight}; give a bigint, such as 600n`);
    if (!(values instanceof Object)) throw new LocalError('the input is no object; give an array for each vector, by name');
    const byName = values instanceof Map ? values : new Map(Object.entries(values));
    const input = this.parameters.layout.encode(byName, weight);
    if (this.state.input) erase(this.state.input);
    this.state.input = input;
  }

  /**
   * Handles bytes from the server (§7.1), one message at a time. The answer is in the ledger before it is returned.
   * @param {Uint8Array} data
   * @param {{signal?: AbortSignal, onProgress?: (done: number, total: number) => void}} [host] of the masking, which
   *   takes long: words that are done, and a signal that interrupts it
   * @returns {Promise<Uint8Array|undefined>} the answer; none for an Abort
   * @throws {DecodeError} A08
   * @throws {Violation} C..
   * @throws {SessionEnd} A12, A10 (R57)
   * @throws {Interrupted} the signal was given; nothing has changed
   * @throws {LocalError} nothing has changed
   */
  async receive(data, host) {
    if (!(data instanceof Uint8Array)) throw new LocalError('the message is no Uint8Array');
    if (this.#busy) throw new LocalError('another message is being handled; wait for its answer');
    this.#busy = true;
    try {
      return await this.#receive(data, host);
    } finally {
      this.#busy = false;
    }
  }

  async #receive(data, host) {
    this.#mustNotBeAborted();
    const hash = await sha256OfMessage(data);
    this.#mustNotBeAborted();
    const { state } = this;
    if (state.lastRequest && equal(hash, state.lastRequest)) return state.lastAnswer;
    if (this.phase === 'COMPLETED') return this.#receiveAfterEnd(data);
    try {
      const { name, body } = this.#decode(data);
      if (name === 'Abort') {
        this.#end('A09');
        return undefined;
      }
      const [round, following] = (this.parameters.active ? ACTIVE : SEMI_HONEST)[this.phase] ?? [];
      require(name === `${round}Request`, 'C11');
      if (this.phase === 'MASKED_INPUT' && !state.input && !rounds.openShares(this, body).size) {
        delete state.shares;
        throw new LocalError('there is no input yet; call setInput, then receive with the same message');
      }
      const response = await rounds[`answer${round}`](this, body, host);
      if (this.state !== state) return this.#leave(state);
      const [kind, phase] = response.accused
        ? ['Complaint', 'DISCLOSURE'] : [responseOf(round, this.parameters), following];
      const answer = encodeMessage(this.parameters.digest, kind, response);
      if (this.state.inputName && kind !== 'Complaint' && ['MASKED_INPUT', 'UNMASKING'].includes(this.phase)) {
        await this.ledger.letLeave(state.inputName, this.client, this.parameters.digest, this.phase === 'UNMASKING');
      }
      const next = { ...state, phase, lastRequest: hash, lastAnswer: answer };
      await this.ledger?.enter(this.parameters.digest, this.client, this.phase, answer, () => freeze('client', next));
      if (this.state !== state) return this.#leave(state);
      this.state = next;
      return answer;
    } catch (error) {
      if (this.state !== state) this.#leave(state);
      if (error instanceof Interrupted) delete state.shares;
      if (!(error instanceof LocalError)) this.#end(reasonOf(error));
      throw error;
    }
  }

  #mustNotBeAborted() {
    if (this.phase === 'ABORTED') throw new LocalError('the session has ended');
  }

  /** The host ended the session while a message was handled: nothing of that leaves. */
  #leave(state) {
    rounds.eraseSecrets(state);
    throw new LocalError('the session has ended');
  }

  #decode(data) {
    const message = decodeForClient(data, this.parameters);
    require(equal(message.session, this.parameters.digest), 'C12');
    return message;
  }

  #receiveAfterEnd(data) {
    let name;
    try {
      ({ name } = this.#decode(data));
    } catch {
      throw new LocalError('the session is completed');
    }
    if (name !== 'UnmaskingRequest') throw new LocalError('the session is completed');
    this.#end('A07');
    throw new Violation('C62');
  }

  /** What the client tells the server about its abort (§1, §6.1): nothing, when the server aborted. */
  get notice() {
    const tells = this.phase === 'ABORTED' && this.abortReason !== 'A09';
    return tells ? encodeMessage(this.parameters.digest, 'Abort', { reason: this.abortReason }) : undefined;
  }

  /**
   * The host ends the session (A10).
   * @throws {LocalError} when it has ended
   */
  endSession() {
    this.#mustBeLive();
    this.#end('A10');
  }

  /**
   * Freezes the session; this object's session ends (§9).
   * @returns {Uint8Array}
   * @throws {LocalError} when it has ended, or has no ledger
   */
  snapshot() {
    this.#mustBeLive();
    if (this.#busy) throw new LocalError('a message is being handled; wait for its answer');
    if (!this.ledger) throw new LocalError('a client without a ledger has no snapshot');
    const frozen = freeze('client', this.state);
    this.#end('A10');
    return frozen;
  }

  #mustBeLive() {
    if (['COMPLETED', 'ABORTED'].includes(this.phase)) throw new LocalError('the session has ended');
  }

  #end(reason) {
    rounds.eraseSecrets(this.state);
    this.state = { client: this.client, phase: 'ABORTED' };
    this.abortReason = reason;
  }
}

function reasonOf(error) {
  if (error instanceof Violation) return 'A07';
  if (error instanceof DecodeError) return 'A08';
  return error instanceof SessionEnd ? error.rule : 'A11';
}
