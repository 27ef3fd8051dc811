/**
 * The functions of ../vectors/primitives/privacy.json as JSON in and JSON out; see primitives.js.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { hex, unhex } from '../canonical.js';
import { drawNoise, makeTable, noiseStream, WordStream } from './noise.js';
import { decodeParameters } from '../parameters.js';
import { Plan, decodePlan } from './plans.js';
import { decodeMean, privatize } from './privatizing.js';
import { DecodeError, require } from '../rules.js';

const SHAPES = 64;

function planOf({ plan: encoding }) {
  let plan;
  try {
    plan = decodePlan(unhex(encoding));
  } catch (error) {
    require(!(error instanceof DecodeError), 'P01');
    throw error;
  }
  plan.check();
  return plan;
}

function digest(entries, size) {
  const hash = sha256.create();
  for (const entry of entries) {
    const out = new Uint8Array(size);
    let rest = BigInt.asUintN(8 * size, BigInt(entry));
    for (let i = 0; i < size; i++, rest >>= 8n) out[i] = Number(rest & 255n);
    hash.update(out);
  }
  return hex(hash.digest());
}

/** A stream of given words. */
class Script extends WordStream {
  constructor(words) {
    super(undefined);
    this.words = words.map(BigInt);
  }

  async next(count) {
    const start = this.used;
    this.used += count;
    return this.words.slice(start, this.used);
  }
}

const vectorsOf = (plan) => plan.vectors.map(({ name, low, high, shape }) => (
  { name, integers: { low: `${low}`, high: `${high}`, shape: shape.map(String) } }));

const drawn = ({ nonce, coin_seed: coins, noise_seed: noise }) => (
  { nonce: unhex(nonce), coinSeed: unhex(coins ?? ''), noiseSeed: unhex(noise) });

export const PRIVACY = {
  encode_plan({ arrays, ...fields }) {
    const numbers = Object.entries(fields).map(([name, value]) => [
      name, typeof value === 'string' && /^\d+$/.test(value) ? BigInt(value) : value,
    ]);
    const shaped = arrays.map(({ name, shape }) => ({ name, shape: shape.map(BigInt) }));
    const plan = new Plan({ arrays: shaped, ...Object.fromEntries(numbers) });
    return { plan: hex(plan.encoded), digest: hex(plan.digest) };
  },
  judge_plan(input) {
    const plan = planOf(input);
    return { vectors: vectorsOf(plan), floor: `${plan.floor}` };
  },
  worth(input) {
    const plan = planOf(input);
    plan.checkClaim();
    return { epsilon: plan.worth() };
  },
  judge_offer(input) {
    planOf(input).checkOffer(decodeParameters(unhex(input.parameters)));
    return {};
  },
  table({ noise, variance16 }) {
    const { tail, thresholds } = makeTable(noise, BigInt(variance16));
    const mass = (k) => (k === tail ? 1n << 128n : thresholds[k + tail]) - thresholds[k + tail - 1];
    const masses = tail < SHAPES ? { masses: Array.from({ length: tail + 1 }, (_, k) => `${mass(k)}`) } : {};
    return { tail, middle: `${mass(0)}`, sha256: digest(thresholds, 16), ...masses };
  },
  async draw({ noise, variance16, length, words, seed }) {
    const stream = words ? new Script(words) : noiseStream(unhex(seed));
    const entries = await drawNoise(makeTable(noise, BigInt(variance16)), length, stream);
    return { entries, sha256: digest(entries, 8), words: stream.used };
  },
  async privatize(input) {
    const update = new Map(input.arrays.map(({ name, reals, times = 1 }) => (
      [name, Array(times).fill(reals.map(Number)).flat()])));
    const { vectors, ...report } = await privatize(planOf(input), update, Number(input.weight ?? 1), drawn(input));
    const entries = vectors.flatMap(({ integers }) => integers);
    const shown = vectors.map(({ name, integers }) => ({ name, integers: integers.map(String) }));
    return { vectors: shown, sha256: digest(entries, 8), ...report };
  },
  async decode(input) {
    const sums = new Map(input.vectors.map(({ name, integers }) => [name, integers.map(BigInt)]));
    const { arrays, totalWeight, below } = await decodeMean(planOf(input), sums, input.contributors, drawn(input));
    return { arrays, total_weight: totalWeight, below };
  },
};
