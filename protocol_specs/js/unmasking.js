/**
 * The result (§6.7): rebuilding secrets, taking masks off the sum, decoding.
 */
import { ascending, equal } from './canonical.js';
import * as crypto from './crypto.js';
import { reduce } from './packing.js';
import { addMask } from './prg.js';
import { SessionEnd } from './rules.js';
import { rebuild } from './sharing.js';

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

/** Whether a secret of the owner is the one that it advertised (§5.3). */
function verifierOf({ parameters, state }, owner) {
  const advertisement = state.advertisements.get(owner);
  if (!state.contributors.has(owner)) {
    return (secret) => equal(crypto.agreementPublicKey(maskPrivateOf(parameters, secret)), advertisement.maskPublic);
  }
  return (secret) => equal(crypto.commitment(parameters.digest, owner, secret), advertisement.commitment);
}

/** Rebuilds one owner's secret, and tells whose shares are off its polynomials (§5.4). */
function rebuildSecretOf(server, owner, inconsistent) {
  const { state, topology, threshold } = server;
  const holders = topology.holders(owner).filter((id) => state.asked.has(id));
  const points = topology.pointsOf(owner);
  const shares = new Map(holders.map((holder) => [points.get(holder), state.revealed.get(holder).get(owner)]));
  const rebuilt = rebuild(shares, threshold, verifierOf(server, owner));
  if (!rebuilt) return null;
  for (const holder of holders) {
    if (rebuilt.off.includes(points.get(holder))) inconsistent.push({ holder, owner });
  }
  return rebuilt.secret;
}

function removeSelfMask({ parameters }, sum, seed) {
  const key = crypto.selfMaskKey(seed, parameters.digest);
  addMask(sum, key, -1);
  crypto.erase(key);
}

function removePairwiseMasks(server, sum, owner, secret) {
  const { parameters, state, topology } = server;
  const maskPrivate = maskPrivateOf(parameters, secret);
  const ownAdvertisement = state.advertisements.get(owner);
  for (const contributor of topology.neighbours(owner).filter((id) => state.contributors.has(id))) {
    const advertisement = state.advertisements.get(contributor);
    const shared = crypto.agree(maskPrivate, advertisement.maskPublic);
    const encapsulated = encapsulatedBetween(server, owner, secret, contributor);
    const key = crypto.pairwiseKey(
      shared, state.binding, parameters.digest, ownAdvertisement, advertisement, encapsulated,
    );
    addMask(sum, key, contributor < owner ? -1 : 1);
    crypto.erase(key);
  }
}

/**
 * Unmasks and decodes the sum (§6.7). Every secret has at least t shares.
 * @param {import('./server.js').Server} server
 * @param {{holder: bigint, owner: bigint}[]} inconsistent appended to, ascending by owner and then holder
 * @returns {{vectors: object[], contributors: bigint[], totalWeight: bigint|undefined}}
 * @throws {SessionEnd} A06, A13
 */
export function unmask(server, inconsistent) {
  const { parameters, state } = server;
  const secrets = new Map(server.owners.map((owner) => [owner, rebuildSecretOf(server, owner, inconsistent)]));
  if ([...secrets.values()].includes(null)) throw new SessionEnd('A06');
  const sum = state.sum.slice();
  for (const [owner, secret] of secrets) {
    if (state.contributors.has(owner)) removeSelfMask(server, sum, secret);
    else removePairwiseMasks(server, sum, owner, secret);
    crypto.erase(secret);
  }
  const contributors = ascending(state.contributors);
  return { ...parameters.layout.decode(reduce(parameters.layout, sum), contributors.length), contributors };
}
