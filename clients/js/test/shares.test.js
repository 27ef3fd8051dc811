/** Sessions with signed dealings in which shares are wrong (§5.4): left out and reported, or blamed on their dealer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bindingOf } from '../src/binding.js';
import { concat } from '../src/canonical.js';
import { KINDS, commitmentTo } from '../src/commitments.js';
import * as crypto from '../src/crypto.js';
import { blocksOf, dealingToSign, digestsOf, entryOf } from '../src/disclosures.js';
import { judgeEvidence } from '../src/evidence.js';
import { decodeForServer, encodeMessage } from '../src/wire.js';
import { STATUS, Session, filled, parametersOf } from './runner.js';

const ACTIVE = { n: 9, threshold: 6, active: true };
const DEALER = 12n;
const CHANNEL = filled(77);

const flip = (data, at) => {
  const changed = data.slice();
  changed[at] ^= 1;
  return changed;
};

/** A session of nine; `revealed` changes what a holder reveals of an owner's secret. */
class Wrong extends Session {
  constructor(changes = {}) {
    super(parametersOf({ ...ACTIVE, ...changes }));
    this.advertisements = new Map();
  }

  async begin() {
    await super.begin();
    const tape = concat(CHANNEL, filled(78), filled(79), new Uint8Array(2000).fill(5));
    this.handles.set(DEALER, (await this.createClient(DEALER, { tape, ledger: '' })).handle);
    await this.setInputs();
    await this.round([], (client, answer) => {
      this.advertisements.set(client, decodeForServer(answer, this.parameters).body.advertisement);
      return answer;
    });
    this.binding = bindingOf(this.parameters, this.advertisements);
  }

  get rosterMap() {
    return new Map(this.roster.map(({ client, verificationKey }) => [client, verificationKey]));
  }

  encode(name, body) {
    return encodeMessage(this.parameters.digest, name, body);
  }

  /** ShareKeys, in which the dealer changes the pairs for some receivers before it seals, commits and signs. */
  deal(receivers, change) {
    return this.round([], (client, answer) => {
      const { body } = decodeForServer(answer, this.parameters);
      if (client !== DEALER) return answer;
      const own = [DEALER, this.advertisements.get(DEALER).channelPublic];
      const ciphertexts = body.ciphertexts.map(({ client: receiver, ciphertext }) => {
        if (!receivers.includes(receiver)) return { client: receiver, ciphertext };
        const theirs = [receiver, this.advertisements.get(receiver).channelPublic];
        const key = () => crypto.channelKey(crypto.agree(CHANNEL, theirs[1]), this.binding, ...own, ...theirs);
        const pair = change(crypto.open(key(), ciphertext.slice(0, 112), this.binding, DEALER, receiver), receiver);
        const commitment = commitmentTo([this.parameters.digest, this.binding, DEALER, receiver], pair);
        const nonce = ciphertext.slice(0, 24);
        const sealed = crypto.seal(key(), nonce, this.binding, DEALER, receiver, pair.slice());
        return { client: receiver, ciphertext: concat(sealed, commitment) };
      });
      const entries = ciphertexts.map(({ client: id, ciphertext }) =>
        entryOf(id, this.advertisements.get(id).channelPublic, ciphertext));
      const digests = digestsOf(blocksOf(entries));
      const statement = dealingToSign(this.parameters.digest, this.binding, ...own, digests);
      const signature = concat(crypto.sign(this.identityKeys.get(DEALER), statement), body.signature.slice(64));
      return this.encode('ShareKeysResponse', { ciphertexts, signature });
    });
  }

  /** All rounds that are left; `silent` sends no input, and holders of `wrong` change what they reveal of the dealer. */
  async finish({ silent = [], wrong = new Map() } = {}) {
    await this.round(silent);
    await this.round();
    return this.round([], (client, answer) => {
      if (!wrong.has(client)) return answer;
      const { body } = decodeForServer(answer, this.parameters);
      for (const revealed of [...body.seedShares, ...body.maskKeyShares]) {
        if (revealed.owner === DEALER) revealed.share = wrong.get(client)(revealed.share);
      }
      return this.encode('UnmaskingResponse', body);
    });
  }
}

const lies = (...holders) => new Map(holders.map((holder) => [holder, (share) => flip(share, 35)]));
const none = (pair) => pair;

for (const silent of [[], [DEALER]]) {
  test(`m − t liars cost nothing, one more is too many: ${silent.length ? 'mask key' : 'seed'}`, async () => {
    const session = await Wrong.open();
    await session.deal([], none);
    const outcome = await session.finish({ silent, wrong: lies(10n, 18n) });
    assert.equal(outcome.phase, 'COMPLETED');
    assert.deepEqual(outcome.inconsistent, [10n, 18n].map((holder) => ({ holder, owner: DEALER, rule: 'S53' })));
    const { counts } = session.expected(session.parameters.cohort.filter((id) => !silent.includes(id)));
    assert.deepEqual(outcome.result.vectors[1].integers, counts);
    const other = await Wrong.open();
    await other.deal([], none);
    const ended = await other.finish({ silent, wrong: lies(10n, 11n, 18n) });
    assert.deepEqual([ended.abortReason, ended.blame, ended.inconsistent], ['A05', [], []]);
  });
}

