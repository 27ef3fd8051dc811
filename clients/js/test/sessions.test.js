/** Whole sessions of this client with this server: both models, all graphs, dropouts in every round, snapshots. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATUS, Session, filled, parametersOf } from './runner.js';
import { decodeForServer, encodeMessage } from '../src/wire.js';

const near = (one, other) => one.forEach((x, i) => assert.ok(Math.abs(x - other[i]) < 1e-3, `${one} and ${other}`));

function checkResult(session, outcome, contributors) {
  assert.equal(outcome.phase, 'COMPLETED');
  const expected = session.expected(contributors);
  assert.deepEqual(outcome.result.contributors, contributors);
  assert.equal(outcome.result.totalWeight, expected.weight);
  near(outcome.result.vectors[0].reals, expected.update);
  assert.deepEqual(outcome.result.vectors[1].integers, expected.counts);
}

/** Runs a session; `silent` names for each round the clients that no longer answer. */
async function run(parameters, silent, snapshots = false) {
  const session = await Session.open(parameters);
  await session.setInputs();
  let outcome;
  const gone = new Set();
  let contributors;
  const rounds = parameters.active ? 5 : 4;
  for (let round = 0; round < rounds; round++) {
    if (snapshots) await session.refreeze();
    outcome = await session.round(silent[round] ?? []);
    for (const id of silent[round] ?? []) gone.add(id);
    if (round === 2) contributors = parameters.cohort.filter((id) => !gone.has(id));
    assert.deepEqual(outcome.dropped.map(({ client }) => client), silent[round] ?? []);
  }
  checkResult(session, outcome, contributors);
}

const GRAPHS = {
  'semi-honest, complete': { n: 8, threshold: 3 },
  'semi-honest, sparse, even degree': { n: 12, degree: 8, threshold: 3 },
  'semi-honest, sparse, odd degree': { n: 12, degree: 7, threshold: 2 },
  'active, complete': { n: 12, threshold: 7, active: true },
  'active, chosen': { n: 22, kind: 'chosen', degree: 17, threshold: 11, active: true },
};

for (const [name, graph] of Object.entries(GRAPHS)) {
  test(`${name}: everybody answers`, () => run(parametersOf(graph), []));
  test(`${name}: snapshots in every phase`, () => run(parametersOf(graph), [], true));
  test(`${name}: dropouts`, async () => {
    for (let round = 0; round < (graph.active ? 5 : 4); round++) {
      const silent = [];
      silent[round] = [11n, 14n];
      await run(parametersOf(graph), silent);
    }
    await run(parametersOf(graph), [[10n], [12n], [14n], graph.active ? [16n] : []], true);
  });
}

test('without weights', async () => {
  const parameters = parametersOf({ maxWeight: 1n });
  assert.equal(parameters.layout.hasWeights, false);
  const session = await Session.open(parameters);
  await session.setInputs();
  let outcome;
  for (let round = 0; round < 4; round++) outcome = await session.round();
  assert.equal(outcome.result.totalWeight, undefined);
  assert.deepEqual(outcome.result.vectors[1].integers, session.expected(parameters.cohort).counts);
});

test('too few of each', async () => {
  const all = parametersOf({ active: true }).cohort;
  for (const [round, reason] of ['A01', 'A02', 'A03', 'A04', 'A05'].entries()) {
    const session = await Session.open(parametersOf({ active: true }));
    await session.setInputs();
    for (let i = 0; i < round; i++) await session.round();
    const outcome = await session.round(all.slice(0, 3));
    assert.equal(outcome.abortReason, reason);
    assert.deepEqual(outcome.requests.map(({ client }) => client), all);
    const notified = await session.step(session.handles.get(all[4]), { message: outcome.requests[4].message });
    const ended = [STATUS.ACCEPTED, 'ABORTED', 'A09'];
    const completed = [STATUS.LOCAL_ERROR, 'COMPLETED', ''];
    const seen = [notified.status, notified.phase, notified.abortReason];
    assert.deepEqual(seen, reason === 'A05' ? completed : ended);
  }
});

test('pruning of a sparse graph', async () => {
  const parameters = parametersOf({ n: 10, degree: 2, threshold: 2 });
  const session = await Session.open(parameters);
  const outcome = await session.round([10n]);
  assert.equal(outcome.abortReason, 'A01');
  assert.deepEqual(outcome.dropped.map(({ rule }) => rule).sort(), ['S01', ...Array(9).fill('S14')]);
  assert.equal(outcome.requests.length, 10);
});

