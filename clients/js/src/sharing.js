/**
 * Secret sharing over GF(65521): the field (§5.1), sharing (§5.2), reconstruction (§5.3), error correction (§5.4).
 * Polynomials are lists of coefficients, the constant term first, without zeros at the end.
 */
import { chacha20 } from '@noble/ciphers/chacha.js';
import { hex, unhex } from './canonical.js';
import { DecodeError } from './rules.js';

const P = 65521;
const LIMBS = 18;
const LIMB_BITS = 15;
const SHARE = 2 * LIMBS;
const ELEMENT = 16;

const mod = (value) => ((value % P) + P) % P;

function inverse(value) {
  let result = 1;
  for (let base = value, exponent = P - 2; exponent; exponent = Math.floor(exponent / 2)) {
    if (exponent % 2) result = (result * base) % P;
    base = (base * base) % P;
  }
  return result;
}

function trim(polynomial) {
  while (polynomial.at(-1) === 0) polynomial.pop();
  return polynomial;
}

const evaluate = (polynomial, x) => polynomial.reduceRight((sum, coefficient) => (sum * x + coefficient) % P, 0);

/** polynomial · (z − x) + constant */
function timesRoot(polynomial, x, constant) {
  const out = [constant, ...polynomial];
  polynomial.forEach((coefficient, i) => {
    out[i] = mod(out[i] - x * coefficient);
  });
  return trim(out);
}

/** The polynomial of degree below xs.length through the points, by divided differences. */
function interpolate(xs, ys) {
  const differences = [...ys];
  for (let width = 1; width < xs.length; width++) {
    for (let i = xs.length - 1; i >= width; i--) {
      const slope = inverse(mod(xs[i] - xs[i - width]));
      differences[i] = (mod(differences[i] - differences[i - 1]) * slope) % P;
    }
  }
  return differences.reduceRight((polynomial, difference, i) => timesRoot(polynomial, xs[i], difference), []);
}

/** a − b·c */
function subtractProduct(a, b, c) {
  const out = [...a];
  b.forEach((x, i) => c.forEach((y, j) => {
    out[i + j] = mod((out[i + j] ?? 0) - x * y);
  }));
  return trim(out);
}

function divide(a, b) {
  const rest = [...a];
  const quotient = [];
  const leading = inverse(b.at(-1));
  for (let shift = a.length - b.length; shift >= 0; shift--) {
    const factor = ((rest[shift + b.length - 1] ?? 0) * leading) % P;
    quotient[shift] = factor;
    b.forEach((coefficient, i) => {
      rest[shift + i] = mod(rest[shift + i] - factor * coefficient);
    });
  }
  return [trim(quotient), trim(rest)];
}

/**
 * Decodes a generalized Reed–Solomon word of dimension t (Gao's algorithm).
 * @returns {number[]|null} the polynomial from which at most ⌊(m − t)/2⌋ values differ
 */
export function decodeReedSolomon(xs, ys, t) {
  let [r0, r1] = [xs.reduce((product, x) => timesRoot(product, x, 0), [1]), interpolate(xs, ys)];
  let [v0, v1] = [[], [1]];
  while (2 * (r1.length - 1) >= xs.length + t) {
    const [quotient, rest] = divide(r0, r1);
    [r0, r1] = [r1, rest];
    [v0, v1] = [v1, subtractProduct(v0, quotient, v1)];
  }
  const [polynomial, rest] = divide(r1, v1);
  return rest.length === 0 && polynomial.length <= t ? polynomial : null;
}

/** The limbs of a secret, the most significant first (§5.2). */
export function limbsOf(secret) {
  const number = BigInt(`0x${hex(secret)}`);
  return Array.from({ length: LIMBS }, (_, l) =>
    Number(BigInt.asUintN(LIMB_BITS, number >> BigInt(LIMB_BITS * (LIMBS - 1 - l)))));
}

/** The secret of these limbs, or null where there is none (§5.3). */
export function secretOf(limbs) {
  if (limbs[0] > 1 || limbs.some((limb) => limb >= 1 << LIMB_BITS)) return null;
  const number = limbs.reduce((sum, limb) => (sum << BigInt(LIMB_BITS)) | BigInt(limb), 0n);
  return unhex(number.toString(16).padStart(64, '0'));
}

/** The coefficients of all polynomials of a client, from one key, as conformance.md orders them. */
export class Coefficients {
  constructor(key, threshold) {
    const length = SHARE * (threshold - 1) * ELEMENT;
    this.stream = chacha20(key, new Uint8Array(12), new Uint8Array(length));
  }

