/**
 * Dealings, and proofs of what X25519 of two keys is (§3.6). The points of edwards25519 are those of @noble.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { canonical, concat, equal, join, uint64 } from './canonical.js';
import { littleEndian, sha256 } from './crypto.js';

const { Point } = ed25519;
const { Fp, Fn } = Point;
export const ENTRY = 184;
export const ENTRIES_IN_A_BLOCK = 16;
export const DIGEST = 32;
const COMMITMENT = 32;
const PROOF = 128;
const BASE = Uint8Array.of(9, ...new Uint8Array(31));

/** A byte string cut into pieces of a length, of which it has a whole number. */
export const cut = (data, length) =>
  Array.from({ length: data.length / length }, (_, i) => data.slice(length * i, length * (i + 1)));
const within = (data, length, part) =>
  data.length % length === 0 && cut(data, length).some((each) => equal(each, part));

/** One committed pair as a dealing has it: the receiver's channel public key is the one that the dealer was shown. */
export const entryOf = (receiver, receiverPublic, committed) => concat(uint64(receiver), receiverPublic, committed);

/** The receiver of an entry, and the commitment to its pair. */
export const partsOfEntry = (entry) => ({
  receiver: new DataView(entry.buffer, entry.byteOffset).getBigUint64(0), commitment: entry.slice(-COMMITMENT),
});

/** The blocks of a dealing; entries are in ascending order of receiver. */
export const blocksOf = (entries) =>
  Array.from({ length: Math.ceil(entries.length / ENTRIES_IN_A_BLOCK) }, (_, i) =>
    join(entries.slice(ENTRIES_IN_A_BLOCK * i, ENTRIES_IN_A_BLOCK * (i + 1))));

const digestOf = (block) => sha256(canonical('secagg/v1 dealt block', block));

/** The digests of these blocks, one after the other. */
export const digestsOf = (blocks) => join(blocks.map(digestOf));

/** What a dealer signs. */
export const dealingToSign = (sessionDigest, binding, dealer, dealerPublic, digests) =>
  canonical('secagg/v1 dealing signature', sessionDigest, binding, dealer, dealerPublic, digests);

const possessionContext = (sessionDigest, binding, dealer, dealerPublic) =>
  canonical('secagg/v1 channel possession', sessionDigest, binding, dealer, dealerPublic);

/** A dealer's proof that it has its channel private key. */
export const provePossession = (privateKey, ...ends) => prove(privateKey, BASE, possessionContext(...ends));

/** Whether such a proof shows that; ends are session digest, binding, dealer, and its channel public key. */
export const showsPossession = (proof, ...ends) =>
  agreementShown(ends.at(-1), BASE, proof, possessionContext(...ends)) !== null;

/** Whether an entry stands in the dealing of a block and digests. */
export const standsIn = (entry, block, digests) =>
  within(block, ENTRY, entry) && within(digests, DIGEST, digestOf(block));

/**
 * The lift of an X25519 public key.
 * @param {Uint8Array} publicKey 32 bytes
 * @returns {import('@noble/curves/abstract/edwards.js').EdwardsPoint|null} null when the key is not provable
 */
export function lift(publicKey) {
  const u = littleEndian(publicKey);
  if (u >= Fp.ORDER - 1n) return null;
  return primeOrderPoint(Fp.toBytes(Fp.div(Fp.sub(u, 1n), Fp.add(u, 1n))));
}

/** The point of prime order with this encoding, or null. */
function primeOrderPoint(encoding) {
  try {
    const point = Point.fromBytes(encoding, false);
    return !point.is0() && point.isTorsionFree() ? point : null;
  } catch {
    return null;
  }
}

/** The X25519 public key of a point: u = (1 + y)/(1 − y). */
const coordinateOf = ({ y }) => Fp.toBytes(Fp.div(Fp.add(1n, y), Fp.sub(1n, y)));

const toScalar = (data) => Fn.create(littleEndian(sha512(data)));

const challengeOf = (context, ...points) =>
  toScalar(canonical('secagg/v1 channel disclosure', context, ...points.map((point) => point.toBytes())));

/** The scalar that X25519 makes of a private key, modulo the group order. */
function scalarOf(privateKey) {
  const clamped = privateKey.slice();
  clamped[0] &= 248;
  clamped[31] = (clamped[31] & 127) | 64;
  return Fn.create(littleEndian(clamped));
}

/**
 * Proves what X25519 of a private key and another's public key is.
 * @param {Uint8Array} privateKey 32 bytes, as drawn
 * @param {Uint8Array} otherPublic
 * @param {Uint8Array} context
 * @returns {Uint8Array|null} 128 bytes; null when the other key is not provable
 */
export function prove(privateKey, otherPublic, context) {
  const other = lift(otherPublic);
  if (!other) return null;
  const a = scalarOf(privateKey);
  const k = toScalar(canonical('secagg/v1 disclosure nonce', privateKey, context));
  const [own, agreed] = [Point.BASE.multiply(a), other.multiply(a)];
  const e = challengeOf(context, own, agreed, Point.BASE.multiply(k), other.multiply(k));
  const z = Fn.add(k, Fn.mul(e, a));
  return concat(own.toBytes(), agreed.toBytes(), Fn.toBytes(e), Fn.toBytes(z));
}

/**
 * The agreement that a proof shows.
 * @param {Uint8Array} publicKey of the one who made it
 * @param {Uint8Array} otherPublic
 * @param {Uint8Array} proof
 * @param {Uint8Array} context
 * @returns {Uint8Array|null} the X25519 result; null when the proof shows none
 */
export function agreementShown(publicKey, otherPublic, proof, context) {
  const other = lift(otherPublic);
  if (!other || proof.length !== PROOF) return null;
  const [own, agreed] = [primeOrderPoint(proof.slice(0, 32)), primeOrderPoint(proof.slice(32, 64))];
  const [e, z] = [littleEndian(proof.slice(64, 96)), littleEndian(proof.slice(96))];
  const inRange = (scalar) => scalar > 0n && scalar < Fn.ORDER;
  if (!own || !agreed || !inRange(e) || !inRange(z) || !equal(coordinateOf(own), publicKey)) return null;
  const first = Point.BASE.multiplyUnsafe(z).subtract(own.multiplyUnsafe(e));
  const second = other.multiplyUnsafe(z).subtract(agreed.multiplyUnsafe(e));
  return challengeOf(context, own, agreed, first, second) === e ? coordinateOf(agreed) : null;
}
