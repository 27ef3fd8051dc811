// @ts-check
import { MemoryLedger, clientPolicy, fixedPoint, takePart } from 'secagg-client';

const policy = clientPolicy({
  threatModel: 'active', minimumCohort: 10n, maxWeight: 1000n,
  vectors: { update: fixedPoint({ shape: [1000], clip: 1, aggregate: 'mean' }) },
});

/**
 * Takes part in one session of a server over HTTP.
 * @param {{ server: string, session: string, client: bigint, identityKey: Uint8Array, roster: Map<bigint, Uint8Array> }} invitation
 * @param {Float32Array} update
 * @param {bigint} examples
 * @param {(line: string) => void} show
 */
export function contribute({ server, ...invitation }, update, examples, show) {
  return takePart(server, {
    ...invitation, policy, input: { update }, weight: examples, ledger: new MemoryLedger(),
    onStep: ({ round, state, message = '' }) => show(`${round} ${state} ${message}`),
  });
}
