/** The worked examples of secagg-v1.md, read from the document itself. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ed25519 } from '@noble/curves/ed25519.js';
import { bindingOf } from '../src/binding.js';
import * as c from '../src/canonical.js';
import { Client } from '../src/client.js';
import * as crypto from '../src/crypto.js';
import { pack, packWords } from '../src/packing.js';
import { decodeParameters } from '../src/parameters.js';
import { prgWords } from '../src/prg.js';
import { limbsOf, rebuild, shareAt } from '../src/sharing.js';
import { Tape } from '../src/conformance/tape.js';
import { Topology, place } from '../src/topology.js';
import { decodeForServer, encodeMessage, encodeOffer } from '../src/wire.js';

const ed25519Hash = (data) => createHash('sha512').update(data).digest();
const document = readFileSync(new URL('../../../protocol_specs/secagg-v1.md', import.meta.url), 'utf8');

/** The lines "name = value" of an example; indented lines go on with the value. */
function example(name) {
  const [, block] = document.match(new RegExp(`generated: example ${name} -->\n\`\`\`text\n([^]*?)\n\`\`\``));
  const lines = block.replaceAll(/\n {2}/g, '').split('\n');
  return Object.fromEntries(lines.map((line) => line.match(/^(.*) = ?(.*)$/).slice(1)));
}

const filled = (byte) => new Uint8Array(32).fill(byte);
const counting = (count) => Uint8Array.from({ length: count }, (_, i) => i);
const encoded = c.unhex(example('parameters').parameters);
const parameters = decodeParameters(encoded);

const identityKey = (u) => filled(0x40 + u);
const roster = new Map([1, 2, 5].map((u) => [BigInt(u), crypto.verificationKey(identityKey(u))]));
const policy = {
  threatModel: 'active', corruptFraction: 0, smallestCohort: 2n, largestCohort: 10n, smallestThreshold: 1n,
  smallestMinimumContributors: 2n, suites: [1], context: undefined, largestVector: 100n, securityBits: 40,
  vectors: [], maxWeight: 0n,
  dropoutFraction: 0.1, topologies: ['complete'],
};

function clientOf(u) {
  const tape = c.concat(filled(0x10 + u), filled(0x20 + u), filled(0x30 + u), new Uint8Array(1000));
  const host = { identityKey: identityKey(u), roster, randomness: new Tape(tape) };
  return Client.accept(encodeOffer(encoded), BigInt(u), policy, host);
}

const request = (name, body) => encodeMessage(parameters.digest, `${name}Request`, body);

/** The three clients after AdvertiseKeys, and their advertisements. */
async function advertised() {
  const clients = await Promise.all([1, 2, 5].map(clientOf));
  await Promise.all(clients.map((client) => client.receive(request('AdvertiseKeys', {}))));
  return [clients, clients.map((client) => client.state.advertisement)];
}

test('canonical encoding', async () => {
  const [expected] = Object.values(example('canonical'));
  const value = c.concat(
    c.canonical('ab', 258, c.unhex('ff00')), c.text('é'), c.list([c.integer(7), c.bytes(Uint8Array.of(9))]),
  );
  assert.equal(c.hex(value), expected);
});

test('parameters', async () => {
  assert.equal(c.hex(parameters.encoded), example('parameters').parameters);
  assert.equal(c.hex(parameters.digest), example('parameters').session_digest);
});

test('topology', async () => {
  const cohort = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n];
  const permutationSeed = counting(32);
  const topology = new Topology({ cohort, n: 8, complete: false, degree: 3n, permutationSeed });
  const expected = example('topology');
  assert.equal(c.hex(place(permutationSeed, 1n)), expected['place of 1']);
  for (const u of cohort) assert.equal(topology.neighbours(u).join(', '), expected[`neighbours of ${u}`]);
});

test('keys', async () => {
  const expected = example('keys');
  const [, advertisements] = await advertised();
  const [one, two, five] = advertisements;
  assert.equal(c.hex(two.channelPublic), expected['channel public key of 2']);
  assert.equal(c.hex(two.maskPublic), expected['mask public key of 2']);
  assert.equal(c.hex(two.commitment), expected['commitment of 2']);
  assert.equal(c.hex(roster.get(2n)), expected['identity public key of 2']);
  assert.equal(c.hex(two.signature), expected['signature of 2 over its advertisement']);
  const binding = bindingOf(parameters, new Map(advertisements.map((each) => [each.client, each])));
  assert.equal(c.hex(binding), expected.cohort_digest);
  const shared = crypto.agree(filled(0x12), five.channelPublic);
  const key = crypto.channelKey(shared, binding, 2n, two.channelPublic, 5n, five.channelPublic);
  assert.equal(c.hex(key), expected['channel key from 2 to 5']);
  const back = crypto.channelKey(shared, binding, 5n, five.channelPublic, 2n, two.channelPublic);
  assert.equal(c.hex(back), expected['channel key from 5 to 2']);
  const sealed = crypto.seal(key, counting(24), binding, 2n, 5n, new Uint8Array(72));
  assert.equal(c.hex(sealed), expected['72 zero bytes sealed from 2 to 5, nonce 00 01 .. 17']);
  assert.deepEqual(crypto.open(key, sealed, binding, 2n, 5n), new Uint8Array(72));
  for (const other of [one, five]) {
    const pairwise = crypto.pairwiseKey(
      crypto.agree(filled(0x22), other.maskPublic), binding, parameters.digest, two, other,
    );
    const name = other === one ? 'pairwise PRG key of 1 and 2' : 'pairwise PRG key of 2 and 5';
    assert.equal(c.hex(pairwise), expected[name]);
  }
  assert.equal(c.hex(crypto.selfMaskKey(filled(0x32), parameters.digest)), expected['self-mask PRG key of 2']);
  const statement = crypto.contributorsToSign(binding, [1n, 2n, 5n]);
  const signature = crypto.sign(identityKey(2), statement);
  assert.equal(c.hex(signature), expected['signature of 2 over contributors 1, 2, 5']);
  assert.ok(crypto.verify(roster.get(2n), signature, statement));
  assert.ok(!crypto.verify(roster.get(1n), signature, statement));
});

