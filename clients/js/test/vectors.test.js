/** Inputs as words, masked words and packed words, beside what the specification says in big integers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pack, packWords, unpackWords } from '../src/packing.js';
import { masked, prgWords } from '../src/prg.js';
import { Interrupted } from '../src/rules.js';
import { Layout, quantizer } from '../src/vectors.js';

const LONG = (1 << 15) + 5; // more than one slice
const draw = (array) => globalThis.crypto.getRandomValues(array);

function drawWords(count) {
  const bytes = new Uint8Array(8 * count);
  for (let at = 0; at < bytes.length; at += 65536) draw(bytes.subarray(at, at + 65536));
  return new BigUint64Array(bytes.buffer);
}

/** All slices of masked words, in one vector. */
async function maskedWhole(words, masks, host) {
  const whole = new BigUint64Array(words.length);
  for await (const { first, words: slice } of masked(words, masks, host)) whole.set(slice, first);
  return whole;
}

for (const count of [0, 1, 3, 4, 5, 9]) {
  for (const length of [0, 1, 7, LONG]) {
    test(`${count} masks on ${length} words`, async () => {
      const masks = Array.from({ length: count }, (_, i) => ({ key: draw(new Uint8Array(16)), sign: i % 3 === 1 ? -1 : 1 }));
      const words = drawWords(length + 1).subarray(1);
      const expected = words.slice();
      const progress = [];
      const whole = await maskedWhole(words, masks, { onProgress: (...given) => progress.push(given) });
      assert.deepEqual(words, expected);
      for (const { key, sign } of masks) {
        const stream = await prgWords(key, 0, length);
        for (let i = 0; i < length; i++) expected[i] += BigInt(sign) * stream[i];
      }
      assert.ok(expected.every((word, i) => word === whole[i]));
      if (length) assert.deepEqual(progress.at(-1), [length, length]);
      assert.equal(progress.length, Math.ceil(length / (1 << 15)));
    });
  }
}

test('a stream that was added is gone, not left to the garbage collector', async (t) => {
  const { subtle } = globalThis.crypto;
  const made = [];
  t.mock.method(subtle, 'encrypt', async (...given) => {
    made.push(await SubtleCrypto.prototype.encrypt.apply(subtle, given));
    return made.at(-1);
  });
  await maskedWhole(new BigUint64Array(5), Array.from({ length: 6 }, () => ({ key: new Uint8Array(16), sign: 1 })));
  assert.deepEqual(made.map(({ byteLength }) => byteLength), Array(6).fill(0));
});

test('masking is interrupted between two slices', async () => {
  const interrupt = new AbortController();
  const progress = [];
  const onProgress = (done) => {
    progress.push(done);
    interrupt.abort();
  };
  const masks = [{ key: new Uint8Array(16), sign: 1 }];
  let last;
  const work = async () => {
    const host = { signal: interrupt.signal, onProgress };
    for await (const { words } of masked(new BigUint64Array(2 * LONG).fill(1n), masks, host)) last = words;
  };
  await assert.rejects(work, Interrupted);
  assert.deepEqual(progress, [1 << 15]);
  assert.ok(last.every((word) => word === 0n));
});

for (const ringBits of [1, 2, 7, 16, 31, 32, 33, 48, 60, 63, 64]) {
  test(`words of ${ringBits} bits are packed`, () => {
    for (const length of [0, 1, 2, 33, 4096, 4097, 9001]) {
      const words = drawWords(length);
      const packed = packWords(words, ringBits);
      assert.equal(packed.length, Math.ceil((length * ringBits) / 8));
      const kept = words.map((word) => BigInt.asUintN(ringBits, word));
      assert.deepEqual(unpackWords(packed, ringBits, length), kept);
      let all = 0n;
      for (let i = Math.min(length, 40) - 1; i >= 0; i--) all = (all << BigInt(ringBits)) | kept[i];
      const bytes = Math.floor((Math.min(length, 40) * ringBits) / 8);
      for (let i = 0; i < bytes; i++) assert.equal(packed[i], Number((all >> BigInt(8 * i)) & 0xffn));
    }
  });
}

test('a session vector is packed in parts, wherever they are cut', () => {
  const vectors = [[50, 16], [1, 9], [7, 3], [900, 5]].map(([length, bits], i) => (
    { name: `v${i}`, kind: 'FixedPoint', clip: 1, bits, rounding: 'nearest', aggregate: 'sum', shape: [BigInt(length)] }));
  const layout = new Layout({ vectors, maxWeight: 9n, n: 5 });
  const words = drawWords(layout.words);
  const whole = pack(layout, words);
  layout.sections.forEach((section) => {
    const own = words.subarray(section.firstWord, section.firstWord + section.words);
    const packed = whole.subarray(section.firstByte, section.firstByte + section.bytes);
    assert.deepEqual(unpackWords(packed, section.ringBits, section.words), own.map((w) => BigInt.asUintN(section.ringBits, w)));
  });
  for (const step of [1, 2, 7, 64, 1000]) {
    const payload = new Uint8Array(layout.bytes);
    for (let first = 0; first < layout.words; first += step) pack(layout, words.slice(first, first + step), first, payload);
    assert.deepEqual(payload, whole);
  }
});

