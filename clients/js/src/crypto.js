/**
 * The primitives of suites 0x0001 and 0x0101, and what §3 derives with them. Nothing is invented here: all are those of
 * @noble, but for the mask PRG (prg.js) and hashes of whole messages, which are WebCrypto's. On a few hundred bytes a call
 * of WebCrypto costs more than the hash.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 as hashOf, sha512 } from '@noble/hashes/sha2.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { canonical, concat, equal, hex, idBytes } from './canonical.js';

const FIELD_PRIME = (1n << 255n) - 19n;
const KEM_PRIME = 3329;
const COEFFICIENTS = 768;
const NONCE = 24;
const KEY = 32;
const ENCAPSULATION_KEY = 1184;

/** SHA-256 of FIPS 180-4. */
export function sha256(data) {
  return hashOf(data);
}

/** SHA-256 of what may be long. */
export async function sha256OfMessage(data) {
  return new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', data));
}

/** The second half of HKDF (§3.2). */
export function expand(key, info, length) {
  let [output, block] = [new Uint8Array(0), new Uint8Array(0)];
  for (let i = 1; output.length < length; i++) {
    block = hmac(hashOf, key, concat(block, info, Uint8Array.of(i)));
    output = concat(output, block);
  }
  return output.slice(0, length);
}

/** The integer of a little-endian byte string. */
export const littleEndian = (bytes) => BigInt(`0x${hex(Uint8Array.from(bytes).reverse())}`);

/** HKDF (§3.2). */
const hkdf = (secret, salt, info) => expand(hmac(hashOf, salt, secret), info, 32);

/** Overwrites secrets with zeros (R04). */
export function erase(...secrets) {
  for (const secret of secrets) secret.fill(secret instanceof BigUint64Array ? 0n : 0);
}

/** The X25519 key of a public key, and in hybrid suites its encapsulation key (§3.1). */
export const partsOf = (publicKey) =>
  (publicKey.length === KEY ? [publicKey] : [publicKey.slice(0, KEY), publicKey.slice(KEY)]);

/** Whether every coefficient of an encapsulation key is reduced: numbers of 12 bits, little-endian (§3.1). */
function isReduced(encapsulationKey) {
  for (let i = 0; i < COEFFICIENTS; i++) {
    const at = Math.floor((3 * i) / 2);
    const pair = encapsulationKey[at] + 256 * encapsulationKey[at + 1];
    if ((i % 2 ? pair >> 4 : pair % 4096) >= KEM_PRIME) return false;
  }
  return true;
}

/** Whether each part of a public key has its one encoding (§3.1). */
export const isCanonicalKey = (publicKey) =>
  partsOf(publicKey).every((part) => (part.length === KEY ? littleEndian(part) < FIELD_PRIME : isReduced(part)));

/** The public key of a private key of 32 or 96 bytes (§3.1), of which the first part may be known. */
export function agreementPublicKey(privateKey, first = x25519.getPublicKey(privateKey.slice(0, KEY))) {
  return privateKey.length === KEY ? first : concat(first, ml_kem768.keygen(privateKey.slice(KEY)).publicKey);
}

/** The mask private key of what a client shares (§3.2). */
export const maskPrivateKey = (secret, sessionDigest) =>
  expand(secret, canonical('secagg/v1 mask private key', sessionDigest), 96);

/** Encapsulates to the second part of a public key, with 32 random bytes (§3.1). */
export function encapsulate(publicKey, m) {
  const { sharedSecret, cipherText } = ml_kem768.encapsulate(publicKey.slice(KEY, KEY + ENCAPSULATION_KEY), m);
  return { secret: sharedSecret, ciphertext: cipherText };
}

/** What was encapsulated to the second part of a private key (§3.1). No ciphertext is refused. */
export function decapsulate(privateKey, ciphertext) {
  const { secretKey } = ml_kem768.keygen(privateKey.slice(KEY));
  return { secret: ml_kem768.decapsulate(ciphertext, secretKey), ciphertext };
}

/** The key of a hybrid suite, from that of X25519 and an encapsulated secret (§3.2). */
export function hybridKey(key, { secret, ciphertext }, binding) {
  const both = concat(secret, key);
  const mixed = hkdf(both, binding, canonical('secagg/v1 hybrid key', binding, ciphertext));
  erase(both, key);
  return mixed;
}

/** What u encapsulated to v, hidden by what u shares, or found again (§3.2). */
export function maskWrap(shared, binding, u, v, { secret, ciphertext }) {
  const pad = expand(shared, canonical('secagg/v1 mask wrap', binding, u, v, ciphertext), KEY);
  return secret.map((byte, i) => byte ^ pad[i]);
}

/**
 * X25519 of the first parts of two keys (§3.1).
 * @returns {Uint8Array|null} null when the result is 32 zero bytes
 */
export function agree(privateKey, publicKey) {
  try {
    return x25519.getSharedSecret(privateKey.slice(0, KEY), publicKey.slice(0, KEY));
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
 * @param {{secret: Uint8Array, ciphertext: Uint8Array}} [encapsulated] by the lower to the higher, in hybrid suites
 */
export function pairwiseKey(shared, binding, sessionDigest, one, other, encapsulated) {
  const [u, v] = one.client < other.client ? [one, other] : [other, one];
  const info = canonical('secagg/v1 pairwise mask seed', binding, u.client, u.maskPublic, v.client, v.maskPublic);
  const derived = hkdf(shared, binding, info);
  const seed = encapsulated ? hybridKey(derived, encapsulated, binding) : derived;
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

const associatedData = (binding, a, b, beside) =>
  canonical('secagg/v1 share encryption', binding, a, b, ...(beside.length ? [beside] : []));

/** The sealed pair that a sends to b, with a mask ciphertext beside it if there is one (§3.3). */
export function seal(key, nonce, binding, a, b, plaintext, beside = new Uint8Array(0)) {
  return concat(nonce, xchacha20poly1305(key, nonce, associatedData(binding, a, b, beside)).encrypt(plaintext));
}

/**
 * The plaintext of a sealed pair from a to b (§3.3).
 * @returns {Uint8Array|null} null when it is not authentic
 */
export function open(key, sealed, binding, a, b, beside = new Uint8Array(0)) {
  const cipher = xchacha20poly1305(key, sealed.slice(0, NONCE), associatedData(binding, a, b, beside));
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

/** What the inclusion of a signer is over, in a chosen graph (§3.5): the sharers as bytes. */
export const inclusionToSign = (sessionDigest, { client, maskPublic }, sharers) =>
  canonical('secagg/v1 inclusion signature', sessionDigest, client, maskPublic, sharers);

/** What the acknowledgement of a signer is over, in a chosen graph (§3.5): sharers and contributors as bytes. */
export const acknowledgementToSign = (sessionDigest, { client, maskPublic }, sharers, contributors) =>
  canonical('secagg/v1 acknowledgement signature', sessionDigest, client, maskPublic, sharers, contributors);

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
  const digest = sha512(concat(encodedR, publicKey, message));
  const h = littleEndian(digest) % Point.Fn.ORDER;
  const expected = Point.BASE.multiplyUnsafe(S).subtract(A.multiplyUnsafe(h));
  return equal(expected.toBytes(), encodedR);
}
