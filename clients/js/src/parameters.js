/**
 * Session parameters: the rules of §2.1, the encoding of §2.2, and the session digest of §2.3.
 */
import * as c from './canonical.js';
import { sha256 } from './crypto.js';
import { DecodeError, require } from './rules.js';
import { Layout } from './vectors.js';

const SUITES = [1n, 2n, 0x0101n, 0x0102n];
const HYBRID_SUITES = [0x0101n, 0x0102n];
const ROUNDINGS = ['stochastic', 'nearest'];
const AGGREGATES = ['sum', 'mean'];
const SHARE_HOLDERS = 65520n;
const MOST_DRAWN = 16380n;
const MOST_CONTEXT = 65536;
const MOST_VECTORS = 65536;
const MOST_NAME = 255;
const MOST_DIMENSIONS = 32;
const MOST_ENTRIES = 1n << 40n;
const LARGEST = (1n << 63n) - 1n;
const UNBOUNDED = 0xffffffff;

const must = (condition) => require(condition, 'C01');

/**
 * The parameters of one session, decoded and checked. Integers are BigInt, but for `bits`.
 * @typedef {{name: string, kind: 'FixedPoint'|'Integers', shape: bigint[], clip: number, bits: number,
 *            rounding: string, aggregate: string, low: bigint, high: bigint}} VectorSpecification
 */
export class Parameters {
  /**
   * @param {object} fields as in §2.1, with kind, degree and permutationSeed of the topology beside the others
   * @throws {Violation} C01
   */
  constructor(fields) {
    Object.assign(this, fields);
    this.#check();
    this.n = this.cohort.length;
    this.active = this.threatModel === 'active';
    this.complete = this.kind === 'complete';
    this.chosen = this.kind === 'chosen';
    this.hybrid = HYBRID_SUITES.includes(this.suite);
    this.signsDealings = this.active && this.complete && !this.hybrid;
    this.layout = new Layout(this);
    this.encoded = encode(this);
    this.digest = sha256(c.canonical('secagg/v1 session digest', this.encoded));
  }

  #check() {
    const n = BigInt(this.cohort.length);
    must(this.version === 1n && SUITES.includes(this.suite));
    must(['semi-honest', 'active'].includes(this.threatModel));
    must(n >= 2n && c.isAscending(this.cohort));
    this.#checkTopology(n);
    must(this.threshold >= 1n && this.threshold <= this.degree);
    must(this.threatModel !== 'active' || 2n * this.threshold > (this.kind === 'chosen' ? this.degree : n));
    must(this.minimumContributors >= 2n && this.minimumContributors <= n);
    must(this.nonce.length === 32 && this.context.length <= MOST_CONTEXT);
    must(this.vectors.length >= 1 && this.vectors.length <= MOST_VECTORS);
    must(new Set(this.vectors.map((vector) => vector.name)).size === this.vectors.length);
    for (const vector of this.vectors) this.#checkVector(vector, n);
    must(this.maxWeight >= 1n && this.maxWeight <= LARGEST / n);
    must(this.maxWeight === 1n || this.vectors.some((vector) => vector.aggregate === 'mean'));
  }

  #checkTopology(n) {
    must(this.degree <= SHARE_HOLDERS);
    if (this.kind === 'complete') {
      must(this.degree === n - 1n && this.permutationSeed.length === 0);
    } else if (this.kind === 'chosen') {
      must(this.threatModel === 'active' && !HYBRID_SUITES.includes(this.suite));
      must(this.degree >= 4n && this.degree <= MOST_DRAWN && this.degree < n && this.permutationSeed.length === 0);
    } else {
      must(this.kind === 'sparse' && this.threatModel !== 'active');
      must(this.degree >= 2n && this.degree < n && (this.degree % 2n === 0n || n % 2n === 0n));
      must(this.permutationSeed.length === 32);
    }
  }

  #checkVector(vector, n) {
    must(vector.name.length > 0 && !/[\x00-\x1f\x7f-\x9f]/.test(vector.name));
    must(new TextEncoder().encode(vector.name).length <= MOST_NAME);
    must(vector.shape.length >= 1 && vector.shape.length <= MOST_DIMENSIONS);
    must(vector.shape.every((size) => size >= 1n));
    must(vector.shape.reduce((product, size) => product * size, 1n) <= MOST_ENTRIES);
    if (vector.kind === 'FixedPoint') {
      must(vector.clip >= 2 ** -512 && vector.clip <= 2 ** 512);
      must(vector.bits >= 2n && vector.bits <= 32n);
      vector.bits = Number(vector.bits);
    } else {
      must(vector.low < vector.high);
      must(n * vector.low >= -LARGEST - 1n && n * vector.high <= LARGEST);
    }
  }
}