test('a digest alone is not looked at, unless a share is wrong', async () => {
  const badDigest = (share) => flip(share, 67);
  for (const [wrong, holders] of [
    [new Map([[10n, badDigest]]), []], [new Map([[10n, badDigest], ...lies(11n)]), [10n, 11n]],
  ]) {
    const session = await Wrong.open();
    await session.deal([], none);
    const outcome = await session.finish({ wrong });
    assert.equal(outcome.phase, 'COMPLETED');
    assert.deepEqual(outcome.inconsistent.map(({ holder }) => holder), holders);
  }
});

/** Receivers whose shares are off, who lies beside, and who is shown then. */
const CONTRADICTIONS = {
  first: [[10n], [], [10n, 11n, 13n, 14n, 15n, 16n]],
  last: [[18n], [], [10n, 11n, 13n, 14n, 15n, 16n, 18n]],
  'first, beside a liar': [[10n], [11n], [10n, 13n, 14n, 15n, 16n, 17n]],
  all: [[10n, 11n, 13n, 14n, 15n, 16n, 17n, 18n], [], [10n, 11n, 13n, 14n, 15n, 16n]],
};

for (const [name, [receivers, liars, shown]] of Object.entries(CONTRADICTIONS)) {
  for (const [kind, place, silent] of [['seed', 35, []], ['maskKey', 71, [DEALER]]]) {
    test(`a dealer of contradicting shares is named: ${name}, ${kind}`, async () => {
      const session = await Wrong.open();
      await session.deal(receivers, (pair) => flip(pair, place));
      const outcome = await session.finish({ silent, wrong: lies(...liars) });
      assert.equal(outcome.abortReason, 'A06');
      assert.deepEqual(outcome.blame.map(({ client, rule }) => [client, rule]), [[DEALER, 'S23']]);
      const [{ evidence }] = outcome.blame;
      assert.deepEqual(judgeEvidence(evidence, session.rosterMap), { client: DEALER, rule: 'S23' });
      const listed = [...evidence.slice(-68 * shown.length - 5 - 8 * shown.length, -68 * shown.length - 5)];
      assert.deepEqual(listed.filter((_, i) => i % 8 === 7).map(BigInt), shown);
      assert.equal(evidence[evidence.length - 68 * shown.length - 8 * shown.length - 11], Number(KINDS[kind]));
      for (let at = 0; at < evidence.length; at += 61) {
        assert.equal(judgeEvidence(flip(evidence, at), session.rosterMap), null);
      }
      assert.equal(judgeEvidence(evidence.slice(0, -1), session.rosterMap), null);
      assert.equal(judgeEvidence(evidence, new Map()), null);
      const told = outcome.requests.map(({ client }) => client);
      assert.deepEqual(told, session.parameters.cohort.filter((id) => !silent.includes(id)));
    });
  }
}

test('a pair that does not fit its commitment is complained of', async () => {
  const session = await Wrong.open();
  await session.round([], (client, answer) => {
    if (client !== DEALER) return answer;
    const { body } = decodeForServer(answer, session.parameters);
    const [first, ...rest] = body.ciphertexts;
    const ciphertexts = [{ ...first, ciphertext: flip(first.ciphertext, 143) }, ...rest];
    const entries = ciphertexts.map(({ client: id, ciphertext }) =>
      entryOf(id, session.advertisements.get(id).channelPublic, ciphertext));
    const own = session.advertisements.get(DEALER).channelPublic;
    const statement =
      dealingToSign(session.parameters.digest, session.binding, DEALER, own, digestsOf(blocksOf(entries)));
    const signature = concat(crypto.sign(session.identityKeys.get(DEALER), statement), body.signature.slice(64));
    return session.encode('ShareKeysResponse', { ciphertexts, signature });
  });
  await session.round();
  const outcome = await session.round();
  assert.deepEqual(outcome.blame.map(({ client, rule }) => [client, rule]), [[DEALER, 'S22']]);
  assert.deepEqual(judgeEvidence(outcome.blame[0].evidence, session.rosterMap), { client: DEALER, rule: 'S22' });
});

test('shares and parcels of another kind of session are refused', async () => {
  const session = await Wrong.open();
  await session.round();
  await session.round();
  await session.round();
  const { answer } = await session.step(session.handles.get(10n), session.requests[0]);
  const { body } = decodeForServer(answer, session.parameters);
  const short = body.seedShares.map(({ owner, share }) => ({ owner, share: share.slice(0, 36) }));
  const mixed = [short[0], ...body.seedShares.slice(1)];
  for (const [client, seedShares] of [[10n, short], [11n, mixed]]) {
    const message = session.encode('UnmaskingResponse', { ...body, seedShares });
    const { status, rule } = await session.deliver(client, message);
    assert.deepEqual([status, rule], [STATUS.DROPPED, 'S02']);
  }
});
