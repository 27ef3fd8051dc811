/**
 * What runs in the worker: one session, with its ledger in IndexedDB. page.js asks, one call after the other.
 */
import { IndexedDbLedger } from '../indexeddb.js';
import { openSession } from '../opening.js';
import { LocalError } from '../rules.js';
import { kindOf } from './failures.js';

const interrupts = new Map();
let session;
let ledger;

const CALLS = {
  async open({ offer, client, policy, database, ...host }) {
    ledger = await IndexedDbLedger.open(client, database);
    session = await openSession({ offer, client, policy, ...host, ledger });
  },
  setInput: ({ values, weight }) => session.setInput(values, weight),
  async receive({ message, interrupted }, id) {
    const interrupt = new AbortController();
    if (interrupted) interrupt.abort();
    interrupts.set(id, interrupt);
    const onProgress = (done, total) => globalThis.postMessage({ id, progress: [done, total] });
    try {
      return await session.receive(message, { signal: interrupt.signal, onProgress });
    } finally {
      interrupts.delete(id);
    }
  },
  endSession: () => session.endSession(),
  answered: (phase) => ledger.answered(session.parameters.digest, session.client, phase),
  forget: () => ledger.forget(session.parameters.digest),
  close: () => ledger?.close(),
};

async function answer(id, call, given) {
  if (call !== 'open' && call !== 'close' && !session) throw new LocalError('no session is open');
  return CALLS[call](given, id);
}

globalThis.onmessage = async ({ data: { id, call, given } }) => {
  if (call === 'interrupt') {
    interrupts.get(id)?.abort();
    return;
  }
  const reply = { id };
  try {
    reply.value = await answer(id, call, given);
  } catch (error) {
    reply.failure = { kind: kindOf(error), message: error.message, rule: error.rule };
  }
  // Who refused a message must not go on from before it.
  if (session?.phase === 'ABORTED' && call !== 'close') {
    await ledger.forget(session.parameters.digest).catch(() => {}); // A database that is gone has none of it; the page waits.
  }
  if (session) reply.now = { phase: session.phase, abortReason: session.abortReason, notice: session.notice };
  globalThis.postMessage(reply);
};
