/**
 * What a host says in a few words: policies with the defaults of the library, and vectors as a policy names them.
 */
import { encodeVector } from './parameters.js';
import { IMPLEMENTED_SUITES } from './policy.js';
import { LocalError } from './rules.js';

const TOPOLOGIES = ['complete', 'sparse', 'chosen'];
const SUITES = [1, 2, 0x0101, 0x0102];
const VECTORS = ['FixedPoint', 'Integers'];

const KINDS = {
  minimumCohort: 'bigint', minimumThreshold: 'bigint', minimumContributors: 'bigint', maximumCohort: 'bigint',
  maximumWords: 'bigint', maxWeight: 'bigint', maxCorruptClients: 'bigint', maxCorrupt: 'number', maxDropout: 'number',
  securityBits: 'number',
};

function checkKinds(given) {
  for (const [name, kind] of Object.entries(KINDS)) {
    if (given[name] !== undefined && typeof given[name] !== kind) {
      throw new LocalError(`${name} is a ${typeof given[name]}; give a ${kind}`);
    }
    if (given[name] < 0 || Number.isNaN(given[name])) throw new LocalError(`${name} is ${given[name]}; give 0 or more`);
  }
  for (const name of ['maxCorrupt', 'maxDropout']) {
    if (given[name] >= 1) throw new LocalError(`${name} is ${given[name]}; give a fraction below 1`);
  }
  if (given.context !== undefined && !(given.context instanceof Uint8Array)) {
    throw new LocalError('context is no Uint8Array; give the bytes');
  }
  checkChoices('topologies', given.topologies, TOPOLOGIES);
  checkChoices('suites', given.suites, SUITES);
}

function checkChoices(name, chosen = [], choices) {
  if (!Array.isArray(chosen) || !chosen.every((each) => choices.includes(each))) {
    throw new LocalError(`${name} is ${chosen}; give an array of some of ${choices.join(', ')}`);
  }
}

function whole(name, given) {
  if (typeof given === 'bigint' || Number.isSafeInteger(given)) return BigInt(given);
  throw new LocalError(`${name} is ${given}; give a whole number`);
}

function shapeOf(shape) {
  if (!Array.isArray(shape) || !shape.length) throw new LocalError(`shape is ${shape}; give an array, such as [1000]`);
  const sizes = shape.map((size) => whole('a size in shape', size));
  if (sizes.some((size) => size < 1n)) throw new LocalError(`shape is ${shape}; give sizes of 1 or more`);
  return sizes;
}

function vectorsOf(vectors) {
  if (vectors === undefined) return [];
  const named = Object.entries(vectors ?? {});
  if (Array.isArray(vectors) || !named.length || !named.every(([, vector]) => VECTORS.includes(vector?.kind))) {
    throw new LocalError('vectors is no object such as { update: fixedPoint({…}) }; give one, or leave it out for any');
  }
  return named.map(([name, vector]) => encodeVector({ name, ...vector }));
}

/**
 * A vector of real numbers, as `SessionParameters` names it.
 * @throws {LocalError} what no session has
 */
export function fixedPoint({ shape, clip, bits = 16, rounding = 'stochastic', aggregate = 'sum' }) {
  if (!(clip >= 2 ** -512 && clip <= 2 ** 512)) throw new LocalError(`clip is ${clip}; give 2^-512 .. 2^512`);
  if (!(bits >= 2 && bits <= 32)) throw new LocalError(`bits is ${bits}; give 2 .. 32`);
  if (!['stochastic', 'nearest'].includes(rounding)) {
    throw new LocalError(`rounding is ${rounding}; say 'stochastic' or 'nearest'`);
  }
  if (!['sum', 'mean'].includes(aggregate)) throw new LocalError(`aggregate is ${aggregate}; say 'sum' or 'mean'`);
  return { kind: 'FixedPoint', shape: shapeOf(shape), clip, bits: whole('bits', bits), rounding, aggregate };
}

/**
 * A vector of integers from low to high, as `SessionParameters` names it.
 * @throws {LocalError} what no session has
 */
export function integers({ shape, low, high }) {
  const range = { low: whole('low', low), high: whole('high', high) };
  if (range.low >= range.high) throw new LocalError(`low is ${low} and high is ${high}; give a low below the high`);
  return { kind: 'Integers', shape: shapeOf(shape), ...range };
}

/**
 * The policy of a client (§6.1); index.d.ts describes what is given.
 * @returns {import('./policy.js').Policy}
 * @throws {LocalError} a value of another kind, or no threat model
 */
export function clientPolicy(given = {}) {
  const {
    threatModel, minimumCohort = 3n, minimumThreshold = 2n, minimumContributors = 2n, maximumCohort = 1n << 17n,
    maximumWords = 1n << 27n, maxCorrupt = threatModel === 'active' ? 0.1 : 0, maxCorruptClients, maxDropout = 0.1,
    topologies = ['complete', 'sparse'], securityBits = topologies.includes('chosen') ? 64 : 40,
    suites = IMPLEMENTED_SUITES, context, vectors, maxWeight = 0n, ...unknown
  } = given;
  checkKinds(given);
  const [stranger] = Object.keys(unknown);
  if (stranger !== undefined) throw new LocalError(`a policy has no ${stranger}`);
  if (threatModel !== 'active' && threatModel !== 'semi-honest') {
    throw new LocalError(`threatModel is ${threatModel}; say 'active' or 'semi-honest'`);
  }
  return {
    threatModel, suites, topologies, context, securityBits, maxWeight,
    smallestCohort: minimumCohort, largestCohort: maximumCohort, smallestThreshold: minimumThreshold,
    smallestMinimumContributors: minimumContributors, largestVector: maximumWords, corruptFraction: maxCorrupt,
    dropoutFraction: maxDropout, corruptClients: maxCorruptClients,
    vectors: vectorsOf(vectors),
  };
}
