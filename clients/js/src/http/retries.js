/**
 * When a call that failed is made again: waits are drawn evenly from 0 to a bound that doubles ("full jitter"), so that
 * many clients do not come at once. It does not know calls.
 */
import { LocalError } from '../rules.js';

const LONGEST_WAIT_SECONDS = 3600;

/** How long and how often to try again. */
export class Retries {
  /** @throws {LocalError} a bound that is not positive */
  constructor({ firstSeconds = 0.2, longestSeconds = 10, giveUpSeconds = 300 } = {}) {
    Object.assign(this, { firstSeconds, longestSeconds, giveUpSeconds });
    for (const [name, value] of Object.entries(this)) {
      if (!(typeof value === 'number' && value > 0)) throw new LocalError(`${name} is ${value}; give seconds above 0`);
    }
  }

  /** Seconds until the next attempt after so many failures, `asked` at least. */
  wait(failures, asked) {
    const bound = Math.min(this.longestSeconds, this.firstSeconds * 2 ** (failures - 1));
    const least = asked > 0 ? Math.min(asked, LONGEST_WAIT_SECONDS) : 0; // A server may ask for NaN.
    // Not a secret.
    return Math.max(Math.random() * bound, least);
  }
}

/** Waits for so many seconds. @throws the reason of the signal */
export function pause(seconds, signal) {
  return until((done) => {
    const timer = setTimeout(done, 1000 * seconds);
    return () => clearTimeout(timer);
  }, signal);
}

/** Whether the browser says that this device has no network. */
export const isOffline = () => globalThis.navigator?.onLine === false;

/** Waits until the browser says that there is a network. @throws the reason of the signal */
export function online(signal) {
  return until((done) => {
    globalThis.addEventListener('online', done);
    if (!isOffline()) done();
    return () => globalThis.removeEventListener('online', done);
  }, signal);
}

async function until(begin, signal) {
  signal?.throwIfAborted();
  let end;
  let abort;
  try {
    await new Promise((resolve, reject) => {
      abort = () => reject(signal.reason);
      signal?.addEventListener('abort', abort);
      end = begin(resolve);
    });
  } finally {
    end();
    signal?.removeEventListener('abort', abort);
  }
}
