/**
 * The session vector: its layout (§4.1), the encoding of inputs, and the decoding of sums (§4.2).
 */
import { LocalError, SessionEnd, require } from './rules.js';

const WORD = 64;
const HALF = 32;
const EXACT = 53;
const BLOCK = 1 << 15;
const REST = 24;
const SPARE = 1 << 8;
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
   * Writes all entries, some at a time.
   * @param {BigUint64Array} words of zeros
   * @param {(block: Float64Array|BigUint64Array, first: number) => void} encode puts in the entries from a first one on, at
   *   most BLOCK: numbers where a field has at most 53 bits
   */
  write(words, encode) {
    const step = Math.floor(BLOCK / this.fields);
    const numbers = new Float64Array(step * this.fields);
    for (let word = 0; word < this.words; word += step) {
      const own = words.subarray(this.firstWord + word, this.firstWord + Math.min(word + step, this.words));
      const first = word * this.fields;
      if (this.width > EXACT) { // one entry a word
        encode(own, first);
        continue;
      }
      const entries = numbers.subarray(0, this.entries - first);
      encode(entries, first);
      const halves = new Uint32Array(own.buffer, own.byteOffset, 2 * own.length);
      for (let field = 0; field < this.fields; field++) put(halves, entries, field, this.fields, field * this.width);
    }
  }

  read(words) {
    return Array.from({ length: this.entries }, (_, e) => {
      const [word, shift] = this.#place(e);
      return BigInt.asUintN(this.width, words[word] >> shift);
    });
  }
}

/** Puts every `fields`-th entry into a field of a word each, whose lowest bit is `shift`; the lower half of a word first. */
function put(halves, entries, field, fields, shift) {
  const above = 2 ** (shift - HALF);
  let at = 0;
  for (let e = field; e < entries.length; e += fields) {
    if (shift < HALF) halves[at] |= entries[e] << shift;
    halves[at + 1] |= Math.floor(entries[e] * above);
    at += 2;
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
    if (this.hasWeights) encoders.push(each(() => limited));
    const words = new BigUint64Array(this.words);
    encoders.forEach((encode, i) => this.sections[i].write(words, encode));
    return words;
  }

  /** What puts in the encoded entries of a vector. */
  #encoderOf(vector, entries, { entries: count, width }, weight) {
    const kinds = vector.kind === 'FixedPoint' ? [Float64Array, Float32Array] : [BigInt64Array];
    if (!kinds.some((kind) => entries instanceof kind)) {
      throw new LocalError(`${vector.name} is given as ${kinds.map(({ name }) => name).join(' or ')}`);
    }
    if (entries.length !== count) {
      throw new LocalError(`${vector.name} has ${entries.length} entries; the session's have ${count}`);
    }
    if (vector.kind === 'Integers') return each((e) => encodeInteger(vector, entries[e]));
    const quantize = quantizer(vector);
    const factor = this.isWeighted(vector) ? weight : 1n;
    if (width <= EXACT) return (block, first) => quantize(block, entries, first, Number(factor));
    const levels = new Float64Array(BLOCK);
    return (block, first) => {
      quantize(levels.subarray(0, block.length), entries, first);
      for (let i = 0; i < block.length; i++) block[i] = BigInt(levels[i]) * factor;
    };
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
 * What makes of real numbers their encoded entries, each its level plus L, times a factor (§4.2).
 * @returns {(block: Float64Array, reals: ArrayLike<number>, first: number, factor?: number) => void} fills the block, of at
 *   most BLOCK entries
 */
export function quantizer({ clip, bits, rounding }) {
  const highest = top(bits);
  const scale = highest / clip;
  const isNearest = rounding === 'nearest';
  // A coin has 32 bits, and r is uniform within [e, 1 - e): no number that is a level leaves it.
  const e = isNearest ? 0.5 : 2 ** (bits - 50);
  const unit = (1 - 2 * e) / 2 ** HALF;
  const tops = new Uint8Array(BLOCK);
  const rests = new Uint32Array(SPARE);
  let used = SPARE;
  const rest = () => {
    if (used === SPARE) {
      draw(rests);
      used = 0;
    }
    return rests[used++] % 2 ** REST;
  };
  const steps = { clip, scale, unit, rest, lowest: highest + e };
  return (block, reals, first, factor = 1) => {
    if (!isNearest) draw(tops.subarray(0, block.length));
    quantize(block, reals, first, tops, steps, factor);
  };
}

/** The loop of a quantizer: what does not change is in variables of its own, which engines keep in registers. */
function quantize(block, reals, first, tops, { clip, scale, unit, rest, lowest }, factor) {
  const topUnit = 2 ** REST * unit;
  const spread = topUnit - unit;
  const { length } = block;
  for (let i = 0; i < length; i++) {
    const x = reals[first + i];
    const least = (x > clip ? clip : x < -clip ? -clip : x || 0) * scale + lowest;
    // The top byte of a coin decides, but for once in 256: drawing is what takes longest here.
    const drawn = least + topUnit * tops[i];
    let level = Math.floor(drawn);
    if (drawn + spread >= level + 1) level = Math.floor(drawn + unit * rest());
    block[i] = level * factor;
  }
}

/** What puts in entries that are made one by one. */
const each = (entryOf) => (block, first) => {
  const kind = block instanceof BigUint64Array ? BigInt : Number;
  for (let i = 0; i < block.length; i++) block[i] = kind(entryOf(first + i));
};

const draw = (where) => globalThis.crypto.getRandomValues(where);

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
