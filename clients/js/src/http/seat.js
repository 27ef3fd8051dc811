/** Where a client's session lives: in a worker of its own, or in this thread over a ledger. Both have one form. */
import { openSession, parametersOf } from '../opening.js';
import { WorkerSession } from '../worker/page.js';

/** A session in this thread, with the calls of a WorkerSession. */
class Seat {
  #session;
  #ledger;
  #digest;

  constructor(session, ledger, digest) {
    [this.#session, this.#ledger, this.#digest] = [session, ledger, digest];
  }

  get phase() {
    return this.#session.phase;
  }

  get notice() {
    return this.#session.notice;
  }

  setInput(values, weight) {
    this.#session.setInput(values, weight);
  }

  async receive(message, work) {
    try {
      return await this.#session.receive(message, work);
    } finally {
      // Who refused a message must not go on from before it.
      if (this.phase === 'ABORTED') await this.forget().catch(() => {}); // Why it has ended says more.
    }
  }

  answered(phase) {
    return this.#ledger.answered?.(this.#digest, this.#session.client, phase);
  }

  async forget() {
    await this.#ledger.forget?.(this.#digest);
  }

  close() {} // The ledger is the host's.
}

/**
 * Opens a session in the place that was given for it: goes on in it, or accepts the offer.
 * @param {{worker?: () => Worker, ledger?: object, offer: Uint8Array}} given
 * @throws {LocalError} another tab goes on with this client, and what Client.accept and Client.resume throw
 */
export async function openSeat({ worker, ledger, ...given }) {
  if (worker) return WorkerSession.open(worker(), given);
  return new Seat(await openSession({ ...given, ledger }), ledger, parametersOf(given.offer).digest);
}
