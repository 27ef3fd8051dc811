/**
 * Noise of privacy-v1.md: tables of thresholds (§7), and what a stream of words draws (§8).
 */
import { canonical } from '../canonical.js';
import { expand } from '../crypto.js';
import { prgWords } from '../prg.js';
import { require } from '../rules.js';

export const SLICE = 1 << 15;
const BITS = 320n;
const ONE = 1n << BITS;
const LARGEST_TAIL = 1 << 21;
const FULL = 1n << 128n;

/**
 * The table of one draw.
 * @param {string} noise 'clients', or any other
 * @param {bigint} variance16
 * @returns {{tail: number, thresholds: bigint[]}}
 * @throws {Violation} P12
 */
export function makeTable(noise, variance16) {
  const sigma = Math.sqrt(Number(variance16)) / 4;
  require(variance16 >= 1n && 11 * sigma <= LARGEST_TAIL, 'P12');
  const weights = noise === 'clients' ? skellam(variance16, sigma) : roundedGaussian(variance16, sigma);
  const total = weights.reduce((sum, weight) => sum + 2n * weight, -weights[0]);
  let beyond = 0n;
  let tail = weights.length - 1;
  while (tail > 1 && (beyond + 2n * weights[tail]) << 101n <= total) beyond += 2n * weights[tail--];
  require(tail <= LARGEST_TAIL, 'P12');
  const masses = weights.slice(0, tail + 1).map((weight) => (weight << 128n) / (total - beyond));
  masses[0] = masses.slice(1).reduce((rest, mass) => rest - 2n * mass, FULL);
  let sum = 0n;
  const thresholds = [];
  for (let i = -tail; i < tail; i++) thresholds.push(sum += masses[Math.abs(i)]);
  return { tail, thresholds };
}

/** Products of the ratios I_k/I_{k-1} = 1/(2k/mu + I_{k+1}/I_k). */
function skellam(variance16, sigma) {
  const last = Math.ceil(17 * sigma) + 220;
  const ratios = [];
  let ratio = 0n;
  for (let k = last; k > 0; k--) {
    ratio = (ONE << BITS) / ((BigInt(32 * k) << BITS) / variance16 + ratio);
    ratios[k] = ratio;
  }
  const weights = [ONE];
  for (let k = 1; k <= last; k++) weights.push((weights[k - 1] * ratios[k]) >> BITS);
  return weights;
}

/** Differences of the integral of the density from 0 to k + 1/2: a/(2k+1) e^-y sum of (2y)^n/(1·3·…·(2n+1)). */
function roundedGaussian(variance16, sigma) {
  const last = Math.ceil(14 * sigma) + 2;
  let before = 0n;
  return Array.from({ length: last }, (_, k) => {
    const odd = BigInt(2 * k + 1);
    const after = (odd * series(odd, variance16, 4n, (n) => 2n * n + 1n)) / series(odd, variance16, 2n, (n) => n);
    const weight = after - before;
    before = after;
    return k ? weight : 2n * weight;
  });
}

/** The sum of (factor odd²/variance16)^n over the product of the divisors; scaled twice, so that the quotient is once. */
function series(odd, variance16, factor, divisor) {
  let term = factor === 4n ? ONE << 512n : 1n << 512n;
  let sum = 0n;
  for (let n = 1n; term; n++) {
    sum += term;
    term = (term * factor * odd * odd) / (variance16 * divisor(n));
  }
  return sum;
}

/** The words of a key, one after the other; `used` says how many. */
export class WordStream {
  constructor(key) {
    this.key = key;
    this.used = 0;
  }

  /** @returns {Promise<bigint[]>} */
  async next(count) {
    const words = count ? [...await prgWords(this.key, this.used, count)] : [];
    this.used += count;
    return words;
  }

  /** Numbers of so many bits, the lower ones of a word first; a word that was begun is used up. */
  async lanes(count, bits) {
    const perWord = 64 / bits;
    const words = await this.next(Math.ceil(count / perWord));
    const lane = (i) => Number((words[Math.floor(i / perWord)] >> BigInt((i % perWord) * bits)) & ((1n << BigInt(bits)) - 1n));
    return Array.from({ length: count }, (_, i) => lane(i));
  }
}

export const noiseStream = (seed) => new WordStream(expand(seed, canonical('secagg/v1 noise key'), 16));
export const coinStream = (seed) => new WordStream(expand(seed, canonical('secagg/v1 quantization key'), 16));

/** How many thresholds are at most this number. */
function countUpTo(thresholds, number) {
  let [low, high] = [0, thresholds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (thresholds[middle] <= number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Independent entries, in the order of bits of §8.
 * @param {WordStream} stream
 * @returns {Promise<number[]>}
 */
export async function drawNoise({ tail, thresholds }, length, stream) {
  const g = tail <= 12000 ? 16 : tail <= 60000 ? 18 : 20;
  const laneBits = g === 16 ? 16 : 32;
  const cellBits = BigInt(128 - g);
  const entries = [];
  for (let start = 0; start < length; start += SLICE) {
    const lanes = await stream.lanes(Math.min(SLICE, length - start), laneBits);
    const numbers = lanes.map((lane) => BigInt(lane >>> (laneBits - g)) << cellBits);
    const open = [];
    const counts = numbers.map((number, i) => {
      const count = countUpTo(thresholds, number);
      if (thresholds[count] < number + (1n << cellBits)) open.push(i);
      return count;
    });
    const more = await stream.next(open.length);
    const tied = [];
    open.forEach((i, at) => {
      numbers[i] += (more[at] >> BigInt(g)) << 64n;
      const next = thresholds[countUpTo(thresholds, numbers[i] - 1n)];
      if (next !== undefined && next >> 64n === numbers[i] >> 64n) tied.push(i);
    });
    const lower = await stream.next(tied.length);
    tied.forEach((i, at) => { numbers[i] += lower[at]; });
    open.forEach((i) => { counts[i] = countUpTo(thresholds, numbers[i]); });
    for (const count of counts) entries.push(count - tail);
  }
  return entries;
}
