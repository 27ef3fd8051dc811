/**
 * Bit packing of session vectors (§4.3).
 */
import { DecodeError } from './rules.js';

const HALF = 32;
const AT_ONCE = 1 << 12;

/** So many ones, at most 32, as a number that bit operations take. */
const ones = (bits) => (bits === HALF ? -1 : 2 ** bits - 1);

/**
 * Packs the halves of words, the lower first, into numbers of 32 bits, of which there is one more than needed.
 * @param {Int32Array} out
 * @param {Int32Array} halves
 * @param {number} ringBits
 * @param {number} shift how many bits, below 8, stand before them
 * @param {number} pending those bits
 */
function packHalves(out, halves, ringBits, shift, pending) {
  const lowBits = Math.min(ringBits, HALF);
  const highBits = ringBits - lowBits;
  const [lowMask, highMask] = [ones(lowBits), ones(highBits)];
  let at = 0;
  for (let i = 0; i < halves.length; i += 2) {
    const low = halves[i] & lowMask;
    pending |= low << shift;
    shift += lowBits;
    if (shift >= HALF) {
      out[at++] = pending;
      shift -= HALF;
      pending = shift ? low >>> (lowBits - shift) : 0;
    }
    if (highBits) {
      const high = halves[i + 1] & highMask;
      pending |= high << shift;
      shift += highBits;
      if (shift >= HALF) {
        out[at++] = pending;
        shift -= HALF;
        pending = shift ? high >>> (highBits - shift) : 0;
      }
    }
  }
  out[at] = pending;
}

/**
 * Packs words of the given number of bits; higher bits of a word are left out.
 * @param {BigUint64Array} words
 * @param {number} ringBits
 * @param {Uint8Array} [out] where
 * @param {number} [bits] how many stand in it already; after these there are zeros
 * @returns {Uint8Array}
 */
export function packWords(words, ringBits, out = new Uint8Array(Math.ceil((words.length * ringBits) / 8)), bits = 0) {
  const packed = new Int32Array((ringBits * AT_ONCE) / HALF + 2);
  const bytes = new Uint8Array(packed.buffer);
  for (let first = 0; first < words.length; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, words.length - first);
    const halves = new Int32Array(words.buffer, words.byteOffset + 8 * first, 2 * count);
    const [at, shift] = [Math.floor((bits + first * ringBits) / 8), (bits + first * ringBits) % 8];
    packHalves(packed, halves, ringBits, shift, shift && out[at]);
    out.set(bytes.subarray(0, Math.ceil((shift + count * ringBits) / 8)), at);
  }
  return out;
}

/**
 * The opposite of packWords, for bytes of the right length.
 * @param {Uint8Array} data
 * @param {number} ringBits
 * @param {number} count of words
 * @returns {BigUint64Array}
 * @throws {DecodeError} a fill-up bit that is not zero
 */
export function unpackWords(data, ringBits, count) {
  const words = new BigUint64Array(count);
  let pending = 0n;
  let pendingBits = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (; pendingBits < ringBits; pendingBits += 8) pending |= BigInt(data[at++]) << BigInt(pendingBits);
    words[i] = BigInt.asUintN(ringBits, pending);
    pending >>= BigInt(ringBits);
    pendingBits -= ringBits;
  }
  if (pending) throw new DecodeError('a fill-up bit is not zero');
  return words;
}

const slice = (words, section) => words.subarray(section.firstWord, section.firstWord + section.words);

/**
 * Packs a session vector, or the words of one from a certain one on; those before stand in the payload already.
 * @param {import('./vectors.js').Layout} layout
 * @param {BigUint64Array} words
 * @param {number} [first] which word of the session vector is the first
 * @param {Uint8Array} [payload]
 * @returns {Uint8Array} the payload
 */
export function pack(layout, words, first = 0, payload = new Uint8Array(layout.bytes)) {
  for (const { firstWord, words: count, firstByte, bytes, ringBits } of layout.sections) {
    const [begin, end] = [Math.max(first, firstWord), Math.min(first + words.length, firstWord + count)];
    if (begin >= end) continue;
    const own = payload.subarray(firstByte, firstByte + bytes);
    packWords(words.subarray(begin - first, end - first), ringBits, own, (begin - firstWord) * ringBits);
  }
  return payload;
}

/**
 * The session vector of a payload.
 * @param {import('./vectors.js').Layout} layout
 * @param {Uint8Array} payload
 * @throws {DecodeError} another length, or a fill-up bit that is not zero
 */
export function unpack(layout, payload) {
  if (payload.length !== layout.bytes) throw new DecodeError('the payload has another length');
  const words = new BigUint64Array(layout.words);
  for (const section of layout.sections) {
    const packed = payload.subarray(section.firstByte, section.firstByte + section.bytes);
    words.set(unpackWords(packed, section.ringBits, section.words), section.firstWord);
  }
  return words;
}

/** Reduces each word to the low bits of its ring, in place (§4.1, §6.7). */
export function reduce(layout, words) {
  for (const section of layout.sections) {
    const own = slice(words, section);
    own.forEach((word, i) => {
      own[i] = BigInt.asUintN(section.ringBits, word);
    });
  }
  return words;
}
