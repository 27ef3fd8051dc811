/** X25519 of the platform and of @noble: the same results, and the same refusals. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { WAYS, agreements, publicKeyOf } from '../src/agreement.js';
import { hex, unhex } from '../src/canonical.js';
import { agreementPublicKey, isCanonicalKey } from '../src/crypto.js';

const file = new URL('../../../protocol_specs/vectors/primitives/key_schedule.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8'));
const of = (name) => cases.filter((each) => each.function === name);
const PRIVATE = unhex(of('agree')[0].input.private);

for (const [name, way] of Object.entries(WAYS)) {
  test(`${name}: the known answers`, async () => {
    assert.ok(of('agree').length > 3);
    for (const { id, input, output } of of('agree')) {
      const [agreed] = await way(unhex(input.private), [unhex(input.public)]);
      assert.equal(hex(agreed), output.agreed, id);
    }
  });

  test(`${name}: keys of low order, and only those, agree on nothing, in the place of each`, async () => {
    const keys = of('judge_public_key').filter(({ input }) => isCanonicalKey(unhex(input.public)));
    const agreed = await way(PRIVATE, keys.map(({ input }) => unhex(input.public)));
    assert.deepEqual(agreed.map((each) => each === null), keys.map(({ flags }) => flags.includes('LowOrder')));
    assert.ok(agreed.includes(null) && agreed.some((each) => each !== null));
  });
}

test('both ways agree on what was drawn', async () => {
  const draw = () => globalThis.crypto.getRandomValues(new Uint8Array(32));
  const publics = Array.from({ length: 10 }, () => agreementPublicKey(draw()));
  const own = draw();
  assert.deepEqual(await WAYS.byPlatform(own, publics), await WAYS.byNoble(own, publics));
});

test('a key that the platform opens stays in it, and only agrees', async (t) => {
  const { subtle } = globalThis.crypto;
  const opened = [];
  t.mock.method(subtle, 'importKey', async (...given) => {
    opened.push(await SubtleCrypto.prototype.importKey.apply(subtle, given));
    return opened.at(-1);
  });
  await WAYS.byPlatform(PRIVATE, [unhex(of('agree')[0].input.public)]);
  const { extractable, usages } = opened.find(({ type }) => type === 'private');
  assert.deepEqual([extractable, usages], [false, ['deriveBits']]);
});

/** The module anew, as a platform loads it. */
const anew = (name) => import(`../src/agreement.js?${name}`);

const really = (...given) => SubtleCrypto.prototype.deriveBits.apply(globalThis.crypto.subtle, given);
const BROKEN = {
  'has none': async () => { throw new DOMException('no X25519', 'NotSupportedError'); },
  'takes the zero result': (...given) => really(...given).catch(() => new ArrayBuffer(32)),
  'gives wrong results': async (...given) => new Uint8Array(await really(...given)).map((byte) => byte ^ 1).buffer,
};
for (const [what, deriveBits] of Object.entries(BROKEN)) {
  test(`a platform that ${what} is left alone`, async (t) => {
    const known = of('agree')[0];
    const broken = t.mock.method(globalThis.crypto.subtle, 'deriveBits', deriveBits);
    const module = await anew(what.replaceAll(' ', '-'));
    const given = [unhex(known.input.private), [unhex(known.input.public), new Uint8Array(32)]];
    const [agreed, none] = await module.agreements(...given);
    assert.deepEqual([hex(agreed), none], [known.output.agreed, null]);
    assert.equal(broken.mock.callCount(), 2);
  });
}

test('the platform is asked where it is right, and not again', async (t) => {
  const derive = t.mock.method(globalThis.crypto.subtle, 'deriveBits');
  const module = await anew('right');
  await module.agreements(PRIVATE, [unhex(of('agree')[0].input.public)]);
  const first = derive.mock.callCount();
  await module.agreements(PRIVATE, [unhex(of('agree')[0].input.public)]);
  assert.deepEqual([first, derive.mock.callCount()], [3, 4]);
});

test('public keys are those of @noble, with what encapsulates behind them', async () => {
  const long = new Uint8Array(96).map((_, i) => i);
  for (const key of [PRIVATE, long]) assert.deepEqual(await publicKeyOf(key), agreementPublicKey(key));
  assert.deepEqual(await agreements(long, [agreementPublicKey(long)]), await agreements(long.slice(0, 32), [
    agreementPublicKey(long.slice(0, 32)),
  ]));
});
