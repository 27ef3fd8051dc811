/** Sessions with clients that deal what cannot be read, or complain of what can be (§6.4, §6.8, §6.9). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bindingOf } from '../src/binding.js';
import { concat } from '../src/canonical.js';
import { agreementPublicKey, sign } from '../src/crypto.js';
import { blocksOf, dealingToSign, digestsOf, entryOf, prove } from '../src/disclosures.js';
import { contextOf, hintsFrom, judgeEvidence } from '../src/evidence.js';
import { decodeForClient, decodeForServer, encodeMessage } from '../src/wire.js';
import { STATUS, Session, filled, parametersOf } from './runner.js';

const SUITES = { signed: 1n, hybrid: 0x0101n };

/** A session whose corrupt clients are driven by hand; all others are honest. */
class Corrupted extends Session {
  constructor(changes) {
    super(parametersOf(changes));
    this.advertisements = new Map();
  }

  async begin() {
    await super.begin();
    await this.setInputs();
    await this.round([], (client, answer) => {
      const { advertisement } = decodeForServer(answer, this.parameters).body;
      this.advertisements.set(client, advertisement);
      return answer;
    });
  }

  get rosterMap() {
    return new Map(this.roster.map(({ client, verificationKey }) => [client, verificationKey]));
  }

  get binding() {
    return bindingOf(this.parameters, this.advertisements);
  }

  encode(name, body) {
    return encodeMessage(this.parameters.digest, name, body);
  }

  /** ShareKeys, in which each dealer of `bad` deals garbage to its victims, under its signature. */
  deal(bad) {
    return this.round([], (client, answer) => {
      const { body } = decodeForServer(answer, this.parameters);
      if (!bad.has(client)) return answer;
      const spoil = ({ client: receiver, ciphertext }) => {
        const spoilt = ciphertext.slice();
        if (bad.get(client).includes(receiver)) spoilt[ciphertext.length > 144 ? 1150 : 50] ^= 1;
        return { client: receiver, ciphertext: spoilt };
      };
      const ciphertexts = body.ciphertexts.map(spoil);
      const signature = concat(this.signDealing(client, ciphertexts), body.signature.slice(64));
      return this.encode('ShareKeysResponse', { ciphertexts, signature });
    });
  }

  signDealing(client, ciphertexts) {
    if (!this.parameters.signsDealings) return new Uint8Array(0);
    const entries = ciphertexts.map((each) =>
      entryOf(each.client, this.advertisements.get(each.client).channelPublic, each.ciphertext));
    const own = this.advertisements.get(client).channelPublic;
    const statement = dealingToSign(this.parameters.digest, this.binding, client, own, digestsOf(blocksOf(entries)));
    return sign(this.identityKeys.get(client), statement);
  }
}

const named = ({ blame }) => blame.map(({ client, rule, evidence }) => [client, rule, evidence !== undefined]);

test('who deals garbage is named with evidence, and nobody else', async () => {
  const session = await Corrupted.open({ n: 20, threshold: 14, active: true });
  await session.deal(new Map([[11n, [10n, 29n]], [28n, [29n]]]));
  const asked = await session.round();
  assert.equal(asked.phase, 'COLLECTING_DISCLOSURES');
  assert.deepEqual(asked.requests.map(({ client }) => client), [10n, 29n]);
  const shown = decodeForClient(asked.requests[1].message, session.parameters).body.dealings;
  assert.deepEqual(shown.map(({ client, block }) => [client, block.length]), [[11n, 3 * 184], [28n, 3 * 184]]);
  const outcome = await session.round();
  assert.deepEqual([outcome.phase, outcome.abortReason], ['ABORTED', 'A15']);
  assert.deepEqual(named(outcome), [[11n, 'S22', true], [28n, 'S22', true]]);
  assert.deepEqual(outcome.requests.map(({ client }) => client), session.parameters.cohort);
  for (const { client, rule, evidence } of outcome.blame) {
    assert.deepEqual(judgeEvidence(evidence, session.rosterMap), { client, rule });
    for (const at of [30, 100, 400, evidence.length - 200, evidence.length - 1]) {
      const changed = evidence.slice();
      changed[at] ^= 1;
      assert.equal(judgeEvidence(changed, session.rosterMap), null);
    }
    assert.equal(judgeEvidence(concat(evidence, Uint8Array.of(0)), session.rosterMap), null);
    const without = session.rosterMap;
    without.delete(client);
    assert.equal(judgeEvidence(evidence, without), null);
  }
});