/** One vector of an unweighted or weighted session, and a second behind it that must stay as it is. */
function layoutOf({ n, bits, maxWeight = 1n, length, kind = 'FixedPoint', low = 0n, high = 0n }) {
  const first = kind === 'FixedPoint'
    ? { name: 'x', kind, clip: 2, bits, rounding: 'nearest', aggregate: 'mean', shape: [BigInt(length)] }
    : { name: 'x', kind, low, high, shape: [BigInt(length)] };
  const last = { name: 'last', kind: 'Integers', low: 0n, high: 1n, shape: [1n] };
  return new Layout({ vectors: [first, last], maxWeight, n });
}

const WIDTHS = [[3, 2, 1n], [20, 16, 1n], [20, 16, 1000n], [1000, 32, 1n], [1000, 20, 2n ** 25n], [3, 32, 2n ** 30n]];
for (const [n, bits, maxWeight] of WIDTHS) {
  test(`entries of ${bits} bits of ${n} clients with weights to ${maxWeight} stand in their fields`, () => {
    const length = (1 << 15) + 11;
    const layout = layoutOf({ n, bits, maxWeight, length });
    const update = Float64Array.from({ length }, (_, i) => 2.5 * Math.sin(i));
    const weight = maxWeight > 1n ? maxWeight - 1n : 1n;
    const words = layout.encode(new Map([['x', update], ['last', BigInt64Array.of(1n)]]), weight);
    const levels = new Float64Array(length);
    const quantize = quantizer(layout.vectors[0]);
    for (let at = 0; at < length; at += 1000) quantize(levels.subarray(at, at + 1000), update, at);
    const factor = maxWeight > 1n ? weight : 1n;
    assert.deepEqual(layout.sections[0].read(words), [...levels].map((level) => BigInt(level) * factor));
    assert.deepEqual(layout.sections[1].read(words), [1n]);
  });
}

test('integers stand in their fields, however large', () => {
  const [low, high] = [-(2n ** 61n), 2n ** 61n];
  const layout = layoutOf({ n: 3, kind: 'Integers', low, high, length: 3 });
  const words = layout.encode(new Map([['x', BigInt64Array.of(low - 5n, 7n, high)], ['last', BigInt64Array.of(0n)]]), 1n);
  assert.deepEqual(layout.sections[0].read(words), [0n, 7n - low, high - low]);
});

test('the rest of a coin decides where its top byte does not', (t) => {
  const drawn = [];
  t.mock.method(globalThis.crypto, 'getRandomValues', (array) => array.fill(drawn.shift()));
  const level = (x, ...coin) => {
    drawn.splice(0, drawn.length, ...coin);
    const block = new Float64Array(1);
    quantizer({ clip: 127, bits: 8, rounding: 'stochastic' })(block, [x], 0);
    return [block[0] - 127, drawn.length];
  };
  assert.deepEqual(level(3.5, 0x7f, 0xffffff), [3, 1]); // below a half, whatever follows
  assert.deepEqual(level(3.5, 0x80, 0), [4, 1]);
  const third = 1 - (0x55 + 0.5) / 0x100; // 1 − u for the coin 0x55800000
  assert.deepEqual(level(3 + third, 0x54, 0xffffff), [3, 1]);
  assert.deepEqual(level(3 + third, 0x55, 0x7fffff), [3, 0]);
  assert.deepEqual(level(3 + third, 0x55, 0x800001), [4, 0]);
  assert.deepEqual(level(3 + third, 0x56, 0), [4, 1]);
});

test('a third of a level is rounded up a third of the time', () => {
  const block = new Float64Array(1 << 15);
  let up = 0;
  for (let i = 0; i < 8; i++) {
    quantizer({ clip: 127, bits: 8, rounding: 'stochastic' })(block, new Float64Array(1 << 15).fill(3 + 1 / 3), 0);
    up += block.reduce((sum, level) => sum + level - 130, 0);
  }
  assert.ok(Math.abs(up / 2 ** 18 - 1 / 3) < 0.01); // eleven standard deviations
});

test('what is a level stays one, whatever is drawn', (t) => {
  for (const coin of [0, 0xffffffff]) {
    t.mock.method(globalThis.crypto, 'getRandomValues', (array) => array.fill(coin));
    for (const bits of [2, 8, 16, 32]) {
      const highest = 2 ** (bits - 1) - 1;
      const clip = 0.7;
      for (const k of [-highest, -1, 0, 1, Math.floor(highest / 3), highest]) {
        const block = new Float64Array(1);
        quantizer({ clip, bits, rounding: 'stochastic' })(block, [(k / highest) * clip], 0);
        assert.equal(block[0] - highest, k);
      }
    }
    t.mock.restoreAll();
  }
});
