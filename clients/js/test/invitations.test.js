/** Links that invite, claims as the Python client makes them, and rosters under the authority of the link. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Invitation, LocalError, ServiceError, UnreachableError, generateIdentityKey, verificationKey, verifyRoster } from 'secagg-client';
import { bytes, canonical, concat, hex, integer, list, unhex } from '../src/canonical.js';
import { sha256, sign } from '../src/crypto.js';
import { Service, refusal } from './http/service.js';
import { parametersOf } from './runner.js';

const known = JSON.parse(readFileSync(new URL('invitation.json', import.meta.url), 'utf8'));
const PAGE = 'https://app.example.org/survey/';
const DURING = new Date('2030-05-15T00:00:00Z');
const authorityKey = unhex('00'.repeat(31) + '01');
const authority = verificationKey(authorityKey);
const CUT = /cut short or changed; copy the whole link/;
const QUICK = { firstSeconds: 0.001, longestSeconds: 0.002, giveUpSeconds: 0.05 };
const running = [];

after(() => Promise.all(running.map((service) => service.stop())));

function linkOf(...values) {
  const fields = canonical(...values);
  return `${PAGE}#secagg=${Buffer.from(concat(fields, sha256(fields).slice(0, 4))).toString('base64url')}`;
}

const LABEL = 'secagg/v1 link of an invitation';

/** An invitation to a service, with the key that it has. */
function invited(server, changes = {}) {
  const seed = generateIdentityKey();
  const given = { session: 'survey-1', client: 12n, ...changes };
  return { seed, invitation: Invitation.parse(linkOf(LABEL, server, given.session, given.client, authority, seed)) };
}

