/**
 * One caller's calls to one server: logs in (Specification §3.2), repeats calls that failed, and says why it gave up. Every
 * call may be repeated, so that a broken connection is never an error by itself. It does not know what calls mean.
 */
import { canonical, hex } from '../canonical.js';
import { sign } from '../crypto.js';
import { LocalError } from '../rules.js';
import { CallFailure } from './endpoint.js';
import { DroppedError, ServiceError, UnreachableError, hint } from './errors.js';
import { isOffline, online, pause } from './retries.js';

/** How long one attempt of a call that does not wait may take. */
export const CALL_SECONDS = 30;
const LABEL = 'secagg/v1 login';
const [FEWEST_NONCE, MOST_NONCE] = [32, 512];

const now = () => performance.now() / 1000;

/** Calls as a client of a session, or as a member of the roster where there is no session. */
export class Connection {
  #token;
  #welcome;

  /**
   * @param {import('./endpoint.js').Endpoint} endpoint
   * @param {{client: bigint, session?: string}} caller
   * @param {Uint8Array|undefined} identityKey none logs in without a signature
   * @param {{retries: import('./retries.js').Retries, signal?: AbortSignal, tell: (news: object) => void}} how `tell` is
   *   told of waits
   * @throws {LocalError}
   */
  constructor(endpoint, caller, identityKey, { retries, signal, tell }) {
    if (typeof caller.client !== 'bigint') {
      throw new LocalError(`the client is a ${typeof caller.client}; ids are bigint, such as 17n`);
    }
    if (identityKey !== undefined && !(identityKey instanceof Uint8Array && identityKey.length === 32)) {
      throw new LocalError('the identity key is no Uint8Array of 32 bytes; give the one of this client');
    }
    Object.assign(this, { endpoint, caller, identityKey, retries, signal, tell });
  }

  /**
   * Makes a call until it succeeds, fails for good, or it was tried for long enough.
   * @template T
   * @param {string} name for messages
   * @param {(post: (name: string, request: object|Uint8Array, seconds: number) => Promise<object>) => Promise<T>} attempt
   * @param {{once?: boolean, waits?: boolean, stranger?: boolean}} [how] `waits`: the first attempt waits for news, which
   *   counts for nothing; `stranger`: without a login
   * @returns {Promise<T>}
   * @throws {DroppedError|UnreachableError|ServiceError} and the reason of the signal
   */
  async call(name, attempt, { once = false, waits = false, stranger = false } = {}) {
    let began = now();
    for (let failures = 1; ; failures++) {
      try {
        return await this.#attempt(attempt, stranger);
      } catch (error) {
        if (!(error instanceof CallFailure)) throw error;
        if (once || !error.again) throw this.#final(name, error);
        if (error.broken && isOffline()) {
          this.tell({ state: 'offline', message: 'this device is offline; waiting until it is not' });
          await online(this.signal);
          began = now();
          failures = 0;
          continue;
        }
        if (waits && failures === 1) began = now();
        const seconds = this.retries.wait(failures, error.detail?.retryAfterSeconds ?? 0);
        // The first attempt may have taken all the time because the device slept: it says nothing of the server.
        const spent = failures === 1 ? 0 : now() - began;
        if (spent + seconds >= this.retries.giveUpSeconds) throw this.#final(name, error);
        this.tell({ state: 'retrying', message: error.message, seconds });
        await pause(seconds, this.signal);
      }
    }
  }

  /** What the server gave besides at the first login, once: {offer, next}, or nothing. */
  takeWelcome() {
    const welcome = this.#welcome ?? {};
    this.#welcome &&= {};
    return welcome;
  }

  async #attempt(attempt, stranger) {
    if (!stranger) this.#token ??= await this.#login();
    const token = this.#token;
    const { signal } = this;
    try {
      return await attempt((name, request, seconds) => this.endpoint.call(name, request, { token, seconds, signal }));
    } catch (error) {
      if (error.detail?.reason === 'TOKEN_UNKNOWN') this.#token = undefined;
      throw error;
    }
  }

  async #login() {
    const { session, client } = this.caller;
    const how = { seconds: CALL_SECONDS, signal: this.signal };
    const subject = session === undefined ? { member: { client } } : { client: { session, client } };
    const { nonce } = await this.endpoint.call('Challenge', subject, how);
    const { serverName } = this.endpoint;
    const next = session !== undefined && !this.#welcome ? {} : undefined;
    const signed = { nonce, serverName, signature: this.#sign(nonce), next };
    const { token, ...welcome } = await this.endpoint.call('Login', signed, how);
    this.#welcome ??= welcome;
    return hex(token);
  }

  #sign(nonce) {
    if (!this.identityKey) return new Uint8Array(0);
    if (nonce.length < FEWEST_NONCE || nonce.length > MOST_NONCE) {
      throw new ServiceError(`${this.endpoint.address} gave a nonce of ${nonce.length} bytes, not ${FEWEST_NONCE} .. `
        + `${MOST_NONCE}`);
    }
    const { caller: { session, client }, endpoint: { serverName } } = this;
    const whom = session === undefined ? ['member', serverName, client] : ['client', serverName, session, client];
    return sign(this.identityKey, canonical(LABEL, ...whom, nonce));
  }

  #final(name, { message, detail, again }) {
    const { address } = this.endpoint;
    const refusal = detail?.reason ?? '';
    if (refusal === 'DROPPED') return new DroppedError(`${message}${hint(detail.ruleId)}`, detail.ruleId);
    if (!again) return new ServiceError(`${address} refused ${name}: ${message}`, refusal);
    const { giveUpSeconds } = this.retries;
    return new UnreachableError(`${address} did not do ${name} within ${giveUpSeconds} s; the last failure: ${message}`, refusal);
  }
}
