/**
 * The session vector: its layout (§4.1), the encoding of inputs, and the decoding of sums (§4.2).
 */
import { randomBytes } from '@noble/hashes/utils.js';
import { LocalError, SessionEnd, require } from './rules.js';

const WORD = 64;
const HALF = 32;
const EXACT = 53;
const COINS = 1 << 14;
const LONGEST = 2 ** 40;

function bitLength(value) {
  return value.toString(2).length;
}

/** One section of the session vector (§4.1). */
class Section {
  constructor(largestSum, entries, firstWord, firstByte) {
    this.width = bitLength(largestSum);
    this.fields = Math.floor(WORD / this.width);
    this.ringBits = this.fields * this.width;
    this.entries = Number(entries);
    this.words = Math.ceil(this.entries / this.fields);
    this.firstWord = firstWord;
    this.firstByte = firstByte;
    this.bytes = Number((BigInt(this.words) * BigInt(this.ringBits) + 7n) / 8n);
  }

  /** Where entry e stands: the word of the session vector, and the lowest bit in it. */
  #place(e) {
    return [this.firstWord + Math.floor(e / this.fields), BigInt((e % this.fields) * this.width)];
  }

  /**
   * Writes all entries.
   * @param {BigUint64Array} words of zeros
   * @param {(e: number) => number|bigint} entryOf numbers where a field has at most 53 bits
   */
  write(words, entryOf) {
    if (this.width <= EXACT) {
      this.#writeNumbers(new Uint32Array(words.buffer, words.byteOffset + 8 * this.firstWord, 2 * this.words), entryOf);
      return;
    }
    for (let e = 0; e < this.entries; e++) {
      const [word, shift] = this.#place(e);
      words[word] |= BigInt(entryOf(e)) << shift;
    }
  }

  #writeNumbers(halves, entryOf) {
    let e = 0;
    for (let at = 0; at < halves.length; at += 2) {
      let [low, high] = [0, 0];
      const end = Math.min(this.fields * this.width, (this.entries - e) * this.width);
      for (let shift = 0; shift < end; shift += this.width) {
        const value = Number(entryOf(e++));
        if (shift < HALF) {
          low |= value << shift;
          high |= (shift ? (value >>> 0) >>> (HALF - shift) : 0) | (Math.floor(value / 2 ** HALF) << shift);
        } else high |= value << (shift - HALF);
      }
      [halves[at], halves[at + 1]] = [low, high];
    }
  }

  read(words) {
    return Array.from({ length: this.entries }, (_, e) => {
      const [word, shift] = this.#place(e);
      return BigInt.asUintN(this.width, words[word] >> shift);
    });
  }
}

/** The sections of a session, in their order (§4.1). */
export class Layout {
  /**
   * @param {object} parameters whose other rules were checked
   * @throws {Violation} C01, for a field that no word holds, and for too many words
   */
  constructor({ vectors, maxWeight, n }) {
    this.vectors = vectors;
    this.maxWeight = maxWeight;
    this.sections = [];
    this.words = 0;
    this.bytes = 0;
    for (const vector of vectors) {
      const entries = vector.shape.reduce((product, size) => product * size, 1n);
      const weight = this.isWeighted(vector) ? maxWeight : 1n;
      this.#append(BigInt(n) * largest(vector) * weight, entries);
    }
    if (this.hasWeights) this.#append(BigInt(n) * maxWeight, 1n);
    require(this.words <= LONGEST, 'C01');
  }

  get hasWeights() {
    return this.maxWeight > 1n;
  }

  isWeighted(vector) {
    return vector.aggregate === 'mean' && this.hasWeights;
  }

