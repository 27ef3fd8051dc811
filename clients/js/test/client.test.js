/** What applications use: policies, inputs by name, interrupted and ended work, and the example of README.md. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  ClientSession, Interrupted, LocalError, MemoryLedger, Violation, clientPolicy, fixedPoint, generateIdentityKey, integers,
  verificationKey,
} from 'secagg-client';
import { Server } from 'secagg-client/conformance';
import { playSession } from '../examples/round.js';
import { decodeForClient, encodeMessage } from '../src/wire.js';
import { parametersOf } from './runner.js';

const VECTORS = {
  update: fixedPoint({ shape: [5], clip: 1, aggregate: 'mean' }),
  counts: integers({ shape: [2, 3], low: -5, high: 10 }),
};
const POLICY = { threatModel: 'semi-honest', vectors: VECTORS, maxWeight: 10n };
const INPUT = { update: new Float64Array(5), counts: new BigInt64Array(6) };

/** A server, and its clients: each with a ledger that counts what is entered. */
async function cohort(changes = {}, input = INPUT) {
  const server = Server.create(parametersOf(changes).encoded);
  const clients = new Map();
  for (const id of server.parameters.cohort) {
    const ledger = new MemoryLedger();
    const policy = clientPolicy({ ...POLICY, vectors: undefined });
    clients.set(id, await ClientSession.accept(server.offer, id, policy, { ledger }));
    clients.get(id).setInput(input, 2n);
  }
  return { server, clients };
}

/** Plays rounds; returns the open requests. */
async function play({ server, clients }, rounds) {
  let requests = server.firstRequests;
  for (let round = 0; round < rounds; round++) {
    for (const { client, message } of requests) server.receive(client, await clients.get(client).receive(message));
    ({ requests } = await server.closeRound());
  }
  return requests;
}

test('a policy is what the session has, or the offer is refused', async () => {
  const { offer } = Server.create(parametersOf({}).encoded);
  const accept = (changes) => ClientSession.accept(offer, 10n, clientPolicy({ ...POLICY, ...changes }));
  await accept({});
  const refused = {
    C02: { minimumCohort: 7n }, C05: { threatModel: 'active' }, C08: { context: Uint8Array.of(1) }, C15: { maxWeight: 11n },
    C14: { vectors: { ...VECTORS, counts: integers({ shape: [2, 3], low: -5, high: 9 }) } }, C13: { maximumCohort: 5n },
    C04: { minimumContributors: 4n }, C07: { maximumWords: 1n }, C16: { topologies: ['sparse'] },
  };
  for (const [rule, changes] of Object.entries(refused)) {
    const says = (error) => error instanceof Violation && error.rule === rule && /^.{20,} \(rule C\d+\)$/.test(error.message);
    await assert.rejects(accept(changes), says, rule);
  }
  for (const wrong of [{ minimumCohort: 3 }, { maxCorrupt: 1n }, { minimumchort: 3n }, { threatModel: undefined }]) {
    assert.throws(() => clientPolicy({ ...POLICY, ...wrong }), LocalError);
  }
});

test('a policy that no session meets, or that would ask nothing, is a sentence', () => {
  const sentences = {
    'maxCorrupt is -1; give 0 or more': { maxCorrupt: -1 }, 'maxDropout is NaN; give 0 or more': { maxDropout: NaN },
    'maxCorrupt is 1; give a fraction below 1': { maxCorrupt: 1 },
    'minimumCohort is -1; give 0 or more': { minimumCohort: -1n },
    'context is no Uint8Array; give the bytes': { context: 'round 7' },
    'topologies is ring; give an array of some of complete, sparse, chosen': { topologies: ['ring'] },
    'suites is 1; give an array of some of 1, 2, 257, 258': { suites: 1 },
  };
  for (const [message, wrong] of Object.entries(sentences)) {
    assert.throws(() => clientPolicy({ ...POLICY, ...wrong }), { constructor: LocalError, message });
  }
  assert.throws(() => clientPolicy(), LocalError);
  for (const vectors of [{}, null, [VECTORS.update], { update: { shape: [5], clip: 1 } }]) {
    assert.throws(() => clientPolicy({ ...POLICY, vectors }), /^Error: vectors is no object/);
  }
  const reals = [
    { clip: NaN }, { clip: -1 }, { clip: undefined }, { shape: 5 }, { shape: [] }, { shape: [0] }, { shape: [1.5] },
    { bits: 33 }, { bits: 2.5 }, { rounding: 'up' }, { aggregate: 'average' },
  ];
  for (const wrong of reals) assert.throws(() => fixedPoint({ shape: [5], clip: 1, ...wrong }), LocalError);
  for (const wrong of [{ low: 3 }, { low: 0.5 }, { high: undefined }]) {
    assert.throws(() => integers({ shape: [5], low: 0, high: 3, ...wrong }), LocalError);
  }
});