/** A session in which wrong seed shares of client 10 are sent by some holders. */
async function withWrongShares(holders, threshold = 3) {
  const parameters = parametersOf({ n: 9, threshold });
  const session = await Session.open(parameters);
  await session.setInputs();
  for (let round = 0; round < 3; round++) await session.round();
  return session.round([], (client, answer) => {
    if (!holders.includes(client)) return answer;
    const { session: digest, name, body } = decodeForServer(answer, parameters);
    body.seedShares.filter(({ owner }) => owner === 10n).forEach(({ share }) => { share[3] ^= Number(client); });
    return encodeMessage(digest, name, body);
  });
}

test('wrong shares are corrected and reported', async () => {
  const outcome = await withWrongShares([12n, 17n]);
  assert.equal(outcome.phase, 'COMPLETED');
  assert.deepEqual(outcome.inconsistent, [12n, 17n].map((holder) => ({ holder, owner: 10n, rule: 'S52' })));
  assert.deepEqual((await withWrongShares([11n, 12n, 13n])).abortReason, 'A06');
  const late = await withWrongShares([15n, 16n, 17n, 18n]);
  assert.equal(late.phase, 'COMPLETED');
  assert.equal(late.inconsistent.length, 4);
});

test('repeats, late messages and violations', async () => {
  const session = await Session.open(parametersOf({ active: true }));
  await session.setInputs();
  const handle = session.handles.get(10n);
  const [{ message }] = session.requests;
  const first = await session.step(handle, { message });
  assert.deepEqual((await session.step(handle, { message })).answer, first.answer);
  assert.equal((await session.deliver(10n, first.answer)).status, STATUS.ACCEPTED);
  assert.equal((await session.deliver(10n, first.answer)).status, STATUS.REPEATED);
  assert.equal((await session.deliver(9n, first.answer)).status, STATUS.LOCAL_ERROR);
  assert.equal((await session.deliver(11n, first.answer)).rule, 'S10');
  assert.equal((await session.deliver(11n, first.answer)).status, STATUS.LATE);
  assert.equal((await session.deliver(12n, first.answer.slice(1))).rule, 'S02');
  const refused = await session.step(handle, { message: encodeMessage(session.parameters.digest, 'UnmaskingRequest', {}) });
  assert.deepEqual([refused.rule, refused.phase, refused.abortReason], ['C11', 'ABORTED', 'A07']);
  assert.deepEqual(refused.notice, encodeMessage(session.parameters.digest, 'Abort', { reason: 'A07' }));
  assert.equal((await session.step(handle, { message })).status, STATUS.LOCAL_ERROR);
  assert.equal((await session.deliver(10n, refused.notice)).rule, 'S06');
});

test('a tape that ends too early, and a ledger', async () => {
  const session = await Session.open(parametersOf({}));
  const [{ message }] = session.requests;
  const short = await session.createClient(10n, { tape: new Uint8Array(95), ledger: '' });
  const failed = await session.step(short.handle, { message });
  assert.deepEqual([failed.status, failed.abortReason], [STATUS.FAILED, 'A11']);
  const [one, other] = await Promise.all([1, 2].map((byte) =>
    session.createClient(10n, { ledger: 'another', tape: new Uint8Array(96).fill(byte) })));
  assert.equal((await session.step(one.handle, { message })).status, STATUS.ACCEPTED);
  const second = await session.step(other.handle, { message });
  assert.deepEqual([second.status, second.rule, second.abortReason], [STATUS.REFUSED, 'A12', 'A12']);
  assert.equal(second.answer, undefined);
});

test('offers that a client refuses', async () => {
  const session = await Session.open(parametersOf({ active: true }));
  const rules = [
    [{ smallestCohort: 7n }, 'C02'], [{ largestCohort: 5n }, 'C13'], [{ smallestThreshold: 5n }, 'C03'],
    [{ corruptFraction: 0.5 }, 'C03'], [{ smallestMinimumContributors: 4n }, 'C04'],
    [{ threatModel: 'semi-honest' }, 'C05'], [{ suites: [2] }, 'C06'], [{ context: filled(1) }, 'C08'],
    [{ largestVector: 1n }, 'C07'],
  ];
  for (const [change, rule] of rules) {
    const outcome = await session.createClient(10n, {}, change);
    assert.deepEqual([outcome.status, outcome.rule, outcome.handle, outcome.phase], [STATUS.REFUSED, rule, 0n, '']);
  }
  assert.equal((await session.createClient(9n)).rule, 'C09');
  assert.equal((await session.createClient(10n, { roster: session.roster.slice(1) })).rule, 'C10');
  assert.equal((await session.createClient(10n, { identityKey: filled(99) })).status, STATUS.LOCAL_ERROR);
  assert.equal((await session.createClient(10n, { offer: session.offer.slice(0, -1) })).rule, 'A08');
});
