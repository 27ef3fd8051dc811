/**
 * Probabilities of §2.4, in natural logarithms.
 */

/** ln x!, by Stirling's series. */
function logFactorial(x) {
  if (x < 32) {
    let product = 1;
    for (let i = 2; i <= x; i++) product *= i;
    return Math.log(product);
  }
  return x * Math.log(x) - x + Math.log(2 * Math.PI * x) / 2 + 1 / (12 * x) - 1 / (360 * x ** 3);
}

/** ln C(n, k) */
export const logBinomial = (n, k) =>
  k < 0 || k > n ? -Infinity : logFactorial(n) - logFactorial(k) - logFactorial(n - k);

/** ln Pr[HG(n, marked, k) = j] */
export const logHypergeometric = (n, marked, k, j) =>
  logBinomial(marked, j) + logBinomial(n - marked, k - j) - logBinomial(n, k);

/** ln(e^a + e^b) */
export function logAdd(a, b) {
  const larger = Math.max(a, b);
  return larger === -Infinity ? larger : larger + Math.log(Math.exp(a - larger) + Math.exp(b - larger));
}

/** The least t with Pr[HG(n, marked, k) > t] ≤ bound. */
export function leastQuantile(n, marked, k, logBound) {
  let tail = -Infinity;
  let t = k;
  while (t > 0) {
    tail = logAdd(tail, logHypergeometric(n, marked, k, t));
    if (tail > logBound) break;
    t--;
  }
  return t;
}