  /** Element e: 16 bytes, little-endian, modulo p. */
  element(e) {
    return this.stream.subarray(ELEMENT * e, ELEMENT * (e + 1)).reduceRight((sum, byte) => (sum * 256 + byte) % P, 0);
  }

  erase() {
    this.stream.fill(0);
  }
}

/**
 * The polynomials of a secret, one for each limb (§5.2).
 * @param {Uint8Array} secret
 * @param {number} threshold
 * @param {Coefficients} coefficients
 * @param {0|1} which 0 for the self-mask seed, 1 for the mask private key
 */
export function polynomialsOf(secret, threshold, coefficients, which) {
  return limbsOf(secret).map((limb, l) => [
    limb,
    ...Array.from({ length: threshold - 1 }, (_, i) => coefficients.element(SHARE * i + LIMBS * which + l)),
  ]);
}

/** The share at a point: 36 bytes (§5.2). */
export function shareAt(polynomials, x) {
  const share = new Uint8Array(SHARE);
  const view = new DataView(share.buffer);
  polynomials.forEach((polynomial, l) => view.setUint16(2 * l, evaluate(polynomial, x)));
  return share;
}

/**
 * The elements of a share (§5.1).
 * @throws {DecodeError} an element of p or above
 */
export function elementsOf(share) {
  const elements = Array.from({ length: LIMBS }, (_, l) => 256 * share[2 * l] + share[2 * l + 1]);
  if (elements.some((element) => element >= P)) throw new DecodeError('a share is not canonical');
  return elements;
}

const pointsOf = (sharesByPoint) => [...sharesByPoint.keys()].sort((a, b) => a - b);

/**
 * The polynomials, one for each limb, through the t shares with the smallest points.
 * @param {Map<number, Uint8Array>} sharesByPoint canonical
 * @param {number} t
 */
export function polynomialsThrough(sharesByPoint, t) {
  const points = pointsOf(sharesByPoint).slice(0, t);
  const shares = points.map((x) => elementsOf(sharesByPoint.get(x)));
  return Array.from({ length: LIMBS }, (_, l) => interpolate(points, shares.map((share) => share[l])));
}

/** The points of the shares that are off polynomials, ascending. */
export function pointsOff(polynomials, sharesByPoint) {
  const isOff = (x) => {
    const share = elementsOf(sharesByPoint.get(x));
    return polynomials.some((polynomial, l) => evaluate(polynomial, x) !== share[l]);
  };
  return pointsOf(sharesByPoint).filter(isOff);
}

/** A candidate: polynomials, their secret if it verifies, and the points whose shares are off them. */
function judge(polynomials, sharesByPoint, verify) {
  if (polynomials.includes(null)) return { secret: null, off: [] };
  const secret = secretOf(polynomials.map((polynomial) => polynomial[0] ?? 0));
  return { secret: secret && verify(secret) ? secret : null, off: pointsOff(polynomials, sharesByPoint) };
}

/**
 * Rebuilds a secret from shares that all lie on one set of polynomials (§5.4, with signed dealings).
 * @param {Map<number, Uint8Array>} sharesByPoint canonical
 * @param {number} t
 * @param {(secret: Uint8Array) => boolean} verify
 * @returns {Uint8Array|null} null when they do not, when there are fewer than t, or when the secret does not verify
 */
export function rebuildFromAll(sharesByPoint, t, verify) {
  if (sharesByPoint.size < t) return null;
  const { secret, off } = judge(polynomialsThrough(sharesByPoint, t), sharesByPoint, verify);
  return off.length ? null : secret;
}

/**
 * Rebuilds a secret, and corrects wrong shares (§5.3, §5.4, without signed dealings).
 * @param {Map<number, Uint8Array>} sharesByPoint at least t of them, canonical
 * @param {number} t
 * @param {(secret: Uint8Array) => boolean} verify
 * @returns {{secret: Uint8Array, off: number[]}|null} off: the points of shares that are not on the polynomials
 */
export function rebuild(sharesByPoint, t, verify) {
  const attempt = judge(polynomialsThrough(sharesByPoint, t), sharesByPoint, verify);
  if (attempt.secret && attempt.off.length <= Math.floor((sharesByPoint.size - t) / 2)) return attempt;
  const points = pointsOf(sharesByPoint);
  const shares = points.map((x) => elementsOf(sharesByPoint.get(x)));
  const limbs = Array.from({ length: LIMBS }, (_, l) => shares.map((share) => share[l]));
  const corrected = judge(limbs.map((ys) => decodeReedSolomon(points, ys, t)), sharesByPoint, verify);
  if (corrected.secret) return corrected;
  return attempt.secret ? attempt : null;
}
