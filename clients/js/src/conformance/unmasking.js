/**
 * The result (§6.7): taking masks off the sum, decoding.
 */
import { ascending } from '../canonical.js';
import * as crypto from '../crypto.js';
import { reduce } from '../packing.js';
import { masked } from '../prg.js';

const maskPrivateOf = ({ hybrid, digest }, secret) => (hybrid ? crypto.maskPrivateKey(secret, digest) : secret);

/** What was encapsulated between a client whose secret was rebuilt and another, in hybrid suites (§6.7). */
function encapsulatedBetween({ parameters, state }, owner, secret, other) {
  if (!parameters.hybrid) return undefined;
  if (owner > other) {
    const { ciphertext } = state.encapsulated.get(other).get(owner);
    return crypto.decapsulate(maskPrivateOf(parameters, secret), ciphertext);
  }
  const wrapped = state.encapsulated.get(owner).get(other);
  return { ...wrapped, secret: crypto.maskWrap(secret, state.binding, owner, other, wrapped) };
}

function pairwiseMasks(server, owner, secret) {
  const { parameters, state, topology } = server;
  const maskPrivate = maskPrivateOf(parameters, secret);
  const ownAdvertisement = state.advertisements.get(owner);
  return topology.neighbours(owner).filter((id) => state.contributors.has(id)).map((contributor) => {
    const advertisement = state.advertisements.get(contributor);
    const shared = crypto.agree(maskPrivate, advertisement.maskPublic);
    const encapsulated = encapsulatedBetween(server, owner, secret, contributor);
    const key = crypto.pairwiseKey(
      shared, state.binding, parameters.digest, ownAdvertisement, advertisement, encapsulated,
    );
    return { key, sign: contributor < owner ? -1 : 1 };
  });
}

/**
 * Unmasks and decodes the sum (§6.7).
 * @param {import('./server.js').Server} server
 * @param {Map<bigint, Uint8Array>} secrets by owner; erased
 * @returns {Promise<{vectors: object[], contributors: bigint[], totalWeight: bigint|undefined}>}
 * @throws {SessionEnd} A13
 */
export async function unmask(server, secrets) {
  const { parameters, state } = server;
  const sum = state.sum.slice();
  for (const [owner, secret] of secrets) {
    const masks = state.contributors.has(owner)
      ? [{ key: crypto.selfMaskKey(secret, parameters.digest), sign: -1 }]
      : pairwiseMasks(server, owner, secret);
    for await (const { first, words } of masked(sum, masks)) sum.set(words, first);
    crypto.erase(secret, ...masks.map(({ key }) => key));
  }
  const contributors = ascending(state.contributors);
  return { ...parameters.layout.decode(reduce(parameters.layout, sum), contributors.length), contributors };
}