test('what is of another kind is said before anything happens', async () => {
  const { offer, firstRequests } = Server.create(parametersOf({}).encoded);
  const policy = clientPolicy(POLICY);
  const wrong = [
    [offer.buffer, 10n, policy, 'the offer is no Uint8Array'],
    [offer, 10, policy, 'the client is a number; ids are bigint, such as 17n'],
    [offer, 10n, { threatModel: 'active' }, 'the policy is none; make it by clientPolicy({…})'],
  ];
  for (const [given, id, judge, message] of wrong) {
    await assert.rejects(ClientSession.accept(given, id, judge), { constructor: LocalError, message });
  }
  await assert.rejects(ClientSession.accept(offer, 99n, policy), /client 99n is not in the cohort/);
  const session = await ClientSession.accept(offer, 10n, policy);
  await assert.rejects(session.receive('abc'), { constructor: LocalError, message: 'the message is no Uint8Array' });
  assert.throws(() => session.setInput(INPUT, 2), /the weight is a number; give a bigint/);
  assert.throws(() => session.setInput(undefined), LocalError);
  assert.throws(() => session.setInput({ ...INPUT, bias: INPUT.update }), /has bias, and the session's vectors are update, counts/);
  assert.ok(await session.receive(firstRequests[0].message));
});

test('a roster and an identity key of another kind are a sentence', async () => {
  const { encoded, cohort } = parametersOf({ active: true });
  const identityKey = generateIdentityKey();
  const roster = new Map(cohort.map((id) => [id, verificationKey(id === 10n ? identityKey : generateIdentityKey())]));
  const { offer } = Server.create(encoded, roster);
  const policy = clientPolicy({ ...POLICY, threatModel: 'active', maxCorrupt: 0 });
  const accept = (host) => ClientSession.accept(offer, 10n, policy, host);
  await assert.rejects(accept({ identityKey, roster: Object.fromEntries(roster) }), /the roster is no Map/);
  await assert.rejects(accept({ identityKey }), { rule: 'C10' });
  await assert.rejects(accept({ identityKey: identityKey.subarray(1), roster }), /a Uint8Array of 32 bytes/);
  const lacking = new Map([...roster].slice(1));
  await assert.rejects(accept({ identityKey, roster: lacking }), /client \d+n of the cohort is not in the roster/);
});

test('an input has the names, kinds and lengths of the session', async () => {
  const { clients } = await cohort();
  const wrong = [
    {}, { update: INPUT.update }, { ...INPUT, more: INPUT.update }, { ...INPUT, update: [0, 0, 0, 0, 0] },
    { ...INPUT, counts: new Float64Array(6) }, { ...INPUT, update: new Float64Array(4) },
  ];
  for (const input of wrong) assert.throws(() => clients.get(10n).setInput(input), LocalError);
});

test('interrupted work leaves nothing and can be done again', async () => {
  const all = await cohort();
  const [{ client, message }] = await play(all, 2);
  const session = all.clients.get(client);
  const signal = AbortSignal.abort();
  await assert.rejects(session.receive(message, { signal }), Interrupted);
  assert.equal(session.phase, 'MASKED_INPUT');
  const seen = [];
  const answer = await session.receive(message, { onProgress: (done, total) => seen.push([done, total]) });
  assert.equal(all.server.receive(client, answer).status, 'ACCEPTED');
  const { words } = all.server.parameters.layout;
  assert.deepEqual(seen, [[words, words]]);
});

test('work that is interrupted in the middle is begun again, with the same input', async () => {
  const vectors = [{ ...VECTORS.update, name: 'update', shape: [100_000n] }];
  const input = { update: Float64Array.from({ length: 100_000 }, (_, i) => Math.sin(i)) };
  const all = await cohort({ vectors }, input);
  const requests = await play(all, 2);
  const interrupt = new AbortController();
  const seen = [];
  const onProgress = (done) => {
    seen.push(done);
    interrupt.abort();
  };
  const [{ client, message }] = requests;
  const session = all.clients.get(client);
  await assert.rejects(session.receive(message, { signal: interrupt.signal, onProgress }), Interrupted);
  assert.deepEqual([seen.length, session.phase], [1, 'MASKED_INPUT']);
  assert.ok(seen[0] < all.server.parameters.layout.words);
  for (const each of requests) all.server.receive(each.client, await all.clients.get(each.client).receive(each.message));
  const { requests: following } = await all.server.closeRound();
  for (const each of following) all.server.receive(each.client, await all.clients.get(each.client).receive(each.message));
  await all.server.closeRound();
  assert.equal(all.server.phase, 'COMPLETED');
  const [{ reals }] = all.server.result.vectors;
  assert.ok(reals.every((real, i) => Math.abs(real - input.update[i]) < 1e-3));
});

test('a session that is ended while its keys agree stays as it was ended, whatever the message was', async (t) => {
  const all = await cohort();
  const [{ client, message }] = await play(all, 1);
  const { session: digest, body } = decodeForClient(message, all.server.parameters);
  body.advertisements.at(-1).channelPublic = new Uint8Array(32); // of low order
  const session = all.clients.get(client);
  const importKey = t.mock.method(globalThis.crypto.subtle, 'importKey', (...given) => {
    if (session.phase !== 'ABORTED') session.endSession();
    return SubtleCrypto.prototype.importKey.apply(globalThis.crypto.subtle, given);
  });
  await assert.rejects(session.receive(encodeMessage(digest, 'ShareKeysRequest', body)), LocalError);
  assert.deepEqual([session.phase, session.abortReason], ['ABORTED', 'A10']);
  assert.ok(importKey.mock.callCount() > 0);
});

test('one message at a time, and none after the session was ended meanwhile', async () => {
  const all = await cohort();
  const [{ client, message }] = await play(all, 2);
  const session = all.clients.get(client);
  const first = session.receive(message);
  await assert.rejects(session.receive(message), LocalError);
  assert.throws(() => session.setInput(INPUT), LocalError);
  assert.throws(() => session.snapshot(), LocalError);
  session.endSession();
  await assert.rejects(first, LocalError);
  assert.deepEqual([session.phase, session.abortReason], ['ABORTED', 'A10']);
});

test('a session that was ended while its ledger wrote gives no answer', async () => {
  const { offer, firstRequests } = Server.create(parametersOf({}).encoded);
  let session;
  class Ending extends MemoryLedger {
    async enter(...given) {
      await super.enter(...given);
      session.endSession();
    }
  }
  session = await ClientSession.accept(offer, 10n, clientPolicy(POLICY), { ledger: new Ending() });
  await assert.rejects(session.receive(firstRequests[0].message), LocalError);
  assert.equal(session.phase, 'ABORTED');
});

test('an answer and its snapshot are one entry: who was stopped after it gives the same answer', async () => {
  const { offer, firstRequests } = Server.create(parametersOf({}).encoded);
  let kept;
  class Keeping extends MemoryLedger {
    async enter(...given) {
      await super.enter(...given);
      kept = given.at(-1)();
    }
  }
  const ledger = new Keeping();
  const [{ message }] = firstRequests;
  const session = await ClientSession.accept(offer, 10n, clientPolicy(POLICY), { ledger });
  const answer = await session.receive(message);
  assert.deepEqual(await ClientSession.resume(kept, { ledger }).receive(message), answer);
});

test('the example of README.md takes part in a session', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const example = readFileSync(new URL('../examples/round.js', import.meta.url), 'utf8');
  assert.ok(readme.includes(example.replace('// @ts-check\n', '')));
  const vectors = [{ ...VECTORS.update, name: 'update', shape: [1000n] }];
  const parameters = parametersOf({ n: 20, active: true, threshold: 14, vectors, maxWeight: 1000n });
  const keys = new Map(parameters.cohort.map((id) => [id, generateIdentityKey()]));
  const roster = new Map([...keys].map(([id, key]) => [id, verificationKey(key)]));
  const server = Server.create(parameters.encoded, roster);
  const waiting = new Map();
  const ends = parameters.cohort.map((client) => {
    const exchange = (answer) => new Promise((resolve) => {
      if (answer) server.receive(client, answer);
      waiting.set(client, resolve);
    });
    const update = new Float32Array(1000).fill(Number(client) / 100);
    return playSession({ offer: server.offer, client, identityKey: keys.get(client), roster }, update, 5n, exchange);
  });
  let requests = server.firstRequests;
  for (let round = 0; round < 4; round++) {
    while (waiting.size < parameters.cohort.length) await new Promise(setImmediate);
    const resolves = new Map(waiting);
    waiting.clear();
    for (const { client, message } of requests) resolves.get(client)(message);
    while (waiting.size < parameters.cohort.length) await new Promise(setImmediate);
    ({ requests } = await server.closeRound());
  }
  for (const { client, message } of requests) waiting.get(client)(message);
  for (const [i, answer] of (await Promise.all(ends)).entries()) server.receive(parameters.cohort[i], answer);
  await server.closeRound();
  assert.equal(server.phase, 'COMPLETED');
  assert.equal(server.result.totalWeight, 100n);
  assert.ok(Math.abs(server.result.vectors[0].reals[0] - 0.195) < 1e-4);
});
