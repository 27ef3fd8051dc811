/**
 * The server's state machine (§7.2): who was asked, who answered, and what the closing of a round brings about.
 *
 * What a snapshot holds is in the plain object `state`; the roster is not. `asked` holds the clients that were asked in
 * the open round and not dropped, `accepted` the hash of each accepted response to it.
 */
import { ascending, equal, hex } from '../canonical.js';
import * as checks from './checks.js';
import { bindingOf } from '../binding.js';
import { edgesToCut, setToBytes } from '../chosen.js';
import { sha256 } from '../crypto.js';
import { blameFrom, hintsFrom } from '../evidence.js';
import { decodeParameters } from '../parameters.js';
import { IMPLEMENTED_SUITES } from '../policy.js';
import { DecodeError, LocalError, SessionEnd, Violation, require } from '../rules.js';
import { rebuildSecrets } from './rebuilding.js';
import { freeze, thaw } from '../snapshot.js';
import { Topology } from '../topology.js';
import { unmask } from './unmasking.js';
import { decodeForServer, encodeMessage, encodeOffer, roundOf } from '../wire.js';

const PHASES = {
  AdvertiseKeys: 'COLLECTING_KEYS',
  ShareKeys: 'COLLECTING_SHARES',
  MaskedInputCollection: 'COLLECTING_MASKED_INPUTS',
  Disclosure: 'COLLECTING_DISCLOSURES',
  ConsistencyCheck: 'COLLECTING_CONFIRMATIONS',
  Unmasking: 'COLLECTING_UNMASKING_SHARES',
};
const ACTIVE_ONLY = ['Disclosure', 'ConsistencyCheck'];
const MOST_DEALINGS = 8;

/**
 * @typedef {{client: bigint, message: Uint8Array}} Request
 * @typedef {{requests: Request[], dropped: {client: bigint, rule: string}[],
 *            inconsistent: {holder: bigint, owner: bigint, rule: string}[],
 *            blame: {client: bigint, rule: string, evidence: Uint8Array|undefined}[]}} Closing
 */

/** One session of the server. */
export class Server {
  /** Use Server.create or Server.resume. */
  constructor(parameters, state, roster) {
    if (!IMPLEMENTED_SUITES.includes(Number(parameters.suite))) throw new LocalError('the suite is not implemented');
    if (parameters.active && !parameters.cohort.every((id) => roster?.has(id))) {
      throw new LocalError('the roster lacks a client of the cohort');
    }
    this.parameters = parameters;
    this.topology = new Topology(parameters, state.advertised && state.drawn, state.cut);
    this.threshold = Number(parameters.threshold);
    this.fewest = Math.max(Number(parameters.minimumContributors), this.threshold + 1);
    this.cohort = new Set(parameters.cohort);
    this.rounds = Object.keys(PHASES).filter((round) => parameters.active || !ACTIVE_ONLY.includes(round));
    this.roster = roster;
    this.state = state;
  }

  /**
   * A new session (§6.1).
   * @param {Uint8Array} encoded the parameters
   * @param {Map<bigint, Uint8Array>} [roster]
   * @throws {DecodeError|Violation|LocalError}
   */
  static create(encoded, roster) {
    const parameters = decodeParameters(encoded);
    return new Server(parameters, {
      parameters: parameters.encoded,
      round: 'AdvertiseKeys',
      phase: PHASES.AdvertiseKeys,
      abortReason: '',
      asked: new Set(parameters.cohort),
      accepted: new Map(),
      keys: new Set(),
      advertisements: new Map(),
      ciphertexts: new Map(),
      encapsulated: new Map(),
      dealingSignatures: new Map(),
      complaints: new Map(),
      findings: new Map(),
      waiting: new Set(),
      sum: new BigUint64Array(parameters.layout.words),
      contributors: new Set(),
      drawn: new Map(),
      cut: new Set(),
      inclusions: new Map(),
      confirmations: new Map(),
      revealed: new Map(),
    }, roster);
  }

  /**
   * Goes on from a snapshot (§9).
   * @throws {LocalError}
   */
  static resume(snapshot, roster) {
    const state = thaw('server', snapshot);
    return new Server(decodeParameters(state.parameters), state, roster);
  }