test('who complains of a good pair is named by its own disclosure, or by its silence', async () => {
  const parameters = { n: 6, threshold: 4, active: true };
  const session = await Corrupted.open(parameters);
  const privateKey = filled(77);
  const liar = 12n;
  // The liar advertises a key that the test knows: its session begins anew.
  const again = await Session.open(session.parameters);
  await again.setInputs();
  const tape = concat(privateKey, filled(78), filled(79), new Uint8Array(1000).fill(5));
  again.handles.set(liar, (await again.createClient(liar, { tape, ledger: '' })).handle);
  await again.step(again.handles.get(liar), { setInput: again.inputs.get(liar) });
  const advertisements = new Map();
  await again.round([], (client, answer) => {
    advertisements.set(client, decodeForServer(answer, again.parameters).body.advertisement);
    return answer;
  });
  assert.deepEqual(advertisements.get(liar).channelPublic, agreementPublicKey(privateKey));
  await again.round();
  const received = decodeForClient(again.requests.find(({ client }) => client === liar).message, again.parameters).body;
  const accused = [10n, 11n];
  await again.round([], (client, answer) =>
    (client === liar ? encodeMessage(again.parameters.digest, 'Complaint', { accused }) : answer));
  const proofs = accused.map((dealer) => ({
    client: dealer,
    proof: prove(privateKey, advertisements.get(dealer).channelPublic, contextOf({
      session: again.parameters.digest,
      binding: bindingOf(again.parameters, advertisements),
      dealer,
      dealerPublic: advertisements.get(dealer).channelPublic,
      receiver: liar,
      receiverPublic: advertisements.get(liar).channelPublic,
      sealed: received.ciphertexts.find(({ client }) => client === dealer).ciphertext,
    })),
  }));
  const disclose = (disclosures) =>
    again.deliver(liar, encodeMessage(again.parameters.digest, 'DisclosureResponse', { disclosures }));
  assert.equal((await disclose(proofs)).status, STATUS.ACCEPTED);
  const outcome = await again.close();
  assert.deepEqual(named(outcome), [[liar, 'S33', true]]);
  const roster = new Map(again.roster.map(({ client, verificationKey }) => [client, verificationKey]));
  assert.deepEqual(judgeEvidence(outcome.blame[0].evidence, roster), { client: liar, rule: 'S33' });
});

test('a complainer that does not disclose is named without evidence', async () => {
  for (const answer of ['silence', 'abort', 'wrong']) {
    const session = await Corrupted.open({ n: 6, threshold: 4, active: true });
    await session.deal(new Map([[11n, [10n]]]));
    await session.round();
    if (answer === 'abort') assert.equal((await session.deliver(10n, session.encode('Abort', { reason: 'A10' }))).rule, 'S06');
    if (answer === 'wrong') {
      const disclosures = [{ client: 11n, proof: new Uint8Array(128) }];
      assert.equal((await session.deliver(10n, session.encode('DisclosureResponse', { disclosures }))).rule, 'S34');
    }
    assert.equal((await session.deliver(12n, session.encode('Abort', { reason: 'A10' }))).status, STATUS.LATE);
    assert.deepEqual(named(await session.close()), [[10n, 'S34', false]]);
  }
});

for (const [name, suite] of Object.entries(SUITES)) {
  test(`${name}: a complaint needs no input, and is made once`, async () => {
    const session = await Corrupted.open({ n: 6, threshold: 4, active: true, suite });
    await session.deal(new Map([[11n, [10n]]]));
    const { message } = session.requests[0];
    const poor = session.handles.get(10n);
    const outcome = await session.step(poor, { message });
    assert.deepEqual([outcome.status, outcome.phase], [STATUS.ACCEPTED, 'DISCLOSURE']);
    assert.deepEqual(decodeForServer(outcome.answer, session.parameters).body.accused, [11n]);
    assert.deepEqual((await session.step(poor, { message })).answer, outcome.answer);
    assert.equal((await session.step(poor, { setInput: session.inputs.get(10n) })).status, STATUS.LOCAL_ERROR);
  });
}

