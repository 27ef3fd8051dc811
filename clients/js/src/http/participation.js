/**
 * Takes part in one session from the login to its end, in one call. A connection that breaks, a server that restarts, a
 * device that is offline: the call goes on. The protocol is that of ../client.js; this moves its bytes.
 */
import { sha256OfMessage } from '../crypto.js';
import { parametersOf } from '../opening.js';
import { DecodeError, LocalError, SessionEnd, Violation } from '../rules.js';
import { Calls } from './calls.js';
import { Connection } from './connection.js';
import { Endpoint } from './endpoint.js';
import { DroppedError, SessionAbortedError } from './errors.js';
import { Retries } from './retries.js';
import { openSeat } from './seat.js';
import { nameAfter, nameFirst, renews } from './successors.js';

const BEFORE_INPUT = ['ADVERTISE_KEYS', 'SHARE_KEYS', 'MASKED_INPUT'];
const AFTER_INPUT = ['CONSISTENCY_CHECK', 'UNMASKING', 'COMPLETED'];
const GIVEN = [
  'session', 'client', 'identityKey', 'roster', 'policy', 'input', 'weight', 'worker', 'ledger', 'database', 'signal', 'retry',
  'onStep', 'onProgress', 'onMessage',
];

/** Refuses what is no name of GIVEN, and a session without a place. @throws {LocalError} */
export function checkGiven(given) {
  const strange = Object.keys(given).find((name) => !GIVEN.includes(name));
  if (strange !== undefined) throw new LocalError(`${strange} is nothing that is taken here; give ${GIVEN.join(', ')}`);
  const { worker, ledger } = given;
  if (worker !== undefined && typeof worker !== 'function') {
    throw new LocalError('worker is no function; give one that makes a new Worker of secagg-client/worker for each session');
  }
  if (!worker === !ledger) {
    throw new LocalError('give either worker, a function that makes one, or ledger; a MemoryLedger ends with this program');
  }
}

/**
 * Takes part in one session; index.d.ts says with what.
 * @param {string} server https://host or https://host:port
 * @returns {Promise<{state: 'COMPLETED', session: string, client: bigint, answered: string[]}>}
 */
export async function takePart(server, given) {
  checkGiven(given);
  if (typeof given.session !== 'string') throw new LocalError('there is no session; give its name on the server');
  const part = new Participation(new Endpoint(server), given);
  for (let name = given.session, before; ; name = nameAfter(name)) {
    const found = await part.takePartIn(name, before);
    if (found.state) return found;
    before = found;
  }
}

class Participation {
  constructor(endpoint, {
    session: _, signal, retry, onStep = () => {}, onMessage = () => {}, onProgress, input, weight, ...given
  }) {
    Object.assign(this, { endpoint, signal, onStep, onMessage, onProgress, input, weight, given });
    this.retries = new Retries(retry);
  }

  /** Takes part in a session, which may follow another one; returns what is known of it where one follows it. */
  async takePartIn(session, before) {
    const { client, identityKey } = this.given;
    let round = '';
    const tell = (news) => {
      round = news.round ?? round;
      this.onStep({ session, round, ...news });
    };
    const calls = new Calls(new Connection(this.endpoint, { session, client }, identityKey, { ...this, tell }));
    const offer = await this.#offer(calls, before);
    const seat = await this.#open(offer, session);
    try {
      const resumed = seat.phase !== 'ADVERTISE_KEYS';
      // Checks the input before anybody hears of this client.
      if (BEFORE_INPUT.includes(seat.phase)) await seat.setInput(this.input, this.weight);
      if (resumed) calls.askAnew();
      this.onMessage('offer', offer);
      tell({ round: seat.phase, state: 'joined', resumed });
      const answered = await this.#play(seat, calls, tell);
      await seat.forget();
      return { state: 'COMPLETED', session, client, answered };
    } catch (error) {
      if (this.signal?.aborted) throw this.signal.reason;
      await this.#leave(seat, calls, error);
      if (error instanceof SessionAbortedError && error.successor === nameAfter(session)) {
        return { ended: error, parameters: parametersOf(offer) };
      }
      throw error;
    } finally {
      await seat.close();
    }
  }

