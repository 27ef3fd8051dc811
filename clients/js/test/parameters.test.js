/** The rules of §2.1 at their bounds, and the strictness of §2.2 and §6. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, unhex } from '../src/canonical.js';
import { drawHolders, edgesToCut, setFromBytes, setToBytes } from '../src/chosen.js';
import { decodeParameters } from '../src/parameters.js';
import { DecodeError, Violation } from '../src/rules.js';
import { SystemRandomness } from '../src/randomness.js';
import { Tape } from '../src/conformance/tape.js';
import { decodeForClient, decodeForServer, encodeMessage, encodeOffer, decodeOffer } from '../src/wire.js';
import { filled, parametersOf } from './runner.js';

const refused = (changes) => assert.throws(() => parametersOf(changes), (error) => error.rule === 'C01', `${changes}`);
const accepted = (changes) => decodeParameters(parametersOf(changes).encoded);

const integers = (low, high) => ({
  maxWeight: 1n, vectors: [{ name: 'x', kind: 'Integers', low, high, shape: [1n] }],
});
const fixed = (changes) => ({
  vectors: [{
    name: 'x', kind: 'FixedPoint', shape: [1n], clip: 1, bits: 8n, rounding: 'nearest', aggregate: 'mean', ...changes,
  }],
});

test('bounds of §2.1', () => {
  const top = 2n ** 63n - 1n;
  accepted({ n: 2, threshold: 1, minimum: 2, ...integers(-(2n ** 62n), top / 2n) });
  refused({ n: 2, threshold: 1, minimum: 2, ...integers(-(2n ** 62n) - 1n, 0n) });
  refused({ n: 2, threshold: 1, minimum: 2, ...integers(0n, top / 2n + 1n) });
  refused(integers(3n, 3n));
  accepted({ maxWeight: top / 6n, ...fixed({ bits: 2n }) });
  refused({ maxWeight: top / 6n, ...fixed({ bits: 3n }) });
  refused({ maxWeight: top / 6n + 1n, ...fixed({ bits: 2n }) });
  refused({ maxWeight: 2n, ...fixed({ aggregate: 'sum' }) });
  for (const clip of [2 ** 512, 2 ** -512]) accepted(fixed({ clip }));
  for (const clip of [2 ** 513, 2 ** -513, 0, -1, NaN, Infinity]) refused(fixed({ clip }));
  for (const bits of [0n, 1n, 33n]) refused(fixed({ bits }));
  for (const shape of [[], [0n], [2n ** 40n, 2n], [2n ** 63n, 2n ** 63n], Array(33).fill(1n)]) {
    refused(fixed({ shape }));
  }
  accepted(fixed({ shape: Array(32).fill(1n) }));
  for (const name of ['', 'a\n', '\x9f', 'a'.repeat(256), 'é'.repeat(128)]) refused(fixed({ name }));
  for (const name of ['a b', 'w:0', 'a'.repeat(255), '重'.repeat(85), '\ufeffa']) accepted(fixed({ name }));
  refused({ threshold: 6 });
  refused({ threshold: 0 });
  refused({ active: true, threshold: 3 });
  refused({ minimum: 7 });
  refused({ minimum: 1 });
  refused({ degree: 3, n: 7, threshold: 2 });
  refused({ degree: 1, threshold: 1 });
  refused({ degree: 4, active: true, threshold: 4 });
  const chosen = { n: 10, active: true, kind: 'chosen', degree: 9, threshold: 5 };
  accepted(chosen);
  accepted({ ...chosen, degree: 4, threshold: 3 });
  for (const change of [
    { threshold: 4 }, { degree: 3, threshold: 2 }, { degree: 10 }, { active: false }, { suite: 0x101n },
    { permutationSeed: filled(1) }, { kind: 'other' },
  ]) refused({ ...chosen, ...change });
  refused({ nonce: new Uint8Array(31) });
  refused({ context: new Uint8Array(65537) });
  refused({ version: 2n });
  refused({ suite: 0x100n });
  refused({ permutationSeed: filled(1) });
  refused({ cohort: [1n, 3n, 2n, 4n, 5n, 6n] });
  accepted({ cohort: [0n, 1n, 2n, 3n, 4n, 2n ** 64n - 1n] });
});

test('sets of clients have one form', () => {
  const parameters = parametersOf({ n: 10 });
  assert.deepEqual(setToBytes(parameters, new Set([10n, 12n, 17n, 18n])), unhex('8501'));
  assert.deepEqual(setFromBytes(parameters, unhex('8501')), new Set([10n, 12n, 17n, 18n]));
  for (const other of ['', '85', '850100', '8504']) {
    assert.throws(() => setFromBytes(parameters, unhex(other)), DecodeError, other);
  }
});

test('holders are drawn in the order of conformance.md', () => {
  const parameters = parametersOf({ n: 7, degree: 4 });
  // Others 0 to 5: j = 2 takes 2, j = 3 takes 1, j = 4 finds 2 taken and takes 4, j = 5 draws again and takes 0.
  const tape = new Tape(unhex(['5', '9', '2', 'f'.repeat(16), '6'].map((x) => x.padStart(16, '0')).join('')));
  assert.deepEqual(drawHolders(parameters, 12n, tape), [10n, 11n, 13n, 15n]);
  assert.equal(tape.rest.length, 0);
});

test('holders are drawn evenly', () => {
  const parameters = parametersOf({ n: 6, degree: 2, threshold: 2 });
  const counts = new Map();
  for (let i = 0; i < 10000; i++) {
    const drawn = `${drawHolders(parameters, 15n, new SystemRandomness())}`;
    counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
  }
  assert.equal(counts.size, 10);
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 240, `${count}`); // 8 standard deviations
});

test('edges are taken away from those that too many drew', () => {
  const drawn = new Map([[1n, [2n, 9n]], [2n, [1n]], [3n, [1n]], [4n, [1n]], [5n, [1n]], [6n, [1n]]]);
  assert.deepEqual(edgesToCut(drawn, 3), new Set(['1 6']));
  assert.deepEqual(edgesToCut(drawn, 4), new Set());
});

test('decoders are strict', () => {
  const parameters = parametersOf({});
  const { encoded, digest } = parameters;
  const undecodable = (run) => assert.throws(run, DecodeError);
  undecodable(() => decodeParameters(concat(encoded, Uint8Array.of(0))));
  for (let i = 0; i < encoded.length; i++) undecodable(() => decodeParameters(encoded.slice(0, i)));
  assert.throws(() => decodeParameters(concat(encoded.slice(0, 8), Uint8Array.of(9), encoded.slice(9))), Violation);
  undecodable(() => decodeOffer(concat(encodeOffer(encoded), unhex('1000'))));

  const forClient = (name, body) => decodeForClient(encodeMessage(digest, name, body), parameters);
  const forServer = (name, body) => decodeForServer(encodeMessage(digest, name, body), parameters);
  assert.equal(forClient('AdvertiseKeysRequest', {}).name, 'AdvertiseKeysRequest');
  undecodable(() => forServer('AdvertiseKeysRequest', {}));
  undecodable(() => forClient('ConsistencyCheckRequest', { contributors: [2n, 2n] }));
  undecodable(() => forClient('Abort', { reason: 'A16' }));
  undecodable(() => forServer('AdvertiseKeysResponse', {}));
  undecodable(() => forServer('ConsistencyCheckResponse', { signature: filled(1) }));

  const session = concat(unhex('0a20'), digest);
  const decode = (tail) => decodeForClient(concat(session, unhex(tail)), parameters);
  assert.deepEqual(decode('420a0a08' + '0700000000000000').body.contributors, [7n]);
  undecodable(() => decode(''), 'no body');
  undecodable(() => decode('12021801'), 'unknown field in a body');
  undecodable(() => decode('1200' + '7801'), 'unknown field');
  undecodable(() => decode('128000'), 'a length of two bytes');
  undecodable(() => decode('1200' + '2200'), 'two bodies');
  undecodable(() => decode('4209' + '09' + '0700000000000000'), 'not packed');
  undecodable(() => decode('42020a00'), 'an empty list that is present');
  undecodable(() => decodeForClient(concat(unhex('1200'), session), parameters), 'not in order');
});