test('mask PRG', async () => {
  const words = async (first) => [...await prgWords(counting(16), first, 2)].map((w) => `0x${w.toString(16)}`).join(' ');
  assert.equal(await words(0), example('prg')['AES-128-CTR, words 0 and 1']);
  assert.equal(await words(32768), example('prg')['AES-128-CTR, words 32768 and 32769']);
  assert.deepEqual(await prgWords(counting(16), 7, 5), (await prgWords(counting(16), 0, 12)).slice(7));
});

const inputOfTwo = new Map([
  ['update', Float64Array.of(0.5, -1, 1)], ['counts', BigInt64Array.of(10n, -1n)],
]);

test('layout', async () => {
  const expected = example('layout');
  ['update', 'counts', 'weight'].forEach((name, i) => {
    const s = parameters.layout.sections[i];
    assert.equal(
      `w ${s.width}, f ${s.fields}, B ${s.ringBits}, words ${s.words} from ${s.firstWord}, `
        + `bytes ${s.bytes} from ${s.firstByte}`,
      expected[name],
    );
  });
  const words = parameters.layout.encode(inputOfTwo, 3n);
  const shown = [...words].map((w) => `0x${w.toString(16).padStart(16, '0')}`).join(' ');
  assert.equal(shown, expected['session vector of 2']);
  assert.equal(c.hex(pack(parameters.layout, words)), expected['the same, packed']);
});

test('packing', async () => {
  const packed = packWords(BigUint64Array.of(0x12345n, 0xabcden, 1n), 20);
  assert.equal(c.hex(packed), example('packing')['packed (B = 20)']);
});

test('sharing', async () => {
  const expected = example('sharing');
  const secret = c.unhex(expected.secret);
  assert.equal(limbsOf(secret).join(', '), expected.limbs);
  const polynomials = limbsOf(secret).map((limb) => [limb, 1]);
  const shares = new Map([1, 2].map((x) => [x, shareAt(polynomials, x)]));
  for (const x of [1, 2]) assert.equal(c.hex(shares.get(x)), expected[`share at point ${x}`]);
  assert.deepEqual(rebuild(shares, 2, () => true), { secret, off: [] });
});

test('masked input', async () => {
  const [clients, advertisements] = await advertised();
  const answers = await Promise.all(clients.map((client) => client.receive(request('ShareKeys', { advertisements }))));
  const toTwo = [0, 2].map((i) => {
    const { ciphertexts } = decodeForServer(answers[i], parameters).body;
    return { client: clients[i].client, ciphertext: ciphertexts.find((each) => each.client === 2n).ciphertext };
  });
  clients[1].setInput(inputOfTwo, 3n);
  const answer = await clients[1].receive(request('MaskedInputCollection', { ciphertexts: toTwo }));
  assert.equal(c.hex(answer), example('masked').MaskedInputCollectionResponse);
});

test('strict Ed25519', async () => {
  const { Point } = ed25519;
  const torsion = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', true);
  const order = Point.Fn.ORDER;
  const message = Uint8Array.of(1, 2, 3);
  const little = (value) => c.unhex(value.toString(16).padStart(64, '0')).reverse();
  const number = (data) => BigInt(`0x${c.hex(Uint8Array.from(data).reverse())}`);
  const challenge = (R, A) => number(ed25519Hash(c.concat(R.toBytes(), A.toBytes(), message))) % order;
  const secret = 12345n;
  const A = Point.BASE.multiply(secret);
  const signature = (R, nonce, key) => c.concat(R.toBytes(), little((nonce + challenge(R, key) * secret) % order));
  const R = Point.BASE.multiply(678n);
  const good = signature(R, 678n, A);
  assert.ok(crypto.verify(A.toBytes(), good, message));
  const beyond = c.concat(R.toBytes(), little(number(good.slice(32)) + order));
  assert.ok(!crypto.verify(A.toBytes(), beyond, message));
  const twisted = signature(R.add(torsion), 678n, A);
  assert.ok(ed25519.verify(twisted, message, A.toBytes()), 'the equation with cofactor holds');
  assert.ok(!crypto.verify(A.toBytes(), twisted, message));
  assert.ok(!crypto.verify(A.toBytes(), signature(Point.ZERO, 0n, A), message), 'R of low order');
  assert.ok(!crypto.verify(torsion.toBytes(), c.concat(Point.ZERO.toBytes(), new Uint8Array(32)), message));
});
