/**
 * Bit packing of session vectors (§4.3).
 */
import { DecodeError } from './rules.js';

const HALF = 32;

/** So many ones, at most 32, as a number that bit operations take. */
const ones = (bits) => (bits === HALF ? -1 : 2 ** bits - 1);

/**
 * Packs words of the given number of bits; higher bits of a word are left out.
 * @param {BigUint64Array} words
 * @param {number} ringBits
 * @returns {Uint8Array}
 */
export function packWords(words, ringBits) {
  const halves = new Uint32Array(words.buffer, words.byteOffset, 2 * words.length);
  const out = new Uint32Array(Math.ceil((words.length * ringBits) / HALF) + 2);
  const [lowMask, highMask] = [ones(Math.min(ringBits, HALF)), ones(Math.max(ringBits - HALF, 0))];
  let at = 0;
  let shift = 0;
  for (let i = 0; i < halves.length; i += 2) {
    const [low, high] = [halves[i] & lowMask, halves[i + 1] & highMask];
    out[at] |= low << shift;
    out[at + 1] |= high << shift;
    if (shift) {
      out[at + 1] |= low >>> (HALF - shift);
      out[at + 2] |= high >>> (HALF - shift);
    }
    shift += ringBits;
    at += shift >> 5;
    shift &= 31;
  }
  return new Uint8Array(out.buffer, 0, Math.ceil((words.length * ringBits) / 8));
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
 * The packed session vector.
 * @param {import('./vectors.js').Layout} layout
 * @param {BigUint64Array} words
 */
export function pack(layout, words) {
  const out = new Uint8Array(layout.bytes);
  for (const section of layout.sections) out.set(packWords(slice(words, section), section.ringBits), section.firstByte);
  return out;
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
