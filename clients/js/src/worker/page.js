/**
 * A session in a worker, as a page sees it: the page stays responsive, and what the session answers survives the page.
 */
import { LocalError } from '../rules.js';
import { errorOf } from './failures.js';

/** One client in one session, in a worker that runs `dist/worker.js`. */
export class WorkerSession {
  #worker;
  #last = 0;
  #waiting = new Map();
  #failed;
  #now = { phase: '', abortReason: '', notice: undefined };

  /** Use WorkerSession.open. */
  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = ({ message }) => this.#fail(new Error(`the worker failed: ${message ?? 'it could not be loaded'}`));
  }

  /**
   * Opens a session in a new worker: goes on where this client stood in it, or accepts the offer.
   * @param {Worker} worker
   * @param {object} given index.d.ts says what
   * @throws {LocalError} another tab goes on with sessions of this client, and what Client.accept and Client.resume throw
   */
  static async open(worker, given) {
    const session = new WorkerSession(worker);
    try {
      await session.#call('open', { ...given, database: given.database ?? 'secagg' });
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  get phase() {
    return this.#now.phase;
  }

  get abortReason() {
    return this.#now.abortReason;
  }

  get notice() {
    return this.#now.notice;
  }

  setInput(values, weight = 1n) {
    return this.#call('setInput', { values, weight });
  }

  async receive(message, { signal, onProgress } = {}) {
    const id = this.#last + 1;
    const interrupt = () => this.#worker.postMessage({ id, call: 'interrupt' });
    signal?.addEventListener('abort', interrupt);
    try {
      return await this.#call('receive', { message, interrupted: signal?.aborted }, onProgress);
    } finally {
      signal?.removeEventListener('abort', interrupt);
    }
  }

  endSession() {
    return this.#call('endSession');
  }

  /** Whether this client has answered in a phase of this session, in this page or in an earlier one. */
  answered(phase) {
    return this.#call('answered', phase);
  }

  /** Removes what is kept of the session, with the secrets in it: nobody will ask this client anything any more. */
  forget() {
    return this.#call('forget');
  }

  /** Ends the worker; what was answered is kept, and `open` goes on from there. */
  async close() {
    await this.#call('close').catch(() => {}); // A worker that failed has nothing to let go of.
    this.#worker.terminate();
    this.#fail(new LocalError('the session was closed'));
  }

  #call(call, given = undefined, onProgress = undefined) {
    const id = ++this.#last;
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, call, given });
    });
  }

  #hear({ id, progress, now, value, failure }) {
    const waiting = this.#waiting.get(id);
    if (progress) {
      waiting?.onProgress?.(...progress);
      return;
    }
    if (now) this.#now = now;
    this.#waiting.delete(id);
    if (failure) waiting?.reject(errorOf(failure));
    else waiting?.resolve(value);
  }

  #fail(error) {
    this.#failed = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
