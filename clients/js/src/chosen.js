/**
 * What only the experimental topology `chosen` has: its conditions (§2.4), holders, and sets of clients (§2.5).
 */
import { ascending, equal } from './canonical.js';
import { leastQuantile, logAdd, logBinomial } from './hypergeometric.js';
import { DecodeError } from './rules.js';

const MOST_CLIENTS = 2 ** 20;

/**
 * Whether a chosen graph withstands so many corrupt clients, every readable sum having `floor` honest inputs (§6.1).
 *
 * p of a size is the probability that the m-th of a client's holders, in any fixed order of the others, is among the
 * first size − 1 of them: a running sum.
 */
export function chosenWithstands({ n, degree: k, threshold: t }, corrupt, securityBits, floor) {
  if (n > MOST_CLIENTS) return false;
  const logBound = -(securityBits + 1) * Math.LN2;
  const t1 = leastQuantile(n - 1, corrupt, k, logBound - Math.log(n));
  const mutual = t - t1;
  const honest = n - corrupt;
  const largest = Math.max(Math.floor(honest / 2), floor - 1);
  if (2 * t < k + t1 + 1 || largest >= honest) return false;
  const logDraws = logBinomial(n - 1, k);
  let inside = -Infinity;
  let total = -Infinity;
  for (let size = mutual + 1; size <= largest && total <= logBound; size++) {
    const met = logBinomial(size - 2, mutual - 1) + logBinomial(n - size, k - mutual) - logDraws;
    inside = Math.min(0, logAdd(inside, met));
    total = logAdd(total, logBinomial(honest, size) + size * inside);
  }
  return total <= logBound;
}

/** A number below the bound, uniform: 8 bytes, and again where they would favour small ones (conformance.md). */
function drawBelow(bound, randomness) {
  const even = (1n << 64n) - ((1n << 64n) % bound);
  for (;;) {
    const drawn = new DataView(randomness.draw(8).buffer).getBigUint64(0);
    if (drawn < even) return Number(drawn % bound);
  }
}

/**
 * The holders of a client: `degree` of the others, each such subset with the same probability (§2.5).
 * @returns {bigint[]} ascending
 */
export function drawHolders({ cohort, degree }, client, randomness) {
  const others = cohort.filter((id) => id !== client);
  const taken = new Set();
  for (let j = others.length - Number(degree); j < others.length; j++) {
    const place = drawBelow(BigInt(j + 1), randomness);
    taken.add(taken.has(place) ? j : place);
  }
  return ascending([...taken].map((place) => others[place]));
}

/** A set of clients as bytes, one bit for each of the cohort (§2.5). */
export function setToBytes({ cohort }, members) {
  const bytes = new Uint8Array(Math.ceil(cohort.length / 8));
  cohort.forEach((id, i) => {
    if (members.has(id)) bytes[i >> 3] |= 1 << (i & 7);
  });
  return bytes;
}

/**
 * The clients of a set (§2.5).
 * @returns {Set<bigint>}
 * @throws {DecodeError} another length, or a bit without a client
 */
export function setFromBytes(parameters, bytes) {
  const members = new Set(parameters.cohort.filter((_, i) => ((bytes[i >> 3] ?? 0) >> (i & 7)) & 1));
  if (!equal(setToBytes(parameters, members), bytes)) throw new DecodeError('not the one form of a set of clients');
  return members;
}

/** The name of an edge in a set of edges. */
export const edge = (u, v) => (u < v ? `${u} ${v}` : `${v} ${u}`);

/**
 * Edges without which nobody has more than `most` choosers that are not its own holders (§6.2): those of the highest
 * choosers, which is local.
 * @param {Map<bigint, bigint[]>} drawn
 * @param {number} most
 * @returns {Set<string>}
 */
export function edgesToCut(drawn, most) {
  const choosers = new Map([...drawn.keys()].map((id) => [id, []]));
  for (const chooser of ascending(drawn.keys())) {
    for (const holder of drawn.get(chooser)) {
      if (!drawn.get(holder)?.includes(chooser)) choosers.get(holder)?.push(chooser);
    }
  }
  return new Set([...choosers].flatMap(([id, list]) => list.slice(most).map((chooser) => edge(id, chooser))));
}
