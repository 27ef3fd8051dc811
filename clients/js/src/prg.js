/**
 * The mask PRG of suites 0x0001 and 0x0101 (§3.4), and adding its streams to vectors. The cipher is WebCrypto's.
 */
import { Interrupted } from './rules.js';

const BLOCK = 16;
const SLICE = 1 << 15;
const ZEROS = new Uint8Array(8 * SLICE);

// Words of a stream and halves of a word are read where they stand.
if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) throw new Error('secagg-client needs a little-endian machine');

const open = (key) => globalThis.crypto.subtle.importKey('raw', key, 'AES-CTR', false, ['encrypt']);

/** Bytes of the stream of an opened key, from the block with this number on. */
async function stream(opened, block, length) {
  const counter = new Uint8Array(BLOCK);
  new DataView(counter.buffer).setBigUint64(8, BigInt(block));
  const zeros = length <= ZEROS.length ? ZEROS.subarray(0, length) : new Uint8Array(length);
  return globalThis.crypto.subtle.encrypt({ name: 'AES-CTR', counter, length: 64 }, opened, zeros);
}

/**
 * Words of the AES-128-CTR stream of a key.
 * @param {Uint8Array} key 16 bytes
 * @param {bigint|number} first the number of the first word
 * @param {number} count
 * @returns {Promise<BigUint64Array>}
 */
export async function prgWords(key, first, count) {
  const skipped = Number(BigInt(first) % 2n);
  const view = new DataView(await stream(await open(key), BigInt(first) / 2n, 8 * (skipped + count)));
  return BigUint64Array.from({ length: count }, (_, i) => view.getBigUint64(8 * (skipped + i), true));
}

// One loop for each sign: engines then add machine words, and make no BigInt.
function add(target, mask) {
  for (let i = 0; i < mask.length; i++) target[i] += mask[i];
}

function subtract(target, mask) {
  for (let i = 0; i < mask.length; i++) target[i] -= mask[i];
}

/**
 * Adds the streams of keys to a vector, or subtracts them, modulo 2^64: all streams to one slice, then the next.
 * @param {BigUint64Array} vector changed in place; of no use when this throws
 * @param {{key: Uint8Array, sign: 1|-1}[]} masks
 * @param {{signal?: AbortSignal, onProgress?: (done: number, total: number) => void}} [host] words that are done
 * @throws {Interrupted} the signal was given
 */
export async function addMasks(vector, masks, { signal, onProgress } = {}) {
  const opened = await Promise.all(masks.map(({ key }) => open(key)));
  for (let start = 0; start < vector.length; start += SLICE) {
    if (signal?.aborted) throw new Interrupted('the work on a message was interrupted');
    const count = Math.min(SLICE, vector.length - start);
    const streams = await Promise.all(opened.map((key) => stream(key, start / 2, 8 * count)));
    const target = vector.subarray(start, start + count);
    streams.forEach((bytes, i) => (masks[i].sign > 0 ? add : subtract)(target, new BigUint64Array(bytes)));
    onProgress?.(start + count, vector.length);
  }
}
