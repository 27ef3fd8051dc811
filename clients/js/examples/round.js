// @ts-check
import { ClientSession, MemoryLedger, clientPolicy, fixedPoint } from 'secagg-client';

const policy = clientPolicy({
  threatModel: 'active', minimumCohort: 20n, maxWeight: 1000n,
  vectors: { update: fixedPoint({ shape: [1000], clip: 1, aggregate: 'mean' }) },
});

/**
 * Takes part in one session. `exchange` carries an answer to your server, if there is one, and brings its next message.
 * @param {{ offer: Uint8Array, client: bigint, identityKey: Uint8Array, roster: Map<bigint, Uint8Array> }} invitation
 * @param {Float32Array} update
 * @param {bigint} examples
 * @param {(answer: Uint8Array | undefined) => Promise<Uint8Array>} exchange
 */
export async function playSession({ offer, client, identityKey, roster }, update, examples, exchange) {
  const session = await ClientSession.accept(offer, client, policy, { identityKey, roster, ledger: new MemoryLedger() });
  session.setInput({ update }, examples);
  for (let answer; session.phase !== 'ABORTED';) {
    answer = await session.receive(await exchange(answer));
    if (session.phase === 'COMPLETED') return answer; // the last one, for the server to open the sum with
  }
  throw new Error(`the server ended the session: ${session.abortReason}`);
}
