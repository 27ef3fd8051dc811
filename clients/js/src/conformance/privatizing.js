/**
 * From an update to integers with noise (privacy-v1.md §5, §6, §9), and from a sum to a mean (§10).
 */
import * as c from '../canonical.js';
import { sha256 } from '../crypto.js';
import { SLICE, WordStream, coinStream, drawNoise, makeTable, noiseStream } from './noise.js';
import { rotatedShape } from './plans.js';
import { LocalError, require } from '../rules.js';

const sizeOf = ({ shape }) => Number(shape.reduce((product, size) => product * size, 1n));

function tableOf(plan) {
  const table = makeTable(plan.noise, plan.variance16);
  require(BigInt(table.tail) === plan.tail, 'P12');
  return table;
}

function flatten(plan, update) {
  if (update.size !== plan.arrays.length) throw new LocalError('the update has other arrays than the plan');
  return plan.arrays.flatMap((array) => {
    const entries = update.get(array.name);
    if (entries?.length !== sizeOf(array)) throw new LocalError(`${array.name} is missing or has another shape`);
    return entries;
  });
}

/** What entries are multiplied by, and whether the update is longer than the clip (§5). */
function scalingOf(plan, entries, share) {
  const largest = entries.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  // Squares then neither overflow, nor vanish where they count.
  const unit = largest > 2 ** 400 ? 2 ** -600 : largest < 2 ** -400 ? 2 ** 600 : 1;
  const norm = Math.sqrt(entries.reduce((sum, x) => sum + (x * unit) * (x * unit), 0));
  const clipped = norm > plan.clip * unit;
  const grid = Number(plan.grid);
  const factor = clipped ? (grid / norm) * unit : grid / plan.clip;
  return { factor: factor * (1 - 2 ** -40) * share, clipped };
}

function shareOf(plan, weight) {
  const most = Number(plan.weights);
  if (!most || weight >= most) return 1;
  return weight > 0 ? weight / most : 0;
}

const squares = (integers) => integers.reduce((sum, z) => sum + BigInt(z) * BigInt(z), 0n);

/**
 * One client's input.
 * @param {import('./plans.js').Plan} plan
 * @param {Map<string, number[]>} update entries by array, row by row
 * @param {number} weight
 * @param {{nonce: Uint8Array, coinSeed: Uint8Array, noiseSeed: Uint8Array}} drawn
 */
export async function privatize(plan, update, weight, { nonce, coinSeed, noiseSeed }) {
  const entries = flatten(plan, update);
  const total = plan.length + plan.extras.length;
  const share = shareOf(plan, weight);
  const replaced = !entries.every(Number.isFinite);
  let integers = Array(total).fill(0);
  let [clipped, truncated] = [false, false];
  if (!replaced) {
    const scaling = scalingOf(plan, entries, share);
    ({ clipped } = scaling);
    let reals = entries.map((x) => x * scaling.factor);
    if (plan.rotation) reals = rotate(reals.concat(Array(plan.length - reals.length).fill(0)), await signs(plan, nonce));
    const rounded = await roundAll(plan, reals, share, clipped, coinStream(coinSeed));
    truncated = squares(rounded.tossed) > plan.bound;
    integers = truncated ? rounded.cut : rounded.tossed;
  }
  const gone = squares(integers) > plan.bound;
  if (gone) integers.fill(0);
  if (plan.noise !== 'server') {
    const noise = await drawNoise(tableOf(plan), total, noiseStream(noiseSeed));
    integers = integers.map((z, i) => z + noise[i]);
  }
  return { vectors: byVector(plan, integers), clipped, replaced: replaced || gone, truncated: truncated && !gone };
}

