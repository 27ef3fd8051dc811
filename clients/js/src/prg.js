/**
 * The mask PRG of suites 0x0001 and 0x0101 (§3.4), and adding its streams to vectors. The cipher is WebCrypto's.
 */
import { Interrupted } from './rules.js';

const BLOCK = 16;
const SLICE = 1 << 15;
const AT_ONCE = 4;
const LOW = 0xffff;
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

/**
 * Adds four streams to words, or subtracts them, modulo 2^64. A word is two halves of 32 bits: engines are quick with
 * those, and some make a BigInt of each word otherwise. −x is ~x + 1.
 * @param {Int32Array} target halves, the lower first
 * @param {Int32Array[]} streams at least as long
 * @param {number[]} flips −1 for a stream that is subtracted, and 0
 */
function addFour(target, [a, b, c, d], [flipA, flipB, flipC, flipD]) {
  const ones = -(flipA + flipB + flipC + flipD);
  const { length } = target;
  for (let i = 0; i < length; i += 2) {
    const t = target[i];
    const x = a[i] ^ flipA;
    const y = b[i] ^ flipB;
    const z = c[i] ^ flipC;
    const w = d[i] ^ flipD;
    const low = (t & LOW) + (x & LOW) + (y & LOW) + (z & LOW) + (w & LOW) + ones;
    const middle = (t >>> 16) + (x >>> 16) + (y >>> 16) + (z >>> 16) + (w >>> 16) + (low >>> 16);
    const j = i + 1;
    target[i] = (low & LOW) | (middle << 16);
    target[j] += (a[j] ^ flipA) + (b[j] ^ flipB) + (c[j] ^ flipC) + (d[j] ^ flipD) + (middle >>> 16);
  }
}

// What is handed to a port whose other end is closed is gone at once. Left to the garbage collector, a stream that was
// added stays, and each further slice is memory that the system has to find first: most of the time of masking.
const { port1: nowhere, port2: end } = new MessageChannel();
end.close();
const discard = (buffers) => nowhere.postMessage(null, buffers);

/** Adds the streams of a group of at most four keys to a slice; they are gone then. */
function addGroup(slice, buffers, group) {
  const missing = AT_ONCE - group.length;
  const streams = [...buffers.map((each) => new Int32Array(each)), ...Array(missing).fill(new Int32Array(ZEROS.buffer))];
  const target = new Int32Array(slice.buffer, slice.byteOffset, 2 * slice.length);
  addFour(target, streams, [...group.map(({ flip }) => flip), ...Array(missing).fill(0)]);
  discard(buffers);
}

/**
 * Words with the streams of keys added, or subtracted, modulo 2^64: all streams on one slice, then the next. While some are
 * added, the next are made.
 * @param {BigUint64Array} words
 * @param {{key: Uint8Array, sign: 1|-1}[]} masks
 * @param {{signal?: AbortSignal, onProgress?: (done: number, total: number) => void}} [host] words that are done
 * @returns {AsyncGenerator<{first: number, words: BigUint64Array}>} slices, each in the place of the one before
 * @throws {Interrupted} the signal was given
 */
export async function* masked(words, masks, { signal, onProgress } = {}) {
  const opened = await Promise.all(masks.map(async ({ key, sign }) => ({ key: await open(key), flip: sign > 0 ? 0 : -1 })));
  const groups = [];
  for (let i = 0; i < opened.length; i += AT_ONCE) groups.push(opened.slice(i, i + AT_ONCE));
  const begin = (first, group) =>
    group && Promise.all(group.map(({ key }) => stream(key, first / 2, 8 * Math.min(SLICE, words.length - first))));
  const sums = new BigUint64Array(Math.min(SLICE, words.length));
  try {
    let next = begin(0, groups[0]);
    for (let first = 0; first < words.length; first += SLICE) {
      const slice = sums.subarray(0, words.length - first);
      slice.set(words.subarray(first, first + SLICE));
      for (const [i, group] of groups.entries()) {
        const buffers = await next;
        if (signal?.aborted) throw new Interrupted('the work on a message was interrupted');
        if (i + 1 < groups.length) next = begin(first, groups[i + 1]);
        else if (first + SLICE < words.length) next = begin(first + SLICE, groups[0]);
        addGroup(slice, buffers, group);
      }
      yield { first, words: slice };
      onProgress?.(first + slice.length, words.length);
    }
  } finally {
    sums.fill(0n); // With some masks only, a slice is a secret.
  }
}
