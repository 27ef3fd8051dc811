/** The calls of clients: offer, requests, answers in one piece or in parts, sessions. Bytes in, bytes out. */
import { equal } from '../canonical.js';
import { sha256OfMessage } from '../crypto.js';
import { CALL_SECONDS } from './connection.js';
import { CallFailure } from './endpoint.js';
import { DroppedError, ServiceError, SessionAbortedError, hint, quoted } from './errors.js';
import { pause } from './retries.js';

const POLL_SECONDS = 50;
const SHORTEST_POLL_SECONDS = 0.5;
const NOTICE_SECONDS = 5;
const LONGEST_ANSWER_IN_ONE = 1 << 18;
// For a place among those that upload, and for the server to put the parts together.
const UPLOAD_SECONDS = 80;
const PART_BYTES = 1 << 20;
// A part that is slower is cut off and sent again.
const SLOWEST_BYTES_PER_SECOND = 4096;
const MOST_SESSIONS = 1024;
const OUTCOMES = [undefined, 'accepted', 'repeated', 'late'];
const SESSION_NAME = /^[A-Za-z0-9._-]{1,128}(~[1-9][0-9]?)?$/;

/**
 * How long a call waits for news: in its first attempt, and not when it is made again, since a reply is what says that the
 * server is there.
 */
function waiting() {
  let seconds = POLL_SECONDS;
  return () => {
    const waitMilliseconds = 1000 * seconds;
    seconds = 0;
    return { waitMilliseconds };
  };
}

const isNews = (next) => next && (next.request || next.ended || next.dropped);

/** One client's calls; each throws what Connection.call throws. */
export class Calls {
  #connection;
  #given;

