/**
 * The primitives of suite 0x0001, and what §3 derives with them. Nothing is invented here: SHA-256, HKDF and HMAC are
 * those of node:crypto, the curves and XChaCha20-Poly1305 those of @noble.
 */
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { canonical, concat, equal, idBytes } from './canonical.js';

const FIELD_PRIME = (1n << 255n) - 19n;
const NONCE = 24;

/** SHA-256 of FIPS 180-4. */
export function sha256(data) {
  return new Uint8Array(createHash('sha256').update(data).digest());
}

const hkdf = (secret, salt, info) => new Uint8Array(hkdfSync('sha256', secret, salt, info, 32));

/** The second half of HKDF, for at most 32 bytes (§3.2). */
export const expand = (key, info, length) =>
  new Uint8Array(createHmac('sha256', key).update(info).update(Uint8Array.of(1)).digest()).slice(0, length);

const littleEndian = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);

/** Overwrites secrets with zeros (R04). */
export function erase(...secrets) {
  for (const secret of secrets) secret.fill(secret instanceof BigUint64Array ? 0n : 0);
}

/** Whether a public key has its one encoding (§3.1). */
export const isCanonicalKey = (publicKey) => littleEndian(publicKey) < FIELD_PRIME;

/** The public key of an X25519 private key (§3.1). */
export const agreementPublicKey = (privateKey) => x25519.getPublicKey(privateKey);

/**
 * X25519 (§3.1).
 * @returns {Uint8Array|null} null when the result is 32 zero bytes
 */
export function agree(privateKey, publicKey) {
  try {
    return x25519.getSharedSecret(privateKey, publicKey);
  } catch {
    return null; // Both arguments have 32 bytes, so that @noble refuses nothing but the zero result.
  }
}

/** Whether a canonical public key is of low order; any clamped scalar finds out (§3.1). */
export const isLowOrder = (publicKey) => agree(new Uint8Array(32).fill(0x40), publicKey) === null;

/**
 * The key with which a seals for b (§3.2).
 * @param {Uint8Array} shared X25519 of the two channel keys; the caller erases it
 */
export function channelKey(shared, binding, a, publicOfA, b, publicOfB) {
  return hkdf(shared, binding, canonical('secagg/v1 channel key', binding, a, publicOfA, b, publicOfB));
}

/**
 * The pairwise PRG key of two clients (§3.2), in whatever order they are named.
 * @param {Uint8Array} shared X25519 of the two mask keys; erased
 */
export function pairwiseKey(shared, binding, sessionDigest, one, other) {
  const [u, v] = one.client < other.client ? [one, other] : [other, one];
  const info = canonical('secagg/v1 pairwise mask seed', binding, u.client, u.maskPublic, v.client, v.maskPublic);
  const seed = hkdf(shared, binding, info);
  const key = expand(seed, canonical('secagg/v1 pairwise mask key', sessionDigest), 16);
  erase(shared, seed);
  return key;
}

/** The self-mask PRG key (§3.2). */
export const selfMaskKey = (seed, sessionDigest) =>
  expand(seed, canonical('secagg/v1 self mask key', sessionDigest), 16);

/** The commitment of a client to its self-mask seed (§3.2). */
export const commitment = (sessionDigest, client, seed) =>
  sha256(canonical('secagg/v1 self mask commitment', sessionDigest, client, seed));

const associatedData = (binding, a, b) => canonical('secagg/v1 share encryption', binding, a, b);

/** The sealed pair that a sends to b (§3.3). */
export function seal(key, nonce, binding, a, b, plaintext) {
  return concat(nonce, xchacha20poly1305(key, nonce, associatedData(binding, a, b)).encrypt(plaintext));
}

/**
 * The plaintext of a sealed pair from a to b (§3.3).
 * @returns {Uint8Array|null} null when it is not authentic
 */
export function open(key, sealed, binding, a, b) {
  const cipher = xchacha20poly1305(key, sealed.slice(0, NONCE), associatedData(binding, a, b));
  try {
    return cipher.decrypt(sealed.slice(NONCE));
  } catch {
    return null;
  }
}

/** What the signature of an advertisement is over (§3.5). */
export const advertisementToSign = (sessionDigest, { client, channelPublic, maskPublic, commitment }) =>
  canonical('secagg/v1 advertisement signature', sessionDigest, client, channelPublic, maskPublic, commitment);

/** What a confirmation is over (§3.5). */
export const contributorsToSign = (binding, contributors) =>
  canonical('secagg/v1 confirmation signature', binding, idBytes(contributors));

/** The verification key of an identity key. */
export const verificationKey = (identityKey) => ed25519.getPublicKey(identityKey);

/** Plain Ed25519 (§3.5). */
export const sign = (identityKey, message) => ed25519.sign(message, identityKey);

/** A point from its one encoding that is not of low order, or null. */
function decodePoint(bytes) {
  try {
    const point = ed25519.Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? null : point;
  } catch {
    return null;
  }
}

/**
 * Verifies by the strict rules of §3.5, without cofactor (R13). @noble's own verification multiplies by the cofactor.
 * @param {Uint8Array} publicKey
 * @param {Uint8Array} signature
 * @param {Uint8Array} message
 * @returns {boolean}
 */
export function verify(publicKey, signature, message) {
  const { Point } = ed25519;
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const encodedR = signature.slice(0, 32);
  const S = littleEndian(signature.slice(32));
  const A = decodePoint(publicKey);
  if (!A || !decodePoint(encodedR) || S >= Point.Fn.ORDER) return false;
  const digest = createHash('sha512').update(encodedR).update(publicKey).update(message).digest();
  const h = littleEndian(digest) % Point.Fn.ORDER;
  const expected = Point.BASE.multiplyUnsafe(S).subtract(A.multiplyUnsafe(h));
  return equal(expected.toBytes(), encodedR);
}
