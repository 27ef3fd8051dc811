/** A session in a worker of a real browser: pages that are loaded again in the middle, two tabs, interrupted work. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { ClientSession, MemoryLedger, clientPolicy } from 'secagg-client';
import { Server } from 'secagg-client/conformance';
import { hex, unhex } from '../../src/canonical.js';
import { encodeMessage } from '../../src/wire.js';
import { parametersOf } from '../runner.js';
import { Chromium, findChromium } from './chromium.js';
import { servePages } from './pages.js';

const command = findChromium();
// The time is a guard against hangs.
const LIMITS = { skip: command ? false : 'there is no Chromium', timeout: 600_000 };
const policy = clientPolicy({ threatModel: 'semi-honest', maxWeight: 10n });
const OWN = 10n;
let pages;
let browser;
let sessions = 0;

before(async () => {
  if (LIMITS.skip) return;
  pages = await servePages();
  browser = await Chromium.start(command);
});

after(async () => {
  await browser?.close();
  pages?.close();
});

/** A server, five clients beside it, and a tab with the sixth. */
class Round {
  static async open(length = 5) {
    const round = new Round();
    sessions += 1;
    const parameters = parametersOf({ nonce: new Uint8Array(32).fill(sessions) });
    const [update, counts] = parameters.vectors;
    const vectors = [{ ...update, shape: [BigInt(length)] }, counts];
    round.server = Server.create(parametersOf({ nonce: parameters.nonce, vectors }).encoded);
    round.requests = round.server.firstRequests;
    round.peers = new Map();
    for (const id of round.server.parameters.cohort.slice(1)) {
      const session = await ClientSession.accept(round.server.offer, id, policy, { ledger: new MemoryLedger() });
      session.setInput({ update: new Float64Array(length), counts: new BigInt64Array(6) }, 2n);
      round.peers.set(id, session);
    }
    round.tab = await browser.open(pages.addressOf('clients/js/test/browser/page.js'));
    return round;
  }

  /** Calls a function of the page. */
  page(name, ...given) {
    const show = (value) => (typeof value === 'bigint' ? `${value}n` : JSON.stringify(value));
    return this.tab.evaluate(`${name}(${given.map(show).join()})`);
  }

  join(...script) {
    return this.page('open', hex(this.server.offer), OWN, ...script);
  }

  get message() {
    return hex(this.requests[0].message);
  }

  /** Hands in the own answer, those of all others, and closes the round. */
  async close(answer) {
    assert.equal(this.server.receive(OWN, unhex(answer)).status, 'ACCEPTED');
    for (const { client, message } of this.requests.slice(1)) {
      this.server.receive(client, await this.peers.get(client).receive(message));
    }
    ({ requests: this.requests } = await this.server.closeRound());
  }

  async end() {
    assert.deepEqual(this.tab.complaints, []);
    await this.tab.close();
  }
}

test('a page that is loaded again before, in and after each round goes on, and answers once', LIMITS, async () => {
  const round = await Round.open();
  const phases = ['ADVERTISE_KEYS', 'SHARE_KEYS', 'MASKED_INPUT', 'UNMASKING', 'COMPLETED'];
  for (const [i, phase] of phases.slice(0, 4).entries()) {
    assert.equal(await round.join(), phase);
    if (i < 3) await round.page('setInput');
    await round.tab.evaluate(`void receive(${JSON.stringify(round.message)})`);
    await round.tab.go();
    // Whether the answer was entered or not, what leaves is the one that counts.
    assert.ok([phase, phases[i + 1]].includes(await round.join()));
    if (i < 3) await round.page('setInput');
    const answer = await round.page('receive', round.message);
    await round.tab.go();
    assert.equal(await round.join(), phases[i + 1]);
    assert.equal(await round.page('receive', round.message), answer);
    await round.close(answer);
    await round.page('close');
  }
  assert.equal(round.server.phase, 'COMPLETED');
  const [update] = round.server.result.vectors;
  assert.ok(Math.abs(update.reals[0] - 0.5 / 6) < 1e-3);
  await round.end();
});

test('a second answer to a phase is refused by what is on the disk', LIMITS, async () => {
  const round = await Round.open();
  const [first, second] = await round.page('twice', hex(round.server.offer), round.message);
  assert.match(first, /^[0-9a-f]+$/);
  assert.equal(second, 'SessionEnd: rule A12');
  await round.end();
});