async function roundAll(plan, reals, share, clipped, coins) {
  const limit = Number(plan.limit);
  const parts = [];
  for (let at = 0; at < reals.length; at += SLICE) parts.push([reals.slice(at, at + SLICE), limit]);
  const values = { 'plan/weight': Number(plan.weight_steps) * share, 'plan/below': (clipped ? -1 : 1) * Number(plan.below_steps) };
  for (const { name, steps } of plan.extras) parts.push([[values[name]], Number(steps)]);
  const [tossed, cut] = [[], []];
  for (const [part, most] of parts) {
    const lanes = await coins.lanes(part.length, 32);
    part.forEach((real, i) => {
      const v = Math.min(Math.max(real, -most), most);
      tossed.push(Math.floor(v + lanes[i] / 2 ** 32));
      cut.push(Math.trunc(v));
    });
  }
  return { tossed, cut };
}

function byVector(plan, integers) {
  let at = 0;
  return plan.vectors.map((vector) => {
    const start = at;
    at += sizeOf(vector);
    return { name: vector.name, integers: integers.slice(start, at) };
  });
}

/** The public signs of a session (§6). */
async function signs(plan, nonce) {
  const key = sha256(c.canonical('secagg/v1 rotation signs', nonce, plan.digest)).slice(0, 16);
  const bits = await new WordStream(key).lanes(plan.length, 1);
  return bits.map((bit) => 1 - 2 * bit);
}

/** Multiplies each of m rows by the Hadamard matrix, and the columns by the cosines or their transpose. */
function turn(vector, transposed) {
  const [m, size] = rotatedShape(BigInt(vector.length));
  const rows = Array.from({ length: m }, (_, i) => vector.slice(i * size, (i + 1) * size));
  for (const row of rows) {
    for (let step = 1; step < size; step *= 2) {
      for (let a = 0; a < size; a++) {
        if (!(a & step)) [row[a], row[a + step]] = [row[a] + row[a + step], row[a] - row[a + step]];
      }
    }
  }
  const cosine = (i, j) => (i
    ? Math.sqrt(2 / m) * Math.cos((Math.PI * i * (2 * j + 1)) / (2 * m)) : Math.sqrt(1 / m)) / Math.sqrt(size);
  return rows.flatMap((_, i) => Array.from({ length: size }, (_unused, a) =>
    rows.reduce((sum, row, j) => sum + (transposed ? cosine(j, i) : cosine(i, j)) * row[a], 0)));
}

const rotate = (vector, flips) => turn(vector.map((x, i) => x * flips[i]), false);
const rotateBack = (vector, flips) => turn(vector, true).map((x, i) => x * flips[i]);

/**
 * The mean that a sum stands for (§10).
 * @param {Map<string, bigint[]>} sums by vector
 * @throws {Violation} P15
 */
export async function decodeMean(plan, sums, contributors, { nonce, noiseSeed }) {
  require(BigInt(contributors) >= plan.floor, 'P15');
  require(plan.vectors.every((vector) => sums.get(vector.name)?.length === sizeOf(vector)), 'P15');
  let flat = plan.vectors.flatMap(({ name }) => sums.get(name));
  const byServer = plan.noise === 'server';
  if (byServer) {
    const noise = await drawNoise(tableOf(plan), flat.length, noiseStream(noiseSeed));
    flat = flat.map((sum, i) => sum + BigInt(noise[i]));
  }
  const extra = Object.fromEntries(plan.extras.map(({ name }, i) => [name, Number(flat[plan.length + i])]));
  let terms = contributors;
  const found = {};
  if (plan.weight_steps) {
    const steps = Number(plan.weight_steps);
    const variance = ((byServer ? 1 : contributors) * Number(plan.variance16)) / 16;
    terms = found.totalWeight = extra['plan/weight'] / steps;
    require(terms >= (4 * Math.sqrt(variance)) / steps, 'P15');
  }
  if (plan.below_steps) found.below = extra['plan/below'] / (2 * Number(plan.below_steps) * contributors) + 0.5;
  let values = flat.slice(0, plan.length).map(Number);
  if (plan.rotation) values = rotateBack(values, await signs(plan, nonce));
  const factor = plan.clip / Number(plan.grid) / terms;
  let at = 0;
  found.arrays = plan.arrays.map((array) => {
    const start = at;
    at += sizeOf(array);
    return { name: array.name, reals: values.slice(start, at).map((x) => x * factor) };
  });
  return found;
}
