/**
 * What only the experimental topology `chosen` has: its conditions (§2.4).
 */
import { leastQuantile, logAdd, logBinomial } from './hypergeometric.js';

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