function binary64(value) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setFloat64(0, value);
  return out;
}

export function encodeVector(vector) {
  const shape = c.list(vector.shape.map(c.integer));
  if (vector.kind === 'FixedPoint') {
    return c.concat(c.text(vector.name), c.integer(1), shape, c.bytes(binary64(vector.clip)), c.integer(vector.bits),
      c.integer(ROUNDINGS.indexOf(vector.rounding)), c.integer(AGGREGATES.indexOf(vector.aggregate)));
  }
  const signed = (value) => c.bytes(c.uint64(BigInt.asUintN(64, value)));
  return c.concat(c.text(vector.name), c.integer(2), signed(vector.low), signed(vector.high), shape);
}

/** The session parameters as §2.2 encodes them. */
export function encode(p) {
  return c.concat(
    c.integer(p.version), c.integer(p.suite), c.text(p.threatModel), c.text(p.kind), c.integer(p.degree),
    c.bytes(p.permutationSeed), c.integer(p.threshold), c.integer(p.minimumContributors), c.integer(p.maxWeight),
    c.bytes(p.nonce), c.bytes(p.context), c.bytes(c.idBytes(p.cohort)),
    c.listHead(p.vectors.length), c.join(p.vectors.map(encodeVector)),
  );
}

function readChoice(reader, choices) {
  const index = reader.integer();
  if (index >= choices.length) throw new DecodeError('a number without meaning');
  return choices[Number(index)];
}

function readEight(reader) {
  const data = reader.bytes(8);
  if (data.length !== 8) throw new DecodeError('a number of another length');
  return new DataView(data.buffer);
}

function readShape(reader) {
  return Array.from({ length: reader.listHead(MOST_DIMENSIONS) }, () => reader.integer());
}

function readVector(reader) {
  const name = reader.text(MOST_NAME);
  const kind = readChoice(reader, [null, 'FixedPoint', 'Integers']);
  if (kind === 'FixedPoint') {
    return {
      name, kind,
      shape: readShape(reader),
      clip: readEight(reader).getFloat64(0),
      bits: reader.integer(),
      rounding: readChoice(reader, ROUNDINGS),
      aggregate: readChoice(reader, AGGREGATES),
    };
  }
  if (kind !== 'Integers') throw new DecodeError('a vector kind without meaning');
  return {
    name, kind,
    low: readEight(reader).getBigInt64(0),
    high: readEight(reader).getBigInt64(0),
    shape: readShape(reader),
  };
}

function readCohort(reader) {
  const data = reader.bytes(UNBOUNDED);
  if (data.length % 8) throw new DecodeError('an id is cut short');
  const view = new DataView(data.buffer);
  return Array.from({ length: data.length / 8 }, (_, i) => view.getBigUint64(8 * i));
}

/**
 * Decodes session parameters (§2.2) and checks them (§2.1).
 * @param {Uint8Array} data
 * @returns {Parameters}
 * @throws {DecodeError} bytes that are no encoding
 * @throws {Violation} C01
 */
export function decodeParameters(data) {
  const reader = new c.CanonicalReader(data);
  const fields = {
    version: reader.integer(),
    suite: reader.integer(),
    threatModel: reader.text(64),
    kind: reader.text(64),
    degree: reader.integer(),
    permutationSeed: reader.bytes(32),
    threshold: reader.integer(),
    minimumContributors: reader.integer(),
    maxWeight: reader.integer(),
    nonce: reader.bytes(32),
    context: reader.bytes(MOST_CONTEXT),
    cohort: readCohort(reader),
    vectors: [],
  };
  const count = reader.listHead(MOST_VECTORS);
  for (let i = 0; i < count; i++) fields.vectors.push(readVector(reader));
  reader.end();
  return new Parameters(fields);
}
