/**
 * Plans of privacy-v1.md: their bytes (§2), their rules and what they are worth (§3), and offers (§4).
 */
import * as c from '../canonical.js';
import { sha256 } from '../crypto.js';
import { encodeVector } from '../parameters.js';
import { withstands } from '../policy.js';
import { DecodeError, require } from '../rules.js';

const LABEL = 'secagg/v1 privacy plan';
const LIST = 0xffffffff;
const NUMBERS = [
  'grid', 'bound', 'limit', 'variance16', 'tail', 'rotation', 'weights', 'weight_steps', 'below_steps', 'rounds',
  'clients', 'minimum_contributors', 'corrupt', 'honest', 'security_bits', 'dropped', 'population',
  'population_corrupt',
];
const REALS = ['clip', 'epsilon', 'delta'];
const TEXTS = ['noise', 'neighbours', 'threat_model', 'topology'];
const CHOICES = {
  noise: ['clients', 'each', 'server'], neighbours: ['zero', 'replace'], threat_model: ['semi-honest', 'active'],
  topology: ['complete', 'sparse'],
};
const EXTRAS = { 'plan/weight': 'weight_steps', 'plan/below': 'below_steps' };
const MOST_HOLDERS = 65520n;
const MOST_ENTRIES = 1n << 40n;

const product = (shape) => shape.reduce((all, size) => all * size, 1n);

/** The root of a BigInt, rounded down. */
function root(square) {
  let found = BigInt(Math.floor(Math.sqrt(Number(square))));
  while (found * found > square) found -= 1n;
  while ((found + 1n) * (found + 1n) <= square) found += 1n;
  return found;
}

/** m and 2^k of §6. */
export function rotatedShape(entries) {
  let size = 1n;
  while (size * 16n < entries) size *= 2n;
  return [Number((entries + size - 1n) / size), Number(size)];
}

/** The name of the vector of an array (§2). */
export function vectorName(name) {
  const encoded = new TextEncoder().encode(name);
  if (encoded.length >= 1 && encoded.length <= 255 && !/[\x00-\x1f\x7f-\x9f]/.test(name)) return name;
  const end = [...name].slice(-64).join('').replace(/[^A-Za-z0-9_.\-/]/gu, '_');
  return `${c.hex(sha256(encoded).slice(0, 8))}-${end}`;
}

/** A plan: numbers are BigInt, `arrays` a list of {name, shape}. */
export class Plan {
  constructor(fields) {
    Object.assign(this, fields);
    this.entries = this.arrays.reduce((sum, { shape }) => sum + product(shape), 0n);
    this.extras = Object.entries(EXTRAS).map(([name, steps]) => ({ name, steps: this[steps] })).filter((e) => e.steps);
    this.encoded = encode(this);
    this.digest = sha256(this.encoded);
  }

  /** How many integers carry the update. */
  get length() {
    if (!this.rotation) return Number(this.entries);
    const [m, size] = rotatedShape(this.entries);
    return m * size;
  }

  get floor() {
    return this.noise === 'clients' ? this.honest + this.corrupt : this.minimum_contributors;
  }

  /** The vectors of a session under this plan, as parameters have them. */
  get vectors() {
    const more = this.noise === 'server' ? 0n : this.tail;
    const of = (name, most, shape) => ({ name, kind: 'Integers', low: -most - more, high: most + more, shape });
    const filled = this.arrays.filter(({ shape }) => product(shape) > 0n);
    const vectors = this.rotation
      ? [of('update', this.limit, [BigInt(this.length)])]
      : filled.map(({ name, shape }) => of(vectorName(name), this.limit, shape.length ? shape : [1n]));
    return [...vectors, ...this.extras.map(({ name, steps }) => of(name, steps, [1n]))];
  }

  /** @throws {Violation} P03 */
  check() {
    const holds = this.#mechanismHolds() && this.#countsHold() && this.#modelHolds();
    require(holds, 'P03');
  }

  /** @throws {Violation} P04 */
  checkClaim() {
    require(this.worth() <= this.epsilon * (1 + 1e-9), 'P04');
  }

