/**
 * X25519 (§3.1) of one private key with many public keys: WebCrypto's, where the platform has it and answers known
 * questions rightly, and @noble's elsewhere.
 */
import { concat, equal, unhex } from './canonical.js';
import { agree, agreementPublicKey, erase } from './crypto.js';

const PKCS8 = unhex('302e020100300506032b656e04220420'); // what stands before a private key (RFC 8410)
const BASE = Uint8Array.of(9, ...new Uint8Array(31));
// RFC 7748, §5.2, the second: the highest bit of the point is to be ignored.
const SCALAR = unhex('4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d');
const POINT = unhex('e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493');
const AGREED = unhex('95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957');
const LOW_ORDER = new Uint8Array(32);

/** What the platform makes: of a private key, and of public keys. */
async function byPlatform(privateKey, publicKeys) {
  const { subtle } = globalThis.crypto;
  const encoded = concat(PKCS8, privateKey);
  const own = await subtle.importKey('pkcs8', encoded, 'X25519', false, ['deriveBits']);
  erase(encoded);
  return Promise.all(publicKeys.map(async (each) => {
    const key = await subtle.importKey('raw', each, 'X25519', false, []);
    try {
      return new Uint8Array(await subtle.deriveBits({ name: 'X25519', public: key }, own, 256));
    } catch (error) {
      if (error.name === 'OperationError') return null; // The result is zero, which is all that it refuses of such keys.
      throw error;
    }
  }));
}

const byNoble = async (privateKey, publicKeys) => publicKeys.map((each) => agree(privateKey, each));

/** Both ways: each takes a private key of 32 bytes and public keys, and returns what `agreements` does. */
export const WAYS = { byPlatform, byNoble };

let chosen;

/** The platform's way, if it gives the right answers. */
async function choose() {
  try {
    const [agreed, none] = await byPlatform(SCALAR, [POINT, LOW_ORDER]);
    return agreed && equal(agreed, AGREED) && none === null ? byPlatform : byNoble;
  } catch {
    return byNoble; // It has no X25519, or not in these forms.
  }
}

/**
 * X25519 of the first parts of a private key and of public keys (§3.1).
 * @param {Uint8Array} privateKey
 * @param {Uint8Array[]} publicKeys
 * @returns {Promise<(Uint8Array|null)[]>} null where the result is 32 zero bytes
 */
export async function agreements(privateKey, publicKeys) {
  chosen ??= choose();
  const first = (key) => key.subarray(0, 32);
  return (await chosen)(first(privateKey), publicKeys.map(first));
}

/** The public key of a private key of 32 or 96 bytes (§3.1). */
export async function publicKeyOf(privateKey) {
  const [first] = await agreements(privateKey, [BASE]);
  return agreementPublicKey(privateKey, first);
}