  #append(largestSum, entries) {
    require(bitLength(largestSum) <= WORD, 'C01');
    const section = new Section(largestSum, entries, this.words, this.bytes);
    this.sections.push(section);
    this.words += section.words;
    this.bytes += section.bytes;
  }

  /**
   * The session vector of one client's input.
   * @param {Map<string, Float64Array|Float32Array|BigInt64Array>} values by name of the vector, row by row: reals for
   *   FixedPoint, BigInt64Array for Integers
   * @param {bigint} weight
   * @returns {BigUint64Array}
   * @throws {LocalError} other names, lengths or kinds; no value is refused (§4.2)
   */
  encode(values, weight) {
    const limited = limit(weight, 0n, this.maxWeight);
    const declared = this.vectors.map(({ name }) => name);
    const stranger = [...values.keys()].find((name) => !declared.includes(name));
    if (stranger !== undefined) {
      throw new LocalError(`the input has ${stranger}, and the session's vectors are ${declared.join(', ')}`);
    }
    const encoders = this.vectors.map((vector, i) => {
      const given = values.get(vector.name);
      if (!given) throw new LocalError(`the input lacks ${vector.name}`);
      return this.#encoderOf(vector, given, this.sections[i], limited);
    });
    if (this.hasWeights) encoders.push(() => limited);
    const words = new BigUint64Array(this.words);
    encoders.forEach((entryOf, i) => this.sections[i].write(words, entryOf));
    return words;
  }

  /** What says each encoded entry of a vector. */
  #encoderOf(vector, entries, { entries: count, width }, weight) {
    const kinds = vector.kind === 'FixedPoint' ? [Float64Array, Float32Array] : [BigInt64Array];
    if (!kinds.some((kind) => entries instanceof kind)) {
      throw new LocalError(`${vector.name} is given as ${kinds.map(({ name }) => name).join(' or ')}`);
    }
    if (entries.length !== count) {
      throw new LocalError(`${vector.name} has ${entries.length} entries; the session's have ${count}`);
    }
    if (vector.kind === 'Integers') return (e) => encodeInteger(vector, entries[e]);
    const levelOf = quantizer(vector);
    const factor = this.isWeighted(vector) ? weight : 1n;
    if (width > EXACT) return (e) => BigInt(levelOf(entries[e])) * factor;
    const exact = Number(factor);
    return (e) => levelOf(entries[e]) * exact;
  }

  /**
   * What the sum of session vectors means.
   * @param {BigUint64Array} words
   * @param {number} contributors how many
   * @returns {{vectors: {name: string, reals: number[], integers: bigint[]}[], totalWeight: bigint|undefined}}
   * @throws {SessionEnd} A13
   */
  decode(words, contributors) {
    const m = BigInt(contributors);
    const totalWeight = this.hasWeights ? this.sections.at(-1).read(words)[0] : m;
    if (totalWeight > m * this.maxWeight) throw new SessionEnd('A13');
    const vectors = this.vectors.map((vector, i) => {
      const sums = this.sections[i].read(words);
      const { name } = vector;
      if (vector.kind === 'Integers') {
        return { name, reals: [], integers: sums.map((s) => BigInt.asIntN(64, s + m * vector.low)) };
      }
      return { name, reals: sums.map((s) => decodeFixedPoint(vector, s, m, totalWeight)), integers: [] };
    });
    return { vectors, totalWeight: this.hasWeights ? totalWeight : undefined };
  }
}

function limit(x, low, high) {
  if (x < low) return low;
  return x > high ? high : x;
}

/** The highest level: L of §4.2. */
const top = (bits) => 2 ** (bits - 1) - 1;

function largest(vector) {
  return vector.kind === 'FixedPoint' ? BigInt(2 * top(vector.bits)) : vector.high - vector.low;
}

/**
 * What makes of a real number its encoded entry, its level plus L (§4.2).
 * @returns {(x: number) => number}
 */
export function quantizer({ clip, bits, rounding }) {
  const highest = top(bits);
  const scale = highest / clip;
  const coin = rounding === 'nearest' ? () => 0.5 : coins(bits);
  return (x) => {
    const limited = x > clip ? clip : x < -clip ? -clip : x || 0;
    return Math.floor(limited * scale + (highest + coin()));
  };
}

/** What draws uniformly within [e, 1 - e): no number that is a level leaves it (§4.2). */
function coins(bits) {
  const e = 2 ** (bits - 50);
  let drawn = new Uint32Array(0);
  let used = 0;
  return () => {
    if (used === drawn.length) [drawn, used] = [new Uint32Array(randomBytes(4 * COINS).buffer), 0];
    return e + ((1 - 2 * e) * drawn[used++]) / 2 ** HALF;
  };
}

const encodeInteger = ({ low, high }, x) => limit(x, low, high) - low;

function decodeFixedPoint({ clip, bits, aggregate }, sum, m, totalWeight) {
  const terms = aggregate === 'mean' ? totalWeight : m;
  const levels = sum - terms * BigInt(top(bits));
  if (aggregate === 'sum') return (Number(levels) / top(bits)) * clip;
  if (terms === 0n) return 0;
  // Whole and rest apart: what is a level stays one, however large sum and weight are.
  const level = Number(levels / terms) + Number(levels % terms) / Number(terms);
  return (level / top(bits)) * clip;
}