  get phase() {
    return this.state.phase;
  }

  get abortReason() {
    return this.state.abortReason;
  }

  get result() {
    return this.state.result;
  }

  get offer() {
    return encodeOffer(this.parameters.encoded);
  }

  /** The requests of the first round (§6.2). */
  get firstRequests() {
    return this.#request('AdvertiseKeys', () => ({}));
  }

  #request(round, bodyFor) {
    return this.#send(this.state.asked, `${round}Request`, bodyFor);
  }

  #send(clients, name, bodyFor) {
    return ascending(clients).map((client) => ({
      client,
      message: encodeMessage(this.parameters.digest, name, bodyFor(client)),
    }));
  }

  /** Neighbours, holders or owners of a client that are in the set, ascending (§1). */
  #ofIn(those, client, set) {
    return this.topology[those](client).filter((id) => set.has(id));
  }

  /**
   * Handles bytes from a client (§7.2).
   * @param {bigint} client
   * @param {Uint8Array} data
   * @returns {{status: 'ACCEPTED'|'LATE'|'REPEATED'|'DROPPED', rule: string}}
   * @throws {LocalError} nothing has changed
   */
  receive(client, data) {
    this.#mustBeLive();
    if (!this.cohort.has(client)) throw new LocalError('the sender is not in the cohort');
    if (!this.state.asked.has(client)) return { status: 'LATE', rule: '' };
    try {
      return { status: this.#handle(client, data), rule: '' };
    } catch (error) {
      if (error instanceof DecodeError) return this.#drop(client, 'S02');
      if (error instanceof Violation) return this.#drop(client, error.rule);
      this.#end('A11');
      throw error;
    }
  }

  #handle(client, data) {
    const { session, name, body } = decodeForServer(data, this.parameters);
    require(equal(session, this.parameters.digest), 'S04');
    require(name !== 'Abort', 'S06');
    const round = this.rounds.indexOf(name === 'Complaint' ? 'MaskedInputCollection' : roundOf(name));
    const open = this.rounds.indexOf(this.state.round);
    require(round >= 0 && round <= open, 'S03');
    if (round < open) return 'LATE';
    const hash = hex(sha256(data));
    const before = this.state.accepted.get(client);
    if (before !== undefined) {
      require(before === hash, 'S05');
      return 'REPEATED';
    }
    checks[`accept${name === 'Complaint' ? name : this.state.round}`](this, client, body);
    this.state.accepted.set(client, hash);
    return 'ACCEPTED';
  }

  #drop(client, rule) {
    this.state.asked.delete(client);
    this.state.accepted.delete(client);
    if (this.state.round === 'MaskedInputCollection') this.state.complaints.delete(client);
    this.state.findings.delete(client);
    return { status: 'DROPPED', rule };
  }

  /**
   * Closes the open round (§7.2).
   * @returns {Promise<Closing>}
   * @throws {LocalError} when the session has ended
   */
  async closeRound() {
    this.#mustBeLive();
    const { state } = this;
    const closing = { requests: [], dropped: [], inconsistent: [], blame: [] };
    const notDroppedBefore = new Set(state.asked);
    for (const client of notDroppedBefore) {
      if (!state.accepted.has(client)) this.#dropOnClosing(closing, client, 'S01');
    }
    try {
      closing.requests = await this[`close${state.round}`](closing);
    } catch (error) {
      if (!(error instanceof SessionEnd)) {
        this.#end('A11');
        throw error;
      }
      closing.requests = this.#end(error.rule, notDroppedBefore);
    }
    closing.dropped.sort((a, b) => (a.client < b.client ? -1 : 1));
    return closing;
  }

  #dropOnClosing(closing, client, rule) {
    this.#drop(client, rule);
    closing.dropped.push({ client, rule });
  }

  #open(round, bodyFor) {
    this.state.accepted = new Map();
    this.state.round = round;
    this.state.phase = PHASES[round];
    return this.#request(round, bodyFor);
  }

  /** Drops those with fewer than t holders left, until none is (S14), and ends a session of too few. */
  #prune(closing, reason) {
    const { asked } = this.state;
    const isLonely = (client) => this.#ofIn('holders', client, asked).length < this.threshold;
    if (!this.parameters.complete) {
      for (let lonely; (lonely = ascending(asked).filter(isLonely)).length;) {
        for (const client of lonely) this.#dropOnClosing(closing, client, 'S14');
      }
    }
    if (asked.size < this.fewest) throw new SessionEnd(reason);
  }

  /** §6.2, §6.3 */
  closeAdvertiseKeys(closing) {
    const { state } = this;
    if (this.parameters.chosen) {
      const drawn = new Map([...state.drawn].filter(([id]) => state.asked.has(id)));
      const cut = edgesToCut(drawn, 3 * Number(this.parameters.degree));
      Object.assign(state, { drawn, cut });
      this.topology = new Topology(this.parameters, drawn, cut);
    }
    this.#prune(closing, 'A01');
    state.advertised = new Set(state.asked);
    const advertised = new Map([...state.advertised].map((id) => [id, state.advertisements.get(id)]));
    state.binding = bindingOf(this.parameters, advertised);
    return this.#open('ShareKeys', (client) => ({
      advertisements: ascending([...this.#ofIn('neighbours', client, state.advertised), client])
        .map((id) => state.advertisements.get(id)),
    }));
  }

  /** §6.3, §6.4 */
  closeShareKeys(closing) {
    const { state } = this;
    this.#prune(closing, 'A02');
    state.sharers = new Set(state.asked);
    const all = this.parameters.chosen ? { sharers: setToBytes(this.parameters, state.sharers) } : {};
    return this.#open('MaskedInputCollection', (client) => ({
      ...all,
      ciphertexts: this.#ofIn('owners', client, state.sharers)
        .map((sender) => ({ client: sender, ciphertext: state.ciphertexts.get(sender).get(client) })),
    }));
  }

  /** §6.4, §6.5 */
  closeMaskedInputCollection(closing) {
    const { state } = this;
    if (state.complaints.size) return this.#closeWithComplaints(closing);
    if (state.contributors.size < this.fewest) throw new SessionEnd('A03');
    this.#mustHaveHolders('A03');
    this.#mustBeConnected();
    if (!this.parameters.signsDealings) state.ciphertexts = new Map();
    const contributors = ascending(state.contributors);
    if (this.parameters.chosen) return this.#openAcknowledging();
    return this.parameters.active
      ? this.#open('ConsistencyCheck', () => ({ contributors }))
      : this.#openUnmasking([]);
  }

  #openAcknowledging() {
    const { contributors, inclusions } = this.state;
    const contributorSet = setToBytes(this.parameters, contributors);
    return this.#open('ConsistencyCheck', (client) => ({
      contributorSet,
      inclusions: this.#ofIn('owners', client, contributors)
        .map((owner) => ({ client: owner, signature: inclusions.get(owner) })),
    }));
  }

  /** §6.8, or without signed dealings the end (§6.9) */
  #closeWithComplaints(closing) {
    const { state } = this;
    if (!this.parameters.signsDealings) {
      closing.blame = hintsFrom(state.complaints);
      throw new SessionEnd('A15');
    }
    state.waiting = new Set([...state.asked].filter((id) => !state.complaints.has(id)));
    state.asked = new Set(state.complaints.keys());
    return this.#open('Disclosure', (client) => ({ dealings: this.dealingsShownTo(client) }));
  }

  /** The dealings of the first clients that a complainer accused, ascending (§6.8). */
  dealingsShownTo(complainer) {
    const { state } = this;
    return state.complaints.get(complainer).slice(0, MOST_DEALINGS).map((client) => {
      const pairs = [...state.ciphertexts.get(client)];
      const dealt = pairs.map(([receiver, ciphertext]) => ({ client: receiver, ciphertext }));
      const { blocks, digests } = checks.dealingOf(this.parameters, state, client, dealt);
      const place = dealt.findIndex((each) => each.client === complainer);
      return {
        client, block: blocks[checks.blockOf(place)], digests, signature: state.dealingSignatures.get(client),
      };
    });
  }

  /** The committed pair from one client to another, as evidence.js has it (§3.6). */
  pairFrom(dealer, receiver) {
    const { advertisements, ciphertexts, binding } = this.state;
    return {
      session: this.parameters.digest,
      binding,
      dealer,
      dealerPublic: advertisements.get(dealer).channelPublic,
      receiver,
      receiverPublic: advertisements.get(receiver).channelPublic,
      sealed: ciphertexts.get(dealer).get(receiver),
    };
  }

  /** §6.8, §6.9 */
  closeDisclosure(closing) {
    const { complaints, findings } = this.state;
    closing.blame = blameFrom(ascending(complaints.keys()).flatMap((client) =>
      findings.get(client) ?? [{ client, rule: 'S34' }]));
    throw new SessionEnd('A15');
  }

  /** §6.5, §6.6 */
  closeConsistencyCheck() {
    this.#mustHaveHolders('A04');
    const { asked, confirmations } = this.state;
    return this.#openUnmasking(ascending(asked).map((client) => ({ client, signature: confirmations.get(client) })));
  }

  #openUnmasking(confirmations) {
    if (!this.parameters.chosen) return this.#open('Unmasking', (client) => ({ ...this.askedOf(client), confirmations }));
    const { asked, confirmations: signatures } = this.state;
    return this.#open('Unmasking', (client) => ({
      confirmations: this.#ofIn('holders', client, asked).slice(0, this.threshold)
        .map((holder) => ({ client: holder, signature: signatures.get(holder) })),
    }));
  }

  /** The survivors and the dropped among those whose shares a client holds (§6.6). */
  askedOf(client) {
    const sharers = this.#ofIn('owners', client, this.state.sharers);
    const contributed = (id) => this.state.contributors.has(id);
    return { survivors: sharers.filter(contributed), dropped: sharers.filter((id) => !contributed(id)) };
  }

  /** The owners of the secrets that must be rebuilt, ascending (§6.7). */
  get owners() {
    const { sharers, contributors } = this.state;
    return ascending(sharers).filter(
      (owner) => contributors.has(owner) || this.#ofIn('neighbours', owner, contributors).length > 0,
    );
  }

  /** No part of the contributors whose sum the server could read alone is below the floor (§6.4). */
  #mustBeConnected() {
    const isSmall = (part) => part.length < Number(this.parameters.minimumContributors);
    if (this.topology.parts(this.state.contributors).some(isSmall)) throw new SessionEnd('A14');
  }

  #mustHaveHolders(reason) {
    const { asked } = this.state;
    const isShort = (owner) => this.#ofIn('holders', owner, asked).length < this.threshold;
    if (this.owners.some(isShort)) throw new SessionEnd(reason);
  }

  /** §6.7 */
  async closeUnmasking(closing) {
    if (!this.parameters.signsDealings) this.#mustHaveHolders('A05');
    this.state.result = await unmask(this, rebuildSecrets(this, closing));
    this.#eraseAll();
    this.state.phase = 'COMPLETED';
    return [];
  }

  /**
   * The host ends the session (A10).
   * @returns {Request[]} the notices
   * @throws {LocalError} when it has ended
   */
  endSession() {
    this.#mustBeLive();
    return this.#end('A10');
  }

  /**
   * Freezes the session, which goes on (§9).
   * @returns {Uint8Array}
   * @throws {LocalError} when it has ended
   */
  snapshot() {
    this.#mustBeLive();
    return freeze('server', this.state);
  }

  #mustBeLive() {
    if (['COMPLETED', 'ABORTED'].includes(this.phase)) throw new LocalError('the session has ended');
  }

  #end(reason, asked = this.state.asked) {
    const notified = [...asked, ...this.state.waiting];
    // Whether the sum can be decoded depends on the inputs: nobody is told (§7.2).
    const notices = reason === 'A13' ? [] : this.#send(notified, 'Abort', () => ({ reason }));
    this.#eraseAll();
    Object.assign(this.state, { phase: 'ABORTED', abortReason: reason });
    return notices;
  }

  #eraseAll() {
    const { phase, abortReason, result } = this.state;
    this.state.sum.fill(0n);
    this.state = { phase, abortReason, result };
  }
}