test('two tabs of one client: the second is told, and may once the first has closed', LIMITS, async () => {
  const round = await Round.open();
  assert.equal(await round.join(), 'ADVERTISE_KEYS');
  const first = round.tab;
  round.tab = await browser.open(pages.addressOf('clients/js/test/browser/page.js'));
  const told = 'LocalError: another tab goes on with sessions of this client; go on there, or close it first';
  assert.equal(await round.join(), told);
  await first.evaluate('close()');
  assert.equal(await round.join(), 'ADVERTISE_KEYS');
  await round.page('close');
  await first.close();
  await round.end();
});

test('work that is interrupted is done again, and says how far it is', LIMITS, async () => {
  const round = await Round.open();
  await round.join();
  await round.page('setInput');
  for (let i = 0; i < 2; i++) await round.close(await round.page('receive', round.message));
  const [first, phase, answer, progress] = await round.page('interrupted', round.message);
  assert.equal(first, 'Interrupted: the work on a message was interrupted');
  assert.deepEqual([phase, progress], ['MASKED_INPUT', [1]]);
  await round.close(answer);
  await round.page('close');
  await round.end();
});

test('while a worker masks, the page hears a click, which interrupts the work', LIMITS, async () => {
  const length = 200_000;
  const round = await Round.open(length);
  await round.join('test/browser/held.js');
  await round.page('setInput', length);
  for (let i = 0; i < 2; i++) await round.close(await round.page('receive', round.message));
  await round.page('begin', round.message);
  for (const type of ['mousePressed', 'mouseReleased']) {
    await round.tab.call('Input.dispatchMouseEvent', { type, x: 5, y: 5, button: 'left', clickCount: 1 });
  }
  const interrupted = 'Interrupted: the work on a message was interrupted';
  assert.deepEqual(await round.tab.evaluate('clicked'), ['a part', 'a click', interrupted, 'MASKED_INPUT']);
  await round.close(await round.page('receive', round.message));
  await round.page('close');
  await round.end();
});

test('a session whose storage is taken away ends with a sentence, and answers nothing', LIMITS, async () => {
  const round = await Round.open();
  assert.equal(await round.join(), 'ADVERTISE_KEYS');
  const { origin } = new URL(pages.addressOf(''));
  await round.tab.call('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' });
  // As the tab hears of it: before it writes, or while it does.
  assert.match(await round.page('receive', round.message), /^Error: (what this browser has kept of this client was removed|.*(abort|clos|Connection))/i);
  assert.deepEqual(await round.page('phase'), ['ABORTED', 'A11']);
  await round.page('close');
  await round.end();
});

test('who refused a message does not go on from before it', LIMITS, async () => {
  const round = await Round.open();
  await round.join();
  const { message } = round;
  const early = hex(encodeMessage(round.server.parameters.digest, 'UnmaskingRequest', {}));
  await round.close(await round.page('receive', message));
  assert.equal(await round.page('receive', early), 'Violation: rule C11');
  assert.deepEqual(await round.page('phase'), ['ABORTED', 'A07']);
  await round.tab.go();
  assert.equal(await round.join(), 'ADVERTISE_KEYS');
  assert.equal(await round.page('receive', message), 'SessionEnd: rule A12');
  await round.page('close');
  await round.end();
});

test('a link that is opened again, and in two tabs at once, is redeemed with one key', LIMITS, async () => {
  const { link } = JSON.parse(readFileSync(new URL('../invitation.json', import.meta.url), 'utf8'));
  const open = () => browser.open(pages.addressOf('clients/js/test/browser/page.js'));
  const [first, second] = [await open(), await open()];
  const ask = (tab, database) => tab.evaluate(`keysOf(${JSON.stringify(link)}, ${JSON.stringify(database)})`);
  const keys = (await Promise.all([ask(first, 'links'), ask(second, 'links')])).flat();
  await first.go();
  keys.push(...await ask(first, 'links'));
  assert.equal(keys.length, 9);
  assert.equal(new Set(keys).size, 1);
  assert.match(keys[0], /^[0-9a-f]{64}$/);
  assert.notEqual((await ask(first, 'others'))[0], keys[0]);
  await first.close();
  await second.close();
});