  #mechanismHolds() {
    const names = this.arrays.map(({ name }) => vectorName(name));
    const taken = [...names, ...Object.keys(EXTRAS)];
    const largest = root(this.bound);
    return this.clip >= 2 ** -400 && this.clip <= 2 ** 400
      && this.arrays.every(({ name }) => name !== '') && new Set(taken).size === taken.length
      && this.arrays.length <= 65536 && this.entries >= 1n && this.entries <= MOST_ENTRIES
      && this.grid >= 1n && this.grid ** 2n + this.weight_steps ** 2n + this.below_steps ** 2n <= this.bound
      && this.limit >= 1n && this.limit <= largest && this.limit <= 1n << 19n
      && (this.limit === largest || this.rotation === 1n)
      && (this.weights === 0n) === (this.weight_steps === 0n)
      && this.tail >= 1n && this.tail <= 1n << 21n
      && this.variance16 >= 1n && this.variance16 <= 16n * this.tail ** 2n;
  }

  #countsHold() {
    return this.epsilon > 0 && this.epsilon <= 100
      && this.delta * Number(this.clients) > 0 && this.delta * Number(this.clients) < 1
      && this.clients >= 2n && this.clients < 1n << 29n && this.rounds >= 1n && this.rounds <= 1n << 31n
      && this.minimum_contributors >= 2n && this.minimum_contributors <= this.clients
      && this.corrupt < this.minimum_contributors && this.security_bits >= 1n && this.security_bits <= 4096n
      && this.dropped < this.clients
      && (this.population === 0n || (this.population >= this.clients && this.population <= 1n << 40n))
      && this.population_corrupt <= this.population;
  }

  #modelHolds() {
    if (!Object.entries(CHOICES).every(([name, choices]) => choices.includes(this[name]))) return false;
    const active = this.threat_model === 'active';
    const half = (this.clients + this.corrupt) / 2n + 2n;
    const least = active && half > this.minimum_contributors ? half : this.minimum_contributors;
    return !(active && (this.noise === 'server' || this.topology === 'sparse'))
      && (this.noise !== 'each' || this.neighbours === 'replace')
      && (this.topology === 'sparse' || this.clients - 1n <= MOST_HOLDERS)
      && this.honest >= 1n && this.honest <= (this.noise === 'clients' ? least - this.corrupt : 1n)
      && (this.noise !== 'clients' || this.topology !== 'sparse' || this.dropped >= this.clients - this.floor);
  }

  /** The epsilon that the numbers give (§3), to about nine digits. */
  worth() {
    const moved = Number(this.bound) * (this.neighbours === 'zero' ? 1 : 4) * Number(this.rounds);
    const variance = Number(this.variance16) / 16;
    const step = this.noise === 'clients' ? skellamStep(variance * Number(this.honest)) : 1 / Math.sqrt(variance);
    const m = step * Math.sqrt(moved);
    const sparse = this.topology === 'sparse' ? 2 ** -Number(this.security_bits) : 0;
    const entries = this.length + this.extras.length;
    const eta = Number(this.rounds) * (Number(this.clients) * entries * 2 ** -99 + sparse);
    const kept = (epsilon) => phi(m / 2 - epsilon / m) - Math.exp(epsilon) * phi(-m / 2 - epsilon / m)
      + (1 + Math.exp(epsilon)) * eta <= this.delta;
    let high = 1 / 16;
    while (high < 110 && !kept(high)) high += 1 / 16;
    if (high >= 110) return Infinity;
    let low = high - 1 / 16;
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (kept(middle)) high = middle;
      else low = middle;
    }
    return high;
  }

  /**
   * Whether a session keeps what the plan promises (§4).
   * @param {import('../parameters.js').Parameters} p
   * @throws {Violation} P05
   */
  checkOffer(p) {
    const must = (condition) => require(condition, 'P05');
    const vectors = (list) => c.hex(c.join(list.map(encodeVector)));
    const n = BigInt(p.n);
    must(vectors(p.vectors) === vectors(this.vectors) && p.maxWeight === 1n);
    must(n <= this.clients && c.equal(p.context.slice(0, 32), this.digest));
    must(this.noise === 'each' || p.threatModel === this.threat_model);
    if (this.noise !== 'clients') return;
    const held = p.active && p.threshold >= p.minimumContributors ? p.threshold + 1n : p.minimumContributors;
    must(held >= this.honest + this.corrupt);
    if (p.complete) {
      must(p.active ? 2n * p.threshold > n + this.corrupt : p.threshold > this.corrupt);
      return;
    }
    must(this.topology === 'sparse');
    const dropped = Math.min(Number(this.dropped), p.n - 1) / p.n;
    must(withstands(p, Number(this.corrupt) / p.n, dropped, Number(this.security_bits)));
  }
}

