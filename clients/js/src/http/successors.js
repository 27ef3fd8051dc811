/** The session that follows one which ended because of some clients: the same without them (Specification §6.9). */
import { equal } from '../canonical.js';
import { encode } from '../parameters.js';

/** The name of the session that the ones before this one began with: name for name~2. */
export const nameFirst = (name) => name.split('~')[0];

/** The name of the session that follows one of this name: name~1 follows name, and name~2 follows that. */
export const nameAfter = (name) => `${nameFirst(name)}~${Number(name.split('~')[1] ?? 0) + 1}`;

function degreeFor({ kind, degree }, clients) {
  const n = BigInt(clients);
  if (kind === 'complete') return n - 1n;
  if (kind === 'chosen') return degree;
  const most = degree < n - 1n ? degree : n - 1n;
  return most - (n % 2n && most % 2n);
}

/** Whether nothing is other than before but for cohort, graph and nonce, and the cohort has lost some. */
export function renews(after, before) {
  const { cohort, degree, permutationSeed, nonce } = before;
  const same = encode({ ...after, cohort, degree, permutationSeed, nonce });
  return after.n < before.n && after.cohort.every((id) => cohort.includes(id)) && !equal(after.nonce, nonce)
    && after.degree === degreeFor(before, after.n) && equal(same, before.encoded);
}