  /** @param {import('./connection.js').Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /** The session's offer. */
  offer() {
    return this.#connection.call('GetOffer', async (post) => {
      const welcome = this.#connection.takeWelcome();
      if (!welcome.offer?.length) return (await post('GetOffer', {}, CALL_SECONDS)).offer;
      this.#note(welcome);
      return welcome.offer;
    });
  }

  /** Lets go of the request that came with the login: what is kept was read after it, and may be further. */
  askAnew() {
    this.#given = undefined;
  }

  /**
   * Waits for the request after the one with this digest; undefined when the session has completed.
   * @throws {SessionAbortedError} it ended without a sum
   * @throws {DroppedError} the server dropped this client
   */
  async nextRequest(seen) {
    for (;;) {
      const begun = performance.now();
      const reply = this.#given ?? await this.#ask(seen);
      this.#given = undefined;
      if (reply.request) {
        if (!equal(await sha256OfMessage(reply.request), seen)) return reply.request;
        throw new ServiceError('the server asks again what was answered, although it was told so');
      }
      if (reply.ended?.completed) return undefined;
      if (reply.ended) {
        const { reasonId, successor } = reply.ended;
        throw new SessionAbortedError(`the session ended without a sum: ${reasonOf(reply.ended)}`, reasonId, successor);
      }
      if (reply.dropped) {
        const { reasonId } = reply.dropped;
        throw new DroppedError(`the server dropped this client: ${reasonOf(reply.dropped)}${hint(reasonId)}`, reasonId);
      }
      await this.#notTooSoon(begun);
    }
  }

  /** A server that does not wait must not be asked in a tight loop. */
  #notTooSoon(begun) {
    const passed = (performance.now() - begun) / 1000;
    return pause(Math.max(0, SHORTEST_POLL_SECONDS - passed), this.#connection.signal);
  }

  #ask(seen) {
    const wait = waiting();
    const attempt = (post) => post('NextRequest', { seen, ...wait() }, POLL_SECONDS + CALL_SECONDS);
    return this.#connection.call('NextRequest', attempt, { waits: true });
  }

  /**
   * Hands in an answer until the server has it. What is asked next may come with the reply, but is not waited for here:
   * when the server has the answer is news, too.
   * @param {Uint8Array} answer
   * @param {Uint8Array} request SHA-256 of the request that it answers
   * @param {(bytes: number) => void} sent told how many bytes the server has
   * @returns {Promise<string>} 'accepted', 'repeated' or 'late'
   */
  async answer(answer, request, sent) {
    const next = { seen: request };
    if (answer.length > LONGEST_ANSWER_IN_ONE) return this.#upload(answer, next, sent);
    return this.#outcome(await this.#connection.call('Answer', (post) => post('Answer', { answer, next }, CALL_SECONDS)));
  }

  /** Tells the server that this client leaves, once, without waiting long. */
  notice(answer) {
    return this.#connection.call('Answer', (post) => post('Answer', { answer }, NOTICE_SECONDS), { once: true });
  }

  /**
   * In parts, each from where the server says that it stands; whoever lost the connection asks for that first. What ends an
   * attempt is that more has come than ever before: no server has the same sent for ever.
   */
  async #upload(answer, next, sent) {
    const totalBytes = BigInt(answer.length);
    const sha256 = await sha256OfMessage(answer);
    let at;
    let most = 0;
    const stands = ({ receivedBytes: received = 0n }) => {
      if (received > totalBytes) throw new ServiceError(`the server has ${received} bytes, and there are ${totalBytes}`);
      sent(Number(received));
      return Number(received);
    };
    const step = async (post) => {
      let from = at;
      at = undefined;
      if (from === undefined) {
        const begun = await post('BeginUpload', { totalBytes, sha256, next }, CALL_SECONDS);
        if (begun.answer) return begun.answer;
        from = stands(begun);
      }
      do {
        const part = answer.subarray(from, from - (from % PART_BYTES) + PART_BYTES);
        const seconds = UPLOAD_SECONDS + part.length / SLOWEST_BYTES_PER_SECOND;
        const reply = await post(`UploadPart?offset=${from}`, part, seconds);
        if (reply.answer) return reply.answer;
        const has = stands(reply);
        if (has !== from + part.length || !part.length) {
          throw new CallFailure(`the server has ${has} bytes after a part that ends at ${from + part.length}`, { again: true });
        }
        from = has;
      } while (from <= most);
      at = most = from;
      return undefined;
    };
    for (;;) {
      const reply = await this.#connection.call('UploadAnswer', step);
      if (reply) return this.#outcome(reply);
    }
  }

  /** All sessions that are open to this member, as soon as there is another one; after a while in any case. */
  async nextSessions(seen) {
    const begun = performance.now();
    const wait = waiting();
    const attempt = (post) => post('NextSession', { seen, ...wait() }, POLL_SECONDS + CALL_SECONDS);
    const { sessions } = await this.#connection.call('NextSession', attempt, { waits: true });
    const strange = sessions.find((name) => !SESSION_NAME.test(name));
    if (strange !== undefined) {
      throw new ServiceError(`the server names an open session that can be none: ${quoted(strange, 40)}`);
    }
    if (sessions.length > MOST_SESSIONS) {
      throw new ServiceError(`the server names ${sessions.length} open sessions, above ${MOST_SESSIONS}`);
    }
    const known = [...new Set(sessions)];
    if (known.every((name) => seen.includes(name))) await this.#notTooSoon(begun);
    return known;
  }

  #outcome(reply) {
    const outcome = OUTCOMES[reply.outcome];
    if (!outcome) throw new ServiceError(`the server gave outcome ${reply.outcome}, which this release does not know; update it`);
    this.#note(reply);
    return outcome;
  }

  /** Keeps what came with a reply, for when it is asked for. */
  #note({ next }) {
    this.#given = isNews(next) ? next : undefined;
  }
}

/** A reason's name and id; the server sends no sentence, which could tell about the others. */
const reasonOf = ({ reason, reasonId }) => (reason ? `${quoted(reason, 100)} [${quoted(reasonId, 10)}]` : 'the server does not say why');