  async #offer(calls, before) {
    try {
      const offer = await calls.offer();
      if (before && !renews(parametersOf(offer), before.parameters)) throw before.ended;
      return offer;
    } catch (error) {
      // Without this client, or forgotten by now: what there was to go on in is over.
      if (before && ['NOT_IN_COHORT', 'UNKNOWN_SESSION'].includes(error.refusal)) throw before.ended;
      throw error;
    }
  }

  async #open(offer, session) {
    // A session and those that follow it are of one input (R57); whoever names another one gives it another.
    const input = `${this.endpoint.address} ${nameFirst(session)}`;
    try {
      return await openSeat({ ...this.given, offer, input });
    } catch (error) {
      if (error instanceof Violation || error instanceof DecodeError) {
        error.message = `this client does not take part in ${session}: ${error.message}`;
      }
      throw error;
    }
  }

  async #play(seat, calls, tell) {
    const { signal, onProgress } = this;
    const answered = [];
    let seen = new Uint8Array(0);
    for (;;) {
      tell({ round: seat.phase, state: 'waiting' });
      const request = await calls.nextRequest(seen);
      if (!request) break;
      const waitedFor = seat.phase;
      tell({ round: waitedFor, state: 'working' });
      const answer = await seat.receive(request, { signal, onProgress }).catch((error) => overtaken(seat, waitedFor, error));
      this.onMessage('request', request);
      seen = await sha256OfMessage(request);
      // Without an answer the server has ended the session, and says how when it is asked.
      if (answer) {
        // A request that was answered before is that of the round before.
        const round = seat.phase === waitedFor ? this.#roundBefore(waitedFor) : waitedFor;
        this.onMessage('answer', answer);
        const sent = (bytes) => tell({ round, state: 'sending', sent: bytes, bytes: answer.length });
        sent(0);
        const outcome = await calls.answer(answer, seen, sent);
        answered.push(round);
        tell({ round, state: 'done', outcome });
      }
    }
    const contributed = AFTER_INPUT.includes(seat.phase)
      || (BEFORE_INPUT.includes(seat.phase) && await seat.answered('MASKED_INPUT'));
    if (contributed) return answered;
    throw new DroppedError('the session has completed, and this client, as far as is kept here, sent no input to it');
  }

  #roundBefore(phase) {
    const active = this.given.policy.threatModel === 'active';
    const rounds = [...BEFORE_INPUT, ...AFTER_INPUT.slice(active ? 0 : 1)];
    return rounds[rounds.indexOf(phase) - 1] ?? phase;
  }

  /** Tells the server what it does not know of the end, and forgets what is kept. After other errors a session may go on. */
  async #leave(seat, calls, error) {
    const isOvertaken = error instanceof SessionEnd && error.rule === 'A12';
    if (isOvertaken) {
      error.message = 'another answer was given in this round before: another program of this client goes on, or what was '
        + 'kept of it is gone (rule A12)';
    } else if (error instanceof Violation || error instanceof DecodeError) {
      error.message = `the server broke a rule of the protocol, and this client has left the session: ${error.message}`;
    }
    if (seat.phase === 'ABORTED' && seat.notice && !isOvertaken) {
      await calls.notice(seat.notice).catch(() => {}); // What ended the session says more.
    }
    if (error instanceof SessionAbortedError) await seat.forget();
  }
}

/** A server that goes on from what this client answered before, unknown to this session, has broken no rule. */
async function overtaken(seat, phase, error) {
  const refused = error instanceof Violation || error instanceof DecodeError;
  throw refused && await seat.answered(phase) ? new SessionEnd('A12') : error;
}
