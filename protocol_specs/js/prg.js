/**
 * The mask PRG of suites 0x0001 and 0x0101 (§3.4), and adding its stream to vectors.
 */
import { createCipheriv } from 'node:crypto';

const BLOCK = 16;
const CHUNK = 1 << 16;

/**
 * Words of the AES-128-CTR stream of a key.
 * @param {Uint8Array} key 16 bytes
 * @param {bigint|number} first the number of the first word
 * @param {number} count
 * @returns {BigUint64Array}
 */
export function prgWords(key, first, count) {
  const counter = Buffer.alloc(BLOCK);
  const skipped = Number(BigInt(first) % 2n);
  counter.writeBigUInt64BE(BigInt(first) / 2n, 8);
  const cipher = createCipheriv('aes-128-ctr', key, counter);
  const stream = cipher.update(Buffer.alloc(8 * (skipped + count)));
  const words = new BigUint64Array(count);
  for (let i = 0; i < count; i++) words[i] = stream.readBigUInt64LE(8 * (skipped + i));
  return words;
}

/**
 * Adds the stream of a key to a vector, or subtracts it, modulo 2^64.
 * @param {BigUint64Array} vector changed in place
 * @param {Uint8Array} key
 * @param {1|-1} sign
 */
export function addMask(vector, key, sign) {
  for (let start = 0; start < vector.length; start += CHUNK) {
    const words = prgWords(key, start, Math.min(CHUNK, vector.length - start));
    for (let i = 0; i < words.length; i++) {
      if (sign > 0) vector[start + i] += words[i];
      else vector[start + i] -= words[i];
    }
  }
}