test('without signed dealings complaints are hints', async () => {
  for (const changes of [{ n: 6, threshold: 4, active: true, suite: 0x0101n }, { n: 6, threshold: 3 }]) {
    const session = await Corrupted.open(changes);
    await session.deal(new Map([[11n, [10n, 12n, 15n]]]));
    const outcome = await session.round();
    assert.deepEqual([outcome.phase, outcome.abortReason], ['ABORTED', 'A15']);
    assert.deepEqual(named(outcome), [[11n, 'S22', false]]);
    assert.equal(outcome.requests.length, 6);
    const request = session.encode('DisclosureRequest', { dealings: [] });
    const refused = await session.step(session.handles.get(10n), { message: request });
    assert.ok(['C11', 'C36'].includes(refused.rule), refused.rule);
  }
});

test('hints name the ends of most edges first', async () => {
  const hints = (entries) => hintsFrom(new Map(entries)).map(({ client, rule }) => `${client} ${rule}`);
  assert.deepEqual(hints([[1n, [9n]], [2n, [9n]]]), ['9 S22']);
  assert.deepEqual(hints([[1n, [7n, 8n, 9n]]]), ['1 S33']);
  assert.deepEqual(hints([[1n, [2n]]]), ['2 S22']);
  assert.deepEqual(hints([[1n, [2n]], [2n, [1n]]]), ['2 S22']);
  assert.deepEqual(hints([[1n, [2n, 3n]], [4n, [3n]], [5n, [6n]]]), ['2 S22', '3 S22', '6 S22']);
});

test('dealings without a signature and complaints of strangers cost their sender its place', async () => {
  const session = await Corrupted.open({ n: 6, threshold: 4, active: true });
  const { answer } = await session.step(session.handles.get(10n), session.requests[0]);
  const { body } = decodeForServer(answer, session.parameters);
  const unsigned = session.encode('ShareKeysResponse', { ciphertexts: body.ciphertexts });
  assert.equal((await session.deliver(10n, unsigned)).rule, 'S21');
  const rules = new Map([[[], 'S32'], [[14n], 'S32'], [[10n, 99n], 'S32'], [[10n], '']]);
  for (const [accused, rule] of rules) {
    const fresh = await Corrupted.open({ n: 6, threshold: 4, active: true });
    await fresh.deal(new Map());
    assert.equal((await fresh.deliver(14n, fresh.encode('Complaint', { accused }))).rule, rule);
  }
});

test('a client discloses what it accused, once', async () => {
  const change = {
    C36: [
      (dealings) => [],
      (dealings, all) => [all.find(({ client }) => client === 13n)],
    ],
    C37: [
      ([dealing]) => [{ ...dealing, block: new Uint8Array(184) }],
      ([dealing]) => [{ ...dealing, digests: new Uint8Array(32) }],
    ],
    C38: [([dealing]) => [{ ...dealing, signature: new Uint8Array(192) }]],
    C39: [([dealing]) => [{ ...dealing, signature: concat(dealing.signature.slice(0, 64), new Uint8Array(128)) }]],
    A08: [
      ([dealing]) => [{ ...dealing, signature: new Uint8Array(0) }],
      ([dealing]) => [{ ...dealing, signature: dealing.signature.slice(0, 64) }],
    ],
  };
  for (const [rule, changes] of Object.entries(change)) {
    for (const make of changes) {
      const session = await Corrupted.open({ n: 6, threshold: 4, active: true });
      await session.deal(new Map([[11n, [10n]], [13n, [12n]]]));
      await session.round();
      const dealingsOf = ({ message }) => decodeForClient(message, session.parameters).body.dealings;
      const shown = session.requests.flatMap(dealingsOf);
      const own = dealingsOf(session.requests[0]);
      const message = session.encode('DisclosureRequest', { dealings: make(own, shown) });
      const outcome = await session.step(session.handles.get(10n), { message });
      assert.deepEqual([outcome.status, outcome.rule], [STATUS.REFUSED, rule]);
    }
  }
  const session = await Corrupted.open({ n: 6, threshold: 4, active: true });
  await session.deal(new Map([[11n, [10n]], [13n, [10n]]]));
  await session.round();
  const { message } = session.requests[0];
  const { dealings } = decodeForClient(message, session.parameters).body;
  const first = await session.step(session.handles.get(10n), { message });
  assert.equal(first.phase, 'DISCLOSURE');
  assert.deepEqual((await session.step(session.handles.get(10n), { message })).answer, first.answer);
  const part = session.encode('DisclosureRequest', { dealings: [dealings[1]] });
  assert.equal((await session.step(session.handles.get(10n), { message: part })).rule, 'C36');
});
