/**
 * What a client accepts: its policy and its roster (§6.1), and whether an offer withstands corrupt clients (§2.4).
 */
import { equal, hex } from './canonical.js';
import { chosenWithstands } from './chosen.js';
import { verificationKey } from './crypto.js';
import { leastQuantile, logHypergeometric } from './hypergeometric.js';
import { encodeVector } from './parameters.js';
import { LocalError, require } from './rules.js';

/** The suites that this implementation has (§3). */
export const IMPLEMENTED_SUITES = [1, 0x0101];

/**
 * @typedef {object} Policy
 * @property {string} threatModel
 * @property {number} corruptFraction γ
 * @property {bigint} smallestCohort
 * @property {bigint} largestCohort
 * @property {bigint} smallestThreshold
 * @property {bigint} smallestMinimumContributors
 * @property {number[]} suites
 * @property {Uint8Array|undefined} context undefined: any
 * @property {bigint} largestVector in words
 * @property {number} dropoutFraction δ
 * @property {number} securityBits
 * @property {Uint8Array[]} vectors each as §2.2 encodes it; none: any
 * @property {bigint} maxWeight 0: any
 * @property {string[]} topologies
 * @property {bigint} [corruptClients] counts if it is more than the fraction (R62)
 */

function isConnected(n, marked, degree, logBound) {
  const drawn = degree - (degree % 2);
  if (drawn > marked || degree === n - 1) return true;
  return Math.log((n * (n - drawn - 1)) / 2) + logHypergeometric(n, marked, drawn, drawn) < logBound;
}

/** c and d of §2.4 and §6.1. */
export const clientsOf = (n, fraction) => Math.min(Math.floor((fraction + 1e-14) * n), n - 1);

/**
 * Whether an offer withstands a corrupt fraction when others drop out (§6.1).
 * @param {import('./parameters.js').Parameters} parameters
 * @param {number} corruptFraction
 * @param {number} dropoutFraction
 * @param {number} securityBits
 * @param {number} [corruptClients] counts if it is more than the fraction
 * @param {number} [floor] honest inputs that every sum of a chosen graph has
 */
export function withstands(parameters, corruptFraction, dropoutFraction, securityBits, corruptClients = 0, floor = 0) {
  const { n } = parameters;
  const t = Number(parameters.threshold);
  const c = Math.max(clientsOf(n, corruptFraction), Math.min(corruptClients, n - 1));
  if (parameters.chosen) {
    return chosenWithstands({ n, degree: Number(parameters.degree), threshold: t }, c, securityBits, floor);
  }
  if (parameters.active) return 2 * t > n + c;
  if (parameters.complete) return t > c;
  const k = Number(parameters.degree);
  const logBound = -(securityBits + 1) * Math.LN2;
  const gone = Math.min(c + clientsOf(n, dropoutFraction), n);
  return isConnected(n, gone, k, logBound) && t >= leastQuantile(n, c, k, logBound - Math.log(n)) + 1;
}

/** Whether these are the expected vectors, in whatever order. */
function sameVectors(offered, expected) {
  const found = offered.map((vector) => hex(encodeVector(vector)));
  const wanted = new Set(expected.map(hex));
  return found.length === wanted.size && found.every((encoding) => wanted.has(encoding));
}

/**
 * Judges an offer by the policy, in the order of §6.1.
 * @param {import('./parameters.js').Parameters} parameters
 * @param {Policy} policy
 * @throws {Violation} C02 to C08, C13 to C16
 */
export function checkPolicy(parameters, policy) {
  const n = BigInt(parameters.n);
  const suite = Number(parameters.suite);
  const { threshold, threatModel, kind, minimumContributors, maxWeight } = parameters;
  const words = BigInt(parameters.layout.words);
  require(n >= policy.smallestCohort, 'C02', () => `the cohort has ${n} clients; the policy wants ${policy.smallestCohort}`);
  require(n <= policy.largestCohort, 'C13', () => `the cohort has ${n} clients; the policy takes ${policy.largestCohort}`);
  require(threshold >= policy.smallestThreshold, 'C03',
    () => `the threshold is ${threshold}; the policy wants ${policy.smallestThreshold}`);
  const believed = [policy.corruptFraction, policy.dropoutFraction, policy.securityBits];
  const floor = Number(policy.smallestMinimumContributors);
  require(withstands(parameters, ...believed, Number(policy.corruptClients ?? 0n), floor), 'C03',
    () => `threshold ${threshold} and graph do not withstand as many corrupt clients as the policy counts with`);
  require(minimumContributors >= policy.smallestMinimumContributors, 'C04',
    () => `sums of ${minimumContributors} are released; the policy wants ${policy.smallestMinimumContributors}`);
  require(threatModel === policy.threatModel, 'C05',
    () => `the session is ${threatModel}; the policy takes ${policy.threatModel}`);
  require(policy.topologies.includes(kind), 'C16', () => `the graph is ${kind}; the policy takes ${policy.topologies}`);
  require(policy.suites.includes(suite) && IMPLEMENTED_SUITES.includes(suite), 'C06',
    () => `the suite is ${suite}; the policy takes ${policy.suites}, and this client has ${IMPLEMENTED_SUITES}`);
  require(policy.context === undefined || equal(parameters.context, policy.context), 'C08',
    () => 'the context is another one than that of the policy');
  require(policy.vectors.length === 0 || sameVectors(parameters.vectors, policy.vectors), 'C14',
    () => `the vectors (${parameters.vectors.map(({ name }) => name)}) have other names, shapes or bounds than the policy's`);
  require(policy.maxWeight === 0n || maxWeight === policy.maxWeight, 'C15',
    () => `the largest weight is ${maxWeight}; the policy wants ${policy.maxWeight}`);
  require(words <= policy.largestVector, 'C07', () => `the vector has ${words} words; the policy takes ${policy.largestVector}`);
}

/**
 * Checks the roster of a client for an active session (§6.1).
 * @param {import('./parameters.js').Parameters} parameters
 * @param {bigint} client
 * @param {Uint8Array|undefined} identityKey
 * @param {Map<bigint, Uint8Array>|undefined} roster
 * @throws {Violation} C10
 * @throws {LocalError} R20, R22
 */
export function checkRoster({ cohort }, client, identityKey, roster) {
  if (roster !== undefined && !(roster instanceof Map)) {
    throw new LocalError('the roster is no Map; give one from ids, which are bigint, to verification keys');
  }
  const stranger = cohort.find((id) => !roster?.has(id));
  require(stranger === undefined, 'C10', () => (roster
    ? `client ${stranger}n of the cohort is not in the roster` : 'an active session needs a roster, and there is none'));
  if (!(identityKey instanceof Uint8Array) || identityKey.length !== 32) {
    throw new LocalError('an active session needs an identity key, a Uint8Array of 32 bytes (R20)');
  }
  if (!equal(roster.get(client), verificationKey(identityKey))) {
    throw new LocalError('the roster has another verification key for this client (R20)');
  }
  if (new Set(cohort.map((id) => hex(roster.get(id)))).size !== cohort.length) {
    throw new LocalError('the roster has one key for two clients (R22)');
  }
}
