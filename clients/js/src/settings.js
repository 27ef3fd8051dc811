/**
 * What a host says in a few words: policies with the defaults of the library, and vectors as a policy names them.
 */
import { encodeVector } from './parameters.js';
import { IMPLEMENTED_SUITES } from './policy.js';
import { LocalError } from './rules.js';

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
  }
}

/** A vector of real numbers, as `SessionParameters` names it. */
export const fixedPoint = ({ shape, clip, bits = 16, rounding = 'stochastic', aggregate = 'sum' }) =>
  ({ kind: 'FixedPoint', shape: shape.map(BigInt), clip, bits: BigInt(bits), rounding, aggregate });

/** A vector of integers from low to high, as `SessionParameters` names it. */
export const integers = ({ shape, low, high }) =>
  ({ kind: 'Integers', shape: shape.map(BigInt), low: BigInt(low), high: BigInt(high) });

/**
 * The policy of a client (§6.1); index.d.ts describes what is given.
 * @returns {import('./policy.js').Policy}
 * @throws {LocalError} a value of another kind, or no threat model
 */
export function clientPolicy(given) {
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
    vectors: Object.entries(vectors ?? {}).map(([name, vector]) => encodeVector({ name, ...vector })),
  };
}
