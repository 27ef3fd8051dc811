/**
 * The testee of conformance.md, from the bytes of a call to those of its reply. NO SECURITY: it takes tapes for randomness.
 */
import { Client } from '../client.js';
import { Call, Reply, STATUS } from './schema.js';
import { IMPLEMENTED_SUITES } from '../policy.js';
import { OFFERED, compute } from './primitives.js';
import { decodeLeniently, encode } from '../protobuf.js';
import { DecodeError, LocalError, SessionEnd, Violation } from '../rules.js';
import { Server } from './server.js';
import { Ledger } from '../snapshot.js';
import { SystemRandomness } from '../randomness.js';
import { Tape } from './tape.js';

const VERSION = '0.1.0';

/** A call that the testee does not understand. */
class Unsupported extends Error {}

const NOT_CREATED = { phase: '', abortReason: '' };

function rosterOf(entries) {
  return entries.length ? new Map(entries.map((entry) => [entry.client, entry.verificationKey])) : undefined;
}

/** The entries of a vector of an input, as arrays of their kind. */
export function entriesOf({ name, reals, integers }) {
  if (reals.length && integers.length) throw new LocalError(`${name} has reals and integers`);
  return integers.length ? BigInt64Array.from(integers) : Float64Array.from(reals);
}

/** What became of an event that threw. */
function failure(error) {
  if (error instanceof LocalError) return { status: STATUS.LOCAL_ERROR };
  if (error instanceof Violation || error instanceof SessionEnd) return { status: STATUS.REFUSED, rule: error.rule };
  if (error instanceof DecodeError) return { status: STATUS.REFUSED, rule: 'A08' };
  console.error(error.stack);
  return { status: STATUS.FAILED };
}

function outcomeOf(session, event) {
  const { phase, abortReason } = session;
  return { outcome: { status: STATUS.ACCEPTED, ...event, phase, abortReason } };
}

/** The sessions of one process, or page. */
export class Testee {
  #sessions = new Map();
  #ledgers = new Map();
  #lastHandle = 0n;

  /**
   * @param {Uint8Array} data a Call
   * @returns {Promise<Uint8Array>} its Reply
   */
  async handle(data) {
    return encode(Reply, await this.#reply(data));
  }

  async #reply(data) {
    try {
      const call = decodeLeniently(Call, data);
      const name = Object.keys(call).find((each) => call[each] !== undefined);
      if (!name) throw new Unsupported('an unknown call');
      return await this[name](call[name]);
    } catch (error) {
      if (error instanceof Unsupported || error instanceof DecodeError) return { unsupported: error.message };
      throw error;
    }
  }

  describe() {
    return {
      description: {
        name: 'secagg-js',
        version: VERSION,
        client: true,
        server: true,
        suites: IMPLEMENTED_SUITES,
        clientSnapshots: true,
        serverSnapshots: true,
        primitives: OFFERED,
      },
    };
  }

  createClient(call) {
    if (!call.policy) throw new Unsupported('a policy is expected');
    return this.#create(() => Client.accept(call.offer, call.client, call.policy, this.#host(call)));
  }

  createServer({ parameters, roster }) {
    return this.#create(() => {
      try {
        return Server.create(parameters, rosterOf(roster));
      } catch (error) {
        if (error instanceof Violation || error instanceof DecodeError) throw new LocalError(error.message);
        throw error;
      }
    }, (server) => ({ offer: server.offer, requests: server.firstRequests }));
  }

  async primitive(call) {
    if (!OFFERED.includes(`${call.kind}/${call.function}`)) throw new Unsupported('an unknown primitive');
    return { computed: await compute(call) };
  }

  restore(call) {
    return this.#create(() => (call.server
      ? Server.resume(call.snapshot, rosterOf(call.roster))
      : Client.resume(call.snapshot, this.#host(call))));
  }

  #host({ identityKey, roster, tape, ledger, input, repeatedSums }) {
    if (ledger && !this.#ledgers.has(ledger)) this.#ledgers.set(ledger, new Ledger());
    return {
      identityKey,
      roster: rosterOf(roster),
      randomness: tape ? new Tape(tape) : new SystemRandomness(),
      ledger: this.#ledgers.get(ledger),
      input,
      repeatedSums,
    };
  }

  async #create(make, describe = () => ({})) {
    let session;
    try {
      session = await make();
    } catch (error) {
      return outcomeOf(NOT_CREATED, failure(error));
    }
    this.#lastHandle += 1n;
    this.#sessions.set(this.#lastHandle, session);
    return outcomeOf(session, { handle: this.#lastHandle, ...describe(session) });
  }

  #session(handle) {
    const session = this.#sessions.get(handle);
    if (!session) throw new Unsupported('an unknown handle');
    return session;
  }

  async step({ handle, ...events }) {
    const session = this.#session(handle);
    const name = Object.keys(events).find((each) => events[each] !== undefined);
    const table = session instanceof Client ? CLIENT_EVENTS : SERVER_EVENTS;
    if (!name || !table[name]) throw new Unsupported('no event of this role');
    const wasLive = session.phase !== 'ABORTED';
    let event;
    try {
      event = await table[name](session, events[name]);
    } catch (error) {
      event = failure(error);
    }
    return outcomeOf(session, wasLive ? { notice: session.notice, ...event } : event);
  }

  snapshot({ handle }) {
    const session = this.#session(handle);
    try {
      return { frozen: { snapshot: session.snapshot() } };
    } catch (error) {
      return outcomeOf(session, failure(error));
    }
  }

  free({ handle }) {
    this.#session(handle);
    this.#sessions.delete(handle);
    return { freed: {} };
  }
}

const CLIENT_EVENTS = {
  setInput(client, { vectors, weight }) {
    const values = new Map(vectors.map((each) => [each.name, entriesOf(each)]));
    if (values.size !== vectors.length) throw new LocalError('the input names a vector twice');
    client.setInput(values, weight);
  },
  message: async (client, data) => ({ answer: await client.receive(data) }),
  endSession: (client) => client.endSession(),
};

const SERVER_EVENTS = {
  clientMessage(server, { client, message }) {
    const { status, rule } = server.receive(client, message);
    return { status: STATUS[status], rule };
  },
  closeRound: async (server) => ({ ...await server.closeRound(), result: server.result }),
  endSession: (server) => ({ requests: server.endSession() }),
};