function encode(plan) {
  const reals = REALS.map((name) => {
    const out = new Uint8Array(8);
    new DataView(out.buffer).setFloat64(0, plan[name]);
    return c.bytes(out);
  });
  const arrays = plan.arrays.map(({ name, shape }) =>
    c.list([c.bytes(new TextEncoder().encode(name)), c.list(shape.map(c.integer))]));
  return c.concat(
    c.canonical(LABEL, 1), c.list(arrays), c.list(reals), c.list(TEXTS.map((name) => c.text(plan[name]))),
    c.list(NUMBERS.map((name) => c.integer(plan[name]))),
  );
}

/**
 * Reads a plan (§2).
 * @throws {DecodeError}
 */
export function decodePlan(data) {
  const reader = new c.CanonicalReader(data);
  const exactly = (count) => {
    if (reader.listHead(LIST) !== count) throw new DecodeError('a list of another length');
  };
  const label = reader.bytes(LIST);
  if (!c.equal(label, new TextEncoder().encode(LABEL)) || reader.integer() !== 1n) throw new DecodeError('no plan');
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const arrays = Array.from({ length: reader.listHead(65536) }, () => {
    exactly(2);
    const name = reader.bytes(4096);
    try {
      const shape = Array.from({ length: reader.listHead(32) }, () => reader.integer());
      if (shape.some((size) => size > MOST_ENTRIES)) throw new DecodeError('a dimension beyond its bound');
      return { name: utf8.decode(name), shape };
    } catch (error) {
      throw error instanceof TypeError ? new DecodeError('a name that is no UTF-8') : error;
    }
  });
  const named = (names, read) => {
    exactly(names.length);
    return Object.fromEntries(names.map((name) => [name, read()]));
  };
  const reals = named(REALS, () => {
    const eight = reader.bytes(8);
    if (eight.length !== 8) throw new DecodeError('a number of another length');
    return new DataView(eight.buffer).getFloat64(0);
  });
  const texts = named(TEXTS, () => reader.text(255));
  const numbers = named(NUMBERS, () => reader.integer());
  reader.end();
  if (numbers.rotation > 1n || Object.values(numbers).some((number) => number >> 63n)) {
    throw new DecodeError('a number beyond its bound');
  }
  return new Plan({ arrays, ...reals, ...texts, ...numbers });
}

/** Φ: a series with positive terms near 0, a continued fraction far away. */
function phi(x) {
  const far = Math.abs(x);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  let beyond;
  if (far < 4) {
    let term = far;
    let sum = 0;
    for (let n = 1; term > 1e-20 * sum; n++) {
      sum += term;
      term *= (far * far) / (2 * n + 1);
    }
    beyond = 0.5 - density * sum;
  } else {
    let below = far;
    for (let step = 80; step > 0; step--) below = far + step / below;
    beyond = density / below;
  }
  return x < 0 ? beyond : 1 - beyond;
}

/** What a shift by one is worth under Sk(mu): P(0) as a mean of exp(-2 mu sin²) over a circle, then the inverse of Φ. */
function skellamStep(mu) {
  const points = 100 + Math.ceil(40 * Math.sqrt(mu));
  let sum = 0;
  for (let j = 0; j < points; j++) sum += Math.exp(-2 * mu * Math.sin((Math.PI * j) / points) ** 2);
  let [low, high] = [0, 10];
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (1 - 2 * phi(-middle) < sum / points) low = middle;
    else high = middle;
  }
  return 2 * high;
}