/** A roster of these keys, by whoever signs. */
function rosterOf(keys, { signer = authorityKey, days = 1, change = (fields) => fields } = {}) {
  const [issued, expires] = [Date.now() - 2 * 86_400_000, Date.now() + days * 86_400_000].map((time) => Math.floor(time / 1000));
  const entries = [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
  const signed = concat(
    canonical('secagg/v1 roster', 1, verificationKey(signer), 1, issued, expires),
    list(entries.map(([client, key]) => list([integer(client), bytes(key)]))),
  );
  const time = (seconds) => new Date(1000 * seconds).toISOString().replace('.000', '');
  const fields = change({
    format: 'secagg roster', version: 1, serial: 1, issued: time(issued), expires: time(expires),
    authority: hex(verificationKey(signer)), signature: hex(sign(signer, signed)),
    clients: entries.map(([id, key]) => ({ id: Number(id), key: hex(key) })),
  });
  return new TextEncoder().encode(JSON.stringify(fields));
}

/** A service that answers claims so. */
async function office(enrol) {
  const service = await new Service(parametersOf({ n: 3 })).start();
  running.push(service);
  service.lies.Enrol = enrol;
  return service;
}

test('a link says what the Python client put into it, and its claim is the same, byte for byte', async () => {
  const invitation = Invitation.parse(`${known.link}\n`);
  assert.deepEqual([invitation.server, invitation.session, `${invitation.client}`], [known.server, known.session, known.client]);
  assert.equal(hex(invitation.authority), known.authority);
  assert.ok(!JSON.stringify({ ...invitation, client: '' }).includes(known.seed));
  let claimed;
  const service = await office((request) => {
    claimed = request;
    return {};
  });
  const fields = [known.session, BigInt(known.client), unhex(known.authority), unhex(known.seed)];
  const here = Invitation.parse(linkOf(LABEL, service.address, ...fields));
  assert.equal(await here.claim({ identityKey: unhex(known.identity_key) }), undefined);
  assert.equal(hex(claimed.publicKey), known.public_key);
  // The same call with the address of the file: only what is signed is looked at.
  invitation.endpoint = here.endpoint;
  await invitation.claim({ identityKey: unhex(known.identity_key) });
  assert.deepEqual(
    [claimed.session, `${claimed.client}`, hex(claimed.invitationSignature), hex(claimed.keySignature)],
    [known.session, known.client, known.invitation_signature, known.key_signature],
  );
  assert.deepEqual(service.calls, ['Enrol', 'Enrol']);
});

test('a link that is cut short or changed anywhere says so', () => {
  for (let at = known.link.indexOf('=') + 1; at < known.link.length; at++) {
    assert.throws(() => Invitation.parse(known.link.slice(0, at)), CUT, `${at}`);
    const other = known.link[at] === 'A' ? 'B' : 'A';
    assert.throws(() => Invitation.parse(known.link.slice(0, at) + other + known.link.slice(at + 1)), CUT, `${at}`);
  }
});

test('what is no link is one sentence', () => {
  const good = [LABEL, 'https://sums.example.org', 's', 5n, authority, new Uint8Array(32)];
  const changed = (at, value) => linkOf(...good.map((one, i) => (i === at ? value : one)));
  Invitation.parse(linkOf(...good));
  for (const [link, said] of [
    ['', /no invitation behind its #/], [PAGE, /no invitation behind its #/], [`${PAGE}#other=a`, /no invitation behind its #/],
    [`${PAGE}#secagg=`, CUT], [`${PAGE}#secagg=AAAA`, CUT], [`${known.link}=`, CUT], [`${known.link} and more`, CUT],
    [`${PAGE}#secagg=${'A'.repeat(5000)}`, CUT],
    [changed(0, 'secagg/v1 roster'), /of a kind/], [linkOf(...good, 1n), /of a kind/], [linkOf(...good.slice(0, -1)), /of a kind/],
    [changed(0, `\ufeff${LABEL}`), /of a kind/], [changed(1, 'https://a\n'), /of a kind/], [changed(1, 'https://a/\u202e'), /of a kind/],
    [changed(4, new Uint8Array(31)), /of a kind/], [changed(5, new Uint8Array(31)), /of a kind/], [changed(2, 'a/b'), /of a kind/],
    [changed(1, 'sums.example.org:8443'), /no address/], [changed(1, 'http://sums.example.org'), /without TLS/],
  ]) assert.throws(() => Invitation.parse(link), (error) => error instanceof LocalError && said.test(error.message), link);
});

test('who is invited waits until the authority has signed, and gets the roster with its own key', async () => {
  let asked = 0;
  const keys = new Map([[12n, undefined], [7n, verificationKey(generateIdentityKey())]]);
  const service = await office(({ publicKey }) => {
    asked += 1;
    keys.set(12n, publicKey);
    return asked < 3 ? {} : { roster: rosterOf(keys) };
  });
  const { invitation } = invited(service.address);
  const [steps, identityKey] = [[], generateIdentityKey()];
  const found = await invitation.waitForRoster({ identityKey, pollSeconds: 0.001, onStep: ({ state }) => steps.push(state) });
  assert.deepEqual(steps, ['claimed', 'claimed']);
  assert.deepEqual([found.server, found.session, found.client], [service.address, 'survey-1', 12n]);
  assert.deepEqual([...found.roster.keys()], [7n, 12n]);
  assert.deepEqual(found.roster.get(12n), verificationKey(identityKey));
  assert.equal(found.identityKey, identityKey);
});

test('a refusal is thrown with its name, and a service that is away is asked again', async () => {
  for (const reason of ['NOT_INVITED', 'SIGNATURE_INVALID', 'INVITATION_USED', 'ENROLMENT_CLOSED']) {
    const service = await office(() => refusal(409, { reason, message: 'the sentence' }));
    await assert.rejects(invited(service.address).invitation.claim({ identityKey: generateIdentityKey(), retry: QUICK }), (error) =>
      error instanceof ServiceError && error.refusal === reason && error.message.endsWith('refused Enrol: the sentence'));
  }
  let asked = 0;
  const shaky = await office(() => {
    asked += 1;
    return asked === 1 ? 'broken' : {};
  });
  const patient = { firstSeconds: 0.001, longestSeconds: 0.002 };
  assert.equal(await invited(shaky.address).invitation.claim({ identityKey: generateIdentityKey(), retry: patient }), undefined);
  const away = await office(() => 'broken');
  await assert.rejects(invited(away.address).invitation.claim({ identityKey: generateIdentityKey(), retry: QUICK }), UnreachableError);
});

test('a roster that a service made up is not used', async () => {
  for (const [said, made] of [
    [/another authority/, (keys) => rosterOf(keys, { signer: generateIdentityKey() })],
    [/signature does not fit/, (keys) => rosterOf(keys, { signer: generateIdentityKey(), change: (fields) => ({ ...fields, authority: hex(authority) }) })],
    [/valid from/, (keys) => rosterOf(keys, { days: -1 })],
    [/without this key of client 12/, (keys) => rosterOf(new Map([...keys, [12n, verificationKey(generateIdentityKey())]]))],
    [/without this key of client 12/, () => rosterOf(new Map([[7n, verificationKey(generateIdentityKey())]]))],
    [/no roster: it is not JSON/, () => new TextEncoder().encode('{')],
  ]) {
    const service = await office(({ publicKey }) => ({ roster: made(new Map([[12n, publicKey]])) }));
    await assert.rejects(invited(service.address).invitation.claim({ identityKey: generateIdentityKey() }), (error) =>
      error instanceof ServiceError && said.test(error.message), `${said}`);
  }
});

test('a key that is none, or that of the invitation, claims nothing', async () => {
  const service = await office(() => ({}));
  const { seed, invitation } = invited(service.address);
  await assert.rejects(invitation.claim({ identityKey: seed }), /known to whoever sent it/);
  await assert.rejects(invitation.claim({ identityKey: new Uint8Array(31) }), /32 bytes/);
  await assert.rejects(invitation.waitForRoster({ identityKey: generateIdentityKey(), pollSeconds: 0 }), /pollSeconds is 0/);
  assert.deepEqual(service.calls, []);
});

test('waiting can be ended', async () => {
  const service = await office(() => ({}));
  const ending = new AbortController();
  const waiting = invited(service.address).invitation.waitForRoster({
    identityKey: generateIdentityKey(), signal: ending.signal, onStep: () => ending.abort(new Error('enough')),
  });
  await assert.rejects(waiting, /enough/);
});

test('a roster of the Python authority is read exactly, with ids that no double has', () => {
  const found = verifyRoster(known.roster, unhex(known.authority), DURING);
  assert.deepEqual([...found.keys()], [7n, 2n ** 53n + 1n, 2n ** 64n - 1n]);
  assert.equal(hex(found.get(2n ** 64n - 1n)), known.public_key);
  assert.deepEqual(verifyRoster(new TextEncoder().encode(known.roster), unhex(known.authority), DURING), found);
});

test('a roster that was changed, is not valid now or is none is one sentence', () => {
  const key = unhex(known.authority);
  const swap = (from, to) => {
    assert.ok(known.roster.includes(from), from);
    return known.roster.replace(from, to);
  };
  for (const [roster, said] of [
    [swap('"serial": 4', '"serial": 5'), /was changed/], [swap('2030-06-01', '2031-06-01'), /was changed/],
    [swap('2030-05-01', '2030-05-02'), /was changed/], [swap('"id": 7', '"id": 8'), /was changed/],
    [swap('"id": 9007199254740993', '"id": 9007199254740992'), /was changed/], [swap('"id": 9007199254740993', '"id": 7'), /twice/],
    [swap('"version": 1', '"version": 2'), /has version 2/], [swap('"id": 7', '"id": -7'), /not JSON|no whole number/],
    [swap('"id": 7', '"id": 18446744073709551616'), /no whole number/], [swap('"secagg roster"', '"a"'), /format is another/],
    [swap('"serial": 4,', ''), /lacks fields/], [swap('2030-06-01T', 'soon'), /no time/], [swap('"clients": [', '"clients": [5,'), /not one id/],
    [swap('"key": "', '"key": "A'), /not 32 bytes/], ['', /not JSON/], [new Uint8Array([255]), /not JSON/], ['[]', /format/], ['null', /format/],
  ]) assert.throws(() => verifyRoster(roster, key, DURING), (error) => error instanceof LocalError && said.test(error.message), `${said} ${roster.slice?.(0, 80)}`);
  assert.throws(() => verifyRoster(known.roster, verificationKey(generateIdentityKey()), DURING), /another authority/);
  assert.throws(() => verifyRoster(known.roster, new Uint8Array(31), DURING), /32 bytes/);
  for (const at of ['2030-04-30T23:54:59Z', '2030-06-01T00:00:00Z']) {
    assert.throws(() => verifyRoster(known.roster, key, new Date(at)), /valid from 2030-05-01T00:00:00Z to 2030-06-01T00:00:00Z/);
  }
  verifyRoster(known.roster, key, new Date('2030-04-30T23:55:00Z'));
});
